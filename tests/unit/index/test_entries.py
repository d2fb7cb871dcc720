"""Places, boxes, circles and filters say what is wrong with them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from interplay.errors import InvalidParameter
from interplay.index.entries import Box, Circle, Entry, Filter, Place, distance_m, point_id


@pytest.mark.parametrize(
    ("latitude", "longitude", "message"),
    [
        (90.1, 0, "latitude is 90.1; it must be between -90 and 90"),
        (math.nan, 0, "latitude is nan"),
        (0, 180.5, "longitude is 180.5; it must be between -180 and 180"),
        (0, math.inf, "longitude is inf"),
        (-122.4, 37.8, "latitude comes first, are the two swapped"),
    ],
)
def test_what_is_no_place(latitude: float, longitude: float, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        Place(latitude, longitude)


@pytest.mark.parametrize("place", [Place(90, 180), Place(-90, -180), Place(0, 0)])
def test_edges_of_the_world_are_places(place: Place) -> None:
    assert distance_m(place, place) == 0


@pytest.mark.parametrize("radius", [0, -1, math.nan, 3e7])
def test_what_is_no_radius(radius: float) -> None:
    with pytest.raises(InvalidParameter, match="radius is .* m; it must be above 0"):
        Circle(Place(0, 0), radius)


def test_a_box_has_its_north_above() -> None:
    with pytest.raises(InvalidParameter, match="south is 10, above north 5"):
        Box(10, 0, 5, 1)


def test_times_have_an_offset_and_an_order() -> None:
    with pytest.raises(InvalidParameter, match="has no offset"):
        Filter(after=datetime(2020, 1, 1))
    with pytest.raises(InvalidParameter, match="is not before"):
        Filter(after=datetime(2020, 1, 2, tzinfo=UTC), before=datetime(2020, 1, 1, tzinfo=UTC))


def test_distance_of_two_cities() -> None:
    barcelona, girona = Place(41.3874, 2.1686), Place(41.9794, 2.8214)
    assert distance_m(barcelona, girona) == pytest.approx(85_000, rel=0.02)
    assert distance_m(Place(0, 179.9), Place(0, -179.9)) == pytest.approx(22_239, rel=0.01)


def test_an_entry_survives_its_payload(entries: list[Entry]) -> None:
    for entry in entries[:40]:
        back = Entry.from_payload(entry.payload(), entry.vector.tolist())
        assert back.payload() == entry.payload() and (back.vector == entry.vector).all()


def test_the_same_id_is_the_same_point() -> None:
    assert point_id("a") == point_id("a") != point_id("b")
