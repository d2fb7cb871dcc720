"""The two competition protocols on cases worked out by hand."""

import numpy as np
import pytest

from training.text_detection.icdar import Score, icdar2013, icdar2015


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.float32([[left, top], [right, top], [right, bottom], [left, bottom]])


def test_2015_counts_overlaps_above_one_half_only() -> None:
    word = box(0, 0, 100, 20)
    # Shifted by 30 of 100: 70 of 130 columns shared. By 30 of 90: 60 of 120, exactly one half, too little.
    assert icdar2015([word], [True], [box(30, 0, 130, 20)]) == Score(1, 1, 1, 1)
    assert icdar2015([box(0, 0, 90, 20)], [True], [box(30, 0, 120, 20)]) == Score(0, 0, 1, 1)
    assert icdar2015([word], [True], [box(40, 0, 140, 20)]) == Score(0, 0, 1, 1)


def test_2015_matches_one_to_one() -> None:
    word = box(0, 0, 100, 20)
    assert icdar2015([word], [True], [word, word]) == Score(1, 1, 1, 2)
    assert icdar2015([word, word], [True, True], [word]) == Score(1, 1, 2, 1)


def test_2015_first_detection_above_the_threshold_wins() -> None:
    """Order decides, not overlap: the second word finds the better detection taken or not as it falls."""
    first, second = box(0, 0, 100, 20), box(20, 0, 120, 20)
    # The first word takes the first detection (0.67), although the second one fits it better.
    assert icdar2015([first, second], [True, True], [box(20, 0, 120, 20), first]) == Score(2, 2, 2, 2)
    assert icdar2015([first], [True], [box(20, 0, 120, 20), first]) == Score(1, 1, 1, 2)


def test_2015_leaves_out_detections_in_dont_care_words() -> None:
    care, ignored = box(0, 0, 100, 20), box(200, 0, 300, 20)
    inside = box(210, 0, 260, 20)
    half = box(250, 0, 350, 20)  # exactly half of its own area: that is not more than half
    assert icdar2015([care, ignored], [True, False], [care, inside]) == Score(1, 1, 1, 1)
    assert icdar2015([care, ignored], [True, False], [care, half]) == Score(1, 1, 1, 2)


def test_2015_without_words_that_count() -> None:
    nothing = icdar2015([box(0, 0, 10, 10)], [False], [])
    assert nothing.recall == 1.0 and nothing.precision == 1.0
    assert icdar2015([], [], [box(0, 0, 10, 10)]).precision == 0.0
    assert icdar2015([box(0, 0, 10, 10)], [True], []).f_score == 0.0


def test_2015_takes_turned_and_crossing_outlines() -> None:
    diamond = np.float32([[50, 0], [100, 50], [50, 100], [0, 50]])
    assert icdar2015([diamond], [True], [diamond]) == Score(1, 1, 1, 1)
    # The diamond covers half of its upright box: overlap 0.5 exactly.
    assert icdar2015([diamond], [True], [box(0, 0, 100, 100)]) == Score(0, 0, 1, 1)
    crossing = np.float32([[0, 0], [10, 10], [10, 0], [0, 10]])
    assert icdar2015([crossing], [True], [box(50, 50, 60, 60)]) == Score(0, 0, 1, 1)


def test_counts_are_pooled_over_images() -> None:
    total = Score.total([Score(1, 1, 1, 1), Score(1, 1, 4, 2), Score(0, 0, 0, 1)])
    assert total == Score(2, 2, 5, 4)
    assert total.recall == pytest.approx(0.4) and total.precision == pytest.approx(0.5)
    assert total.f_score == pytest.approx(2 * 0.4 * 0.5 / 0.9)


def test_2013_one_to_one() -> None:
    word = box(0, 0, 99, 19)
    assert icdar2013([word], [True], [word]) == Score(1, 1, 1, 1)
    # 79 of 100 columns: area recall 0.79 is below 0.8.
    assert icdar2013([word], [True], [box(0, 0, 78, 19)]) == Score(0, 0, 1, 1)
    assert icdar2013([word], [True], [box(0, 0, 79, 19)]) == Score(1, 1, 1, 1)
    # Area precision 20/51 < 0.4, then 20/50 = 0.4.
    assert icdar2013([word], [True], [box(0, 0, 99, 50)]) == Score(0, 0, 1, 1)
    assert icdar2013([word], [True], [box(0, 0, 99, 49)]) == Score(1, 1, 1, 1)


def test_2013_split_word() -> None:
    word = box(0, 0, 99, 19)
    halves = [box(0, 0, 49, 19), box(50, 0, 99, 19)]
    assert icdar2013([word], [True], halves) == Score(0.8, 1.6, 1, 2)
    assert icdar2013([word], [True], [halves[0], box(50, 0, 78, 19)]) == Score(0, 0, 1, 2)  # together 0.79


def test_2013_merged_words() -> None:
    words = [box(0, 0, 49, 19), box(60, 0, 109, 19)]
    assert icdar2013(words, [True, True], [box(0, 0, 109, 19)]) == Score(2, 1, 2, 1)


def test_2013_uses_upright_boxes_of_outlines() -> None:
    diamond = np.float32([[50, 0], [99, 50], [50, 99], [0, 50]])
    assert icdar2013([diamond], [True], [box(0, 0, 99, 99)]) == Score(1, 1, 1, 1)


def test_2013_dont_care() -> None:
    care, ignored = box(0, 0, 99, 19), box(200, 0, 299, 19)
    assert icdar2013([care, ignored], [True, False], [care, box(200, 0, 249, 19)]) == Score(1, 1, 1, 1)
    # 40 of 100 columns inside is 0.4, not more.
    assert icdar2013([care, ignored], [True, False], [care, box(260, 0, 359, 19)]) == Score(1, 1, 1, 2)
    assert icdar2013([], [], []).recall == 1.0
