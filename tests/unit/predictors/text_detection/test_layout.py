"""Reading order: words into lines, lines down the page."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from interplay.predictors.text_detection.layout import reading_lines


def word(
    x: float, y: float, width: float = 60, height: float = 20, angle: float = 0.0
) -> NDArray[np.float32]:
    """Rectangle around (x, y), turned by ``angle`` degrees clockwise."""
    turn = np.radians(angle)
    along = np.array([np.cos(turn), np.sin(turn)]) * width / 2
    down = np.array([-np.sin(turn), np.cos(turn)]) * height / 2
    centre = np.array([x, y])
    corners = [centre - along - down, centre + along - down, centre + along + down, centre - along + down]
    return np.array(corners, dtype=np.float32)


def test_nothing() -> None:
    assert reading_lines([]) == []


def test_one_word() -> None:
    assert reading_lines([word(50, 50)]) == [[0]]


def test_words_of_a_line_go_from_left_to_right() -> None:
    assert reading_lines([word(230, 50), word(50, 52), word(140, 48)]) == [[1, 2, 0]]


def test_lines_go_from_top_to_bottom() -> None:
    words = [word(50, 150), word(140, 50), word(140, 150), word(50, 100), word(50, 50)]
    assert reading_lines(words) == [[4, 1], [3], [0, 2]]


def test_close_lines_stay_apart() -> None:
    """Line spacing of 1.2 heights, as in print."""
    words = [word(50 + 70 * column, 50 + 24 * line) for line in range(4) for column in range(3)]
    assert reading_lines(words) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


@pytest.mark.parametrize("angle", [-40, -15, 15, 40])
def test_slanted_lines(angle: float) -> None:
    turn = np.radians(angle)
    along, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    words = [
        word(*(300 + 80 * column * along + 30 * line * down), angle=angle)
        for line in range(2)
        for column in range(3)
    ]
    assert reading_lines(words) == [[0, 1, 2], [3, 4, 5]]


def test_columns_far_apart_are_lines_of_their_own() -> None:
    left = [word(50, 50 + 30 * line) for line in range(2)]
    right = [word(500, 50 + 30 * line) for line in range(2)]
    assert reading_lines(left + right) == [[0], [2], [1], [3]]


def test_words_of_very_different_size_share_no_line() -> None:
    headline, footnote = word(100, 50, 150, 60), word(220, 50, 40, 12)
    assert sorted(reading_lines([headline, footnote])) == [[0], [1]]


def test_words_at_an_angle_to_each_other_share_no_line() -> None:
    assert sorted(reading_lines([word(50, 50), word(125, 50, angle=45)])) == [[0], [1]]


def test_of_two_lines_the_nearer_gets_the_word() -> None:
    assert reading_lines([word(50, 50), word(80, 74), word(150, 68)]) == [[0], [1, 2]]


def test_flat_regions_do_no_harm() -> None:
    flat = np.full((4, 2), 7.0, dtype=np.float32)
    assert sorted(index for line in reading_lines([flat, word(50, 50), flat]) for index in line) == [0, 1, 2]


PLACES = st.tuples(
    st.floats(0, 500), st.floats(0, 500), st.floats(1, 200), st.floats(1, 60), st.floats(-180, 180)
)


@settings(deadline=None)
@given(places=st.lists(PLACES, max_size=12))
def test_every_word_is_in_exactly_one_line(places: list[tuple[float, ...]]) -> None:
    lines = reading_lines([word(*place) for place in places])
    assert sorted(index for line in lines for index in line) == list(range(len(places)))
    assert all(lines)
