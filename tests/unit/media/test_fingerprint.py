"""Difference hashes: the same picture in other clothes is near, another one is far."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from interplay.media.fingerprint import differing_bits, fingerprint
from interplay.media.images import decode, encode_jpeg
from tests.conftest import REPOSITORY_ROOT


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return decode((REPOSITORY_ROOT / "examples" / "street.jpg").read_bytes())


def test_scaled_compressed_and_brightened_pictures_stay_near(photo: np.ndarray) -> None:
    mark = fingerprint(photo)
    small = np.asarray(PillowImage.fromarray(photo).resize((320, 180), PillowImage.Resampling.BICUBIC))
    brighter = (photo.astype(np.float32) * 0.8 + 40).astype(np.uint8)
    for other in (small, decode(encode_jpeg(photo, 40)), brighter):
        assert differing_bits(mark, fingerprint(other)) <= 5


def test_other_pictures_are_far(photo: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    noise = [np.kron(rng.integers(0, 256, (9, 9, 3)), np.ones((9, 9, 1))).astype(np.uint8) for _ in range(20)]
    marks = [fingerprint(picture) for picture in (photo, photo[:, ::-1], *noise)]
    distances = [differing_bits(a, b) for i, a in enumerate(marks) for b in marks[i + 1 :]]
    assert min(distances) > 10


def test_a_mark_has_64_bits() -> None:
    rising = np.tile(np.arange(0, 255, dtype=np.uint8), (40, 1))[..., None].repeat(3, axis=2)
    assert fingerprint(rising) == 2**64 - 1 and fingerprint(rising[:, ::-1]) == 0
    assert fingerprint(np.full((1, 1, 3), 9, np.uint8)) == 0
