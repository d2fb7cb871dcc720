"""Tags of an image at a place: all of the vocabulary scored, or candidates only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from interplay.errors import InternalError
from interplay.predictors.batch import BatchOutput
from interplay.predictors.locsens.near import STORED_DEGREES, NearTags
from interplay.predictors.locsens.scorer import TripletItem, TripletScorer
from interplay.store import Manifest, resolve

MODEL = "locsens-tagging"
# Tags that the image alone suggests and that are scored at the place, in the fast mode.
CANDIDATES = 128
NEAR_CENTRES, NEAR_TAGS = "near.centres", "near.tags"


@dataclass(frozen=True)
class TagItem:
    """An image to tag at a place.

    Attributes:
        vector: (D,) float32, of length one.
        chances: (V,) float32, what the image alone says of each tag.
        place: (2,) degrees.
        exact: Whether all tags are scored.
    """

    vector: NDArray[np.float32]
    chances: NDArray[np.float32]
    place: NDArray[np.float64]
    exact: bool = False


@dataclass(frozen=True)
class PlacedTags:
    """Tags that were scored, best first.

    Attributes:
        tags: (N,) numbers in the vocabulary.
        scores: (N,) float32, without bounds.
    """

    tags: NDArray[np.int64]
    scores: NDArray[np.float32]


class PlaceTagger:
    """Tags images at places. Use from one thread at a time.

    Args:
        scorer: Trained for tagging.
        near: Tags used near places.
        manifest: The scorer's.
    """

    def __init__(self, scorer: TripletScorer, near: NearTags, manifest: Manifest) -> None:
        self.scorer, self.manifest = scorer, manifest
        self.device, self.dtype = scorer.device, scorer.dtype_name
        self._near = near

    @classmethod
    def open(
        cls,
        store: Path,
        image: Manifest,
        tag_vectors: NDArray[np.float32],
        version: int | None = None,
        *,
        device: str = "auto",
    ) -> PlaceTagger:
        """The published model.

        Args:
            store: Root of the model store.
            image: Manifest of the image model.
            tag_vectors: (V, D) of the image model.
            version: The newest if None.
            device: ``auto``, ``cpu`` or ``cuda``.

        Raises:
            InternalError: It is not whole, or was trained on another image model.
        """
        stored = resolve(store, MODEL, version)
        scorer = TripletScorer.load(stored, image, tag_vectors, device=device)
        try:
            tensors = load_file(stored.weights)
            near = NearTags(STORED_DEGREES * tensors[NEAR_CENTRES], tensors[NEAR_TAGS])
        except (KeyError, ValueError) as error:
            raise InternalError(f"{stored.directory} has no tags of places: {error}") from error
        return cls(scorer, near, stored.manifest)

    def candidates(self, chances: NDArray[np.float32], place: NDArray[np.float64]) -> NDArray[np.int64]:
        """Numbers of the tags that the image alone suggests and of those used near the place; sorted."""
        count = min(CANDIDATES, len(chances))
        return np.union1d(np.argpartition(-chances, count - 1)[:count], self._near.near(place))

    def tag(self, item: TagItem) -> PlacedTags:
        """Scored tags of one image, best first."""
        if item.exact:
            tags = np.arange(self.scorer.vocabulary)
        else:
            tags = self.candidates(item.chances, item.place)
        scores = self.scorer.score_tags(item.vector, item.place, None if item.exact else tags)
        order = np.argsort(-scores, kind="stable")
        return PlacedTags(tags[order], scores[order])

    def predict_batch(
        self, batch: Sequence[TagItem | TripletItem]
    ) -> BatchOutput[PlacedTags | NDArray[np.float32]]:
        """Scored tags of each image; scores of triplets."""
        started = perf_counter()
        triplets = self.scorer.score_triplets_in(batch)
        results = [self.tag(item) if isinstance(item, TagItem) else next(triplets) for item in batch]
        return BatchOutput(results=results, infer_s=perf_counter() - started)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        vector = np.zeros(self.scorer.dimension, np.float32)
        chances = np.zeros(self.scorer.vocabulary, np.float32)
        for exact in (False, True):
            self.tag(TagItem(vector, chances, np.zeros(2), exact))
