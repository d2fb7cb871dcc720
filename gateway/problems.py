"""Errors of any kind to RFC 9457 problems, from the one table in ``interplay.errors``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gateway.dialects import adapt
from interplay.errors import (
    Cancelled,
    InternalError,
    InterplayError,
    InvalidInput,
    InvalidParameter,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnsupportedMedia,
    fault_message,
)
from interplay.telemetry.context import get_request_id
from interplay.telemetry.logging import get_logger

log = get_logger(__name__)

_BY_STATUS: dict[int, type[InterplayError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMedia,
    422: InvalidParameter,
}
_MAX_FIELD_ERRORS = 20


class RefusedBody(HTTPException):
    """An ``InterplayError`` raised while the body arrives.

    FastAPI turns every other exception at that point into a 400 of its own.
    """

    def __init__(self, error: InterplayError) -> None:
        super().__init__(error.row.http_status, error.message)
        self.error = error


def problem_type(reason: str) -> str:
    """The ``type`` of a problem, a URN."""
    return f"urn:interplay:problem:{reason.lower().replace('_', '-')}"


def problem_content(error: InterplayError, errors: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    """Body of a problem.

    Args:
        error: What went wrong.
        errors: ``field`` and ``message`` of every field at fault; by default the error's own field.
    """
    row = error.row
    content = {
        "type": problem_type(row.reason),
        "title": row.title,
        "status": row.http_status,
        "detail": error.message,
        "reason": row.reason,
        "request_id": get_request_id(),
    }
    if not errors and error.field:
        errors = ({"field": error.field, "message": error.message},)
    if errors:
        content["errors"] = list(errors)
    return content


def problem_response(
    error: InterplayError, *, errors: Sequence[dict[str, str]] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """HTTP response of an error, with ``Retry-After`` and ``WWW-Authenticate`` where they belong."""
    status, content, media_type = adapt(problem_content(error, errors), error)
    sent = dict(headers or {})
    if status in (429, 503):
        sent["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 1)))
    if status == 401:
        sent["WWW-Authenticate"] = 'Bearer realm="interplay"'
    # ASCII JSON: a client's lone surrogate, quoted back in a detail, must not break the encoding.
    body = json.dumps(content).encode("ascii")
    return Response(body, status_code=status, headers=sent, media_type=media_type)


def response_to_exception(exception: Exception, request: Request) -> Response:
    """The response to anything that a route or middleware raises; no stack trace ever leaves."""
    if isinstance(exception, RefusedBody):
        return problem_response(exception.error)
    if isinstance(exception, ClientDisconnect):
        exception = Cancelled("the client went away before its request was complete")
    if isinstance(exception, InterplayError):
        if exception.row.http_status >= 500 and not isinstance(exception, Cancelled):
            log.warning("request_failed", reason=exception.row.reason, detail=exception.message)
        return problem_response(exception)
    if isinstance(exception, RequestValidationError):
        return _validation_response(exception)
    if isinstance(exception, HTTPException):
        return _http_exception_response(exception, request)
    log.error("unhandled_exception", exc_info=exception)
    return problem_response(InternalError("the gateway failed on this request; the fault is logged"))


def install_handlers(app: FastAPI) -> None:
    """Answer every exception of the routes with a problem."""

    async def handle(request: Request, exception: Exception) -> Response:
        return response_to_exception(exception, request)

    for exception_type in (InterplayError, RequestValidationError, HTTPException):
        app.add_exception_handler(exception_type, handle)


def _validation_response(exception: RequestValidationError) -> Response:
    faults = exception.errors()
    if faults and faults[0]["type"] == "json_invalid":
        reason = faults[0].get("ctx", {}).get("error", "syntax error")
        return problem_response(InvalidInput(f"the body is not valid JSON: {reason}", field="body"))
    errors = [_field_error(fault) for fault in faults[:_MAX_FIELD_ERRORS]]
    first = errors[0] if errors else {"field": "body", "message": "invalid"}
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    detail = f"{first['field']}: {first['message']}{more}"
    return problem_response(InvalidParameter(detail), errors=errors)


def _field_error(fault: Mapping[str, Any]) -> dict[str, str]:
    location = [str(part) for part in fault["loc"]]
    if len(location) > 1 and location[0] in ("body", "query", "path", "header"):
        location = location[1:]
    return {"field": ".".join(location) or "body", "message": fault_message(fault)}


def _http_exception_response(exception: HTTPException, request: Request) -> Response:
    status, headers = exception.status_code, dict(exception.headers or {})
    asked = f"{request.method} {request.url.path}"
    if status == 404 and exception.detail == "Not Found":
        error: InterplayError = NotFound(f"there is no {asked}; /openapi.json lists the paths")
    elif status == 405:
        allowed = headers.get("allow") or headers.get("Allow") or "another method"
        error = MethodNotAllowed(f"{asked} is not offered; the path takes {allowed}")
    elif status >= 500:
        error = InternalError("the gateway failed on this request")
    else:
        error = _BY_STATUS.get(status, InvalidInput)(str(exception.detail))
    return problem_response(error, headers=headers)
