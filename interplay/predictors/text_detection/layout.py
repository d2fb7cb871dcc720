"""Reading order: which words form a line, and in which order lines and words are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Two words share a line when their centres differ, across the reading direction, by less than this
# part of the smaller word's height, and when their heights differ by less than the ratio below.
_OFFSET = 0.6
_HEIGHT_RATIO = 2.0
_MAX_ANGLE_DEG = 20.0
_MAX_GAP_HEIGHTS = 4.0


def reading_lines(polygons: Sequence[NDArray[np.float32]]) -> list[list[int]]:
    """Group word regions into lines.

    Args:
        polygons: (4, 2) each, clockwise from the corner at which reading starts, pixels.

    Returns:
        Indices by line; words along each line's own direction, lines from top to bottom.
    """
    if not polygons:
        return []
    corners = np.stack([np.asarray(p, dtype=np.float64).reshape(4, 2) for p in polygons])  # (N, 4, 2)
    centres = corners.mean(axis=1)
    along = (corners[:, 1] - corners[:, 0]) + (corners[:, 2] - corners[:, 3])
    angles = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    widths = np.linalg.norm(along, axis=1) / 2
    across = (corners[:, 3] - corners[:, 0]) + (corners[:, 2] - corners[:, 1])
    heights = np.maximum(np.linalg.norm(across, axis=1) / 2, 1.0)
    lines: list[list[int]] = []
    for index in np.argsort(centres[:, 0]):
        best, best_gap = None, np.inf
        for line in lines:
            last = line[-1]
            gap = _gap(last, index, centres, angles, widths, heights)
            if gap < best_gap:
                best, best_gap = line, gap
        if best is None:
            lines.append([int(index)])
        else:
            best.append(int(index))
    lines.sort(key=lambda line: (float(np.mean(centres[line, 1])), float(centres[line[0], 0])))
    return lines


def _gap(
    a: int,
    b: int,
    centres: NDArray[np.float64],
    angles: NDArray[np.float64],
    widths: NDArray[np.float64],
    heights: NDArray[np.float64],
) -> float:
    """Free pixels between word ``a`` and word ``b`` after it; infinite if they share no line."""
    small, large = sorted((heights[a], heights[b]))
    turn = abs((angles[a] - angles[b] + 180) % 360 - 180)
    if large / small > _HEIGHT_RATIO or turn > _MAX_ANGLE_DEG:
        return float("inf")
    direction = np.radians(angles[a] if widths[a] >= widths[b] else angles[b])
    dx, dy = centres[b] - centres[a]
    forward = dx * np.cos(direction) + dy * np.sin(direction)
    sideways = abs(dy * np.cos(direction) - dx * np.sin(direction))
    gap = forward - (widths[a] + widths[b]) / 2
    if sideways > _OFFSET * small or gap > _MAX_GAP_HEIGHTS * large or gap < -0.5 * min(widths[a], widths[b]):
        return float("inf")
    return float(max(gap, 0.0))
