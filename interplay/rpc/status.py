"""Errors on the wire: ``InterplayError`` to and from ``google.rpc.Status`` with details.

Every gRPC error carries ``ErrorInfo`` (AIP-193), a ``RetryInfo`` where a delay is known and a
``BadRequest`` where a field is at fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from interplay.errors import (
    ERROR_DOMAIN,
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InterplayError,
    InvalidInput,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    error_from_reason,
)
from interplay.rpc.common.v1 import common_pb2

DETAILS_KEY = "grpc-status-details-bin"

# Statuses that gRPC itself raises, without our details.
_BARE = {
    "CANCELLED": Cancelled,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "UNAVAILABLE": Unavailable,
    "INVALID_ARGUMENT": InvalidInput,
    "NOT_FOUND": NotFound,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
}


def status_from_error(error: InterplayError) -> status_pb2.Status:
    """``google.rpc.Status`` of an error, with its details."""
    row = error.row
    status = status_pb2.Status(code=code_pb2.Code.Value(row.grpc_code), message=error.message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=row.reason, domain=ERROR_DOMAIN, metadata=error.metadata)
    )
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def error_from_status(status: status_pb2.Status) -> InterplayError:
    """The error that ``status_from_error`` packed; without ``ErrorInfo``, one chosen by the code."""
    reason, metadata, field, retry_after_s = "", {}, None, None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad_request) and bad_request.field_violations:
            field = bad_request.field_violations[0].field
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    if reason:
        return error_from_reason(
            reason, status.message, field=field, retry_after_s=retry_after_s, metadata=metadata
        )
    return _bare_error(code_pb2.Code.Name(status.code), status.message)


def error_from_rpc(error: grpc.RpcError) -> InterplayError:
    """The error behind a failed call, of the blocking or the asyncio client."""
    metadata: Iterable[tuple[str, Any]] = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == DETAILS_KEY:
            return error_from_status(status_pb2.Status.FromString(value))
    return _bare_error(error.code().name, error.details() or "")


def _bare_error(code: str, details: str) -> InterplayError:
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in details:
        return PayloadTooLarge(f"the message is too large: {details}")
    error_type = _BARE.get(code, InternalError)
    if error_type is InternalError:
        return InternalError("the model server failed")
    if error_type is Unavailable:
        return Unavailable("the model server cannot be reached", retry_after_s=1.0)
    if error_type is Overloaded:
        return Overloaded("the model server has too many calls at one time", retry_after_s=1.0)
    if error_type is DeadlineExceeded:
        return DeadlineExceeded("the model server did not answer before the deadline")
    return error_type(details or code.replace("_", " ").lower())


def item_error(error: InterplayError) -> common_pb2.ItemError:
    """The error of one item of a batch or stream."""
    return common_pb2.ItemError(
        code=code_pb2.Code.Value(error.row.grpc_code),
        reason=error.row.reason,
        message=error.message,
        retry_after_s=error.retry_after_s or 0.0,
    )


def error_from_item(item: common_pb2.ItemError) -> InterplayError:
    """The exception behind one item's error."""
    return error_from_reason(item.reason, item.message, retry_after_s=item.retry_after_s or None)
