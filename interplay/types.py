"""Domain types that predictors return and everything above them passes on.

Images are ``uint8`` arrays of shape (height, width, 3), RGB, upright. Positions are in pixels of
that image; the origin is the top-left corner of the top-left pixel, x right, y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Heatmap:
    """Text probability of every pixel.

    Attributes:
        text: (H, W) float32 in [0, 1]; H and W are the image's.
        core: (H, W) float32 in [0, 1], probability of the inner part of a word, which keeps
            neighbouring words apart; None for models that have no such class.
    """

    text: NDArray[np.float32]
    core: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Region:
    """A word region.

    Attributes:
        polygon: (4, 2) float32, clockwise from the corner at which reading starts.
        score: Mean text probability inside, in [0, 1].
    """

    polygon: NDArray[np.float32]
    score: float


@dataclass(frozen=True)
class Word:
    """A word region with its text; ``confidence`` in [0, 1] is the mean over its characters."""

    region: Region
    text: str
    confidence: float


@dataclass(frozen=True)
class Presence:
    """How much text an image holds (thesis 6.3).

    Attributes:
        mean_probability: Mean over all pixels, in [0, 1].
        max_probability: Largest of all pixels, in [0, 1].
        text_area_ratio: Part of the pixels at or above the pixel threshold, in [0, 1].
        mean_brightness: Mean grey value of the image, 0 to 255.
    """

    mean_probability: float
    max_probability: float
    text_area_ratio: float
    mean_brightness: float


@dataclass
class StageTimings:
    """Seconds spent in each stage of one request; filled in as it moves on.

    ``batch_id`` tells which batch of its batcher an item was in, ``batch_size`` how large that was.
    """

    queue_s: float = 0.0
    decode_s: float = 0.0
    preprocess_s: float = 0.0
    infer_s: float = 0.0
    postprocess_s: float = 0.0
    batch_size: int = 0
    batch_id: int = 0

    def add(self, other: StageTimings) -> None:
        """Add another step of the same request; the batch size is the larger one, the batch the later one."""
        self.queue_s += other.queue_s
        self.decode_s += other.decode_s
        self.preprocess_s += other.preprocess_s
        self.infer_s += other.infer_s
        self.postprocess_s += other.postprocess_s
        self.batch_size = max(self.batch_size, other.batch_size)
        self.batch_id = other.batch_id or self.batch_id

    @classmethod
    def together(cls, parts: Sequence[StageTimings]) -> StageTimings:
        """Of items of one request that were handled side by side by one batcher.

        The longest wait counts, and the time of a batch with several of them once.
        """
        batches = {part.batch_id: part for part in parts}.values()
        return cls(
            queue_s=max((part.queue_s for part in parts), default=0.0),
            decode_s=sum(part.decode_s for part in parts),
            preprocess_s=sum(batch.preprocess_s for batch in batches),
            infer_s=sum(batch.infer_s for batch in batches),
            postprocess_s=sum(batch.postprocess_s for batch in batches),
            batch_size=max((part.batch_size for part in parts), default=0),
        )
