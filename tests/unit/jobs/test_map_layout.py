"""Maps: no two pictures share a pixel, the first come first, and few points are no trouble."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.jobs.map_layout import centre, place, project

PICTURES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 60), st.integers(1, 60)), max_size=40
)


@settings(max_examples=200, deadline=None)
@given(pictures=PICTURES, canvas=st.tuples(st.integers(20, 200), st.integers(20, 200)))
def test_pictures_never_share_a_pixel_nor_leave_the_canvas(
    pictures: list[tuple[float, float, int, int]], canvas: tuple[int, int]
) -> None:
    points = np.array([[x, y] for x, y, _, _ in pictures]).reshape(-1, 2)
    boxes = place(points, [(w, h) for _, _, w, h in pictures], canvas)
    taken = np.zeros((canvas[1], canvas[0]), int)
    for box, (_, _, width, height) in zip(boxes, pictures, strict=True):
        if box is None:
            continue
        assert box.left >= 0 and box.top >= 0 and box.right <= canvas[0] and box.bottom <= canvas[1]
        assert (box.right - box.left, box.bottom - box.top) == (width, height)
        taken[box.top : box.bottom, box.left : box.right] += 1
    assert taken.max(initial=0) <= 1
    fits = [w <= canvas[0] and h <= canvas[1] for _, _, w, h in pictures]
    if any(fits):  # the first that fits is never left out
        assert boxes[fits.index(True)] is not None


def test_the_first_of_two_on_one_spot_is_shown() -> None:
    one, two, far = place(np.array([[0.5, 0.5], [0.5, 0.52], [0.0, 0.0]]), [(10, 10)] * 3, (100, 100))
    assert one is not None and two is None and far is not None and (far.left, far.top) == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 12])
def test_few_points(count: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    points = project(vectors, seed=0)
    assert points.shape == (count, 2) and np.isfinite(points).all()
    assert points.min() >= 0 and points.max() <= 1


def test_equal_vectors_are_no_trouble() -> None:
    assert np.isfinite(project(np.ones((8, 4), np.float32), seed=0)).all()


def test_what_belongs_together_is_together_and_the_seed_decides() -> None:
    rng = np.random.default_rng(1)
    centres = np.eye(3, 8, dtype=np.float32)
    vectors = np.concatenate([c + 0.05 * rng.normal(size=(20, 8)) for c in centres]).astype(np.float32)
    points = project(vectors, seed=4)
    assert (points == project(vectors, seed=4)).all()
    groups = points.reshape(3, 20, 2)
    middles = groups.mean(axis=1)
    inside = np.linalg.norm(groups - middles[:, None], axis=2).max()
    apart = min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert apart > 2 * inside


def test_two_kinds_that_lie_apart_meet_when_each_is_centred() -> None:
    rng = np.random.default_rng(2)
    meaning = rng.normal(size=(20, 8))
    kinds = [meaning + 0.1 * rng.normal(size=(20, 8)) + 6 * np.eye(8)[axis] for axis in (0, 1)]
    images, words = (centre((v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)) for v in kinds)
    assert np.linalg.norm(words, axis=1) == pytest.approx(np.ones(20), abs=1e-5)
    assert ((words @ images.T).argmax(axis=1) == np.arange(20)).mean() > 0.8
    assert (centre(words[:9]) == words[:9]).all()
    assert np.isfinite(centre(np.ones((12, 3), np.float32))).all()
