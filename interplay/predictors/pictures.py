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

    Attributes:
        side: Of the input, in pixels.
    """

    def __init__(self, side: int, preprocessing: Preprocessing, *, device: str, dtype: torch.dtype) -> None:
        self.side = side
        self._device, self._dtype = device, dtype
        std = np.array(preprocessing.std, dtype=np.float32)
        shift = np.array(preprocessing.mean, dtype=np.float32) / std
        self._scale = torch.from_numpy(1 / (255 * std)).to(device).view(1, 3, 1, 1)
        self._shift = torch.from_numpy(shift.astype(np.float32)).to(device).view(1, 3, 1, 1)

    def tensor(self, images: Sequence[Image]) -> torch.Tensor:
        """Images, (H, W, 3) uint8 each, to (N, 3, side, side); the aspect is ignored, as the thesis does."""
        return self.normalise(torch.from_numpy(np.stack([fit(image, self.side) for image in images])))

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) RGB in [0, 255] to (N, 3, side, side) as the backbone wants it, there."""
        x = pictures.to(self._device).permute(0, 3, 1, 2)
        return (x * self._scale - self._shift).to(self._dtype)


def fit(image: Image, side: int) -> Image:
    """The image resized to a square; a large one is averaged, a small one interpolated."""
    if image.shape[:2] == (side, side):
        return image
    smaller = image.shape[0] > side and image.shape[1] > side
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=method))
