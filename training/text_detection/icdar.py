"""Evaluation protocols of the Robust Reading Competition.

`icdar2015` is the intersection-over-union protocol of incidental scene text and
`icdar2013` is DetEval (Wolf & Jolion 2006) as the competition applies it to focused
scene text. Both pool their counts over a set of images: call `evaluate_image` for
each and `Score.total` at the end. Polygons are (K, 2) arrays in pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from shapely.geometry import Polygon

IOU_THRESHOLD = 0.5
DONT_CARE_SHARE = 0.5

AREA_RECALL = 0.8
AREA_PRECISION = 0.4
DETEVAL_DONT_CARE_SHARE = 0.4
CENTRE_DISTANCE = 1.0
SPLIT_CREDIT = 0.8


@dataclass(frozen=True)
class Score:
    """Counts of one image, or pooled.

    Attributes:
        recalled: credit for ground-truth words found (a whole number under ICDAR 2015).
        precise: credit for detections.
        truths: ground-truth words that count.
        detections: detections that count.
    """

    recalled: float
    precise: float
    truths: int
    detections: int

    @property
    def precision(self) -> float:
        """Credit a detection; 0 without detections unless there was nothing to find."""
        if self.detections == 0:
            return 1.0 if self.truths == 0 else 0.0
        return self.precise / self.detections

    @property
    def recall(self) -> float:
        """Credit a word; 1 where there is none."""
        return 1.0 if self.truths == 0 else self.recalled / self.truths

    @property
    def f_score(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 0.0 if both == 0 else 2 * self.precision * self.recall / both

    @staticmethod
    def total(scores: Iterable["Score"]) -> "Score":
        """Pools the counts of many images."""
        rows = list(scores)
        return Score(
            sum(row.recalled for row in rows),
            sum(row.precise for row in rows),
            sum(row.truths for row in rows),
            sum(row.detections for row in rows),
        )


def icdar2015(truth: Sequence[np.ndarray], legible: Sequence[bool], detected: Sequence[np.ndarray]) -> Score:
    """Scores one image by polygon overlap.

    A detection is left out if more than half of its own area lies in one don't-care word.
    The others are matched one to one, words in order and for each the detections in
    order, where the overlap exceeds 0.5 strictly.

    Args:
        truth: outlines of all words.
        legible: False for don't-care words.
        detected: outlines of the detections; their order decides between rivals.
    """
    words = [_polygon(outline) for outline in truth]
    finds = [_polygon(outline) for outline in detected]
    ignored = [word for word, ok in zip(words, legible, strict=True) if not ok]
    cared = [word for word, ok in zip(words, legible, strict=True) if ok]
    kept = [find for find in finds if not _mostly_inside(find, ignored)]
    free = [True] * len(kept)
    matches = 0
    for word in cared:
        for index, find in enumerate(kept):
            if free[index] and _overlap(word, find) > IOU_THRESHOLD:
                free[index] = False
                matches += 1
                break
    return Score(matches, matches, len(cared), len(kept))


def _polygon(outline: np.ndarray) -> Polygon:
    """A valid shape, also of an outline that crosses itself."""
    shape = Polygon(np.asarray(outline, np.float64))
    return shape if shape.is_valid else shape.buffer(0)


def _mostly_inside(find: Polygon, ignored: list[Polygon]) -> bool:
    area = find.area
    return area > 0 and any(find.intersection(word).area / area > DONT_CARE_SHARE for word in ignored)


def _overlap(first: Polygon, second: Polygon) -> float:
    if not first.intersects(second):
        return 0.0
    shared = first.intersection(second).area
    union = first.area + second.area - shared
    return shared / union if union > 0 else 0.0


def icdar2013(truth: Sequence[np.ndarray], legible: Sequence[bool], detected: Sequence[np.ndarray]) -> Score:
    """Scores one image by DetEval, on the upright boxes of all outlines.

    A word and a detection agree where their common area is at least 0.8 of the word's and
    0.4 of the detection's. One word on one detection earns 1 and 1, if each agrees with
    nothing else and their centres are close; one word split over n detections earns 0.8
    for the word and 0.8 n for the detections; n words merged into one detection earn n and
    1. Detections with more than 0.4 of their area in a don't-care word are left out.

    Args:
        truth: outlines of all words.
        legible: False for don't-care words.
        detected: outlines of the detections.
    """
    words, finds = _boxes(truth), _boxes(detected)
    care = np.asarray(legible, bool)
    ignored, words = words[~care], words[care]
    if len(finds) and len(ignored):
        inside = _shared(ignored, finds) / _area(finds)
        finds = finds[(inside <= DETEVAL_DONT_CARE_SHARE).all(0)]
    if not len(words) or not len(finds):
        return Score(0.0, 0.0, len(words), len(finds))
    shared = _shared(words, finds)  # (words, finds)
    recall, precision = shared / _area(words)[:, None], shared / _area(finds)[None]
    word_free, find_free = np.ones(len(words), bool), np.ones(len(finds), bool)
    recalled = precise = 0.0

    agree = (recall >= AREA_RECALL) & (precision >= AREA_PRECISION)
    single = agree & (agree.sum(1, keepdims=True) == 1) & (agree.sum(0, keepdims=True) == 1)
    for word, find in zip(*np.nonzero(single), strict=True):
        if _centre_distance(words[word], finds[find]) < CENTRE_DISTANCE:
            word_free[word] = find_free[find] = False
            recalled, precise = recalled + 1, precise + 1

    for word in np.nonzero(word_free)[0]:
        parts = np.nonzero(find_free & (precision[word] >= AREA_PRECISION))[0]
        if len(parts) >= 2 and round(float(recall[word, parts].sum()), 4) >= AREA_RECALL:
            word_free[word], find_free[parts] = False, False
            recalled, precise = recalled + SPLIT_CREDIT, precise + SPLIT_CREDIT * len(parts)

    for find in np.nonzero(find_free)[0]:
        parts = np.nonzero(word_free & (recall[:, find] >= AREA_RECALL))[0]
        if len(parts) >= 2 and round(float(precision[parts, find].sum()), 4) >= AREA_PRECISION:
            word_free[parts], find_free[find] = False, False
            recalled, precise = recalled + len(parts), precise + 1
    return Score(recalled, precise, len(words), len(finds))


def _boxes(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 4) left, top, right, bottom, inclusive."""
    boxes = [np.concatenate([np.min(outline, 0), np.max(outline, 0)]) for outline in outlines]
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _area(boxes: np.ndarray) -> np.ndarray:
    """Areas of inclusive boxes: a box from 0 to 9 is ten pixels wide."""
    return (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) common areas of inclusive boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.clip(high - low + 1, 0, None).prod(-1)


def _centre_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Distance of two boxes' centres over the mean of their diagonals."""
    between = np.linalg.norm((first[:2] + first[2:]) / 2 - (second[:2] + second[2:]) / 2)
    diagonals = np.linalg.norm(first[2:] - first[:2] + 1) + np.linalg.norm(second[2:] - second[:2] + 1)
    return float(2 * between / diagonals)
