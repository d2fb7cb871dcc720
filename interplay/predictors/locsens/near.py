"""Which tags are used near a place: candidates that the image alone would not suggest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EARTH_KM = 6371.0088
RADIUS_KM = 150.0
STORED_DEGREES = 0.1  # unit of the centres in a model store, where they are whole numbers


class NearTags:
    """Tags of cells of the globe, and those near a place.

    Args:
        centres: (C, 2) degrees, middle of each cell's photos.
        tags: (C, K) numbers in the vocabulary, most used first; -1 fills up.

    Raises:
        ValueError: There is no cell, or the shapes differ.
    """

    def __init__(self, centres: NDArray[np.floating], tags: NDArray[np.int16]) -> None:
        if not len(centres) or len(centres) != len(tags) or centres.shape[1:] != (2,):
            raise ValueError(f"cells of shape {centres.shape} with tags of shape {tags.shape}")
        self._points = unit_vectors(centres)
        self._tags = tags.astype(np.int64)

    def near(self, place: NDArray[np.float64]) -> NDArray[np.int64]:
        """Numbers of the tags of all cells within ``RADIUS_KM`` of a place, or of the nearest one; sorted.

        Args:
            place: (2,) degrees.
        """
        away = self._points @ unit_vectors(np.asarray(place)[None])[0]
        cells = np.flatnonzero(away >= np.cos(RADIUS_KM / _EARTH_KM))
        if not len(cells):
            cells = np.array([int(np.argmax(away))])
        tags = np.unique(self._tags[cells])
        return tags[tags >= 0]


def unit_vectors(places: NDArray) -> NDArray[np.float64]:
    """(N, 2) degrees to (N, 3) points of the unit sphere: poles and the date line are nothing special."""
    latitude, longitude = np.radians(np.asarray(places, np.float64)).T
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )
