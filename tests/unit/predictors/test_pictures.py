"""Images become the input of a backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interplay.predictors.pictures import PictureInput, fit, square
from interplay.store import Preprocessing

SIDE = 32


def test_images_are_fitted_to_a_square() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((20, 90), (SIDE, SIDE), (70, 8)):
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert fit(picture, SIDE).shape == (SIDE, SIDE, 3)
    flat = np.full((300, 20, 3), 77, dtype=np.uint8)
    assert (fit(flat, SIDE) == 77).all()


def test_the_input_is_normalised() -> None:
    pictures = PictureInput(SIDE, Preprocessing(), device="cpu", dtype=torch.float32)
    x = pictures.tensor([np.full((40, 50, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)])
    assert x.shape == (2, 3, SIDE, SIDE)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(x[0, :, 3, 4], (1 - mean) / std, rtol=1e-5)
    np.testing.assert_allclose(x[1, :, 3, 4], -mean / std, rtol=1e-5)


@pytest.mark.parametrize("shape", [(60, 100), (100, 60)])
def test_the_middle_is_seen_at_the_size_of_the_shorter_side(shape: tuple[int, int]) -> None:
    """A shorter side of 60 seen as 40 of which 32 are taken: the 48 pixels in the middle."""
    picture = np.zeros((*shape, 3), np.uint8)
    top, left = (shape[0] - 48) // 2, (shape[1] - 48) // 2
    picture[top : top + 48, left : left + 48] = (255, 128, 0)
    norm = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))
    pictures = PictureInput(SIDE, norm, device="cpu", dtype=torch.float32, short_side=40)
    x = pictures.tensor([picture])
    assert x.shape == (1, 3, SIDE, SIDE)
    for channel, value in enumerate((1, 128 / 255, 0)):
        np.testing.assert_allclose(x[0, channel], value, atol=1e-6)


def test_squares_lie_where_they_are_wanted() -> None:
    picture = np.arange(10 * 20).reshape(10, 20, 1).repeat(3, 2).astype(np.uint8)
    assert (square(picture, 0.5, (0, 0)) == picture[:5, :5]).all()
    assert (square(picture, 0.5, (1, 1)) == picture[5:, 15:]).all()
    assert (square(picture, 1) == picture[:, 5:15]).all()
    assert square(picture[:1], 0.1).shape == (1, 1, 3)


def test_long_images_cost_no_more_than_their_middle() -> None:
    pictures = PictureInput(SIDE, Preprocessing(), device="cpu", dtype=torch.float32, short_side=40)
    assert pictures.tensor([np.zeros((1, 60_000, 3), np.uint8)]).shape == (1, 3, SIDE, SIDE)


def test_the_square_must_fit() -> None:
    with pytest.raises(ValueError, match="short_side must be 32 .* or more, not 31"):
        PictureInput(SIDE, Preprocessing(), device="cpu", dtype=torch.float32, short_side=31)
