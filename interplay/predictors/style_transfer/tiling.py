"""Large pictures in parts: windows with a margin, whose inner parts cover the picture once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A part of a picture; all numbers are pixels, ends exclusive.

    Attributes:
        rows, columns: What the tile is responsible for.
        window_rows, window_columns: What has to be computed for it.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    window_rows: tuple[int, int]
    window_columns: tuple[int, int]


def tiles(height: int, width: int, core: int, halo: int) -> Iterator[Tile]:
    """Tiles of a picture, row by row.

    Args:
        height: Of the picture, a multiple of the network's stride.
        width: As well.
        core: Side of the inner parts, a multiple of the stride.
        halo: Margin of the windows, a multiple of the stride; cut off at the picture's border.
    """
    for top in range(0, height, core):
        bottom = min(top + core, height)
        for left in range(0, width, core):
            right = min(left + core, width)
            yield Tile(
                (top, bottom),
                (left, right),
                (max(0, top - halo), min(height, bottom + halo)),
                (max(0, left - halo), min(width, right + halo)),
            )


def sample_windows(height: int, width: int, side: int, count: int) -> list[tuple[int, int]]:
    """Top-left corners of about ``count`` squares, spread evenly over a picture without leaving it.

    Args:
        height: Of the picture, at least ``side``.
        width: As well.
        side: Of the squares.
        count: How many, roughly: as many as fit a grid of the picture's shape.
    """
    rows = min(max(1, round((count * height / width) ** 0.5)), max(1, count))
    columns = max(1, round(count / rows))
    return [
        (_spread(row, rows, height - side), _spread(column, columns, width - side))
        for row in range(rows)
        for column in range(columns)
    ]


def _spread(number: int, count: int, room: int) -> int:
    """Start of square ``number`` of ``count`` in ``room`` pixels, on a multiple of four."""
    start = room / 2 if count == 1 else room * number / (count - 1)
    return int(start) // 4 * 4
