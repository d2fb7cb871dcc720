"""Places as the network sees them, and the noise that location sampling lays over them (thesis 5.3.2)."""

import numpy as np


def check_places(places: np.ndarray) -> np.ndarray:
    """(N, 2) float64 of latitudes and longitudes in degrees.

    Raises:
        ValueError: one is not finite or out of range; the message names the first.
    """
    places = np.asarray(places, np.float64).reshape(-1, 2)
    limits = np.array([90.0, 180.0])
    bad = ~np.isfinite(places).all(1) | (np.abs(places) > limits).any(1)
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        latitude, longitude = places[number]
        raise ValueError(
            f"place {number} is latitude {latitude}, longitude {longitude}; "
            "they must be within -90 to 90 and -180 to 180 degrees"
        )
    return places


def sample_near(normalised: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Places with normal noise of a standard deviation on each normalised axis.

    Longitude wraps around, as it does on the globe. The thesis's code lets latitude wrap, too, so that a
    place near one pole can come out at the other; here one that is carried over a pole comes down on its
    other side, half a turn away in longitude.

    Args:
        normalised: (N, 2) in [0, 1].
        sigma: standard deviation; 0.01 is 1.8 degrees of latitude and 3.6 of longitude. At 1 the result says
            next to nothing of the place.
        rng: of the noise.

    Returns:
        (N, 2) in [0, 1].
    """
    if sigma == 0:
        return normalised
    latitude, longitude = (normalised + rng.normal(scale=sigma, size=normalised.shape)).T
    # Up one side of the globe and down the other is a period of two.
    round_trip = latitude % 2
    over = round_trip > 1
    return np.stack([np.where(over, 2 - round_trip, round_trip), (longitude + 0.5 * over) % 1], axis=1)
