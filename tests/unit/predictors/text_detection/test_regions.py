"""Regions from heatmaps: growing back, rotation, splitting, scores, limits."""

import cv2
import numpy as np
import pytest

from interplay.predictors.text_detection.regions import (
    RegionParams,
    inverse_vatti_offset,
    presence,
    regions_from_heatmap,
)
from interplay.types import Heatmap

PARAMS = RegionParams(core_ratio=0.6)


def word_heatmap(boxes: list[tuple], shape: tuple[int, int] = (200, 300), ratio: float = 0.6) -> Heatmap:
    """A perfect heatmap of rotated rectangles (centre, size, angle)."""
    text, core = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for (cx, cy), (w, h), angle in boxes:
        offset = w * h * (1 - ratio**2) / (2 * (w + h))
        for plane, size in ((text, (w, h)), (core, (w - 2 * offset, h - 2 * offset))):
            corners = cv2.boxPoints(((cx - 0.5, cy - 0.5), (size[0] - 1, size[1] - 1), angle))
            cv2.fillPoly(plane, [np.round(corners * 16).astype(np.int32)], 1.0, shift=4)
    return Heatmap(text, core)


def overlap(polygon: np.ndarray, box: tuple) -> float:
    """Intersection over union of a region and a rotated rectangle."""
    truth = cv2.boxPoints(box)
    shared, _ = cv2.intersectConvexConvex(polygon.astype(np.float32), truth)
    return shared / (cv2.contourArea(polygon) + cv2.contourArea(truth) - shared)


@pytest.mark.parametrize("size", [(120.0, 30.0), (40.0, 12.0), (30.0, 90.0), (50.0, 50.0)])
@pytest.mark.parametrize("angle", [0.0, 12.0, -35.0])
def test_a_word_grows_back_to_its_size(size: tuple[float, float], angle: float) -> None:
    box = ((150.0, 100.0), size, angle)
    (region,) = regions_from_heatmap(word_heatmap([box]), PARAMS)
    assert overlap(region.polygon, box) > 0.85
    assert region.score > 0.8


@pytest.mark.parametrize("ratio", [0.4, 0.6, 0.9, 1.0])
def test_growth_inverts_shrinking_exactly(ratio: float) -> None:
    width, height = 87.0, 23.0
    offset = width * height * (1 - ratio**2) / (2 * (width + height))
    found = inverse_vatti_offset(width - 2 * offset, height - 2 * offset, ratio)
    assert found == pytest.approx(offset, abs=1e-9)


def test_neighbouring_words_stay_apart() -> None:
    boxes = [((60.0, 100.0), (80.0, 24.0), 0.0), ((146.0, 100.0), (84.0, 24.0), 0.0)]  # 4 px between them
    regions = regions_from_heatmap(word_heatmap(boxes), PARAMS)
    assert len(regions) == 2
    found = sorted(regions, key=lambda region: region.polygon[:, 0].min())
    assert all(overlap(region.polygon, box) > 0.8 for region, box in zip(found, boxes, strict=True))


def test_corners_run_clockwise_from_the_top_left() -> None:
    (region,) = regions_from_heatmap(word_heatmap([((150.0, 100.0), (120.0, 30.0), 8.0)]), PARAMS)
    first, second, third, fourth = region.polygon
    assert first[0] < second[0] and fourth[0] < third[0]  # along the word
    assert first[1] < fourth[1] and second[1] < third[1]  # down
    assert region.polygon.dtype == np.float32


def test_faint_and_tiny_regions_are_left_out() -> None:
    heatmap = word_heatmap([((100.0, 100.0), (80.0, 24.0), 0.0)])
    faint = Heatmap(heatmap.text * 0.4, heatmap.core)
    assert regions_from_heatmap(faint, PARAMS) == []
    assert regions_from_heatmap(heatmap, RegionParams(core_ratio=0.6, min_side_px=40.0)) == []


def test_the_best_come_first_and_the_rest_is_cut() -> None:
    heatmap = word_heatmap([((60.0, 50.0), (60.0, 20.0), 0.0), ((200.0, 150.0), (60.0, 20.0), 0.0)])
    heatmap.text[140:160] *= 0.8
    regions = regions_from_heatmap(heatmap, PARAMS)
    assert regions[0].score > regions[1].score
    assert regions[0].polygon[:, 1].max() < 100
    only = RegionParams(core_ratio=0.6, max_regions=1)
    assert len(regions_from_heatmap(heatmap, only)) == 1


def test_without_a_core_the_text_itself_is_boxed() -> None:
    box = ((150.0, 100.0), (120.0, 30.0), 0.0)
    heatmap = Heatmap(word_heatmap([box]).text)
    (region,) = regions_from_heatmap(heatmap, PARAMS)
    assert overlap(region.polygon, box) > 0.9


def test_nothing_gives_nothing() -> None:
    empty = np.zeros((50, 60), np.float32)
    assert regions_from_heatmap(Heatmap(empty, empty), PARAMS) == []


def test_presence_measures_the_photo() -> None:
    text = np.zeros((10, 10), np.float32)
    text[:5] = 0.8
    image = np.full((10, 10, 3), (200, 100, 50), np.uint8)
    found = presence(image, Heatmap(text), 0.5)
    assert found.mean_probability == pytest.approx(0.4)
    assert found.max_probability == pytest.approx(0.8)
    assert found.text_area_ratio == pytest.approx(0.5)
    assert found.mean_brightness == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1)
