"""Scores of image, tag and place, with what can be computed once computed once.

The network's first layer is linear in its three inputs, so an image, a tag and a place each have a part of it
that does not depend on the others. Parts of images are computed when they are indexed, those of tags when the
model is loaded, the place's with the query. What is left is the rest of the network, in large batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.errors import InternalError, InvalidParameter
from interplay.models.locsens import LocSens, build_locsens
from interplay.predictors.device import choose_device, choose_dtype
from interplay.store import StoredModel

_CHUNK = 8192  # triplets of a batch: its largest layer stays in the cache of a core or two
_LIMITS = (90.0, 180.0)


def check_place(latitude: float, longitude: float, field: str = "place") -> tuple[float, float]:
    """A place in degrees, as it is.

    On a pole every longitude is the same place; -180 and 180 are.

    Raises:
        InvalidParameter: A number is not finite or out of range; the message names it and, where the two look
            swapped, says so.
    """
    values = {"latitude": (latitude, _LIMITS[0]), "longitude": (longitude, _LIMITS[1])}
    for name, (value, limit) in values.items():
        if not np.isfinite(value):
            raise InvalidParameter(f"{name} is {value}; it must be a number", field=f"{field}.{name}")
        if abs(value) > limit:
            hint = ""
            if name == "latitude" and abs(latitude) <= _LIMITS[1] and abs(longitude) <= _LIMITS[0]:
                hint = "; are latitude and longitude swapped?"
            raise InvalidParameter(
                f"{name} is {value:g}; it must be within -{limit:g} to {limit:g} degrees{hint}",
                field=f"{field}.{name}",
            )
    return float(latitude), float(longitude)


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
        self.device = device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.model = model.eval().requires_grad_(False).to(device)
        with torch.inference_mode():
            self._tags = self.model.tag_part(torch.from_numpy(np.ascontiguousarray(tags)).to(device))
        self.model.rest_to(self.dtype)

    @classmethod
    def load(
        cls, stored: StoredModel, tags: NDArray[np.float32], *, device: str = "auto", dtype: str | None = None
    ) -> TripletScorer:
        """Build the network of a verified store entry and load its weights.

        Args:
            stored: The scorer.
            tags: (V, D) vectors of the vocabulary that it was trained with.
            device: ``auto``, ``cpu`` or ``cuda``.
            dtype: Number type of inference; what suits the device if None.

        Raises:
            InternalError: The weights do not fit.
        """
        from safetensors.torch import load_file

        try:
            model = build_locsens(stored.manifest.config)
            model.load_state_dict({key: value.float() for key, value in load_file(stored.weights).items()})
        except (ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold a LocSens network: {error}") from error
        chosen = choose_device(device)
        return cls(model, tags, device=chosen, dtype=dtype or choose_dtype(chosen))

    @property
    def vocabulary(self) -> int:
        """Number of tags."""
        return len(self._tags)

    @torch.inference_mode()
    def image_parts(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        """(N, D) vectors of images, of length one, to what they add to the first layer, (N, W)."""
        chunks = [
            self.model.image_part(torch.from_numpy(np.ascontiguousarray(chunk)).to(self.device))
            for chunk in np.array_split(vectors, max(1, -(-len(vectors) // _CHUNK)))
        ]
        return torch.cat(chunks).to(self.dtype)

    @torch.inference_mode()
    def score_images(
        self, images: torch.Tensor, tags: Sequence[int], place: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        """Scores of images for tags at a place.

        Args:
            images: (N, W), see ``image_parts``.
            tags: Numbers in the vocabulary; the scores of several are averaged.
            place: (2,) degrees; None silences the place.

        Returns:
            (N,) without bounds.
        """
        parts = [self._tags[[tag]] + self._place(place) for tag in tags]
        return np.mean([self._scores(images, part.to(self.dtype)) for part in parts], axis=0)

    @torch.inference_mode()
    def score_tags(
        self, image: torch.Tensor, place: NDArray[np.float64] | None, tags: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Scores of tags for an image at a place.

        Args:
            image: (1, W), see ``image_parts``.
            place: (2,) degrees; None silences the place.
            tags: Numbers in the vocabulary; all by default.

        Returns:
            (V,) or one for each of ``tags``, without bounds.
        """
        wanted = self._tags if tags is None else self._tags[torch.from_numpy(tags).to(self.device)]
        return self._scores(wanted.to(self.dtype), image + self._place(place).to(self.dtype))

    def _place(self, place: NDArray[np.float64] | None) -> torch.Tensor:
        at = np.zeros((1, 2), np.float32) if place is None else normalised(place)
        return self.model.place_part(torch.from_numpy(at).to(self.device), 0.0 if place is None else 1.0)

    def _scores(self, many: torch.Tensor, one: torch.Tensor) -> NDArray[np.float32]:
        scores = [self.model.rest(chunk + one) for chunk in many.split(_CHUNK)]
        return torch.cat(scores).float().cpu().numpy()
