"""Pictures drawn for the tests of style training."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from interplay.predictors.style_transfer.words import draw_words
from training.style_transfer.styles import StyleImage


@pytest.fixture(scope="session")
def styles() -> list[StyleImage]:
    """Two styles that no one takes for each other."""
    colours = {"neon": ((240, 40, 200), (10, 10, 60)), "chalk": ((240, 240, 230), (30, 80, 50))}
    return [
        StyleImage(name, "scene", draw_words("Word", 32, ink, paper).image, f"drawn {name}")
        for name, (ink, paper) in colours.items()
    ]


@pytest.fixture(scope="session")
def word_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of words in various colours."""
    folder, rng, paths = tmp_path_factory.mktemp("words"), np.random.default_rng(0), []
    for number, word in enumerate(("Hotel", "market", "24h", "Bakery")):
        ink, paper = rng.integers(0, 90, 3), rng.integers(160, 256, 3)
        image = draw_words(word, 40, tuple(map(float, ink)), tuple(map(float, paper))).image
        paths.append(folder / f"word_{number}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths
