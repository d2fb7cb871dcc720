"""Images become the input of a backbone."""

from __future__ import annotations

import numpy as np
import torch

from interplay.predictors.pictures import PictureInput, fit
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
