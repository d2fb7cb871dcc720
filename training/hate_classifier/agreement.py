"""What several annotators say together: majority, soft labels and how far they agree.

MMHS150K (thesis 6.3) has three labels a post, each "NotHate" or one of five kinds of hate. A post is hate
if at least two labels are a kind of hate, whichever kinds; its kind is the one that has a majority, so a
post of hate may have none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from training.datasets.posts import MMHS_CATEGORIES, Post, is_hate

NOT_HATE = MMHS_CATEGORIES[0]


def majority_hate(labels: Sequence[str]) -> bool:
    """Whether the majority calls it hate, of any kind.

    Raises:
        ValueError: no labels.
    """
    return is_hate(_some(labels))


def majority_category(labels: Sequence[str]) -> str | None:
    """The label that more than half of the annotators gave, or None.

    Raises:
        ValueError: no labels.
    """
    name, votes = Counter(_some(labels)).most_common(1)[0]
    return name if 2 * votes > len(labels) else None


def soft_label(labels: Sequence[str]) -> float:
    """Part of the annotators who call it hate, of any kind: 0 to 1.

    Raises:
        ValueError: no labels.
    """
    return sum(label != NOT_HATE for label in _some(labels)) / len(labels)


def soft_labels(posts: Iterable[Post]) -> np.ndarray:
    """`soft_label` of each post: (N,) float64."""
    return np.array([soft_label(post.labels) for post in posts])


def label_counts(
    ratings: Iterable[Sequence[str]], categories: Sequence[str] = MMHS_CATEGORIES, *, binary: bool = False
) -> np.ndarray:
    """How often each label was given.

    Args:
        ratings: the labels of each subject.
        categories: the labels that there are; the first is "no hate".
        binary: count only two: the first category and all others together.

    Returns:
        (N, K) integers, K the number of categories, or 2.

    Raises:
        ValueError: a label is none of the categories.
    """
    rows = []
    for labels in ratings:
        counts = Counter(labels)
        if unknown := set(counts) - set(categories):
            raise ValueError(f"label {sorted(unknown)[0]!r} is none of {tuple(categories)}")
        row = [counts[category] for category in categories]
        rows.append([row[0], sum(row[1:])] if binary else row)
    return np.array(rows, dtype=np.int64).reshape(len(rows), 2 if binary else len(categories))


def fleiss_kappa(counts: np.ndarray) -> float:
    """Agreement beyond chance (J. L. Fleiss, Psychological Bulletin 76(5), 1971).

    Args:
        counts: (N, K): how many annotators gave subject i category j.

    Returns:
        1 for full agreement, 0 for as much as by chance, less below; 1 if only one category was ever given.

    Raises:
        ValueError: no subjects, subjects with different numbers of ratings, or fewer than two ratings.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or len(table) == 0:
        raise ValueError(f"expected a table of subjects by categories, got shape {table.shape}")
    ratings = table.sum(axis=1)
    if np.any(ratings != ratings[0]):
        raise ValueError(
            f"every subject needs as many ratings; they have {ratings.min():g} to {ratings.max():g}"
        )
    n = ratings[0]
    if n < 2:
        raise ValueError(f"agreement needs at least 2 ratings a subject, not {n:g}")
    observed = float(np.mean((np.square(table).sum(axis=1) - n) / (n * (n - 1))))
    expected = float(np.square(table.sum(axis=0) / table.sum()).sum())
    return 1.0 if expected == 1.0 else (observed - expected) / (1.0 - expected)


def _some(labels: Sequence[str]) -> tuple[str, ...]:
    if not labels:
        raise ValueError("a vote needs at least one label")
    return tuple(labels)
