"""Noise on places stays on the globe, and goes over the pole and the date line as one would."""

import numpy as np
import pytest

from training.locsens.coordinates import check_places, sample_near


def test_no_noise_changes_nothing() -> None:
    places = np.array([[0.73, 0.51]])
    assert sample_near(places, 0, np.random.default_rng(0)) is places


@pytest.mark.parametrize("sigma", [0.001, 0.05, 1.0])
def test_all_stay_on_the_globe(sigma: float) -> None:
    rng = np.random.default_rng(1)
    places = np.concatenate([rng.random((2000, 2)), [[0, 0], [1, 1], [0, 1], [1, 0]]])
    near = sample_near(places, sigma, rng)
    assert near.shape == places.shape and near.min() >= 0 and near.max() <= 1


def test_the_spread_is_as_asked() -> None:
    places = np.full((20000, 2), 0.5)
    near = sample_near(places, 0.05, np.random.default_rng(2))
    assert near.std(0) == pytest.approx([0.05, 0.05], rel=0.03) and near.mean(0) == pytest.approx(
        [0.5, 0.5], abs=2e-3
    )


def test_longitude_wraps_and_latitude_goes_over_the_pole() -> None:
    """Near the north pole noise never leads to the south pole, which modulo 1 would."""
    near = sample_near(np.full((5000, 2), (0.995, 0.25)), 0.01, np.random.default_rng(3))
    assert near[:, 0].min() > 0.9
    over = np.abs(near[:, 1] - 0.75) < 0.1
    assert 0.2 < over.mean() < 0.45
    line = sample_near(np.full((5000, 2), (0.5, 0.999)), 0.01, np.random.default_rng(4))
    assert ((line[:, 1] > 0.9) | (line[:, 1] < 0.1)).all() and (line[:, 1] < 0.1).mean() > 0.3


def test_full_noise_says_nothing_of_the_place() -> None:
    rng = np.random.default_rng(5)
    one, other = (sample_near(np.full((20000, 2), at), 1.0, rng) for at in ((0.8, 0.5), (0.3, 0.2)))
    bins = [np.histogram2d(*part.T, bins=4, range=[[0, 1]] * 2)[0] / 20000 for part in (one, other)]
    assert np.abs(bins[0] - bins[1]).max() < 0.02


@pytest.mark.parametrize("bad", [(91, 0), (0, 181), (float("nan"), 0), (0, float("inf"))])
def test_places_off_the_globe_are_named(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="place 1 is latitude"):
        check_places(np.array([(0.0, 0.0), bad]))
