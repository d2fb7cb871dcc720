"""Limits that requests of several capabilities have in common."""

from __future__ import annotations

from interplay.errors import InvalidParameter


def check_count(name: str, count: int, most: int) -> None:
    """A repeated field has 1 to ``most`` items.

    Raises:
        InvalidParameter: It has not.
    """
    if not 1 <= count <= most:
        raise InvalidParameter(f"{name} has {count} items; it must have 1 to {most}", field=name)


def check_length(text: str, most: int, field: str) -> None:
    """A text has at most ``most`` characters.

    Raises:
        InvalidParameter: It has more.
    """
    if len(text) > most:
        raise InvalidParameter(f"{field} has {len(text)} characters; at most {most} are taken", field=field)


def check_fraction(value: float, field: str) -> float:
    """A value in [0, 1].

    Raises:
        InvalidParameter: Outside, or not a number.
    """
    if not 0.0 <= value <= 1.0:  # also false for NaN
        raise InvalidParameter(f"{field} is {value:g}; it must be 0 to 1", field=field)
    return value
