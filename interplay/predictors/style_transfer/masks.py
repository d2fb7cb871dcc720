"""Which pixels are restyled, and how much: masks of (H, W) float32 in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from interplay.types import Image

# Polygons fade in over this part of their shorter extent, inside, so that no hard edge shows.
_FEATHER = 0.08


def heat_mask(heatmap: NDArray[np.uint8], floor: float) -> NDArray[np.float32]:
    """Blending weights from a TextFCN heatmap (thesis eq. 3.2: h / 255).

    Args:
        heatmap: (H, W) uint8 text probability.
        floor: Heat below it becomes zero; the released code of the thesis used 200 / 255.
    """
    mask = heatmap.astype(np.float32) / 255.0
    mask[mask < floor] = 0.0
    return mask


def polygon_mask(height: int, width: int, polygons: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One inside the polygons, zero outside, with a soft rim inside.

    Args:
        height: Of the picture.
        width: Of the picture.
        polygons: (K, 2) points in pixels each.
    """
    mask = np.zeros((height, width), dtype=np.float32)
    for polygon in polygons:
        extent = polygon.max(axis=0) - polygon.min(axis=0)
        rim = max(1.0, _FEATHER * float(extent.min()))
        low = np.maximum(np.floor(polygon.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(polygon.max(axis=0)).astype(int) + 1, (width, height))
        if (high <= low).any():
            continue
        # A pixel more on each side: what ends at the box has a rim there, what is cut off by it has none.
        inside = _inside(polygon - low + 1, high[1] - low[1] + 2, high[0] - low[0] + 2)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        part = mask[low[1] : high[1], low[0] : high[0]]
        np.maximum(part, np.minimum(depth / rim, 1.0), out=part)
    return mask


def _inside(polygon: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Pixels whose centres lie in a polygon, (height, width) of 0 and 1.

    OpenCV's own filling also takes the pixels that an edge only touches: up to one row and column too many.
    """
    rows = np.arange(height) + 0.5
    flips = np.zeros((height, width + 1), dtype=np.uint8)  # where a row goes in or out
    for (x0, y0), (x1, y1) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
        crossed = np.nonzero((rows >= min(y0, y1)) & (rows < max(y0, y1)))[0]
        if len(crossed):
            x = x0 + (rows[crossed] - y0) * ((x1 - x0) / (y1 - y0))
            flips[crossed, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] ^= 1
    return np.asarray(np.bitwise_xor.accumulate(flips, axis=1)[:, :-1])


def blend(image: Image, styled: Image, mask: NDArray[np.float32]) -> Image:
    """``image * (1 - mask) + styled * mask``; where the mask is zero the image's own bytes stay.

    Args:
        image: (H, W, 3) uint8; not changed.
        styled: The same size.
        mask: (H, W) in [0, 1].
    """
    result = image.copy()
    touched = mask > 0
    if not touched.any():
        return result
    weight = mask[touched][:, None]
    before = image[touched].astype(np.float32)
    after = before + (styled[touched].astype(np.float32) - before) * weight
    result[touched] = np.rint(after).astype(np.uint8)
    return result
