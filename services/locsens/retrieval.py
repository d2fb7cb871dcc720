"""Images of an index for tags: candidates or all of them, scored at a place."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from interplay.index.entries import Circle, Filter, Hit, Place, point_id
from interplay.models.locsens import CentredParts
from interplay.predictors.locsens.retriever import PreferenceItem, ScoreItem
from interplay.serving.indexes.indexes import Indexes, observe_search
from interplay.serving.requests import Work
from services.locsens.table import Table
from services.locsens.tables import Ranker, Tables

# Candidates of the fast mode: anywhere, and within distances (km) of the place; then twice where the scores
# grow, as a straight line through those known so far says. benchmarks/locsens.py measures how much of the
# exact mode's precision that keeps.
ANYWHERE = 128
NEARBY = ((300.0, 128), (25.0, 64))
WITHIN = 256  # where the caller has set a radius
# So many images in memory are scored sooner than candidates are looked up.
FEW = 8192
PREFERRED = (512, 512)
# Images that the exact mode scores in one go; others get their turn in between.
_STRETCH = 16_384


@dataclass(frozen=True)
class Query:
    """What is searched.

    Attributes:
        tags: Numbers in the vocabulary.
        direction: (D,) float32 of length one, the mean of the tags' vectors.
        place: Where.
        wanted: Which entries count.
        limit: How many hits.
    """

    tags: tuple[int, ...]
    direction: NDArray[np.float32]
    place: Place
    wanted: Filter
    limit: int

    @property
    def degrees(self) -> NDArray[np.float64]:
        """(2,) latitude and longitude."""
        return np.array((self.place.latitude, self.place.longitude))


@dataclass(frozen=True)
class Ranked:
    """Images that were scored.

    Attributes:
        hits: Best first.
        scored: How many were.
        exact: Whether all that pass the filter were.
    """

    hits: tuple[Hit, ...]
    scored: int
    exact: bool


@dataclass(frozen=True)
class _Search:
    """Where to look for candidates.

    Attributes:
        wanted: Which images count.
        count: How many.
        near: Only within this distance of a place; 10 km or more.
    """

    wanted: Filter
    count: int
    near: Circle | None = None

    @property
    def filter(self) -> Filter:
        """All of it as one filter."""
        return self.wanted if self.near is None else replace(self.wanted, circle=self.near)


@dataclass(frozen=True)
class _Candidates:
    """Images that may be among the best.

    Attributes:
        points: N of the index, each once.
        vectors: (N, D) float32.
        images: What scoring takes: their parts where they are in memory, else the vectors.
    """

    points: Sequence[str]
    vectors: NDArray[np.float32]
    images: NDArray[np.float32] | CentredParts


class Retrieval:
    """Ranks images of indexes.

    Args:
        indexes: Their vectors are the image model's.
        ranker: Batcher of the scorer.
        shared: Whether other processes may change the indexes.
        max_exact_entries: Largest index of the exact mode.
        max_kept_entries: Largest index that is read into memory for the fast mode; never a shared one.

    Attributes:
        tables: Indexes in memory.
    """

    def __init__(
        self,
        indexes: Indexes,
        ranker: Ranker,
        *,
        shared: bool,
        max_exact_entries: int,
        max_kept_entries: int,
    ) -> None:
        self._indexes, self._ranker = indexes, ranker
        self._most = max_exact_entries
        self.tables = Tables(indexes, ranker, shared=shared, most_kept=max_kept_entries)

    async def fast(self, name: str, query: Query, work: Work) -> Ranked:
        """Candidates by the tags' direction, anywhere and nearby, scored; then those the scores point to."""
        table = await self.tables.kept(name)
        if table is not None and len(table) <= min(FEW, self._most):
            return await self.exact(name, query, work)
        searches = _first_round(query)
        found = await self._candidates(name, query.direction, searches, table)
        scores = await self._scores(ScoreItem(found.images, query.tags, query.degrees), work)
        points, vectors = [*found.points], found.vectors
        # Fewer are all that pass.
        for count in PREFERRED if len(points) >= searches[0].count else ():
            direction = await self._asked(PreferenceItem(vectors, scores), "preference", work)
            search = [_Search(query.wanted, count)]
            more = await self._candidates(name, direction, search, table, set(points))
            further = await self._scores(ScoreItem(more.images, query.tags, query.degrees), work)
            points += more.points
            vectors, scores = np.concatenate([vectors, more.vectors]), np.concatenate([scores, further])
        return await self._ranked(name, query, points, scores, exact=False)

    async def exact(self, name: str, query: Query, work: Work) -> Ranked:
        """Every image that passes the filter, scored.

        Raises:
            InvalidParameter: The index is too large.
        """
        table = await self.tables.read(name, work, self._most)
        points, parts = table.points, table.parts
        if not query.wanted.empty:
            rows = await self._indexes.read(lambda: self._passing(name, query.wanted, table.rows))
            points, parts = tuple(points[row] for row in rows), table.parts_of(rows)
        found = []
        for start in range(0, len(parts), _STRETCH):
            stretch = slice(start, start + _STRETCH)
            images = CentredParts(parts.part[stretch], parts.variance[stretch])
            found.append(await self._scores(ScoreItem(images, query.tags, query.degrees), work))
        scores = np.concatenate(found) if found else np.zeros(0, np.float32)
        return await self._ranked(name, query, points, scores, exact=True)

    async def _scores(self, item: ScoreItem, work: Work) -> NDArray[np.float32]:
        if not len(item.images):
            return np.zeros(0, np.float32)
        return await self._asked(item, "score", work)

    async def _asked(self, item: ScoreItem | PreferenceItem, bucket: str, work: Work) -> NDArray[np.float32]:
        size = len(item.images if isinstance(item, ScoreItem) else item.scores)
        answer = await work.run(self._ranker, item, bucket=bucket, pixels=size)
        assert isinstance(answer, np.ndarray)
        return answer

    async def _ranked(
        self, name: str, query: Query, points: Sequence[str], scores: NDArray[np.float32], *, exact: bool
    ) -> Ranked:
        best = np.argsort(-scores, kind="stable")[: query.limit]
        hits = await self._indexes.read(lambda: self._hits(name, [points[row] for row in best], scores[best]))
        return Ranked(hits, len(points), exact)

    async def _candidates(
        self,
        name: str,
        direction: NDArray[np.float32],
        searches: Sequence[_Search],
        table: Table | None,
        known: Set[str] = frozenset(),
    ) -> _Candidates:
        """What some searches find, each image once, without those that are known."""

        def in_memory(table: Table) -> _Candidates:
            rows: dict[int, None] = {}
            with self._indexes.searchable(name) as index:
                for each in searches:
                    if each.near is not None and each.wanted.empty:
                        found = table.nearest_within(direction, each.count, each.near)
                        rows.update(dict.fromkeys(found.tolist()))
                    else:
                        nearest = index.nearest(direction, each.count, each.filter)
                        rows.update(dict.fromkeys(table.rows[p] for p in nearest if p in table.rows))
            chosen = np.array([row for row in rows if table.points[row] not in known], np.int64)
            points = [table.points[row] for row in chosen]
            return _Candidates(points, table.vectors_of(chosen), table.parts_of(chosen))

        def in_index() -> _Candidates:
            there: dict[str, NDArray[np.float32]] = {}
            with self._indexes.searchable(name) as index:
                for each in searches:
                    found = index.candidates(direction, each.count, each.filter)
                    there.update(zip(*found, strict=True))
            points = [point for point in there if point not in known]
            vectors = np.array([there[p] for p in points], np.float32).reshape(-1, len(direction))
            return _Candidates(points, vectors, vectors)

        def search() -> _Candidates:
            started = time.perf_counter()
            found = in_index() if table is None else in_memory(table)
            observe_search(started, exact=False)
            return found

        return await self._indexes.read(search)

    def _passing(self, name: str, wanted: Filter, rows: dict[str, int]) -> NDArray[np.int64]:
        with self._indexes.searchable(name) as index:
            passing = [rows[p] for points in index.points(wanted) for p in points if p in rows]
        return np.array(sorted(passing), np.int64)

    def _hits(self, name: str, points: Sequence[str], scores: NDArray[np.float32]) -> tuple[Hit, ...]:
        with self._indexes.searchable(name) as index:
            there = {point_id(entry.id): entry for entry in index.at(points)}
        scored = zip(points, scores, strict=True)
        return tuple(Hit(there[point], float(score)) for point, score in scored if point in there)


def _first_round(query: Query) -> list[_Search]:
    """The widest first."""
    if query.wanted.circle is not None:
        return [_Search(query.wanted, max(WITHIN, query.limit))]
    anywhere = _Search(query.wanted, max(ANYWHERE, query.limit))
    nearby = [_Search(query.wanted, count, Circle(query.place, 1000 * km)) for km, count in NEARBY]
    return [anywhere, *nearby]
