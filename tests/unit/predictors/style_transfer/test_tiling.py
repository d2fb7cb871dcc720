"""Tiles of any picture: each pixel is some tile's, once, and no window leaves the picture."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.predictors.style_transfer.tiling import Tile, sample_windows, tiles

SIDES = st.integers(1, 60).map(lambda quarter: 4 * quarter)


@settings(deadline=None, max_examples=100)
@given(height=SIDES, width=SIDES, core=st.sampled_from([4, 16, 64, 400]), halo=st.sampled_from([0, 4, 28]))
def test_cores_cover_every_pixel_once(height: int, width: int, core: int, halo: int) -> None:
    seen = np.zeros((height, width), dtype=int)
    for tile in tiles(height, width, core, halo):
        seen[slice(*tile.rows), slice(*tile.columns)] += 1
        for (start, stop), (first, last), side in (
            (tile.rows, tile.window_rows, height),
            (tile.columns, tile.window_columns, width),
        ):
            assert 0 < stop - start <= core
            assert first == max(0, start - halo) and last == min(side, stop + halo)
            assert first % 4 == last % 4 == 0
    assert (seen == 1).all()


def test_tiles_by_hand() -> None:
    found = list(tiles(40, 100, 64, 12))
    assert found == [
        Tile((0, 40), (0, 64), (0, 40), (0, 76)),
        Tile((0, 40), (64, 100), (0, 40), (52, 100)),
    ]


@settings(deadline=None, max_examples=200)
@given(
    height=st.integers(1, 1000).map(lambda quarter: 4 * quarter),
    width=st.integers(1, 1000).map(lambda quarter: 4 * quarter),
    largest=st.sampled_from([32, 256]),
    count=st.integers(0, 200),
)
def test_samples_lie_in_the_picture_and_are_about_as_many_as_asked(
    height: int, width: int, largest: int, count: int
) -> None:
    side = min(largest, height, width)
    corners = sample_windows(height, width, side, count)
    assert 1 <= len(corners) <= max(1, 1.5 * count)
    for y, x in corners:
        assert 0 <= y <= height - side and 0 <= x <= width - side
        assert y % 4 == x % 4 == 0


def test_samples_reach_both_ends() -> None:
    corners = sample_windows(1000, 2000, 100, 8)
    assert {y for y, _ in corners} == {0, 900}
    assert {x for _, x in corners} == {0, 632, 1264, 1900}
    assert sample_windows(1000, 2000, 100, 1) == [(448, 948)]
