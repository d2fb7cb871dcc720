"""Scores of image, tag and place, with what can be computed once computed once.

The network's first layer is linear in its three inputs, so an image, a tag and a place each have a part of it
that does not depend on the others. Parts of images are computed when they are indexed, those of tags when the
model is loaded, the place's with the query. What is left is the rest of the network, in large batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from interplay.errors import InternalError
from interplay.models.locsens import CHUNK, CentredParts, LocSens, build_locsens
from interplay.predictors.device import choose_device, choose_dtype
from interplay.store import Manifest, StoredModel

_LIMITS = (90.0, 180.0)


@dataclass(frozen=True)
class TripletItem:
    """Triplets to score.

    Attributes:
        images: (N, D) float32 vectors of length one.
        tags: (N,) numbers in the vocabulary.
        places: (N, 2) degrees.
    """

    images: NDArray[np.float32]
    tags: NDArray[np.int64]
    places: NDArray[np.float64]


def normalised(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 2) degrees to [0, 1]: the network's form.

    Places that are one on the globe are one here: 180 degrees west is taken as 180 east, and a pole has the
    longitude 0.
    """
    places = np.array(places, np.float64).reshape(-1, 2)
    places[places[:, 1] == -_LIMITS[1], 1] = _LIMITS[1]
    places[np.abs(places[:, 0]) == _LIMITS[0], 1] = 0.0
    return ((places + _LIMITS) / (2 * np.array(_LIMITS))).astype(np.float32)


class TripletScorer:
    """Scores triplets. Use from one thread at a time.

    Args:
        model: Network in evaluation mode.
        tags: (V, D) vectors of the vocabulary, of length one.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of the layers after the first.
    """

    def __init__(
        self, model: LocSens, tags: NDArray[np.float32], *, device: str = "cpu", dtype: str = "float32"
    ) -> None:
        self.device, self.dtype_name = device, dtype
        self._dtype: torch.dtype = getattr(torch, dtype)
        self.model = model.eval().requires_grad_(False).to(device)
        with torch.inference_mode():
            self._tag_parts = self.model.tag_part(torch.from_numpy(np.ascontiguousarray(tags)).to(device))
            self._tags = self._stored(self.model.centred(self._tag_parts))
        self.model.rest_to(self._dtype)

    @classmethod
    def load(
        cls,
        stored: StoredModel,
        image: Manifest,
        tags: NDArray[np.float32],
        *,
        device: str = "auto",
        dtype: str | None = None,
    ) -> TripletScorer:
        """Build the network of a verified store entry and load its weights.

        Args:
            stored: The scorer.
            image: Manifest of the image model.
            tags: (V, D) vectors of that model's tags.
            device: ``auto``, ``cpu`` or ``cuda``.
            dtype: Number type of inference; half precision on a GPU and float32 on a CPU if None.

        Raises:
            InternalError: The weights do not fit, or were trained on another image model.
        """
        wanted = stored.manifest.details.get("image_sha256")
        if wanted != image.weights_sha256:
            raise InternalError(
                f"{stored.directory} was trained on the image model {wanted}, not on {image.weights_sha256}"
            )
        try:
            model = build_locsens(stored.manifest.config)
            known = set(model.state_dict())
            weights = {key: value.float() for key, value in load_file(stored.weights).items() if key in known}
            model.load_state_dict(weights)
        except (ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold a LocSens network: {error}") from error
        chosen = choose_device(device)
        if dtype is None:
            dtype = choose_dtype(chosen) if chosen != "cpu" else "float32"
        return cls(model, tags, device=chosen, dtype=dtype)

    @property
    def vocabulary(self) -> int:
        """Number of tags."""
        return len(self._tags)

    @property
    def dimension(self) -> int:
        """Numbers of an image's vector."""
        return self.model.config.image

    @torch.inference_mode()
    def image_parts(self, vectors: NDArray[np.float32]) -> CentredParts:
        """(N, D) vectors of images, of length one, to what they add to the first layer, (N, W)."""
        parts = [self._stored(self.model.centred(self._image_part(chunk))) for chunk in _chunks(vectors)]
        return CentredParts(torch.cat([p.part for p in parts]), torch.cat([p.variance for p in parts]))

    @torch.inference_mode()
    def score_images(
        self, images: CentredParts, tags: Sequence[int], place: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        """Scores of images for tags at a place.

        Args:
            images: See ``image_parts``.
            tags: Numbers in the vocabulary; the scores of several are averaged.
            place: (2,) degrees; None silences the place.

        Returns:
            (N,) without bounds.
        """
        parts = [self._tag_parts[[tag]] + self._place(place) for tag in tags]
        return np.asarray(np.mean([self._scores(images, part) for part in parts], axis=0), np.float32)

    @torch.inference_mode()
    def score_tags(
        self,
        image: NDArray[np.float32],
        place: NDArray[np.float64] | None,
        tags: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Scores of tags for an image at a place.

        Args:
            image: (D,) vector of length one.
            place: (2,) degrees; None silences the place.
            tags: Numbers in the vocabulary; all by default.

        Returns:
            (V,) or one for each of ``tags``, without bounds.
        """
        wanted = self._tags
        if tags is not None:
            rows = torch.from_numpy(tags).to(self.device)
            wanted = CentredParts(wanted.part[rows], wanted.variance[rows])
        return self._scores(wanted, self._image_part(image[None]) + self._place(place))

    def score_triplets(self, item: TripletItem) -> NDArray[np.float32]:
        """Scores of triplets, (N,), without bounds."""
        return next(self.score_triplets_in([item]))

    @torch.inference_mode()
    def score_triplets_in(self, batch: Sequence[object]) -> Iterator[NDArray[np.float32]]:
        """Scores of each ``TripletItem`` of a batch, in their order; all are computed in one go."""
        items = [item for item in batch if isinstance(item, TripletItem)]
        if not items:
            return iter(())
        places = normalised(np.concatenate([item.places for item in items]))
        tags = torch.from_numpy(np.concatenate([item.tags for item in items])).to(self.device)
        sums = self._image_part(np.concatenate([item.images for item in items])) + self._tag_parts[tags]
        sums += self.model.place_part(torch.from_numpy(places).to(self.device))
        scores = np.asarray(self.model.score_sums(sums).cpu().numpy(), np.float32)
        return iter(np.split(scores, np.cumsum([len(item.tags) for item in items])[:-1]))

    def _image_part(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        return self.model.image_part(torch.from_numpy(np.ascontiguousarray(vectors)).to(self.device))

    def _place(self, place: NDArray[np.float64] | None) -> torch.Tensor:
        at = np.zeros((1, 2), np.float32) if place is None else normalised(place)
        return self.model.place_part(torch.from_numpy(at).to(self.device), 0.0 if place is None else 1.0)

    def _stored(self, parts: CentredParts) -> CentredParts:
        return CentredParts(parts.part.to(self._dtype), parts.variance)

    def _scores(self, many: CentredParts, one: torch.Tensor) -> NDArray[np.float32]:
        return np.asarray(self.model.score(many, one).cpu().numpy(), np.float32)


def _chunks(vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return np.array_split(vectors, max(1, -(-len(vectors) // CHUNK)))
