"""Tags used near places, from the photos of the training set; see `interplay.predictors.locsens.near`."""

import numpy as np

from interplay.predictors.locsens.near import STORED_DEGREES, unit_vectors
from training.locsens.data import TaggedPhotos

CELL_KM = 50.0
TAGS = 96
_EARTH_KM = 6371.0088


def near_tags(photos: TaggedPhotos, *, cell_km: float = CELL_KM, tags: int = TAGS) -> dict[str, np.ndarray]:
    """Cells of photos that lie together, and the tags most used in each.

    Photos are taken in turn, those of the places with the most photos first: one that is farther than
    `cell_km` from every cell begins a cell.

    Args:
        photos: training set.
        cell_km: from the middle of a cell to its photos, at most.
        tags: of a cell, at most.

    Returns:
        "near.centres": (C, 2) int16 in units of `STORED_DEGREES`; "near.tags": (C, tags) int16, most used
        first, -1 fills up.
    """
    places, counts = np.unique(np.round(photos.places, 1), axis=0, return_counts=True)
    points = unit_vectors(places)
    least = np.cos(cell_km / _EARTH_KM)
    centres: list[int] = []
    for row in np.argsort(-counts, kind="stable"):
        if not centres or (points[centres] @ points[row]).max() < least:
            centres.append(int(row))
    cell = np.argmax(unit_vectors(photos.places) @ points[centres].T, axis=1)
    used = np.zeros((len(centres), len(photos.vocabulary)), np.int64)
    for own, row in zip(photos.tags, cell, strict=True):
        used[row, own] += 1
    kept = min(tags, used.shape[1])
    order = np.argsort(-used, axis=1, kind="stable")[:, :kept]
    order[np.take_along_axis(used, order, 1) == 0] = -1
    return {
        "near.centres": np.rint(places[centres] / STORED_DEGREES).astype(np.int16),
        "near.tags": order.astype(np.int16 if used.shape[1] < 2**15 else np.int32),
    }
