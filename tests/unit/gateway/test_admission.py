"""The in-flight caps."""

from __future__ import annotations

import contextlib

import pytest

from gateway.admission import FULL_S, Admission
from interplay.errors import Overloaded


def test_calls_over_the_cap_are_refused_and_places_come_back() -> None:
    admission = Admission(max_inflight=2, max_body_bytes=10)
    with admission.call("a"), admission.call("a"):
        with pytest.raises(Overloaded, match="the limit is 2"), admission.call("a"):
            pass
        with admission.call("b"):  # another capability has its own cap
            pass
    with admission.call("a"):
        pass


def test_a_body_can_be_refused_before_it_is_read() -> None:
    admission = Admission(max_inflight=1, max_body_bytes=10)
    admission.check("a")
    with admission.call("a"), pytest.raises(Overloaded, match="a are in progress"):
        admission.check("a")


def test_the_bytes_of_all_bodies_are_limited_together() -> None:
    admission = Admission(max_inflight=1, max_body_bytes=10)
    with admission.body(4), admission.body(6):
        with admission.body(0):
            pass
        with pytest.raises(Overloaded, match="hold 10 bytes; the limit is 10"), admission.body(1):
            pass
    with admission.body(10):
        pass


def test_places_come_back_after_errors() -> None:
    admission = Admission(max_inflight=1, max_body_bytes=10)
    for _ in range(3):
        with pytest.raises(RuntimeError), admission.body(10), admission.call("a"):
            raise RuntimeError


def test_a_server_that_said_it_is_full_is_not_asked_again_until_a_call_ends() -> None:
    admission = Admission(max_inflight=9, max_body_bytes=10)
    full = Overloaded("at its limit", retry_after_s=3.0, metadata={"limit": "2 requests"})
    with admission.call("a"):
        with pytest.raises(Overloaded), admission.call("a"):
            raise full
        with pytest.raises(Overloaded, match="at its limit") as caught:
            admission.check("a")
        assert (caught.value.retry_after_s, caught.value.metadata) == (3.0, {"limit": "2 requests"})
        with pytest.raises(Overloaded, match="at its limit"), admission.call("a"):
            pass
        admission.check("b")  # each capability for itself
    admission.check("a")  # a call ended, so there is room


def test_a_server_is_believed_full_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("gateway.admission.monotonic", lambda: now)
    admission = Admission(max_inflight=9, max_body_bytes=10)
    with pytest.raises(Overloaded), admission.call("a"):
        raise Overloaded("at its limit", retry_after_s=3.0)
    now += FULL_S * 0.9
    with pytest.raises(Overloaded, match="at its limit"):
        admission.check("a")
    now += FULL_S * 0.2
    with admission.call("a"):
        pass


@pytest.mark.parametrize("ended", [RuntimeError("broke"), None])
def test_any_other_end_of_a_call_says_that_there_is_room(ended: RuntimeError | None) -> None:
    admission = Admission(max_inflight=9, max_body_bytes=10)
    with contextlib.suppress(RuntimeError), admission.call("a"):
        with pytest.raises(Overloaded), admission.call("a"):
            raise Overloaded("at its limit")
        if ended:
            raise ended
    admission.check("a")
