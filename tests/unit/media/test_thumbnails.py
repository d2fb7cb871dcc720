"""Thumbnails: small, in shape, and of the same colours."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.media.images import decode
from interplay.media.thumbnails import encode_thumbnail
from tests.conftest import REPOSITORY_ROOT


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return decode((REPOSITORY_ROOT / "examples" / "street.jpg").read_bytes())


@pytest.mark.parametrize("side", [400, 256, 64])
def test_they_keep_shape_and_colours(photo: np.ndarray, side: int) -> None:
    small = decode(encode_thumbnail(photo, side))
    assert small.shape == (round(photo.shape[0] * side / photo.shape[1]), side, 3)
    assert small.mean((0, 1)) == pytest.approx(photo.mean((0, 1)), abs=1.5)


def test_a_small_picture_stays_as_it_is(photo: np.ndarray) -> None:
    assert decode(encode_thumbnail(photo[:10, :20], 256)).shape == (10, 20, 3)
    assert decode(encode_thumbnail(np.zeros((1, 900, 3), np.uint8), 256)).shape == (1, 256, 3)
