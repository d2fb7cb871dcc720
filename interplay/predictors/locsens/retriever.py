"""Scores of images for tags at a place: what remains of the work at query time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from interplay.models.locsens import CentredParts
from interplay.predictors.batch import BatchOutput
from interplay.predictors.locsens.scorer import TripletItem, TripletScorer
from interplay.store import Manifest, resolve

MODEL = "locsens-retrieval"


@dataclass(frozen=True)
class ScoreItem:
    """Images to score.

    Attributes:
        images: (N, D) float32 vectors of length one, or what a ``PartsItem`` made of them.
        tags: Numbers in the vocabulary; an image's score is the mean of its scores for them.
        place: (2,) degrees.
    """

    images: NDArray[np.float32] | CentredParts
    tags: tuple[int, ...]
    place: NDArray[np.float64]


@dataclass(frozen=True)
class PartsItem:
    """Images whose part of the work is to be done ahead of any query.

    Attributes:
        vectors: (N, D) float32, of length one.
    """

    vectors: NDArray[np.float32]


class ImageRanker:
    """Scores images for tags at places. Use from one thread at a time.

    Args:
        scorer: Trained for retrieval.
        manifest: The scorer's.
    """

    def __init__(self, scorer: TripletScorer, manifest: Manifest) -> None:
        self.scorer, self.manifest = scorer, manifest
        self.device, self.dtype = scorer.device, scorer.dtype_name

    @classmethod
    def open(
        cls,
        store: Path,
        image: Manifest,
        tag_vectors: NDArray[np.float32],
        version: int | None = None,
        *,
        device: str = "auto",
    ) -> ImageRanker:
        """The published model; see ``PlaceTagger.open``.

        Raises:
            InternalError: It is not whole, or was trained on another image model.
        """
        stored = resolve(store, MODEL, version)
        return cls(TripletScorer.load(stored, image, tag_vectors, device=device), stored.manifest)

    def score(self, item: ScoreItem) -> NDArray[np.float32]:
        """(N,) scores, without bounds."""
        parts = item.images if isinstance(item.images, CentredParts) else self.scorer.image_parts(item.images)
        return self.scorer.score_images(parts, item.tags, item.place)

    def predict_batch(
        self, batch: Sequence[ScoreItem | PartsItem | TripletItem]
    ) -> BatchOutput[NDArray[np.float32] | CentredParts]:
        """Scores of each item's images, or their parts."""
        started = perf_counter()
        results = [self._answer(item) for item in batch]
        return BatchOutput(results=results, infer_s=perf_counter() - started)

    def _answer(self, item: ScoreItem | PartsItem | TripletItem) -> NDArray[np.float32] | CentredParts:
        if isinstance(item, PartsItem):
            return self.scorer.image_parts(item.vectors)
        return self.score(item) if isinstance(item, ScoreItem) else self.scorer.score_triplets(item)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        vectors = np.zeros((16, self.scorer.dimension), np.float32)
        self.score(ScoreItem(vectors, (0,), np.zeros(2)))
