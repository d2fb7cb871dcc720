"""Images in memory: their order, and which are near a place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interplay.index.catalogue import Spec
from interplay.index.entries import Circle, Place, distance_m
from interplay.models.locsens import CentredParts
from services.locsens.table import Stamp, Table

STAMP = Stamp(Spec.new("photos", "one", 8, "space"), 500, 0)


def table_of(places: np.ndarray, seed: int = 0) -> tuple[Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(places), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    parts = CentredParts(torch.from_numpy(2 * vectors), torch.from_numpy(vectors[:, :2].copy()))
    points = [f"p{row}" for row in range(len(places))]
    return Table.of(STAMP, 0.0, points, vectors, places, parts), vectors


def scattered(count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)], 1)


def test_rows_stay_together_whatever_the_order() -> None:
    places = scattered(40)
    places[7] = places[21] = np.nan
    table, vectors = table_of(places)
    assert len(table) == 40 and set(table.points[-2:]) == {"p7", "p21"} and len(table.where) == 38
    for row, point in enumerate(table.points):
        was = int(point[1:])
        assert table.rows[point] == row
        np.testing.assert_array_equal(table.vectors[row], vectors[was])
    chosen = np.array([table.rows["p3"], table.rows["p21"]])
    np.testing.assert_array_equal(table.vectors_of(chosen), vectors[[3, 21]])
    np.testing.assert_array_equal(table.parts_of(chosen).part, 2 * vectors[[3, 21]])
    np.testing.assert_array_equal(table.parts_of(chosen).variance, vectors[[3, 21], :2])


@pytest.mark.parametrize("distance", [50_000.0, 300_000.0, 9_000_000.0, 20_015_000.0])
@pytest.mark.parametrize(
    "place", [Place(41.4, 2.2), Place(90, 0), Place(-89.9, 170), Place(0, 180), Place(12, -179.99)]
)
def test_near_is_what_the_distance_says(place: Place, distance: float) -> None:
    places = np.concatenate(
        [scattered(3000), scattered(500) * 0.01 + [place.latitude * 0.99, place.longitude * 0.99]]
    )
    places[::50] = np.nan
    table, vectors = table_of(places)
    direction = vectors[0]
    inside = [
        row
        for row, (latitude, longitude) in enumerate(places)
        if np.isfinite(latitude) and distance_m(place, Place(latitude, longitude)) <= distance
    ]
    wanted = sorted(inside, key=lambda row: -float(vectors[row] @ direction))[:20]
    found = table.nearest_within(direction, 20, Circle(place, distance))
    assert [table.points[row] for row in found] == [f"p{row}" for row in wanted]


def test_nothing_near_and_no_places_at_all() -> None:
    table, vectors = table_of(np.full((5, 2), np.nan))
    assert len(table.nearest_within(vectors[0], 3, Circle(Place(0, 0), 300_000.0))) == 0
    table, vectors = table_of(np.array([[80.0, 0.0]]))
    assert len(table.nearest_within(vectors[0], 3, Circle(Place(0, 0), 300_000.0))) == 0
    empty, _ = table_of(np.zeros((0, 2)))
    assert len(empty) == len(empty.nearest_within(vectors[0], 3, Circle(Place(0, 0), 300_000.0))) == 0
