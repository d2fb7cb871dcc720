"""The OpenAPI description: committed, complete, and kept by the running gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckContext  # noqa: F401 - registers the built-in checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi import OPENAPI_FILE, main
from interplay.errors import ERROR_TABLE
from tests.unit.gateway.harness import RunningGateway

DOCUMENT: dict[str, Any] = json.loads(OPENAPI_FILE.read_text(encoding="utf-8"))
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def test_the_committed_description_is_the_gateways_own() -> None:
    assert main(["--check"]) == 0


def test_the_check_fails_on_a_difference(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    assert main(["--check", "--file", str(file)]) == 1
    assert main(["--file", str(file)]) == 0
    assert main(["--check", "--file", str(file)]) == 0
    file.write_text(file.read_text().replace("Interplay", "Interpley", 1))
    assert main(["--check", "--file", str(file)]) == 1


def test_the_running_gateway_serves_it(gateway: RunningGateway) -> None:
    assert gateway.client.get("/openapi.json").json() == DOCUMENT


def test_the_paths_of_the_product_are_there() -> None:
    expected = {f"/v1/text:{name}" for name in ("segment", "detect", "read", "presence")}
    expected |= {"/v1/styles", "/v1/style:transfer", "/v1/style:render"}
    expected |= {"/v1/models", "/v1/jobs", "/v1/jobs/{job_id}", "/livez", "/readyz", "/metrics"}
    assert expected <= set(DOCUMENT["paths"])
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)


def resolve(schema: Any) -> Any:
    """A schema with the components beside it, so that its references resolve."""
    return {**schema, "components": DOCUMENT["components"]}


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_has_examples_that_fit_their_schema(name: str, operation: dict[str, Any]) -> None:
    bodies = [("request", operation["requestBody"])] if "requestBody" in operation else []
    bodies += list(operation["responses"].items())
    shown = 0
    for status, body in bodies:
        for media_type, content in body.get("content", {}).items():
            examples = [content["example"]] if "example" in content else []
            examples += [example["value"] for example in content.get("examples", {}).values()]
            if status != "request" and status >= "400":
                assert examples, f"{name}: {status} has no example"
            if media_type.endswith("json"):
                for example in examples:
                    jsonschema.validate(example, resolve(content["schema"]))
            if status == "request" or status < "300":
                shown += len(examples)
    empty = list(operation["responses"])[0] == "204"
    assert shown or empty or "{file}" in name or "thumbnails" in name, f"{name} shows no example"


def test_every_error_is_a_problem_and_all_kinds_are_shown() -> None:
    reasons = set()
    for name, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            if "/v2" in name and status >= "400":
                assert list(response["content"]) == ["application/json"], (name, status)
            elif status >= "400" and not (name == "GET /readyz" and status == "503"):
                assert list(response["content"]) == ["application/problem+json"], (name, status)
                for reason, example in response["content"]["application/problem+json"]["examples"].items():
                    assert example["value"]["status"] == int(status)
                    reasons.add(reason)
    unseen = {row.reason for row in ERROR_TABLE} - reasons
    assert unseen <= {
        "CANCELLED",
        "METHOD_NOT_ALLOWED",
    }  # nobody is left to read the one; paths, not operations


api = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.mark.slow
@pytest.mark.timeout(120)
@api.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_generated_request_breaks_the_gateway(case: schemathesis.Case, gateway: RunningGateway) -> None:
    response = case.call(base_url=gateway.url, timeout=20)
    hurried = response.status_code == 504 and "X-Request-Timeout-Ms" in case.headers
    assert response.status_code < 500 or hurried, response.text
    if response.status_code != 405:
        case.validate_response(
            response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
        )
