"""Places and distances as people type them."""

from __future__ import annotations

import re

import typer

_LENGTH = re.compile(r"^([0-9.]+)\s*(m|km|mi)?$")
_METRES = {"m": 1.0, "km": 1000.0, "mi": 1609.344, None: 1.0}


def parse_place(text: str) -> dict[str, float]:
    """Latitude and longitude in degrees, by these names, from ``41.38,2.17``.

    Raises:
        typer.BadParameter: Not two numbers.
    """
    latitude, longitude = parse_numbers(text, 2, "latitude,longitude; write 41.38,2.17")
    return {"latitude": latitude, "longitude": longitude}


def parse_length(text: str) -> float:
    """Metres, from ``50km``, ``300m``, ``2mi`` or plain metres.

    Raises:
        typer.BadParameter: None of these.
    """
    match = _LENGTH.match(text.strip().lower())
    try:
        if match is None:
            raise ValueError
        return float(match[1]) * _METRES[match[2]]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no distance; write 50km, 300m or 2mi") from None


def parse_numbers(text: str, count: int, what: str) -> tuple[float, ...]:
    """So many numbers with commas between them.

    Raises:
        typer.BadParameter: Something else; ``what`` says what it should be.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise typer.BadParameter(f"{text!r} is not {what}")
    return numbers


def show_place(place: dict[str, float] | None) -> str:
    """``41.3800,2.1700``, as it can be typed again; empty for none."""
    return f"{place['latitude']:.4f},{place['longitude']:.4f}" if place else ""
