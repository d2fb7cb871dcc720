"""How much work the gateway lets in at one time, so that a surplus is refused at once and cheaply.

The model servers have queues and caps of their own; these keep the gateway's memory flat when far
more comes than they take. A place is held only while a server call runs, so slow senders hold
none; the bytes of a body count from the first to the end of the answer.

A server that was full a moment ago need not be asked again: until one of its calls ends, or for
``FULL_S`` at most, the surplus is refused here, before its bodies are read. Carrying each to a server
that refuses it would take the cores that the model needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from interplay.errors import Overloaded

# Another gateway's call may have been the one that ended, so a server is believed full no longer than this.
FULL_S = 0.25


class Admission:
    """Caps of one gateway process.

    Args:
        max_inflight: Server calls to one capability at a time.
        max_body_bytes: Bytes of all request bodies held at a time.
    """

    def __init__(self, max_inflight: int, max_body_bytes: int) -> None:
        self._max_inflight = max_inflight
        self._max_body_bytes = max_body_bytes
        self._inflight: Counter[str] = Counter()
        self._full: dict[str, tuple[Overloaded, float]] = {}
        self._body_bytes = 0

    @contextmanager
    def body(self, expected_bytes: int) -> Iterator[None]:
        """Hold memory for a body, before any of it is read.

        Args:
            expected_bytes: The declared length, or the largest one allowed where none is declared.

        Raises:
            Overloaded: Too many bytes are held already.
        """
        held, limit = self._body_bytes, self._max_body_bytes
        if held + expected_bytes > limit:
            raise Overloaded(
                f"requests in progress hold {held:,} bytes; the limit is {limit:,}",
                retry_after_s=1,
                metadata={"limit": str(limit), "value": str(held)},
            )
        self._body_bytes += expected_bytes
        try:
            yield
        finally:
            self._body_bytes -= expected_bytes

    @contextmanager
    def call(self, capability: str) -> Iterator[None]:
        """Hold a place while a server call runs; ``Overloaded`` from the server is taken note of.

        Raises:
            Overloaded: Too many calls run.
        """
        self.check(capability)
        self._inflight[capability] += 1
        refusal = None
        try:
            yield
        except Overloaded as error:
            refusal = _copy(error)
            raise
        finally:
            self._inflight[capability] -= 1
            if refusal:
                self._full[capability] = (refusal, monotonic() + FULL_S)
            else:  # a call that ended any other way left room
                self._full.pop(capability, None)

    def check(self, capability: str) -> None:
        """Raise ``Overloaded`` if a call would be refused now: asked before a body is read."""
        if capability in self._full:
            refusal, until = self._full[capability]
            if monotonic() < until:
                raise _copy(refusal)
            del self._full[capability]
        running = self._inflight[capability]
        if running >= self._max_inflight:
            raise Overloaded(
                f"{running} requests to {capability} are in progress; the limit is {self._max_inflight}",
                retry_after_s=1,
                metadata={"limit": str(self._max_inflight), "value": str(running)},
            )


def _copy(error: Overloaded) -> Overloaded:
    """The same without its traceback, whose frames hold the request's body."""
    return Overloaded(error.message, retry_after_s=error.retry_after_s, metadata=error.metadata)
