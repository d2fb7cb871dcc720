"""Errors on the paths that clients of other services call, in the form that these clients read.

The services whose paths these are give such answers:

    moderations, comments    the usual problem with one member more, ``error``; what is wrong with a request
                             has the status 400, and not the finer ones of the table
    /v2                      ``{"error": message}``, as the Open Inference Protocol wants it
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Literal

from gateway.negotiation import JSON
from gateway.schemas.problem import PROBLEM_MEDIA_TYPE
from interplay.errors import InterplayError

MODERATIONS = "/v1/moderations"
COMMENTS = "/v1alpha1/comments:analyze"
DISCOVERY = "/$discovery/rest"

OPEN_INFERENCE = "/v2"

Dialect = Literal["openai", "google", "open_inference"]
_BY_PATH: dict[str, Dialect] = {MODERATIONS: "openai", COMMENTS: "google"}
_dialect: ContextVar[Dialect | None] = ContextVar("dialect", default=None)

_PLAIN_BAD_REQUEST = (415, 422)
_GOOGLE_ERROR = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
# Key of ``InterplayError.metadata``: Perspective's own name of an error.
ERROR_TYPE = "errorType"


def note_path(path: str) -> None:
    """Answer errors of the current request as is usual on this path."""
    open_inference = path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/")
    _dialect.set("open_inference" if open_inference else _BY_PATH.get(path))


def adapt(content: dict[str, Any], error: InterplayError) -> tuple[int, dict[str, Any], str]:
    """A problem as the current request's client reads it: status, body and media type.

    Args:
        content: The problem.
        error: What it is about.
    """
    dialect, status = _dialect.get(), content["status"]
    if dialect is None:
        return status, content, PROBLEM_MEDIA_TYPE
    if dialect == "open_inference":
        return status, {"error": error.message}, JSON
    status = 400 if status in _PLAIN_BAD_REQUEST else status
    error_body = _openai(error, status) if dialect == "openai" else _google(error, status)
    return status, {**content, "status": status, "error": error_body}, PROBLEM_MEDIA_TYPE


def _openai(error: InterplayError, status: int) -> dict[str, Any]:
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error"
    )
    code = "invalid_api_key" if status == 401 else error.row.reason.lower()
    return {"message": error.message, "type": kind, "param": error.field, "code": code}


def _google(error: InterplayError, status: int) -> dict[str, Any]:
    body: dict[str, Any] = {"code": status, "message": error.message, "status": error.row.grpc_code}
    if name := error.metadata.get(ERROR_TYPE):
        body["details"] = [{"@type": _GOOGLE_ERROR, "errorType": name}]
    return body
