"""Masks: which pixels are restyled, and that the others stay as they are to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.predictors.style_transfer.masks import blend, heat_mask, polygon_mask


def photo(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float32)


def test_heat_is_the_weight_from_the_floor_on() -> None:
    heat = np.array([[0, 50, 51, 52, 255]], dtype=np.uint8)
    expected = np.array([[0, 50, 51, 52, 255]], dtype=np.float32) / 255
    np.testing.assert_array_equal(heat_mask(heat, 0.0), expected)
    np.testing.assert_array_equal(heat_mask(heat, 0.2), np.where(heat >= 51, expected, 0))
    assert heat_mask(heat, 0.999).tolist() == [[0, 0, 0, 0, 1]]
    assert heat.tolist() == [[0, 50, 51, 52, 255]]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**16), size=st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_blending(seed: int, size: tuple[int, int]) -> None:
    image, styled = photo(*size, seed), photo(*size, seed + 1)
    mask = np.random.default_rng(seed).random(size, dtype=np.float32)
    mask[mask < 0.3] = 0
    mask[mask > 0.8] = 1
    before = image.copy()
    result = blend(image, styled, mask)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(result[mask == 0], image[mask == 0])
    np.testing.assert_array_equal(result[mask == 1], styled[mask == 1])
    expected = image + (styled.astype(float) - image) * mask[..., None]
    assert np.abs(result - expected).max() <= 0.501


def test_blending_nothing_copies() -> None:
    image = photo(4, 4, 0)
    result = blend(image, photo(4, 4, 1), np.zeros((4, 4), dtype=np.float32))
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_polygon_is_full_inside_and_fades_at_its_rim() -> None:
    mask = polygon_mask(100, 200, [polygon((20, 10), (180, 10), (180, 90), (20, 90))])
    inside = np.zeros((100, 200), dtype=bool)
    inside[10:90, 20:180] = True
    assert (mask[~inside] == 0).all() and (mask[inside] > 0).all()
    rim = 0.08 * 80
    profile = mask[50, 20:30]  # from the left edge inwards
    assert (np.diff(profile) >= 0).all() and profile[0] < 0.5
    np.testing.assert_allclose(profile, np.minimum(np.arange(1, 11) / rim, 1), atol=0.02)
    assert (mask[20:80, 30:170] == 1).all()
    assert mask.dtype == np.float32


@settings(deadline=None, max_examples=100)
@given(left=st.floats(-5, 40), top=st.floats(-5, 30), width=st.floats(0.1, 60), height=st.floats(0.1, 50))
def test_pixels_belong_to_a_polygon_by_their_centres(
    left: float, top: float, width: float, height: float
) -> None:
    box = polygon((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    y, x = np.mgrid[0:30, 0:40] + 0.5
    (x0, y0), (x1, y1) = box[0], box[2]
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    np.testing.assert_array_equal(polygon_mask(30, 40, [box]) > 0, inside)


def test_polygon_of_a_few_pixels_is_not_lost() -> None:
    mask = polygon_mask(20, 20, [polygon((5, 5), (8, 5), (8, 7), (5, 7))])
    assert (mask[5:7, 5:8] == 1).all() and mask.sum() == 6
    assert polygon_mask(20, 20, [polygon((5.4, 5.4), (5.9, 5.4), (5.5, 5.8))]).sum() == 1


def test_concave_polygon_has_its_notch() -> None:
    mask = polygon_mask(60, 60, [polygon((10, 10), (50, 10), (50, 50), (30, 20), (10, 50))])
    assert mask[45, 30] == 0 and mask[14, 30] > 0 and mask[40, 14] > 0


def test_beyond_the_photo_s_edge_there_is_no_rim() -> None:
    """What is cut off by the edge does not fade there."""
    mask = polygon_mask(50, 50, [polygon((-40, -40), (30, -40), (30, 30), (-40, 30))])
    assert (mask[:20, :20] == 1).all() and mask[10, 29] < 1 and (mask[30:] == 0).all()
    right = polygon_mask(50, 50, [polygon((30, 30), (90, 30), (90, 90), (30, 90))])
    assert (right[-10:, -10:] == 1).all() and (right[:30] == 0).all()


def test_polygon_around_the_whole_photo() -> None:
    assert (polygon_mask(30, 40, [polygon((-90, -90), (130, -90), (130, 120), (-90, 120))]) == 1).all()


def test_polygon_beside_the_photo_is_nothing() -> None:
    shapes = [
        polygon((-9, 5), (-1, 5), (-1, 9)),
        polygon((50, 5), (60, 5), (60, 9)),
        polygon((5, 90), (9, 90), (9, 95)),
    ]
    assert not polygon_mask(40, 50, shapes).any()


def test_overlapping_polygons_are_united() -> None:
    left, right = polygon((0, 0), (30, 0), (30, 40), (0, 40)), polygon((20, 0), (50, 0), (50, 40), (20, 40))
    both = polygon_mask(40, 50, [left, right])
    alone = np.maximum(polygon_mask(40, 50, [left]), polygon_mask(40, 50, [right]))
    np.testing.assert_array_equal(both, alone)
    assert not polygon_mask(40, 50, []).any()


@pytest.mark.parametrize("turn", [1, -1])
def test_sense_of_rotation_does_not_matter(turn: int) -> None:
    corners = polygon((10, 5), (40, 12), (35, 30), (8, 25))[::turn]
    mask = polygon_mask(40, 50, [corners])
    assert mask[18, 24] == 1 and mask[2, 2] == 0


@settings(deadline=None, max_examples=100)
@given(
    points=st.lists(st.tuples(st.floats(-60, 110), st.floats(-60, 100)), min_size=3, max_size=8),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_any_polygon_gives_weights(points: list[tuple[float, float]], size: tuple[int, int]) -> None:
    mask = polygon_mask(*size, [polygon(*points)])
    assert mask.shape == size and mask.dtype == np.float32
    assert mask.min() >= 0 and mask.max() <= 1
