"""The gazetteer, the spots and one small world that the tests share."""

from pathlib import Path

import numpy as np
import pytest

from training.locsens.places import Gazetteer
from training.locsens.spots import Spots, choose_spots, read_coordinates
from training.locsens.world import World, make_world


@pytest.fixture(scope="session")
def gazetteer(shared_data: Path) -> Gazetteer:
    return Gazetteer((shared_data / "geo" / "vocab_words_100k.txt").read_text(encoding="utf-8").split())


@pytest.fixture(scope="session")
def spots(shared_data: Path, gazetteer: Gazetteer) -> Spots:
    coordinates = read_coordinates(shared_data / "geo" / "coordinates_100K.csv")
    return choose_spots(gazetteer, coordinates, np.random.default_rng(5))


@pytest.fixture(scope="session")
def world(shared_data: Path) -> World:
    """From the 2,600 photos of the data folder, which all have who run this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("INTERPLAY_EXTRA_PHOTOS", raising=False)
        return make_world(shared_data, seed=3)
