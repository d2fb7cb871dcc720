"""Places look like themselves, and their neighbours; how often a spot is used does not change."""

from __future__ import annotations

import numpy as np
import pytest

from training.locsens.looks import AXES, draw_spots, place_accuracy, whitened

PHOTOS, SPOTS = 6000, 40
# Half of the spots are in Europe, half in Australia.
_RNG = np.random.default_rng(7)
EUROPE = np.arange(SPOTS) < SPOTS // 2
PLACES = np.where(EUROPE[:, None], (47.0, 7.0), (-30.0, 140.0)) + _RNG.uniform(-4, 4, size=(SPOTS, 2))
WEIGHTS = {(0,): 1 / (1.0 + np.arange(SPOTS)), (1,): np.where(np.arange(SPOTS) % 3, 1.0, 0.0)}
GROUP = _RNG.integers(2, size=PHOTOS)


@pytest.fixture(scope="module")
def looks() -> np.ndarray:
    return whitened(np.random.default_rng(0).normal(size=(PHOTOS, 2 * AXES)).astype(np.float32))


def drawn(looks: np.ndarray, strength: float) -> np.ndarray:
    groups = {(group,): np.flatnonzero(group == GROUP) for group in (0, 1)}
    return draw_spots(looks, groups, WEIGHTS, PLACES, np.random.default_rng(1), strength)


def test_whitened_rows_have_length_one_and_no_strongest_axis() -> None:
    spread = np.random.default_rng(0).normal(size=(PHOTOS, 2 * AXES)) * np.linspace(9, 1, 2 * AXES)
    found = whitened(spread.astype(np.float32) + 5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found.shape == (PHOTOS, AXES) and np.ptp(found.std(0)) < 0.02


@pytest.mark.parametrize("strength", [0.0, 16.0])
def test_spots_keep_their_share(looks: np.ndarray, strength: float) -> None:
    where = drawn(looks, strength)
    for group, weights in WEIGHTS.items():
        rows = np.flatnonzero(group[0] == GROUP)
        shares = np.bincount(where[rows], minlength=SPOTS) / len(rows)
        assert not shares[weights == 0].any()
        assert np.corrcoef(shares, weights)[0, 1] > 0.9
        np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.05)


def test_photos_of_a_spot_resemble_each_other_and_their_neighbours(looks: np.ndarray) -> None:
    def likeness(where: np.ndarray) -> tuple[float, float, float]:
        """Of photos of a spot, of spots of a region, of spots of different ones."""
        means = np.stack([looks[where == spot].mean(0) for spot in range(SPOTS)])
        alike = means @ means.T / np.outer(*2 * [np.linalg.norm(means, axis=1)])
        np.fill_diagonal(alike, np.nan)
        same = np.equal.outer(EUROPE, EUROPE)
        common = float(np.linalg.norm(means, axis=1).mean())
        return common, float(np.nanmean(alike[same])), float(np.nanmean(alike[~same]))

    common, region, elsewhere = likeness(drawn(looks, 16.0))
    by_chance = likeness(drawn(looks, 0.0))
    assert common > 1.5 * by_chance[0]
    assert region > elsewhere + 0.2 and abs(by_chance[1] - by_chance[2]) < 0.05


def test_places_can_be_told_from_looks(looks: np.ndarray) -> None:
    found = []
    for strength in (16.0, 0.0):
        where = drawn(looks, strength)
        found.append(place_accuracy(looks, where, PLACES[where], 4000))
    assert found[0]["2500"] > found[1]["2500"] + 0.02
    assert found[0]["200"] > found[1]["200"] + 0.03 and found[0]["1"] <= found[0]["2500"]
