"""One exception tree and the one table that maps it to gRPC and HTTP.

    InterplayError
    ├── InvalidInput                 the request cannot be understood
    │   ├── InvalidParameter         a field has a value outside its limits
    │   ├── PayloadTooLarge          too many bytes, pixels or items
    │   ├── UnsupportedMedia         not a kind of image that is accepted
    │   ├── UnreadableImage          the right kind, but broken
    │   ├── MethodNotAllowed         the path exists, but not for this HTTP method
    │   ├── NotAcceptable            no answer of a kind that the caller accepts
    │   └── UploadTimeout            the request body took too long to arrive
    ├── Unauthenticated
    ├── PermissionDenied
    ├── NotFound
    │   └── Expired                  existed once, was removed by its time limit
    ├── Conflict
    │   └── IdempotencyMismatch      same key, other request
    ├── Overloaded                   queue full: try again later
    │   └── RateLimited              this caller's share is used up
    ├── Unavailable                  loading, draining, restarting or down
    ├── DeadlineExceeded
    ├── Cancelled                    the caller went away
    └── InternalError
        ├── ModelFailed              inference raised
        └── NoRoom                   the server's disk is full

Code raises these anywhere; only the edges translate: the gRPC interceptor
(``interplay.serving.interceptors``) and the gateway's handler. A ``message`` is always safe to
show to a client. Retry rules follow AIP-194: callers retry ``UNAVAILABLE`` alone by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ERROR_DOMAIN = "interplay"


class InterplayError(Exception):
    """Base of all errors that reach a client.

    Args:
        message: Sentence for the client; names the limit and the value where there is one.
        field: Request field at fault, dotted path, if one is.
        retry_after_s: Seconds after which a retry makes sense.
        metadata: Further facts (string to string), sent as ``ErrorInfo.metadata``.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})

    @property
    def row(self) -> ErrorRow:
        """This error's row of the table."""
        return ROW_BY_TYPE[type(self)]


class InvalidInput(InterplayError):
    """The request cannot be understood."""


class InvalidParameter(InvalidInput):
    """A field has a value outside its limits."""


class PayloadTooLarge(InvalidInput):
    """Too many bytes, pixels or items."""


class UnsupportedMedia(InvalidInput):
    """Not a kind of content that is accepted."""


class UnreadableImage(InvalidInput):
    """An accepted kind of image whose data is broken."""


class MethodNotAllowed(InvalidInput):
    """The path exists, but not for this HTTP method."""


class NotAcceptable(InvalidInput):
    """There is no answer of a kind that the caller accepts."""


class UploadTimeout(InvalidInput):
    """The request body took too long to arrive."""


class Unauthenticated(InterplayError):
    """No valid API key."""


class PermissionDenied(InterplayError):
    """The key or the configuration does not allow this."""


class NotFound(InterplayError):
    """No such job, model, path or capability."""


class Expired(NotFound):
    """It existed, and its time limit removed it."""


class Conflict(InterplayError):
    """The resource is in a state that does not allow this."""


class IdempotencyMismatch(Conflict):
    """The Idempotency-Key was used before with another request."""


class Overloaded(InterplayError):
    """The queue is full."""


class RateLimited(Overloaded):
    """The caller's rate is used up."""


class Unavailable(InterplayError):
    """A part is loading, draining, restarting or down."""


class DeadlineExceeded(InterplayError):
    """Not done before the caller's deadline."""


class Cancelled(InterplayError):
    """The caller went away."""


class InternalError(InterplayError):
    """A fault of ours."""


class ModelFailed(InternalError):
    """Inference raised on this input."""


class NoRoom(InternalError):
    """The server's disk has no room for what was asked."""


@dataclass(frozen=True)
class ErrorRow:
    """How one error type leaves the system.

    Attributes:
        type: Exception class.
        reason: Upper-snake constant, stable, in ``ErrorInfo.reason`` and the problem's ``type``.
        grpc_code: Name in ``grpc.StatusCode``.
        http_status: Status of the RFC 9457 problem.
        title: Short human title of the problem.
        retryable: Whether the same request may succeed later.
        outcome: Label of ``interplay_inference_requests_total``.
    """

    type: type[InterplayError]
    reason: str
    grpc_code: str
    http_status: int
    title: str
    retryable: bool
    outcome: str


