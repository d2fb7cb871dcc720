"""Difference hashes: near-duplicates of a picture have nearly the same one."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage

from interplay.types import Image

_SIDE = 8


def fingerprint(image: Image) -> int:
    """64 bits: whether each of 8×8 cells of the grey picture is darker than the one to its right.

    Scaling, compression and changes of brightness leave nearly all of them as they are.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = PillowImage.fromarray(image).convert("L")
    small = np.asarray(grey.resize((_SIDE + 1, _SIDE), PillowImage.Resampling.BOX), dtype=np.int16)
    bits = (small[:, :-1] < small[:, 1:]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def differing_bits(one: int, other: int) -> int:
    """How many of the 64 bits differ."""
    return (one ^ other).bit_count()
