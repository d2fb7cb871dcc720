"""Precision of queries, with bootstrap intervals."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from training.embedding.queries import Relevance

Query = tuple[str, ...]


def precision_at(
    queries: Sequence[Query],
    embed: Callable[[Query], np.ndarray],
    images: np.ndarray,
    relevance: Relevance,
    k: int = 5,
) -> np.ndarray:
    """Part of the k best photos that are right, for every query.

    Args:
        queries: words each.
        embed: vector of a query, (D,).
        images: (N, D) vectors.
        relevance: of the same photos.
        k: how many photos count.

    Returns:
        (Q,) float64. A query without a vector (no word of it known) scores 0.
    """
    scores = []
    for query in queries:
        vector = embed(query)
        if not vector.any():
            scores.append(0.0)
            continue
        best = np.argsort(-(images @ vector), kind="stable")[:k]
        scores.append(float(relevance.right(query)[best].mean()))
    return np.array(scores)


def average_precision(
    queries: Sequence[Query],
    embed: Callable[[Query], np.ndarray],
    images: np.ndarray,
    relevance: Relevance,
) -> np.ndarray:
    """Average precision of every query: the mean of the precisions at the ranks of its right photos.

    It looks at all right photos, so it varies less from model to model than `precision_at` 5 does.

    Args:
        queries: words each.
        embed: vector of a query, (D,).
        images: (N, D) vectors.
        relevance: of the same photos.

    Returns:
        (Q,) float64; 0 for a query without a vector or without a right photo.
    """
    scores = []
    for query in queries:
        vector = embed(query)
        ranks = np.flatnonzero(relevance.right(query)[np.argsort(-(images @ vector), kind="stable")])
        known = vector.any() and len(ranks) > 0
        scores.append(float(np.mean(np.arange(1, len(ranks) + 1) / (ranks + 1))) if known else 0.0)
    return np.array(scores)


def bootstrap(scores: np.ndarray, rounds: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean over queries drawn with replacement."""
    rng = np.random.default_rng(seed)
    means = scores[rng.integers(0, len(scores), (rounds, len(scores)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def group_bootstrap(
    scores: np.ndarray, groups: np.ndarray, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean over queries, of which whole groups are drawn with replacement.

    Args:
        scores: (N,) of queries.
        groups: (N,) what queries have in common.
        rounds: draws.
        seed: of the draws.
    """
    _, member = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(member, scores), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (rounds, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), (2.5, 97.5))
    return float(low), float(high)


def fit_odds(scores: np.ndarray, right: np.ndarray, rounds: int = 50) -> tuple[float, float]:
    """What a cosine means: logistic regression of "the photo is right" on it, by Newton's method.

    Args:
        scores: (N,) cosines.
        right: (N,) bool.
        rounds: Newton steps.

    Returns:
        Slope and offset of the logarithm of the odds.

    Raises:
        ValueError: All photos are right, or none.
    """
    if right.all() or not right.any():
        raise ValueError("there must be photos that are right, and some that are not")
    x = np.stack([scores, np.ones_like(scores)], axis=1).astype(np.float64)
    beta = np.array([0.0, math.log(right.mean() / (1 - right.mean()))])
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-np.clip(x @ beta, -60, 60)))
        weight = np.maximum(chance * (1 - chance), 1e-12)
        step = np.linalg.solve(x.T @ (x * weight[:, None]), x.T @ (right - chance))
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])
