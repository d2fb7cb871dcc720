"""Spots: places where many photos are taken, chosen among real photo coordinates.

Photos are not spread evenly: a few spots have most of them. So a world has some four hundred spots; each is
a real photo coordinate that fits its kind, drawn evenly, so that spots lie where real photos do. Within a
kind popularity falls with rank by Zipf's law; the more real photos lie within 25 km of a spot, the higher its
rank tends to be.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.locsens.places import Gazetteer, Surroundings, chord, moved, unit_vectors
from training.locsens.rules import KINDS, RULES

DENSITY_KM = 25.0
ZIPF = 1.0
RANK_NOISE = 0.8
AT_LEAST = 2  # spots that a rule finds which allows only certain countries or cities


@dataclass(frozen=True)
class Spots:
    """N spots.

    Attributes:
        kind: name of the kind, see `rules.KINDS`.
        popularity: relative number of photos within the kind.
        at: facts of their middles.
        city: GeoNames name of the city, empty outside cities.
    """

    kind: NDArray[np.str_]
    popularity: NDArray[np.float64]
    at: Surroundings
    city: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.kind)


def read_coordinates(file: Path) -> NDArray[np.float64]:
    """Latitudes and longitudes, [N, 2] in degrees, of a CSV with the header LAT,LON."""
    return np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2)


def choose_spots(gazetteer: Gazetteer, coordinates: NDArray, rng: np.random.Generator) -> Spots:
    """Choose the spots of every kind.

    Args:
        gazetteer: names and facts.
        coordinates: real photo coordinates, [N, 2] in degrees.
        rng: decides.

    Raises:
        ValueError: no coordinate suits a kind.
    """
    at = gazetteer.describe(coordinates[:, 0], coordinates[:, 1])
    points = unit_vectors(at.latitude, at.longitude)
    near = cKDTree(points).query_ball_point(points, chord(DENSITY_KM), return_length=True)
    cities = np.array([gazetteer.cities[row]["name"] if row >= 0 else "" for row in at.city])
    chosen: list[int] = []
    kinds: list[str] = []
    popularity: list[float] = []
    for name, kind in KINDS.items():
        weights = np.asarray(kind.where(at), float)
        if not weights.any():
            raise ValueError(f"none of the {len(at.latitude)} coordinates suits a spot of kind {name}")
        rows = _draw(weights, kind.spots, rng)
        for rule in RULES:
            rows += _missing(rule.countries, at.country, rule.kinds.get(name, 0.0), weights, rows, rng)
            rows += _missing(rule.cities, cities, rule.kinds.get(name, 0.0), weights, rows, rng)
        order = np.argsort(-near[rows] * rng.lognormal(0, RANK_NOISE, len(rows)))
        chosen += [rows[place] for place in order]
        kinds += [name] * len(rows)
        popularity += list((1.0 + np.arange(len(rows))) ** -ZIPF)
    rows = np.array(chosen)
    return Spots(np.array(kinds), np.array(popularity), at.take(rows), cities[rows])


def scatter(spots: Spots, rows: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Coordinates of photos taken at spots.

    Args:
        spots: the spots.
        rows: spot of each photo, [N].
        rng: decides.

    Returns:
        Latitudes and longitudes, [N] each: half of them nearer to the middle than the kind's `spread_km`.
    """
    spread = np.array([KINDS[name].spread_km for name in spots.kind])[rows]
    km = np.minimum(spread * rng.lognormal(0, 0.8, len(rows)), 8 * spread)
    bearing = rng.uniform(0, 2 * np.pi, len(rows))
    return moved(spots.at.latitude[rows], spots.at.longitude[rows], km, bearing)


def _draw(weights: NDArray, count: int, rng: np.random.Generator) -> list[int]:
    able = np.flatnonzero(weights)
    count = min(count, len(able))
    return [int(row) for row in rng.choice(able, count, replace=False, p=weights[able] / weights[able].sum())]


def _missing(
    factors: dict[str, float],
    values: NDArray,
    share: float,
    weights: NDArray,
    rows: list[int],
    rng: np.random.Generator,
) -> list[int]:
    """Further spots for a rule of this kind that allows only what `factors` name."""
    if not share or factors.get("*", 1.0) > 0.05:
        return []
    allowed = np.isin(values, [name for name, factor in factors.items() if name != "*" and factor > 0])
    lacking = AT_LEAST - int(allowed[rows].sum())
    left = weights * allowed
    left[rows] = 0
    return _draw(left, lacking, rng) if lacking > 0 and left.any() else []
