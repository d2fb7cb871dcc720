"""The OpenAPI description: ``python -m gateway.openapi`` writes ``docs/openapi.json``.

python -m gateway.openapi            write it
python -m gateway.openapi --check    exit with 1 if the committed file is out of date
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.negotiation import JSON
from gateway.openapi_parts import open_error_responses, problem_responses
from gateway.schemas.comments import CommentBody
from gateway.schemas.common import ImageSource
from gateway.schemas.embedding import EmbeddingsBody
from gateway.schemas.entries import FilterBody
from gateway.schemas.indexes import UpsertBody
from gateway.schemas.locations import LocationSearchBody, ScoreBody
from gateway.schemas.moderations import ModerationsBody
from gateway.schemas.open_inference import InferBody, OpenError
from gateway.schemas.places import PlaceBody
from gateway.schemas.posts import ClassifyBody
from gateway.schemas.problem import FieldError, Problem
from gateway.schemas.snapshots import RestoreBody
from interplay import __version__
from interplay.capabilities import CAPABILITIES
from interplay.errors import InvalidParameter
from interplay.settings import REPOSITORY_ROOT

OPENAPI_FILE = REPOSITORY_ROOT / "docs" / "openapi.json"

_DESCRIPTION = """\
Reads scenes in which images, text and places meet.

Images come as `multipart/form-data` (`curl -F image=@photo.jpg`) or as JSON with base64. Every error is an
RFC 9457 problem; its `reason` is stable. Under `/v2`, the Open Inference Protocol, errors have its form.
429 and 503 carry `Retry-After`. `X-Request-Id` is accepted and echoed; `RateLimit-*` headers tell what is
left. Where keys are configured, send one as `X-API-Key` or as `Authorization: Bearer`; scopes are `infer`,
`jobs` and `admin`.
"""
_OPEN_OPERATIONS = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
_REF = "#/components/schemas/{model}"
# Bodies that the gateway reads by itself, and what they are made of.
_UNREFERRED = (
    Problem,
    FieldError,
    ImageSource,
    EmbeddingsBody,
    UpsertBody,
    FilterBody,
    RestoreBody,
    PlaceBody,
    LocationSearchBody,
    ScoreBody,
    ClassifyBody,
    ModerationsBody,
    CommentBody,
    OpenError,
    InferBody,
)


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """The description of an app, with the parts that no route refers to by itself."""
    tags = [{"name": c.name, "description": f"{c.summary} (thesis {c.thesis})"} for c in CAPABILITIES]
    tags += [
        {"name": "indexes", "description": "What is searched: indexes, their entries and snapshots"},
        {"name": "models", "description": "What is served, with limits and defaults"},
        {"name": "open inference", "description": "The Open Inference Protocol, version 2: named tensors"},
        {"name": "jobs", "description": "Long work: submit, watch, cancel, fetch the result"},
        {"name": "health", "description": "Probes and metrics"},
    ]
    document = get_openapi(
        title="Interplay", version=__version__, description=_DESCRIPTION, routes=app.routes, tags=tags
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in _UNREFERRED:
        schema = model.model_json_schema(ref_template=_REF)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            # The empty requirement: without configured keys, loopback callers need none.
            operation["security"] = [] if path in _OPEN_OPERATIONS else [{"ApiKey": []}, {"Bearer": []}, {}]
            responses = operation["responses"]
            if _is_fastapis(responses.get("422")):
                declared = open_error_responses if path.startswith("/v2") else problem_responses
                responses["422"] = declared(InvalidParameter, authenticated=False)[422]
            operation["responses"] = dict(sorted(responses.items()))
    components["schemas"] = dict(sorted(schemas.items()))
    return document


def _is_fastapis(response: dict[str, Any] | None) -> bool:
    """Whether a declared 422 is FastAPI's own, which this gateway never answers with."""
    schema = (response or {}).get("content", {}).get(JSON, {}).get("schema", {})
    return str(schema.get("$ref", "")).endswith("HTTPValidationError")


def render(app: FastAPI) -> str:
    """The description as it stands in the file."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the committed description."""
    from gateway.main import create_app
    from gateway.settings import GatewaySettings

    parser = argparse.ArgumentParser(prog="python -m gateway.openapi", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 if out of date")
    parser.add_argument("--file", type=Path, default=OPENAPI_FILE)
    options = parser.parse_args(arguments)
    text = render(create_app(GatewaySettings.model_construct()))
    if options.check:
        if not options.file.exists() or options.file.read_text(encoding="utf-8") != text:
            print(f"{options.file.name} is out of date: run python -m gateway.openapi", file=sys.stderr)
            return 1
        return 0
    options.file.parent.mkdir(parents=True, exist_ok=True)
    options.file.write_text(text, encoding="utf-8")
    print(f"wrote {options.file.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
