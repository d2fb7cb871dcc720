"""Images of an index for tags: candidates or all of them, scored at a place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.index.catalogue import Spec, VectorIndex
from interplay.index.entries import Circle, Filter, Hit, Place, point_id
from interplay.models.locsens import CentredParts
from interplay.predictors.locsens.retriever import PartsItem, PreferenceItem, ScoreItem
from interplay.predictors.locsens.scorer import TripletItem
from interplay.serving.batcher import Batcher
from interplay.serving.indexes.indexes import Indexes, observe_search
from interplay.serving.requests import Work

# Candidates of the fast mode: anywhere, and within a distance of the place. A second round looks where the
# scorer's preference grows, as a straight line through the first scores says. benchmarks/locsens.py measures
# how much of the exact mode's precision that keeps.
ANYWHERE = 256
NEARBY_KM, NEARBY = 300.0, 256
WITHIN = 512  # where the caller has set a radius
PREFERRED = 128
# Images that the exact mode scores in one go; others get their turn in between.
_STRETCH = 16_384
# Where others may change an index, too, what was read of it is read again after so long.
_SHARED_S = 60.0

Ranker = Batcher[ScoreItem | PartsItem | PreferenceItem | TripletItem, NDArray[np.float32] | CentredParts]


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
class _Table:
    """Everything of a generation that the exact mode scores."""

    stamp: tuple[Spec, int, int]
    read_at: float
    rows: dict[str, int]
    points: tuple[str, ...]
    parts: CentredParts


class Retrieval:
    """Ranks images of indexes.

    Args:
        indexes: Their vectors are the image model's.
        ranker: Batcher of the scorer.
        shared: Whether other processes may change the indexes.
        max_exact_entries: Largest index of the exact mode.
    """

    def __init__(self, indexes: Indexes, ranker: Ranker, *, shared: bool, max_exact_entries: int) -> None:
        self._indexes, self._ranker = indexes, ranker
        self._shared, self._most = shared, max_exact_entries
        self._tables: dict[str, _Table] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def fast(self, name: str, query: Query, work: Work) -> Ranked:
        """Candidates by the tags' direction, anywhere and nearby, scored; then those the scores point to."""
        searches = _first_round(query)
        points, vectors = await self._candidates(name, query.direction, searches)
        scores = await self._scores(ScoreItem(vectors, query.tags, query.degrees), work)
        if len(points) >= searches[0][1]:  # else these are all that pass
            direction = await self._asked(PreferenceItem(vectors, scores), "preference", work)
            more, found = await self._candidates(name, direction, [(query.wanted, PREFERRED)])
            known = set(points)
            new = [row for row, point in enumerate(more) if point not in known]
            further = await self._scores(ScoreItem(found[new], query.tags, query.degrees), work)
            points, scores = [*points, *(more[row] for row in new)], np.concatenate([scores, further])
        return await self._ranked(name, query, points, scores, exact=False)

    async def exact(self, name: str, query: Query, work: Work) -> Ranked:
        """Every image that passes the filter, scored.

        Raises:
            InvalidParameter: The index is too large.
        """
        table = await self._table(name, work)
        points, parts = table.points, table.parts
        if not query.wanted.empty:
            rows = await self._indexes.read(lambda: self._passing(name, query.wanted, table.rows))
            points = tuple(points[row] for row in rows)
            chosen = torch.from_numpy(rows).to(parts.part.device)
            parts = CentredParts(parts.part[chosen], parts.variance[chosen])
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
        self, name: str, direction: NDArray[np.float32], searches: Sequence[tuple[Filter, int]]
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Points of some searches, each once, and their vectors."""

        def search() -> tuple[list[str], NDArray[np.float32]]:
            there: dict[str, NDArray[np.float32]] = {}
            started = time.perf_counter()
            with self._indexes.searchable(name) as index:
                for wanted, count in searches:
                    there.update(zip(*index.candidates(direction, count, wanted), strict=True))
            observe_search(started, exact=False)
            return list(there), np.array(list(there.values()), np.float32).reshape(-1, len(direction))

        return await self._indexes.read(search)

    def _passing(self, name: str, wanted: Filter, rows: dict[str, int]) -> NDArray[np.int64]:
        with self._indexes.searchable(name) as index:
            passing = [rows[p] for points, _ in index.vectors(wanted) for p in points if p in rows]
        return np.array(sorted(passing), np.int64)

    def _hits(self, name: str, points: Sequence[str], scores: NDArray[np.float32]) -> tuple[Hit, ...]:
        with self._indexes.searchable(name) as index:
            there = {point_id(entry.id): entry for entry in index.at(points)}
        scored = zip(points, scores, strict=True)
        return tuple(Hit(there[point], float(score)) for point, score in scored if point in there)

    async def _table(self, name: str, work: Work) -> _Table:
        """What the exact mode knows of an index, read again where it has changed."""
        async with self._reading.setdefault(name, asyncio.Lock()):  # two first searches read it once
            with self._indexes.searchable(name) as index:
                count = await self._indexes.read(index.count)
                if count > self._most:
                    raise InvalidParameter(
                        f"index {name!r} has {count:,} entries; the mode exact takes at most {self._most:,}",
                        field="mode",
                    )
                stamp = (self._indexes.catalogue.spec(name), count, self._indexes.changes(name))
                table = self._tables.get(name)
                if table is None or table.stamp != stamp or self._stale(table):
                    self._tables.pop(name, None)  # makes room
                    table = self._tables[name] = await self._read(index, stamp, work)
                return table

    def _stale(self, table: _Table) -> bool:
        return self._shared and time.monotonic() - table.read_at > _SHARED_S

    async def _read(self, index: VectorIndex, stamp: tuple[Spec, int, int], work: Work) -> _Table:
        read_at, pages, points = time.monotonic(), index.vectors(), list[str]()
        parts = [await self._parts(np.zeros((0, self._indexes.model.dimension), np.float32), work)]
        while (page := await self._indexes.read(lambda: next(pages, None))) is not None:
            points += page[0]
            parts.append(await self._parts(page[1], work))
        together = CentredParts(torch.cat([p.part for p in parts]), torch.cat([p.variance for p in parts]))
        rows = {point: row for row, point in enumerate(points)}
        return _Table(stamp, read_at, rows, tuple(points), together)

    async def _parts(self, vectors: NDArray[np.float32], work: Work) -> CentredParts:
        found = await work.run(self._ranker, PartsItem(vectors), bucket="parts", pixels=len(vectors))
        assert isinstance(found, CentredParts)
        return found


def _first_round(query: Query) -> list[tuple[Filter, int]]:
    """Filters, the widest first, and how many candidates each is to give."""
    if query.wanted.circle is not None:
        return [(query.wanted, max(WITHIN, query.limit))]
    nearby = replace(query.wanted, circle=Circle(query.place, 1000 * NEARBY_KM))
    return [(query.wanted, max(ANYWHERE, query.limit)), (nearby, NEARBY)]
