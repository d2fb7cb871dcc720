"""Figures of scores: by hand, against scikit-learn, and thresholds from other data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from training.hate_classifier.metrics import (
    Thresholds,
    auc,
    balanced_accuracy,
    choose_thresholds,
    compare_auc,
    evaluate,
    f_score,
)

LABELS = np.array([True, True, False, True, False, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])


def test_by_hand() -> None:
    assert auc(LABELS, SCORES) == pytest.approx(8 / 9)
    assert f_score(LABELS, SCORES, 0.75) == pytest.approx(4 / 5)
    assert f_score(LABELS, SCORES, 2) == 0
    assert balanced_accuracy(LABELS, SCORES, 0.75) == pytest.approx((2 / 3 + 1) / 2)
    assert auc(LABELS, np.zeros(6)) == 0.5
    # From 0.6 up all hate is found, with one post too many: F 6/7, balanced accuracy 5/6.
    chosen = choose_thresholds(LABELS, SCORES)
    assert chosen == Thresholds(f=pytest.approx(0.4), balanced_accuracy=pytest.approx(0.4))


tables = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@settings(deadline=None)
@given(tables)
def test_thresholds_are_the_best_there_are(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    chosen = choose_thresholds(labels, scores)
    every = np.arange(-6, 7) - 0.5
    called = scores >= chosen.f
    assert f_score(labels, scores, chosen.f) == pytest.approx(f1_score(labels, called))
    assert f_score(labels, scores, chosen.f) >= max(f1_score(labels, scores >= at) for at in every) - 1e-12
    called = scores >= chosen.balanced_accuracy
    found = balanced_accuracy(labels, scores, chosen.balanced_accuracy)
    assert found == pytest.approx(balanced_accuracy_score(labels, called))
    assert found >= max(balanced_accuracy_score(labels, scores >= at) for at in every) - 1e-12
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def drawn(seed: int, posts: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, good scores, and the same with noise."""
    random = np.random.default_rng(seed)
    labels = random.random(posts) < 0.4
    good = labels + random.normal(0, 1, posts)
    return labels, good, good + random.normal(0, 2, posts)


def test_a_report_takes_its_thresholds_as_given() -> None:
    labels, scores, _ = drawn(0)
    thresholds = choose_thresholds(*drawn(1)[:2])
    result = evaluate(labels, scores, thresholds, bootstrap=200)
    assert result.f == f_score(labels, scores, thresholds.f)
    assert result.balanced_accuracy == balanced_accuracy(labels, scores, thresholds.balanced_accuracy)
    assert result.posts == 600
    best = choose_thresholds(labels, scores)
    assert result.f <= f_score(labels, scores, best.f)
    for name, (low, high) in result.intervals.items():
        assert low < getattr(result, name) < high and high - low < 0.15
    assert evaluate(labels, scores, thresholds, bootstrap=200) == result
    assert "auc" in result.lines() and "[0." in result.lines()


def test_thresholds_of_folds() -> None:
    labels, scores, _ = drawn(0)
    fold = np.arange(600) % 2
    shifted = scores + 10 * fold
    table = np.stack([0.5 + 10 * fold, 0.2 + 10 * fold], axis=1)
    result = evaluate(labels, shifted, table, bootstrap=0)
    assert result.f == f_score(labels, scores, 0.5)
    assert result.balanced_accuracy == balanced_accuracy(labels, scores, 0.2)
    assert result.intervals == {}
    with pytest.raises(ValueError, match=r"expected thresholds of shape \(600, 2\)"):
        evaluate(labels, scores, table[:5])


def test_intervals_cover_the_truth() -> None:
    # Hate is N(1, 1) and the rest N(0, 1): the true AUC is Φ(1/√2) = 0.7602.
    inside = 0
    for seed in range(40):
        labels, scores, _ = drawn(seed, 300)
        low, high = evaluate(labels, scores, Thresholds(0.5, 0.5), bootstrap=200).intervals["auc"]
        inside += low <= 0.7602 <= high
    assert inside >= 34


def test_two_scores_of_the_same_posts() -> None:
    labels, good, noisy = drawn(0)
    found = compare_auc(labels, good, noisy, bootstrap=300)
    assert found.difference == pytest.approx(auc(labels, good) - auc(labels, noisy))
    assert found.interval[0] > 0 and found.p < 0.05
    assert compare_auc(labels, good, good, bootstrap=100).p == 1
    worse = compare_auc(labels, noisy, good, bootstrap=300)
    assert worse.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_what_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="both classes are needed; 3 of 3"):
        auc(np.ones(3, bool), np.arange(3.0))
    with pytest.raises(ValueError, match="must have one shape"):
        auc(LABELS, SCORES[:3])
    with pytest.raises(ValueError, match="finite"):
        auc(LABELS, np.full(6, np.nan))
