"""How good scores are, with thresholds that other data chose.

The thesis (6.5) takes the best threshold on the test set itself; here a threshold is always chosen on
other data than it is reported on: `choose_thresholds` there, `evaluate` here.

Labels are (N,) booleans, scores (N,) finite numbers of any range; higher means hate.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

BOOTSTRAP = 1000
_SCORES = ("auc", "f", "balanced_accuracy")


@dataclass(frozen=True)
class Thresholds:
    """Scores at or above a threshold count as hate.

    Attributes:
        f: threshold of the best F.
        balanced_accuracy: threshold of the best mean of the two classes' accuracies.
    """

    f: float
    balanced_accuracy: float


@dataclass(frozen=True)
class Result:
    """Figures of one set of scores.

    Attributes:
        auc: area under the ROC curve.
        f: F1 of hate at its threshold.
        balanced_accuracy: mean of the two classes' accuracies at its threshold.
        intervals: of each, the 95 % bootstrap interval; empty if none was asked for.
        posts: how many.
    """

    auc: float
    f: float
    balanced_accuracy: float
    intervals: dict[str, tuple[float, float]]
    posts: int

    def lines(self) -> str:
        """Readable figures, one a line."""
        rows = []
        for name in _SCORES:
            interval = self.intervals.get(name)
            around = f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
            rows.append(f"{name:18} {asdict(self)[name]:.4f}{around}")
        return "\n".join(rows)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; ties count half.

    Raises:
        ValueError: labels of one class only, or arrays that do not fit.
    """
    labels, scores = _checked(labels, scores)
    return float(roc_auc_score(labels, scores))


def f_score(labels: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    """F1 of hate at a threshold; 0 if nothing is called hate rightly."""
    labels, scores = _checked(labels, scores)
    called = scores >= threshold
    return float(2 * np.sum(labels & called) / (labels.sum() + called.sum()))


def balanced_accuracy(labels: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    """Mean of the accuracies on hate and on the rest at a threshold."""
    labels, scores = _checked(labels, scores)
    called = scores >= threshold
    return float((np.mean(called[labels]) + np.mean(~called[~labels])) / 2)


def choose_thresholds(labels: np.ndarray, scores: np.ndarray) -> Thresholds:
    """The thresholds that are best on these data; of equally good ones the lowest.

    A threshold lies halfway between two scores, so that it fits other data as well as may be.
    """
    labels, scores = _checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], labels[order]
    ends = np.flatnonzero(np.diff(ordered, append=-np.inf))  # the last post of each score
    right, wrong = np.cumsum(hits)[ends], np.cumsum(~hits)[ends]
    positives, negatives = labels.sum(), (~labels).sum()
    below = np.append(ordered[ends][1:], ordered[-1])
    cuts = np.where(below == ordered[ends], below, (ordered[ends] + below) / 2)
    f = 2 * right / (positives + right + wrong)
    balanced = (right / positives + 1 - wrong / negatives) / 2
    best_f, best_balanced = (len(cuts) - 1 - int(np.argmax(values[::-1])) for values in (f, balanced))
    return Thresholds(float(cuts[best_f]), float(cuts[best_balanced]))


def evaluate(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: Thresholds | np.ndarray,
    *,
    bootstrap: int = BOOTSTRAP,
    seed: int = 0,
) -> Result:
    """AUC, F and balanced accuracy with bootstrap intervals over posts.

    Args:
        labels: (N,).
        scores: (N,).
        thresholds: as chosen on other data; or, where each post has its own (folds), an (N, 2) array with
            the columns of `Thresholds`.
        bootstrap: number of resamples; 0 = no intervals.
        seed: of the resampling.

    Raises:
        ValueError: labels of one class only, or arrays that do not fit.
    """
    labels, scores = _checked(labels, scores)
    table = (
        np.tile((thresholds.f, thresholds.balanced_accuracy), (len(labels), 1))
        if isinstance(thresholds, Thresholds)
        else np.asarray(thresholds, dtype=np.float64)
    )
    if table.shape != (len(labels), 2):
        raise ValueError(f"expected thresholds of shape ({len(labels)}, 2), got {table.shape}")
    margins = scores[:, None] - table

    def figures(rows: np.ndarray) -> tuple[float, float, float]:
        hate = labels[rows]
        return (
            float(roc_auc_score(hate, scores[rows])),
            f_score(hate, margins[rows, 0], 0.0),
            balanced_accuracy(hate, margins[rows, 1], 0.0),
        )

    intervals = {}
    if bootstrap:
        drawn = _resampled(labels, figures, bootstrap, seed)
        for name, values in zip(_SCORES, drawn.T, strict=True):
            low, high = np.percentile(values, (2.5, 97.5))
            intervals[name] = (float(low), float(high))
    return Result(*figures(np.arange(len(labels))), intervals=intervals, posts=len(labels))


@dataclass(frozen=True)
class Comparison:
    """Whether one set of scores is better than another on the same posts.

    Attributes:
        difference: AUC of the first less that of the second.
        interval: its 95 % bootstrap interval.
        p: two-sided bootstrap p-value of no difference.
    """

    difference: float
    interval: tuple[float, float]
    p: float


def compare_auc(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, *, bootstrap: int = BOOTSTRAP, seed: int = 0
) -> Comparison:
    """Paired bootstrap of the difference of AUC: both scores see the same resampled posts.

    Raises:
        ValueError: labels of one class only, or arrays that do not fit.
    """
    labels, first = _checked(labels, first)
    _, second = _checked(labels, second)

    def difference(rows: np.ndarray) -> tuple[float]:
        hate = labels[rows]
        return (float(roc_auc_score(hate, first[rows]) - roc_auc_score(hate, second[rows])),)

    drawn = _resampled(labels, difference, bootstrap, seed)[:, 0]
    low, high = np.percentile(drawn, (2.5, 97.5))
    # One is added to both counts: a bootstrap of B resamples cannot show a p below 1 / (B + 1).
    side = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p = min(1.0, 2 * (side + 1) / (bootstrap + 1))
    return Comparison(difference(np.arange(len(labels)))[0], (float(low), float(high)), float(p))


def _resampled(
    labels: np.ndarray, figures: Callable[[np.ndarray], tuple[float, ...]], times: int, seed: int
) -> np.ndarray:
    """(times, K): figures of posts drawn with replacement; draws that miss a class are drawn again."""
    random = np.random.default_rng(seed)
    drawn = []
    while len(drawn) < times:
        rows = random.integers(0, len(labels), len(labels))
        if 0 < labels[rows].sum() < len(rows):
            drawn.append(figures(rows))
    return np.array(drawn)


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels and scores must have one shape (N,), not {labels.shape} and {scores.shape}")
    if not 0 < labels.sum() < len(labels):
        raise ValueError(f"both classes are needed; {int(labels.sum())} of {len(labels)} labels are hate")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite numbers")
    return labels, scores
