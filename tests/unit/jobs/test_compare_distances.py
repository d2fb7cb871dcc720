"""Pairs, distances and R² on data whose answers are known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from interplay.jobs.compare_distances import COLOURS, distances, draw_pairs, draw_plot, regression


@pytest.mark.parametrize(("count", "wanted"), [(2, 5), (5, 10), (5, 4), (200, 300), (3000, 20_000)])
def test_pairs_are_of_two_images_and_come_once(count: int, wanted: int) -> None:
    first, second = draw_pairs(count, wanted, seed=3)
    assert len(first) == min(wanted, count * (count - 1) // 2)
    assert (second >= 0).all() and (second < first).all() and (first < count).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(first)
    again, _ = draw_pairs(count, wanted, seed=3)
    assert (again == first).all()


def test_all_pairs_of_a_small_set_are_found() -> None:
    first, second = draw_pairs(30, 10_000, seed=0)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == {
        (a, b) for a in range(30) for b in range(a)
    }


def test_distances_are_cosine_and_end_at_one() -> None:
    vectors = np.array([[1, 0], [2, 0], [0, 3], [-1, 0]], np.float32)
    found = distances(vectors, np.array([1, 2, 3]), np.array([0, 0, 0]))
    assert found == pytest.approx([0, 0.5, 1])  # 0, 1 and 2, of 2


def test_regression_on_known_data() -> None:
    x = np.array([0, 1, 2, 3], float)
    assert regression(x, 2 * x + 1) == pytest.approx((1, 2, 1))
    # Anscombe's first set: R² 0.667, y = 3.00 + 0.500 x.
    x = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5], float)
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    assert regression(x, y) == pytest.approx((0.667, 0.500, 3.0), abs=2e-3)
    assert regression(np.ones(4), np.arange(4.0)) == (0, 0, 1.5)


def test_the_plot_shows_pairs_in_the_colours_of_their_shared_tags() -> None:
    rng = np.random.default_rng(0)
    content = draw_plot(rng.random(400), rng.random(400), np.arange(400) % 6, 0.5)
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).reshape(-1, 3).astype(int)
    for colour in COLOURS:
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        blended = 0.8 * rgb + 0.2 * 255
        assert (np.abs(pixels - blended).max(axis=1) < 12).sum() > 30, colour
