"""DeepDream's way from size to size (Mordvintsev, Olah and Tyka, "Inceptionism", 2015; thesis 4.4.6).

A dream works on an image at several sizes, from small to large. What was painted at one size, the
detail, is carried over to the next, on top of the image at that size. Each step moves the picture a
little along the gradient of the aim. All of it is a function of the image, the plan and the number
of steps done, so a dream can be taken up again anywhere. No torch here: gradients come from
``interplay.predictors.embedding.inside``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.types import Image

LEAST_SIDE_PX = 32
Picture = NDArray[np.float32]  # (H, W, 3) RGB in [0, 255]


@dataclass(frozen=True)
class DreamPlan:
    """Sizes and steps of a dream.

    Attributes:
        height, width: Of the result, in pixels.
        octaves: Number of sizes.
        scale: Of a size to the one before.
        steps: At each size.
        rate: Mean change of a pixel in a step, of 255.
        jitter: Largest shift before a step, in pixels.
        seed: Of the shifts.
    """

    height: int
    width: int
    octaves: int = 4
    scale: float = 1.4
    steps: int = 10
    rate: float = 1.5
    jitter: int = 32
    seed: int = 0

    @classmethod
    def for_image(cls, height: int, width: int, side: int, **fields: float) -> DreamPlan:
        """The plan for an image, scaled so that its longer side is ``side``.

        Raises:
            InvalidParameter: The smallest size is too small.
        """
        ratio = side / max(height, width)
        plan = cls(max(1, round(height * ratio)), max(1, round(width * ratio)), **fields)  # type: ignore[arg-type]
        least = min(plan.size(0))
        if least < LEAST_SIDE_PX:
            raise InvalidParameter(
                f"the smallest of {plan.octaves} octaves has a side of {least} pixels; it must have "
                f"{LEAST_SIDE_PX}: take fewer octaves, a smaller octave_scale or a larger side",
                field="octaves",
            )
        return plan

    @property
    def total(self) -> int:
        """Steps at all sizes together."""
        return self.octaves * self.steps

    def size(self, octave: int) -> tuple[int, int]:
        """Height and width at a size, 0 the smallest."""
        factor = self.scale ** (self.octaves - 1 - octave)
        return round(self.height / factor), round(self.width / factor)

    def ends_octave(self, done: int) -> bool:
        """Whether a size is finished with this many steps."""
        return done > 0 and done % self.steps == 0

    def start(self, image: Image, done: int, picture: Image | Picture | None) -> Picture:
        """The picture before step ``done``.

        Args:
            image: The image that the dream began with, (H, W, 3) uint8.
            done: Steps done.
            picture: The picture after them; None if there are none.

        Raises:
            InvalidParameter: The picture is not of the size at which those steps end.
        """
        octave = done // self.steps
        ground = resize(image.astype(np.float32), self.size(octave))
        if picture is None:
            return ground
        before = (done - 1) // self.steps
        if picture.shape[:2] != self.size(before):
            height, width = self.size(before)
            raise InvalidParameter(
                f"the picture has {picture.shape[1]}×{picture.shape[0]} pixels; after {done} steps it has "
                f"{width}×{height}",
                field="picture",
            )
        if before == octave:
            return picture.astype(np.float32)
        detail = picture.astype(np.float32) - resize(image.astype(np.float32), self.size(before))
        return np.clip(ground + resize(detail, self.size(octave)), 0, 255).astype(np.float32)

    def shift(self, step: int) -> tuple[int, int]:
        """How far down and right the picture is moved before a step."""
        if self.jitter == 0:
            return 0, 0
        down, right = np.random.default_rng((self.seed, step)).integers(-self.jitter, self.jitter + 1, 2)
        return int(down), int(right)

    def climb(self, picture: Picture, gradient: NDArray[np.float32]) -> Picture:
        """The picture after a step along a gradient."""
        smooth = _smoothed(gradient)
        change = smooth * np.float32(self.rate / max(float(np.abs(smooth).mean()), 1e-12))
        return np.clip(picture + change, 0, 255).astype(np.float32)


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture at another height and width; averaged when made smaller."""
    if picture.shape[:2] == size:
        return picture
    smaller = size[0] < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=method), dtype=np.float32)


def _smoothed(gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    """The gradient with its coarse parts as strong as its fine ones, which would else be all that is seen."""
    parts = list(_bands(gradient))
    return np.asarray(sum(part / (part.std() + 1e-12) for part in parts), dtype=np.float32)


def _bands(gradient: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The gradient blurred more and more."""
    for sigma in (1.0, 2.5, 6.0):
        yield np.asarray(cv2.GaussianBlur(gradient, (0, 0), sigma), dtype=np.float32)
