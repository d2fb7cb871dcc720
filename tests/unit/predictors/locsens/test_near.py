"""Tags used near a place: all cells within reach, over the date line and the poles too."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.predictors.locsens.near import NearTags

CENTRES = np.array([[41.4, 2.2], [41.9, 2.8], [-17.8, 179.5], [89.5, 10.0]], np.float32)
TAGS = np.array([[4, 1, -1], [1, 7, -1], [9, 3, 2], [5, -1, -1]], np.int16)


@pytest.mark.parametrize(
    ("place", "tags"),
    [
        ((41.5, 2.3), [1, 4, 7]),  # two cells
        ((-17.8, -179.7), [2, 3, 9]),  # over the date line
        ((89.6, -170.0), [5]),  # over the pole
        ((90.0, 123.0), [5]),
        ((-40.0, 170.0), [2, 3, 9]),  # none within reach: the nearest
    ],
)
def test_cells_within_reach(place: tuple[float, float], tags: list[int]) -> None:
    found = NearTags(CENTRES, TAGS).near(np.array(place))
    assert found.tolist() == tags and found.dtype == np.int64


def test_cells_and_tags_must_fit() -> None:
    with pytest.raises(ValueError, match="cells of shape"):
        NearTags(CENTRES, TAGS[:2])
    with pytest.raises(ValueError, match="cells of shape"):
        NearTags(CENTRES[:0], TAGS[:0])
