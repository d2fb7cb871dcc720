"""Pixel labels of word polygons: background, border, core, ignored.

The core is the polygon shrunk by the Vatti offset A·(1 − r²)/L of PSENet and DBNet
(A area, L perimeter); `interplay.predictors.text_detection.regions` inverts exactly
this shrinking. Used by `training.text_detection.data` and `evaluate`.
"""

import cv2
import numpy as np
import pyclipper

from interplay.models.textfcn import BORDER, CORE
from training.text_detection.losses import IGNORED

# Sub-pixel precision of cv2.fillPoly: coordinates carry this many fractional bits.
_SHIFT = 4
_CLIPPER_SCALE = 64
# How far a word reaches towards its neighbours, along and across its line, in parts of its height,
# and what a pixel between two words weighs: few pixels decide whether words stay apart.
_REACH_ALONG, _REACH_ACROSS = 1.1, 0.4
GAP_WEIGHT = 5.0


def shrink(polygon: np.ndarray, ratio: float) -> list[np.ndarray]:
    """Shrinks a polygon by its Vatti offset.

    Args:
        polygon: (K, 2) float outline in pixels.
        ratio: r in (0, 1]; 1 leaves it as it is.

    Returns:
        (M, 2) float32 outlines: usually one, none if nothing is left.
    """
    area = abs(float(cv2.contourArea(polygon.astype(np.float32))))
    length = float(cv2.arcLength(polygon.astype(np.float32), True))
    if length <= 0 or area <= 0:
        return []
    offset = pyclipper.PyclipperOffset()
    path = np.round(polygon * _CLIPPER_SCALE).astype(np.int64).tolist()
    offset.AddPath(path, pyclipper.JT_MITER, pyclipper.ET_CLOSEDPOLYGON)
    shrunk = offset.Execute(-area * (1 - ratio**2) / length * _CLIPPER_SCALE)
    return [np.asarray(path, np.float32) / _CLIPPER_SCALE for path in shrunk]


def draw_labels(
    polygons: list[np.ndarray],
    legible: list[bool],
    size: int,
    stride: int,
    ratio: float,
    min_side_px: float = 5.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the labels of a square crop.

    Args:
        polygons: (K, 2) outlines in pixels of the crop; parts may lie outside.
        legible: False where the loss has to look away.
        size: side of the crop in pixels.
        stride: pixels of the crop a label pixel spans.
        ratio: shrinking of the core.
        min_side_px: words thinner than this are ignored too.

    Returns:
        (size/stride, size/stride) uint8 labels, and float32 weights of the same shape:
        larger on small words, so that a word counts about as the square root of its
        area, and largest between neighbouring words.
    """
    side = size // stride
    labels = np.zeros((side, side), np.uint8)
    weights = np.ones((side, side), np.float32)
    scaled = [polygon / stride - (0.5 - 0.5 / stride) for polygon in polygons]
    clear = [ok and _thickness(polygon) >= min_side_px for polygon, ok in zip(polygons, legible, strict=True)]
    for polygon, ok in zip(scaled, clear, strict=True):
        if not ok:
            _fill(labels, polygon, IGNORED)
    for polygon, ok in zip(scaled, clear, strict=True):
        if ok:
            _fill(labels, polygon, BORDER)
            area = abs(float(cv2.contourArea(polygon.astype(np.float32))))
            _fill(weights, polygon, float(np.clip((600 / max(area, 1)) ** 0.5, 0.5, 3.0)))
    for polygon, ok in zip(scaled, clear, strict=True):
        if ok:
            for core in shrink(polygon, ratio):
                _fill(labels, core, CORE)
    reached = np.zeros((side, side), np.uint8)
    for polygon, ok in zip(scaled, clear, strict=True):
        if ok:
            zone = np.zeros((side, side), np.uint8)
            _fill(zone, _reach(polygon), 1)
            reached += zone
    weights[(reached >= 2) & (labels != CORE)] = GAP_WEIGHT
    return labels, weights


def _reach(polygon: np.ndarray) -> np.ndarray:
    """The smallest rectangle around a word, extended to where its neighbours would be."""
    centre, (width, height), angle = cv2.minAreaRect(polygon.astype(np.float32))
    short = min(width, height)
    along, across = short * _REACH_ALONG, short * _REACH_ACROSS
    size = (width + along, height + across) if width >= height else (width + across, height + along)
    return cv2.boxPoints((centre, size, angle))


def _fill(target: np.ndarray, polygon: np.ndarray, value: float) -> None:
    points = np.round(polygon * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(target, [points], value, shift=_SHIFT)


def _thickness(polygon: np.ndarray) -> float:
    """Short side of the smallest rectangle around a polygon, in pixels."""
    (_, (width, height), _) = cv2.minAreaRect(polygon.astype(np.float32))
    return min(width, height)
