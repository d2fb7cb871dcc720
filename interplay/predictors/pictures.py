"""Decoded images to the input of a backbone of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from interplay.store import Preprocessing
from interplay.types import Image


class PictureInput:
    """Makes the input of a backbone.

    Args:
        side: Of the input, in pixels.
        preprocessing: Of the manifest.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of inference.
        short_side: If given, images are seen as if brought to this shorter side, and the square in the
            middle is taken; the whole image is squeezed to a square if None.

    Attributes:
        side: Of the input, in pixels.

    Raises:
        ValueError: The square is larger than the image would be.
    """

    def __init__(
        self,
        side: int,
        preprocessing: Preprocessing,
        *,
        device: str,
        dtype: torch.dtype,
        short_side: int | None = None,
    ) -> None:
        if short_side is not None and short_side < side:
            raise ValueError(f"short_side must be {side} (the input's side) or more, not {short_side}")
        self.side = side
        self._share = None if short_side is None else side / short_side
        self._device, self._dtype = device, dtype
        std = np.array(preprocessing.std, dtype=np.float32)
        shift = np.array(preprocessing.mean, dtype=np.float32) / std
        self._scale = torch.from_numpy(1 / (255 * std)).to(device).view(1, 3, 1, 1)
        self._shift = torch.from_numpy(shift.astype(np.float32)).to(device).view(1, 3, 1, 1)

    def tensor(self, images: Sequence[Image]) -> torch.Tensor:
        """Images, (H, W, 3) uint8 each, to (N, 3, side, side).

        Without ``short_side`` the aspect is ignored, as thesis 4.3 does.
        """
        if self._share is not None:
            images = [square(image, self._share) for image in images]
        return self.normalise(torch.from_numpy(np.stack([fit(image, self.side) for image in images])))

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) RGB in [0, 255] to (N, 3, side, side) as the backbone wants it, there."""
        x = pictures.to(self._device).permute(0, 3, 1, 2)
        return (x * self._scale - self._shift).to(self._dtype)


def square(image: Image, share: float, place: tuple[float, float] = (0.5, 0.5)) -> Image:
    """A square part of an image, before it is resized: a long image costs no more than a square one.

    Args:
        image: (H, W, 3).
        share: The square's side by the image's shorter side, above 0 and at most 1.
        place: Where it is, down and right: 0 = at the start, 1 = at the end, 0.5 = in the middle.
    """
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * share))
    top, left = round(place[0] * (height - side)), round(place[1] * (width - side))
    return image[top : top + side, left : left + side]


def fit(image: Image, side: int) -> Image:
    """The image resized to a square; a large one is averaged, a small one interpolated."""
    if image.shape[:2] == (side, side):
        return image
    smaller = image.shape[0] > side and image.shape[1] > side
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=method))
