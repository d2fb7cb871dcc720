"""Errors on the paths that clients of other services call, in the form that these clients read.

Such an answer is the usual problem with one member more, ``error``. What is wrong with a request has the
status 400 there, as these services give it, and not the finer ones of the table.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Literal

from interplay.errors import InterplayError

MODERATIONS = "/v1/moderations"
COMMENTS = "/v1alpha1/comments:analyze"
DISCOVERY = "/$discovery/rest"

Dialect = Literal["openai", "google"]
_BY_PATH: dict[str, Dialect] = {MODERATIONS: "openai", COMMENTS: "google"}
_dialect: ContextVar[Dialect | None] = ContextVar("dialect", default=None)

_PLAIN_BAD_REQUEST = (415, 422)
_GOOGLE_ERROR = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
# Key of ``InterplayError.metadata``: Perspective's own name of an error.
ERROR_TYPE = "errorType"


def note_path(path: str) -> None:
    """Answer errors of the current request as is usual on this path."""
    _dialect.set(_BY_PATH.get(path))


def adapt(content: dict[str, Any], error: InterplayError) -> dict[str, Any]:
    """A problem as the current request's client reads it.

    Args:
        content: The problem.
        error: What it is about.
    """
    dialect = _dialect.get()
    if dialect is None:
        return content
    status = 400 if content["status"] in _PLAIN_BAD_REQUEST else content["status"]
    error_body = _openai(error, status) if dialect == "openai" else _google(error, status)
    return {**content, "status": status, "error": error_body}


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
