"""Large indexes: what is found when not all entries are compared, on both kinds of indexes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import QdrantClient

from interplay.index.catalogue import Spec, VectorIndex
from interplay.index.cluster import ClusterCatalogue
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Circle, Entry, Filter, Place, distance_m
from interplay.index.plan import SearchPlan
from tests.unit.index.conftest import DIMENSION

COUNT = 3000
CENTRE = Place(40, 2)
# As for a large index, in small.
PLAN = SearchPlan(ef_construct=64, scan=200, ef=200, depth=(128, 512))


@pytest.fixture(scope="module")
def large() -> list[Entry]:
    """Entries in 100 clusters that have nothing to do with their places."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(100, DIMENSION))
    vectors = centres[rng.integers(0, 100, COUNT)] + 0.7 * rng.normal(size=(COUNT, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = rng.normal((CENTRE.latitude, CENTRE.longitude), 1, (COUNT, 2))
    return [
        Entry(str(number), vector.astype(np.float32), place=Place(*place.tolist()))
        for number, (vector, place) in enumerate(zip(vectors, places, strict=True))
    ]


@pytest.fixture(scope="module", params=["embedded", "server"])
def index(
    request: pytest.FixtureRequest, large: list[Entry], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VectorIndex]:
    catalogue: EmbeddedCatalogue | ClusterCatalogue
    if request.param == "embedded":
        catalogue = EmbeddedCatalogue(tmp_path_factory.mktemp("indexes"), PLAN)
    else:
        catalogue = ClusterCatalogue(QdrantClient(":memory:"), plan=PLAN)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect in the local Qdrant")
        warnings.filterwarnings("ignore", "Local mode performs exact")
        catalogue.begin(Spec.new("large", "g1", DIMENSION, "space"))
        with catalogue.building("large", "g1") as building:
            building.upsert(large)
        catalogue.publish("large", "g1")
        with catalogue.reading("large") as reading:
            yield reading
        catalogue.close()


def queries() -> NDArray[np.float32]:
    """Off the entries, as words are off photos."""
    found = np.random.default_rng(4).normal(size=(25, DIMENSION))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def circle_of(large: list[Entry], part: float) -> Circle:
    far = sorted(distance_m(entry.place, CENTRE) for entry in large if entry.place)
    return Circle(CENTRE, (far[int(part * COUNT) - 1] + far[int(part * COUNT)]) / 2)


def recall(
    index: VectorIndex, large: list[Entry], wanted: Filter, limit: int = 10
) -> tuple[float, set[bool]]:
    """Part of the best that is found, and whether the answers said to be exact."""
    passing = [
        entry
        for entry in large
        if wanted.circle is None
        or (entry.place and distance_m(entry.place, wanted.circle.centre) <= wanted.circle.radius_m)
    ]
    vectors = np.stack([entry.vector for entry in passing])
    shares, exact = [], set()
    for query in queries():
        best = {passing[row].id for row in np.argsort(-(vectors @ query))[:limit]}
        answer = index.search(query, limit, wanted=wanted)
        found = [hit.entry.id for hit in answer.hits]
        scores = [hit.score for hit in answer.hits]
        assert len(found) == len(set(found)) == len(best) and scores == sorted(scores, reverse=True)
        assert answer.candidates in (None, len(passing))
        if answer.exact:
            assert set(found) == best
        shares.append(len(best & set(found)) / len(best))
        exact.add(answer.exact)
    return float(np.mean(shares)), exact


@pytest.mark.parametrize("part", [0.001, 0.01, 0.03, 0.1, 0.3, 0.9])
def test_little_is_missed_under_a_filter(index: VectorIndex, large: list[Entry], part: float) -> None:
    share, exact = recall(index, large, Filter(circle=circle_of(large, part)))
    assert share >= 0.98
    if part in (0.001, 0.01):
        assert exact == {True}
    if part in (0.3, 0.9):
        assert exact == {False}


def test_little_is_missed_without_one(index: VectorIndex, large: list[Entry]) -> None:
    share, exact = recall(index, large, Filter())
    assert share >= 0.98 and exact == {False}


def test_a_filter_that_holds_none_of_the_best_is_answered_in_full(
    index: VectorIndex, large: list[Entry]
) -> None:
    """Much passes, and all that is near the query does not: the graph's best are of no use."""
    query = large[7].vector
    far = [large[row].id for row in np.argsort([entry.vector @ query for entry in large])[: COUNT // 2]]
    answer = index.search(query, 10, wanted=Filter(ids=tuple(far)))
    assert answer.exact and [hit.entry.id for hit in answer.hits] == far[: -10 - 1 : -1]


def test_pages_of_a_filtered_search_follow_one_another(index: VectorIndex, large: list[Entry]) -> None:
    wanted, query = Filter(circle=circle_of(large, 0.5)), large[11].vector
    whole = [hit.entry.id for hit in index.search(query, 30, wanted=wanted).hits]
    pages = [
        hit.entry.id for at in (0, 10, 20) for hit in index.search(query, 10, offset=at, wanted=wanted).hits
    ]
    assert len(set(whole)) == 30 and len(set(whole) & set(pages)) >= 29


def test_more_candidates_are_looked_at_in_a_large_index() -> None:
    plan = SearchPlan(ef=768, ef_entries=200_000)
    assert plan.candidates(10, 30_000) == plan.candidates(10, 200_000) == 768
    assert plan.candidates(10, 800_000) == 2 * 768
    assert plan.candidates(1000, 30_000) == 2000
