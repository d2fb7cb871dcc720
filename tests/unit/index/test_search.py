"""Searching, filtering and changing entries: the same on both kinds of indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from interplay.index.catalogue import Catalogue, Spec, VectorIndex
from interplay.index.entries import Box, Circle, Entry, Filter, Place, distance_m, point_id
from tests.unit.index.conftest import DIMENSION

NOON = datetime(2020, 1, 15, 12, tzinfo=UTC)
FILTERS: list[tuple[Filter, Callable[[Entry], bool]]] = [
    (Filter(), lambda e: True),
    (Filter(tags=("beach",)), lambda e: "beach" in e.tags),
    (Filter(tags=("beach", "sun")), lambda e: {"beach", "sun"} <= set(e.tags)),
    (Filter(tags=("beach", "city")), lambda e: False),
    (Filter(any_tags=("city", "nowhere")), lambda e: "city" in e.tags),
    (Filter(text="café RED"), lambda e: "café" in e.caption),
    (Filter(text="caf"), lambda e: False),
    (Filter(after=NOON), lambda e: e.time is not None and e.time >= NOON),
    (Filter(before=NOON), lambda e: e.time is not None and e.time < NOON),
    (
        Filter(circle=Circle(Place(80, 0), 2e6)),
        lambda e: e.place is not None and distance_m(e.place, Place(80, 0)) <= 2e6,
    ),
    (
        Filter(box=Box(-40, 150, 40, -150)),
        lambda e: e.place is not None and abs(e.place.latitude) <= 40 and abs(e.place.longitude) >= 150,
    ),
    (Filter(equals={"stars": 3}), lambda e: e.extra["stars"] == 3),
    (Filter(equals={"owner": "a b", "stars": 0}), lambda e: e.extra["stars"] == 0),
    (Filter(equals={"owner": "else"}), lambda e: False),
    (Filter(equals={"open": True}), lambda e: e.extra["open"]),
    (Filter(equals={"open": 1}), lambda e: False),
    (Filter(equals={'odd "name"': 1}), lambda e: True),
    (Filter(ids=("photo 3.jpg", "photo 4.jpg", "nope")), lambda e: e.id in ("photo 3.jpg", "photo 4.jpg")),
    (Filter(tags=("city",), text="boats", after=NOON), lambda e: (
        "city" in e.tags and "boats" in e.caption and e.time is not None and e.time >= NOON
    )),
]  # fmt: skip


@pytest.fixture
def index(catalogue: Catalogue, entries: list[Entry]) -> Iterator[VectorIndex]:
    catalogue.begin(Spec.new("photos", "g1", DIMENSION, "space"))
    with catalogue.building("photos", "g1") as made:
        made.upsert(entries)
        yield made


@pytest.mark.parametrize(("wanted", "passes"), FILTERS, ids=[str(i) for i in range(len(FILTERS))])
def test_a_filtered_search_is_the_scan_of_what_passes(
    index: VectorIndex, entries: list[Entry], wanted: Filter, passes: Callable[[Entry], bool]
) -> None:
    query = entries[0].vector + entries[7].vector
    query /= np.linalg.norm(query)
    kept = [entry for entry in entries if passes(entry)]
    best = sorted(kept, key=lambda e: -float(e.vector @ query))[:10]
    found = index.search(query, 10, wanted=wanted)
    assert found.candidates == index.count(wanted) == len(kept)
    assert [hit.entry.id for hit in found.hits] == [entry.id for entry in best]
    assert [hit.score for hit in found.hits] == pytest.approx(
        [float(e.vector @ query) for e in best], abs=1e-3
    )
    assert found.exact


def test_pages_follow_one_another(index: VectorIndex, entries: list[Entry]) -> None:
    query = entries[3].vector
    whole = [hit.entry.id for hit in index.search(query, 30).hits]
    pages = [hit.entry.id for offset in (0, 10, 20) for hit in index.search(query, 10, offset=offset).hits]
    assert pages == whole and len(set(whole)) == 30


def test_a_hit_has_everything_its_entry_had(index: VectorIndex, entries: list[Entry]) -> None:
    (hit,) = index.search(entries[8].vector, 1).hits
    assert hit.entry.payload() == entries[8].payload() and hit.score == pytest.approx(1, abs=1e-3)


def test_an_id_that_comes_again_is_replaced(index: VectorIndex, entries: list[Entry]) -> None:
    index.upsert([Entry("photo 8.jpg", entries[9].vector, caption="new")])
    assert index.count() == len(entries)
    (entry,) = index.get(["photo 8.jpg", "nope"])
    assert entry.caption == "new" and entry.tags == ()
    assert entry.vector == pytest.approx(entries[9].vector, abs=1e-3)


def test_what_is_deleted_is_not_found(index: VectorIndex, entries: list[Entry]) -> None:
    assert index.delete(["photo 8.jpg", "nope"]) == 1
    assert index.delete(["photo 8.jpg"]) == 0
    assert index.count() == len(entries) - 1
    assert "photo 8.jpg" not in [hit.entry.id for hit in index.search(entries[8].vector, 20).hits]


def test_scrolling_gives_every_entry_once(index: VectorIndex, entries: list[Entry]) -> None:
    assert sorted(e.id for e in index.scroll(page=64)) == sorted(e.id for e in entries)
    assert {e.id for e in index.scroll(Filter(tags=("city",)))} == {e.id for e in entries if "city" in e.tags}


def test_candidates_are_the_hits_with_their_vectors(index: VectorIndex, entries: list[Entry]) -> None:
    query, wanted = entries[3].vector, Filter(tags=("beach",))
    hits = index.search(query, 20, wanted=wanted).hits
    points, vectors = index.candidates(query, 20, wanted)
    there = {entry.id: entry for entry in index.at(points)}
    assert set(there) == {hit.entry.id for hit in hits}
    assert vectors.shape == (20, DIMENSION) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors @ query, [hit.score for hit in hits], atol=1e-5)


def test_there_may_be_no_candidates(index: VectorIndex, entries: list[Entry]) -> None:
    points, vectors = index.candidates(entries[3].vector, 20, Filter(tags=("nowhere",)))
    assert points == [] and vectors.shape == (0, DIMENSION)


def test_all_vectors_come_page_by_page(index: VectorIndex, entries: list[Entry]) -> None:
    pages = list(index.vectors(page=64))
    assert len(pages) == 8 and max(len(points) for points, *_ in pages) == 64
    found = {point: rest for points, *rows in pages for point, *rest in zip(points, *rows, strict=True)}
    assert set(found) == {point_id(entry.id) for entry in entries}
    for entry in entries:
        vector, place = found[point_id(entry.id)]
        np.testing.assert_allclose(vector, entry.vector, atol=1e-6)
        if entry.place is None:
            assert np.isnan(place).all()
        else:
            np.testing.assert_allclose(place, [entry.place.latitude, entry.place.longitude], atol=1e-9)
    without = Entry("nowhere", entries[0].vector)
    index.upsert([without])
    (place,) = [
        place
        for points, _, places in index.vectors()
        for point, place in zip(points, places, strict=True)
        if point == point_id(without.id)
    ]
    assert np.isnan(place).all()


def test_points_alone(index: VectorIndex, entries: list[Entry]) -> None:
    pages = list(index.points(page=100))
    assert sorted(point for page in pages for point in page) == sorted(point_id(e.id) for e in entries)
    assert len(pages) == 5
    some = [point for page in index.points(Filter(tags=("city",))) for point in page]
    assert sorted(some) == sorted(point_id(entry.id) for entry in entries if "city" in entry.tags)
    nearest = index.nearest(entries[3].vector, 20, Filter(tags=("beach",)))
    assert nearest == index.candidates(entries[3].vector, 20, Filter(tags=("beach",)))[0]
