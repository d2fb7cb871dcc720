"""The request id: one per HTTP request, gRPC call or job, carried in a context variable.

HTTP header ``X-Request-Id``, gRPC metadata ``x-request-id`` and the Celery header ``request_id``
all carry the same value.
"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

HTTP_HEADER = "X-Request-Id"
METADATA_KEY = "x-request-id"
CELERY_HEADER = "request_id"

_ACCEPTED = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")
_current: ContextVar[str] = ContextVar("interplay_request_id", default="")


def new_request_id() -> str:
    """A fresh id: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def accept_request_id(candidate: str | None) -> str:
    """The caller's id if it is 1 to 64 harmless characters, else a fresh one (logs stay clean)."""
    return candidate if candidate and _ACCEPTED.fullmatch(candidate) else new_request_id()


def set_request_id(request_id: str) -> None:
    """Make this the id of the current task or thread."""
    _current.set(request_id)


def get_request_id() -> str:
    """Id of the current task or thread; empty outside a request."""
    return _current.get()
