"""Word regions and text presence from a heatmap (thesis 3.1, 6.3).

A word is a connected component of the heatmap's word cores. Cores were drawn by shrinking each
word by the Vatti offset of DBNet (Liao et al., 2020), so the rotated rectangle around a component
is grown by the inverse of that. Models without a core class give components of the text
probability itself, which are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from interplay.store import Manifest
from interplay.types import Heatmap, Image, Presence, Region


@dataclass(frozen=True)
class RegionParams:
    """How regions are found; defaults of a model come from its manifest.

    Attributes:
        pixel_threshold: A pixel belongs to a word (core) from this probability on, in (0, 1).
        score_threshold: Regions with a lower mean text probability are left out, in [0, 1].
        min_side_px: Regions with a shorter side are left out, in pixels of the photo.
        core_ratio: Shrink ratio r of the cores; offset = area * (1 - r^2) / perimeter.
        max_regions: Most regions to return.
    """

    pixel_threshold: float = 0.5
    score_threshold: float = 0.5
    min_side_px: float = 4.0
    core_ratio: float = 0.5
    max_regions: int = 1000

    @classmethod
    def from_manifest(cls, manifest: Manifest, **changes: Any) -> RegionParams:
        """Thresholds ``core``, ``score``, ``min_side_px``, ``core_ratio`` of a manifest, then ``changes``."""
        names = {
            "core": "pixel_threshold",
            "score": "score_threshold",
            "min_side_px": "min_side_px",
            "core_ratio": "core_ratio",
        }
        own: dict[str, Any] = {
            field: manifest.thresholds[key] for key, field in names.items() if key in manifest.thresholds
        }
        return replace(cls(**own), **changes)


def regions_from_heatmap(heatmap: Heatmap, params: RegionParams) -> list[Region]:
    """Word regions as rotated rectangles.

    Args:
        heatmap: Of the photo.
        params: Thresholds and limits.

    Returns:
        Regions, best score first; corners lie within the photo's borders or slightly outside.
    """
    words = heatmap.text if heatmap.core is None else heatmap.core
    ratio = 1.0 if heatmap.core is None else params.core_ratio
    binary = (words >= params.pixel_threshold).astype(np.uint8)
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    regions = []
    for contour in contours:
        (cx, cy), (w, h), angle = cv2.minAreaRect(contour)
        # The contour runs through pixel centres; the component reaches half a pixel further.
        w, h, cx, cy = w + 1.0, h + 1.0, cx + 0.5, cy + 0.5
        grow = 2.0 * inverse_vatti_offset(w, h, ratio)
        if min(w, h) + grow < params.min_side_px:
            continue
        box = cv2.boxPoints(((cx, cy), (w + grow, h + grow), angle))
        polygon = _clockwise_from_top_left(np.asarray(box, dtype=np.float32))
        score = _mean_inside(heatmap.text, polygon)
        if score >= params.score_threshold:
            regions.append(Region(polygon, score))
    regions.sort(key=lambda region: -region.score)
    return regions[: params.max_regions]


def inverse_vatti_offset(width: float, height: float, ratio: float) -> float:
    """Offset by which the rectangle was shrunk that is now ``width`` by ``height``.

    Solves ``d = (w + 2d)(h + 2d)(1 - r^2) / (2 (w + h + 4d))`` for d, in pixels; 0 at ratio 1.
    """
    k = (1.0 - ratio**2) / 2.0
    a = 4.0 * (1.0 - k)
    b = (width + height) * (1.0 - 2.0 * k)
    c = -k * width * height
    return float((-b + np.sqrt(b * b - 4.0 * a * c)) / (2.0 * a))


def presence(image: Image, heatmap: Heatmap, pixel_threshold: float) -> Presence:
    """How much text a photo holds.

    Args:
        image: The photo, for its brightness.
        heatmap: Its heatmap.
        pixel_threshold: Pixels from this probability on count as text, in (0, 1).
    """
    text = heatmap.text
    return Presence(
        mean_probability=float(text.mean()),
        max_probability=float(text.max()),
        text_area_ratio=float((text >= pixel_threshold).mean()),
        mean_brightness=float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()),
    )


def _clockwise_from_top_left(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn the corners so that the first side runs to the right, as far as a rectangle allows."""
    corners = box
    (x0, y0), (x1, y1), (x2, y2) = corners[:3]
    if (x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1) < 0:  # y runs down, so clockwise has a positive turn
        corners = corners[::-1]
    sides = np.roll(corners, -1, axis=0) - corners
    rightward = sides[:, 0] / np.maximum(np.linalg.norm(sides, axis=1), 1e-6)
    return np.ascontiguousarray(np.roll(corners, -int(rightward.argmax()), axis=0))


def _mean_inside(values: NDArray[np.float32], polygon: NDArray[np.float32]) -> float:
    """Mean of an (H, W) map inside a polygon; 0 where it lies outside the map."""
    height, width = values.shape
    low = np.floor(polygon.min(axis=0)).astype(int)
    high = np.ceil(polygon.max(axis=0)).astype(int)
    x0, y0 = max(low[0], 0), max(low[1], 0)
    x1, y1 = min(high[0], width - 1), min(high[1], height - 1)
    if x1 < x0 or y1 < y0:
        return 0.0
    mask = np.zeros((y1 - y0 + 1, x1 - x0 + 1), dtype=np.uint8)
    # A hair inwards: an edge between two pixels then takes the inner one.
    inner = polygon + 1e-3 * (polygon.mean(axis=0) - polygon)
    cv2.fillPoly(mask, [np.round(inner - (x0, y0) - 0.5).astype(np.int32)], 1)
    return float(cv2.mean(values[y0 : y1 + 1, x0 : x1 + 1], mask)[0])