ERROR_TABLE: tuple[ErrorRow, ...] = (
    ErrorRow(InvalidInput, "INVALID_INPUT", "INVALID_ARGUMENT", 400, "Invalid input", False, "invalid"),
    ErrorRow(
        InvalidParameter, "INVALID_PARAMETER", "INVALID_ARGUMENT", 422, "Invalid parameter", False, "invalid"
    ),
    ErrorRow(
        PayloadTooLarge, "PAYLOAD_TOO_LARGE", "INVALID_ARGUMENT", 413, "Payload too large", False, "invalid"
    ),
    ErrorRow(
        UnsupportedMedia, "UNSUPPORTED_MEDIA", "INVALID_ARGUMENT", 415, "Unsupported media", False, "invalid"
    ),
    ErrorRow(
        UnreadableImage, "UNREADABLE_IMAGE", "INVALID_ARGUMENT", 422, "Unreadable image", False, "invalid"
    ),
    ErrorRow(
        MethodNotAllowed,
        "METHOD_NOT_ALLOWED",
        "INVALID_ARGUMENT",
        405,
        "Method not allowed",
        False,
        "invalid",
    ),
    ErrorRow(NotAcceptable, "NOT_ACCEPTABLE", "INVALID_ARGUMENT", 406, "Not acceptable", False, "invalid"),
    ErrorRow(UploadTimeout, "UPLOAD_TIMEOUT", "INVALID_ARGUMENT", 408, "Upload timeout", True, "invalid"),
    ErrorRow(
        Unauthenticated, "UNAUTHENTICATED", "UNAUTHENTICATED", 401, "Unauthenticated", False, "rejected"
    ),
    ErrorRow(
        PermissionDenied,
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        403,
        "Permission denied",
        False,
        "rejected",
    ),
    ErrorRow(NotFound, "NOT_FOUND", "NOT_FOUND", 404, "Not found", False, "invalid"),
    ErrorRow(Expired, "EXPIRED", "NOT_FOUND", 410, "Expired", False, "invalid"),
    ErrorRow(Conflict, "CONFLICT", "ABORTED", 409, "Conflict", False, "invalid"),
    ErrorRow(
        IdempotencyMismatch,
        "IDEMPOTENCY_MISMATCH",
        "ABORTED",
        422,
        "Idempotency key reused",
        False,
        "invalid",
    ),
    ErrorRow(Overloaded, "OVERLOADED", "RESOURCE_EXHAUSTED", 429, "Overloaded", True, "rejected"),
    ErrorRow(RateLimited, "RATE_LIMITED", "RESOURCE_EXHAUSTED", 429, "Rate limited", True, "rejected"),
    ErrorRow(Unavailable, "UNAVAILABLE", "UNAVAILABLE", 503, "Unavailable", True, "error"),
    ErrorRow(
        DeadlineExceeded, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", 504, "Deadline exceeded", True, "deadline"
    ),
    ErrorRow(Cancelled, "CANCELLED", "CANCELLED", 499, "Cancelled", False, "cancelled"),
    ErrorRow(InternalError, "INTERNAL", "INTERNAL", 500, "Internal error", False, "error"),
    ErrorRow(ModelFailed, "MODEL_FAILED", "INTERNAL", 500, "Model failed", False, "error"),
    ErrorRow(NoRoom, "NO_ROOM", "INTERNAL", 507, "No room", False, "error"),
)

ROW_BY_TYPE: dict[type[InterplayError], ErrorRow] = {row.type: row for row in ERROR_TABLE}
ROW_BY_REASON: dict[str, ErrorRow] = {row.reason: row for row in ERROR_TABLE}


def error_from_reason(
    reason: str,
    message: str,
    *,
    field: str | None = None,
    retry_after_s: float | None = None,
    metadata: dict[str, str] | None = None,
) -> InterplayError:
    """Rebuild the exception that another process raised; an unknown reason becomes ``InternalError``."""
    row = ROW_BY_REASON.get(reason)
    error_type = row.type if row else InternalError
    return error_type(message, field=field, retry_after_s=retry_after_s, metadata=metadata)


_MAX_SHOWN_VALUE = 60


def fault_message(fault: Mapping[str, Any]) -> str:
    """What is wrong with one field, and its value: of a row of pydantic's ``ValidationError.errors()``."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return "unknown field"
    if fault["type"] != "missing" and isinstance(value := fault.get("input"), str | int | float | bool):
        shown = repr(value)
        message += f", got {shown if len(shown) <= _MAX_SHOWN_VALUE else shown[:_MAX_SHOWN_VALUE] + '…'}"
    return message
