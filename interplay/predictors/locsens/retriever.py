"""Scores of images for tags at a place: what remains of the work at query time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.models.locsens import CentredParts
from interplay.predictors.batch import BatchOutput
from interplay.predictors.locsens.scorer import TripletItem, TripletScorer
from interplay.store import Manifest, resolve

MODEL = "locsens-retrieval"
# Less follows the scorer more closely, and more of what it says by chance.
_RIDGE = 0.3


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


@dataclass(frozen=True)
class PreferenceItem:
    """Scored images of which it is to be learned where better ones are.

    Attributes:
        vectors: (N, D) float32, of length one.
        scores: (N,) float32.
    """

    vectors: NDArray[np.float32]
    scores: NDArray[np.float32]


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
        if isinstance(item.images, CentredParts):
            part, variance = item.images.part, item.images.variance
            # Where this runs in another process, they come from the CPU.
            parts = CentredParts(part.to(self.device), variance.to(self.device))
        else:
            parts = self.scorer.image_parts(item.images)
        return self.scorer.score_images(parts, item.tags, item.place)

    def predict_batch(
        self, batch: Sequence[ScoreItem | PartsItem | PreferenceItem | TripletItem]
    ) -> BatchOutput[NDArray[np.float32] | CentredParts]:
        """Scores of each item's images, their parts, or the direction that their scores point to."""
        started = perf_counter()
        triplets = self.scorer.score_triplets_in(batch)
        results = [next(triplets) if isinstance(item, TripletItem) else self._answer(item) for item in batch]
        return BatchOutput(results=results, infer_s=perf_counter() - started)

    def _answer(self, item: ScoreItem | PartsItem | PreferenceItem) -> NDArray[np.float32] | CentredParts:
        if isinstance(item, PreferenceItem):
            return preference(item)
        if isinstance(item, PartsItem):
            return self.scorer.image_parts(item.vectors)
        return self.score(item)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        vectors = np.zeros((16, self.scorer.dimension), np.float32)
        self.score(ScoreItem(vectors, (0,), np.zeros(2)))


@torch.inference_mode()
def preference(item: PreferenceItem) -> NDArray[np.float32]:
    """Direction in which scores grow the most, (D,) of length one: ridge regression.

    Images of high scores count for more, for it is theirs that are sought: e times as much with each standard
    deviation. By torch, as the scores are: a second library's threads would fight its own for the cores.
    """
    vectors, scores = torch.from_numpy(item.vectors), torch.from_numpy(item.scores)
    scores = scores - scores.mean()
    counts = torch.softmax(scores / scores.square().mean().sqrt().clamp_min(1e-12), 0).unsqueeze(1)
    centred = vectors - (counts * vectors).sum(0)
    weighted = (counts * centred).t()  # they count for one together
    ridge = torch.eye(vectors.shape[1]).mul_(_RIDGE / len(vectors))
    direction = torch.linalg.solve(ridge.addmm_(weighted, centred), weighted @ scores)
    length = float(direction.norm())
    # Equal scores point nowhere: then to one that is as good as any.
    return np.asarray((direction / length if length > 0 else vectors[0]).numpy(), np.float32)
