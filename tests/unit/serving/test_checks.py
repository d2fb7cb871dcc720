"""Limits of request fields: what is refused, and that the message names limit and value."""

from __future__ import annotations

import pytest

from interplay.errors import InvalidParameter
from interplay.serving.checks import check_count, check_fraction, check_length


def test_what_is_within_the_limits() -> None:
    check_count("posts", 1, 64)
    check_count("posts", 64, 64)
    check_length("😀" * 10, 10, "text")
    assert [check_fraction(value, "threshold") for value in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("count", [0, 65])
def test_counts(count: int) -> None:
    with pytest.raises(InvalidParameter, match=f"posts has {count} items; it must have 1 to 64") as caught:
        check_count("posts", count, 64)
    assert caught.value.field == "posts"


def test_lengths() -> None:
    with pytest.raises(InvalidParameter, match="text has 11 characters; at most 10 are taken"):
        check_length("a" * 11, 10, "text")


@pytest.mark.parametrize("value", [-0.001, 1.001, float("nan"), float("inf"), -float("inf")])
def test_fractions(value: float) -> None:
    with pytest.raises(InvalidParameter, match=f"threshold is {value:g}; it must be 0 to 1"):
        check_fraction(value, "threshold")
