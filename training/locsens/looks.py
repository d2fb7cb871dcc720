"""Looks of spots: photos of one place resemble each other, as real ones do.

Rules put photos where their captions belong, but nothing in a street of Lisbon would look like Lisbon. Real
photos do tell their place: of photos of YFCC100M PlaNet finds 6 % to within 1 km, 14 % within 25, 22 %
within 200, 36 % within 750 and 56 % within 2,500 km (on YFCC4k, as later papers report it). So every spot is
given the look of one photo that fits it, mixed with those of the spots around, and among the spots that a
photo's caption allows those whose look is nearer to the photo are likelier. How well places can be told by
them is in docs/locsens-world.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from training.embedding.data import load_part
from training.locsens.protocol import distance_km

AXES = 64
STRENGTH = 16.0  # of looks: a photo as near as 0.15 (cosine) to a spot's look is 11 times as likely there
REGION_KM, REGION = 1500.0, 2.0  # how far looks of spots resemble each other, and a region's weight in a look
_ROUNDS = 20  # until looks leave the shares of spots as they were
PLANET = {"1": 0.056, "25": 0.143, "200": 0.222, "750": 0.364, "2500": 0.558}


def read_looks(features: Path, parts: Sequence[str], names: Sequence[str]) -> NDArray[np.float32]:
    """Features of photos in a common whitened space, of length one.

    Args:
        features: folder of `training.embedding.features`.
        parts: that have the photos.
        names: ids of the photos.

    Returns:
        (N, AXES).

    Raises:
        FileNotFoundError: the folder lacks a part.
        KeyError: a photo is in none of them.
    """
    rows: dict[str, NDArray] = {}
    for part in parts:
        rows |= dict(
            zip((item.id for item in load_part(part)), np.load(features / f"{part}.npy")[:, 0], strict=True)
        )
    return whitened(np.stack([rows[name] for name in names]))


def whitened(features: NDArray) -> NDArray[np.float32]:
    """(N, F) features along their `AXES` strongest axes, each with the same spread; rows of length one."""
    centred = features.astype(np.float32) - features.mean(0, dtype=np.float64).astype(np.float32)
    values, axes = np.linalg.eigh(np.cov(centred.T))
    strongest = np.argsort(-values)[:AXES]
    vectors = centred @ (axes[:, strongest] / np.sqrt(np.maximum(values[strongest], 1e-9)))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def draw_spots(
    looks: NDArray[np.float32],
    groups: Mapping[tuple[int, ...], Sequence[int]],
    weights: Mapping[tuple[int, ...], NDArray[np.float64]],
    places: NDArray[np.float64],
    rng: np.random.Generator,
    strength: float = STRENGTH,
) -> NDArray[np.int64]:
    """The spot of every photo: by its group's weights, and by how near it is to the spot's look.

    A look leaves the share of a spot within a group as the weights have it.

    Args:
        looks: (N, AXES) of the photos, see `read_looks`.
        groups: photos whose captions match the same rules.
        weights: (S,) of the spots for each group.
        places: (S, 2) degrees, of the spots.
        rng: decides.
        strength: of looks; 0 leaves it to the weights.
    """
    count = len(next(iter(weights.values())))
    # A look is a photo's that the spot may have: one of a group, and of it any.
    share = np.stack([weights[group] / weights[group].sum() * len(rows) for group, rows in groups.items()])
    share /= np.maximum(share.sum(0), 1e-12)
    members = list(groups.values())
    anchors = [
        int(rng.choice(members[rng.choice(len(members), p=share[:, spot] / share[:, spot].sum())]))
        if share[:, spot].any()
        else 0
        for spot in range(count)
    ]
    own = looks[anchors]
    away = np.stack([distance_km(place, places) for place in places])
    region = np.exp(-away / REGION_KM) @ own
    spot_looks = own + REGION * region / _lengths(region)
    spot_looks /= _lengths(spot_looks)
    where = np.zeros(len(looks), np.int64)
    for group, rows in groups.items():
        with np.errstate(divide="ignore"):
            chances = np.log(weights[group]) + strength * looks[rows] @ spot_looks.T  # (rows, S)
            share = np.log(weights[group] / weights[group].sum())
        allowed = np.isfinite(share)
        for _ in range(_ROUNDS if strength else 0):
            drawn = np.exp(chances - logsumexp(chances, axis=1, keepdims=True)).mean(0)
            chances[:, allowed] += share[allowed] - np.log(np.maximum(drawn[allowed], 1e-9))
        where[rows] = np.argmax(chances + rng.gumbel(size=chances.shape), axis=1)
    return where


def place_accuracy(
    looks: NDArray[np.float32], where: NDArray, places: NDArray[np.float64], train: int
) -> dict[str, float]:
    """How well places can be told from looks alone, to compare with `PLANET`.

    A ridge regression of the spots on the looks of the first photos; of the others the middle of the best
    spot's photos is what it says.

    Args:
        looks: (N, AXES).
        where: (N,) spots.
        places: (N, 2) degrees.
        train: how many photos the regression is fitted on.

    Returns:
        Distance in km to the part of the other photos that are found within it.
    """
    spots = np.unique(where)
    told = np.equal.outer(where[:train], spots).astype(np.float32)
    inputs = np.concatenate([looks, np.ones((len(looks), 1), np.float32)], 1)
    gram = inputs[:train].T @ inputs[:train] + np.eye(inputs.shape[1], dtype=np.float32)
    best = np.argmax(inputs[train:] @ np.linalg.solve(gram, inputs[:train].T @ told), axis=1)
    middles = np.stack([np.median(places[where == spot], axis=0) for spot in spots])
    away = np.array([distance_km(a, b[None])[0] for a, b in zip(middles[best], places[train:], strict=True)])
    return {km: round(float((away <= float(km)).mean()), 4) for km in PLANET}


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 1), never zero."""
    return np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
