"""What holds for the regions of any heatmap, also at the photo's edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.predictors.text_detection.regions import RegionParams, presence, regions_from_heatmap
from interplay.types import Heatmap

WHOLE = RegionParams(pixel_threshold=0.5, score_threshold=0.0, min_side_px=0.0)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**16),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    with_core=st.booleans(),
    score=st.floats(0, 1),
    side=st.floats(0, 20),
    count=st.integers(1, 5),
)
def test_any_heatmap(
    seed: int, size: tuple[int, int], with_core: bool, score: float, side: float, count: int
) -> None:
    rng = np.random.default_rng(seed)
    text, core = rng.random((2, *size), dtype=np.float32)
    params = RegionParams(score_threshold=score, min_side_px=side, max_regions=count)
    regions = regions_from_heatmap(Heatmap(text, core if with_core else None), params)
    assert len(regions) <= count
    assert [r.score for r in regions] == sorted((r.score for r in regions), reverse=True)
    for region in regions:
        assert score <= region.score <= 1
        polygon = region.polygon
        assert (polygon.shape, polygon.dtype) == ((4, 2), np.float32)
        ahead = np.roll(polygon, -1, axis=0)
        area = float((polygon[:, 0] * ahead[:, 1] - ahead[:, 0] * polygon[:, 1]).sum()) / 2
        assert area > 0  # clockwise, as y runs down
        sides = np.linalg.norm(ahead - polygon, axis=1)
        assert sides.min() >= side - 1e-3
        np.testing.assert_allclose(sides[:2], sides[2:], atol=1e-2)
        assert polygon[1, 0] >= polygon[0, 0] - 1e-3  # the first side runs to the right


@pytest.mark.parametrize("rows", [slice(0, 8), slice(32, 40)])
@pytest.mark.parametrize("columns", [slice(0, 20), slice(60, 80)])
def test_word_in_a_corner_of_the_photo(rows: slice, columns: slice) -> None:
    text = np.zeros((40, 80), dtype=np.float32)
    text[rows, columns] = 0.9
    (region,) = regions_from_heatmap(Heatmap(text), WHOLE)
    expected = [[columns.start, rows.start], [columns.stop, rows.start]]
    np.testing.assert_allclose(region.polygon[:2], expected, atol=0.01)
    assert region.score == pytest.approx(0.9, abs=1e-5)


def test_photo_that_is_all_text() -> None:
    (region,) = regions_from_heatmap(Heatmap(np.ones((40, 80), dtype=np.float32)), WHOLE)
    np.testing.assert_allclose(region.polygon, [[0, 0], [80, 0], [80, 40], [0, 40]], atol=0.01)


def test_pixels_count_from_the_threshold_on() -> None:
    text = np.full((4, 4), 0.25, dtype=np.float32)
    photo = np.zeros((4, 4, 3), dtype=np.uint8)
    for threshold, expected in ((0.25, 1.0), (0.26, 0.0)):
        assert presence(photo, Heatmap(text), threshold).text_area_ratio == expected
        found = regions_from_heatmap(
            Heatmap(text), RegionParams(pixel_threshold=threshold, score_threshold=0)
        )
        assert len(found) == expected


def test_core_ratio_1_grows_nothing() -> None:
    core = np.zeros((40, 80), dtype=np.float32)
    core[10:20, 30:60] = 1
    (region,) = regions_from_heatmap(
        Heatmap(core, core), RegionParams(core_ratio=1.0, score_threshold=0, min_side_px=0)
    )
    np.testing.assert_allclose(region.polygon, [[30, 10], [60, 10], [60, 20], [30, 20]], atol=0.01)
