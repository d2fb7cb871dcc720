"""When a search compares all and when it walks the graph.

HNSW under a filter misses results silently, most of them where the filter lets a few per cent through. So the
graph is never walked under a filter. Where a filter lets much through, the best of all are taken from the
graph, and those that pass are the answer if they are enough; otherwise everything that passes is compared.
The graph has int8 vectors; its best are compared again in full.

The numbers were chosen with ``python -m benchmarks.index --seed 0``. Words as queries decide: they lie off
the photos, and a graph finds less for them than for photos. docs/embedding.md has figures of another seed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.index.conditions import Names, conditions
from interplay.index.entries import Entry, Filter, Hit, Hits


@dataclass(frozen=True)
class SearchPlan:
    """Settings of graph and search.

    Attributes:
        m: Edges of a node.
        ef_construct: Candidates while building. Half of it builds twice as fast and finds 1 % less for words.
        scan: Entries that are all compared, even if the graph could be walked: about as fast.
        ef: Candidates of a graph search, at least, of up to ``ef_entries`` entries.
        ef_entries: Beyond these, ``ef`` grows with the root of their number: else a graph finds less of more.
        oversampling: How many times ``limit`` candidates of the int8 vectors are compared again with the
            full ones.
        depth: How many of the best are taken from the graph to be filtered: from, and up to.
    """

    m: int = 16
    ef_construct: int = 512
    scan: int = 20_000
    ef: int = 768
    ef_entries: int = 200_000
    oversampling: float = 2.0
    depth: tuple[int, int] = (256, 2048)

    def candidates(self, limit: int, total: int) -> int:
        """Candidates of a graph search for ``limit`` results of ``total`` entries."""
        grown = self.ef * max(1.0, total / self.ef_entries) ** 0.5
        return max(round(grown), 2 * limit)

    def filtered_depth(self, limit: int) -> int:
        """How many of the best of all are filtered to find ``limit`` that pass."""
        least, most = self.depth
        return min(max(least, 10 * limit), max(most, limit))

    def pays(self, estimate: int, limit: int, total: int) -> bool:
        """Whether to filter the graph's best: more than can be compared pass, and twice enough of the best.

        Args:
            estimate: Entries that pass, about.
            limit: Results that are wanted.
            total: Entries of the index.
        """
        return estimate > self.scan and estimate * self.filtered_depth(limit) >= 2 * limit * total


class PlannedIndex(ABC):
    """An index that is asked by the plan; libraries differ in ``_ask`` and ``_count`` alone.

    Args:
        plan: When to compare all and when to walk the graph.
        names: The library's filters.
    """

    def __init__(self, plan: SearchPlan, names: Names) -> None:
        self._plan, self._names = plan, names

    def search(
        self,
        vector: NDArray[np.float32],
        limit: int,
        *,
        offset: int = 0,
        wanted: Filter | None = None,
        exact: bool = False,
    ) -> Hits:
        """Entries nearest to a vector, by cosine.

        Args:
            vector: (D,) float32.
            limit: How many.
            offset: How many of the best to leave out.
            wanted: Which entries count.
            exact: Whether all of them are compared, whatever the plan says.
        """
        wanted = wanted or Filter()
        points, all_compared, counted = self._search(vector, limit, offset, wanted, exact, payload=True)
        hits = [Hit(Entry.from_payload(point.payload or {}), float(point.score)) for point in points]
        return Hits(tuple(hits), all_compared, counted)

    def candidates(
        self, vector: NDArray[np.float32], limit: int, wanted: Filter | None = None
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Points nearest to a vector, to be compared by something else; see ``search``.

        Returns:
            Ids of N points, best first, and their vectors, (N, D) of length one.
        """
        points, *_ = self._search(vector, limit, 0, wanted or Filter(), False, count=False, vectors=True)
        vectors = np.array([point.vector for point in points], np.float32).reshape(-1, len(vector))
        return [str(point.id) for point in points], vectors

    def nearest(self, vector: NDArray[np.float32], limit: int, wanted: Filter | None = None) -> list[str]:
        """Ids of points near a vector, best first: a rough ``candidates`` that takes a third of its time.

        Without a filter the graph is searched with no more candidates than are wanted, and its int8 vectors
        decide: some are missed.
        """
        if (wanted is None or wanted.empty) and self.count() > self._plan.scan:
            points = self._ask(vector, limit, 0, None, limit, rough=True)
        else:
            points, *_ = self._search(vector, limit, 0, wanted or Filter(), False, count=False)
        return [str(point.id) for point in points]

    def _search(
        self,
        vector: NDArray[np.float32],
        limit: int,
        offset: int,
        wanted: Filter,
        exact: bool,
        *,
        count: bool = True,
        **asked: bool,
    ) -> tuple[Sequence[Any], bool, int | None]:
        """Points, whether all were compared, and how many pass, where they were counted.

        Counting takes as long as comparing the vectors of those that pass.
        """
        plan = self._plan
        total, last = self.count(), limit + offset
        if wanted.empty:
            ef = None if exact or total <= plan.scan else plan.candidates(last, total)
            return self._ask(vector, limit, offset, None, ef, **asked), ef is None, total
        filters = conditions(wanted, self._names)
        counted: int | None = None
        if not exact and plan.pays(self._count(filters, exact=False), last, total):
            depth = plan.filtered_depth(last)
            best = self._ask(vector, depth, 0, None, plan.candidates(depth, total))
            passing = conditions(wanted, self._names, [str(point.id) for point in best])
            points = self._ask(vector, last, 0, passing, None, **asked)
            if len(points) == last:
                return points[offset:], False, None
        elif count:
            counted = self._count(filters, exact=True)
        return self._ask(vector, limit, offset, filters, None, **asked), True, counted

    def count(self, wanted: Filter | None = None) -> int:
        """How many entries pass a filter."""
        return self._count(conditions(wanted or Filter(), self._names), exact=True)

    def points(self, wanted: Filter | None = None, page: int = 16_384) -> Iterator[list[str]]:
        """Ids of all points that pass a filter, some at a time."""
        for records in self._pages(wanted, page, payload=False, vectors=False):
            yield [str(record.id) for record in records]

    def vectors(
        self, page: int = 4096
    ) -> Iterator[tuple[list[str], NDArray[np.float32], NDArray[np.float64]]]:
        """Ids of all points, their vectors, (page, D), and places, (page, 2) in degrees, some at a time.

        A point without a place has NaN.
        """
        for records in self._pages(None, page, payload=["place"], vectors=True):
            if records:
                places = [_degrees((record.payload or {}).get("place")) for record in records]
                vectors = np.array([record.vector for record in records], np.float32)
                yield [str(record.id) for record in records], vectors, np.array(places, np.float64)

    @abstractmethod
    def _ask(
        self,
        vector: NDArray[np.float32],
        limit: int,
        offset: int,
        filters: Any,
        ef: int | None,
        *,
        payload: bool = False,
        vectors: bool = False,
        rough: bool = False,
    ) -> Sequence[Any]:
        """The library's best points, each with ``id``, ``score``, ``payload`` and ``vector``.

        Args:
            vector: (D,) float32.
            limit: How many.
            offset: How many of the best to leave out.
            filters: Of the library; None lets all pass.
            ef: Candidates in the graph; None to compare all that pass.
            payload: Whether payloads are wanted.
            vectors: Whether vectors are.
            rough: Whether the graph's int8 vectors decide alone.
        """

    @abstractmethod
    def _pages(
        self, wanted: Filter | None, page: int, *, payload: bool | list[str], vectors: bool
    ) -> Iterator[Sequence[Any]]:
        """All points that pass, with what is asked for of them.

        Args:
            wanted: Which points.
            page: How many at a time.
            payload: Whether payloads are wanted, or which of their fields.
            vectors: Whether vectors are.
        """

    @abstractmethod
    def _count(self, filters: Any, *, exact: bool) -> int:
        """How many points pass; about how many, which takes no time, if not ``exact``."""


def _degrees(place: Mapping[str, float] | None) -> tuple[float, float]:
    return (math.nan, math.nan) if place is None else (place["lat"], place["lon"])


DEFAULT_PLAN = SearchPlan()
