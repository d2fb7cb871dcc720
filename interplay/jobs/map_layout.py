"""Places on a map: t-SNE of vectors, and which pictures fit on a canvas without touching one another.

Used by ``map_embedding`` (thesis, Fig. 4.12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERPLEXITY = 30.0
_LEAST_CENTRED = 10


@dataclass(frozen=True)
class Box:
    """A picture's place, in pixels of the canvas; ``right`` and ``bottom`` are outside."""

    left: int
    top: int
    right: int
    bottom: int


def project(
    vectors: NDArray[np.float32], *, seed: int, perplexity: float = PERPLEXITY
) -> NDArray[np.float64]:
    """t-SNE of vectors of length one to the plane.

    Args:
        vectors: (N, D), N at least 1. Between vectors of length one the distance that t-SNE compares
            orders pairs as their cosine does.
        seed: Of the optimisation; it starts from the two principal axes.
        perplexity: Neighbours that a vector has, about; a third of the others if those are fewer.

    Returns:
        (N, 2), each axis in [0, 1]. Up to three vectors lie on a line in their order.
    """
    from sklearn.manifold import TSNE

    count = len(vectors)
    if count <= 3:
        line = (np.arange(count) + 0.5) / count
        return np.stack([line, np.full(count, 0.5)], axis=1)
    model = TSNE(
        2,
        perplexity=min(perplexity, (count - 1) / 3),
        init="pca" if vectors.std() > 0 else "random",
        learning_rate="auto",
        random_state=seed,
    )
    points = model.fit_transform(np.asarray(vectors, dtype=np.float32)).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.maximum(high - low, 1e-9))


def centre(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of one kind without their mean, again of length one.

    Words are nearer to words, and images to images, than their meaning accounts for; left as they are,
    words draw one another together on the map until they overlap. A mean of fewer than ten says little:
    then they stay as they are, and so does a vector of which nothing would be left.

    Args:
        vectors: (N, D).
    """
    if len(vectors) < _LEAST_CENTRED:
        return vectors
    moved = vectors - vectors.mean(axis=0, keepdims=True)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, moved / np.maximum(lengths, 1e-6), vectors).astype(np.float32)


def place(
    points: NDArray[np.float64], sizes: Sequence[tuple[int, int]], canvas: tuple[int, int]
) -> list[Box | None]:
    """Put pictures on a canvas, the first ones first; one that would share a pixel with another is left out.

    Args:
        points: (N, 2) x and y of the pictures' centres, in [0, 1] of what keeps them on the canvas.
        sizes: Width and height of each.
        canvas: Width and height.

    Returns:
        The place of each picture; None for those left out, also when larger than the canvas.
    """
    width, height = canvas
    taken = np.zeros((height, width), dtype=bool)
    boxes: list[Box | None] = []
    for (x, y), (wide, high) in zip(points, sizes, strict=True):
        left, top = round(float(x) * (width - wide)), round(float(y) * (height - high))
        box = Box(left, top, left + wide, top + high)
        inside = wide <= width and high <= height
        if not inside or taken[box.top : box.bottom, box.left : box.right].any():
            boxes.append(None)
            continue
        taken[box.top : box.bottom, box.left : box.right] = True
        boxes.append(box)
    return boxes
