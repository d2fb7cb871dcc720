"""The in-flight caps."""

from __future__ import annotations

import pytest

from gateway.admission import Admission
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
