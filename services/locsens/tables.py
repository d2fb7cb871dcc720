"""Indexes in memory: read once they are asked for, and again where they have changed."""

from __future__ import annotations

import asyncio
import math
import time

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.index.catalogue import VectorIndex
from interplay.models.locsens import CentredParts
from interplay.predictors.locsens.retriever import PartsItem, PreferenceItem, ScoreItem
from interplay.predictors.locsens.scorer import TripletItem
from interplay.serving.batcher import Batcher
from interplay.serving.indexes.indexes import Indexes
from interplay.serving.requests import Work
from interplay.telemetry.logging import get_logger
from services.locsens.table import Stamp, Table

log = get_logger(__name__)

# Where others may change an index, too, what was read of it is read again after so long.
_SHARED_S = 60.0
# An index that was changed less than so long ago is not read in the background: it may be changed again.
_REST_S = 2.0

Ranker = Batcher[ScoreItem | PartsItem | PreferenceItem | TripletItem, NDArray[np.float32] | CentredParts]


class Tables:
    """Keeps indexes in memory.

    Args:
        indexes: Their vectors are the image model's.
        ranker: Batcher of the scorer, for their parts.
        shared: Whether other processes may change the indexes.
        most_kept: Largest index that is read in the background; never a shared one.
    """

    def __init__(self, indexes: Indexes, ranker: Ranker, *, shared: bool, most_kept: int) -> None:
        self._indexes, self._ranker, self._shared = indexes, ranker, shared
        self._most_kept = 0 if shared else most_kept
        self._tables: dict[str, Table] = {}
        self._reading: dict[str, asyncio.Lock] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}

    @property
    def entries(self) -> int:
        """How many images are in memory."""
        return sum(len(table) for table in self._tables.values())

    async def keep(self, name: str) -> None:
        """Read an index into memory once it rests; see ``kept``."""
        while True:
            changes = self._indexes.changes(name)
            await asyncio.sleep(_REST_S)
            if self._indexes.changes(name) == changes:
                break
        await self.read(name, None, self._most_kept)

    async def close(self) -> None:
        """Stop what runs in the background."""
        tasks = list(self._keeping.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def kept(self, name: str) -> Table | None:
        """An index as it is in memory, if that is how it is now.

        If not, and it is not too large, it is read in the background: the answer does not wait for that.
        """
        stamp = await self._stamp(name)
        table = self._tables.get(name)
        if table is not None and table.stamp == stamp and not self._stale(table):
            return table
        if stamp.entries <= self._most_kept and name not in self._keeping:
            task = self._keeping[name] = asyncio.create_task(self.keep(name))
            task.add_done_callback(lambda done: self._have_kept(name, done))
        return None

    def _have_kept(self, name: str, task: asyncio.Task[None]) -> None:
        del self._keeping[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("index_not_kept", index=name, error=repr(error))  # dropped meanwhile, for example

    async def _stamp(self, name: str) -> Stamp:
        def stamp() -> Stamp:
            with self._indexes.searchable(name) as index:
                return Stamp(self._indexes.catalogue.spec(name), index.count(), self._indexes.changes(name))

        return await self._indexes.read(stamp)

    async def read(self, name: str, work: Work | None, most: int) -> Table:
        """An index in memory, read again where it has changed.

        Args:
            name: Of the index.
            work: Whose it is; None for the background.
            most: Entries.

        Raises:
            InvalidParameter: It has more.
        """
        async with self._reading.setdefault(name, asyncio.Lock()):  # two first searches read it once
            with self._indexes.searchable(name) as index:
                stamp = await self._stamp(name)
                if stamp.entries > most:
                    raise InvalidParameter(
                        f"index {name!r} has {stamp.entries:,} entries; the mode exact takes at most "
                        f"{most:,}",
                        field="mode",
                    )
                table = self._tables.get(name)
                if table is None or table.stamp != stamp or self._stale(table):
                    there = await self._indexes.read(self._names)  # makes room: dropped ones, and the old one
                    self._tables = {n: t for n, t in self._tables.items() if n in there and n != name}
                    table = self._tables[name] = await self._read_all(index, stamp, work)
                return table

    def _names(self) -> set[str]:
        return {info.spec.name for info in self._indexes.catalogue.all()}

    def _stale(self, table: Table) -> bool:
        return self._shared and time.monotonic() - table.read_at > _SHARED_S

    async def _read_all(self, index: VectorIndex, stamp: Stamp, work: Work | None) -> Table:
        read_at, pages, points = time.monotonic(), index.vectors(), list[str]()
        vectors = [np.zeros((0, self._indexes.model.dimension), np.float32)]
        places, parts = [np.zeros((0, 2))], [await self._parts(vectors[0], work)]
        while (page := await self._indexes.read(lambda: next(pages, None))) is not None:
            points += page[0]
            vectors.append(page[1])
            places.append(page[2])
            parts.append(await self._parts(page[1], work))
        together = CentredParts(torch.cat([p.part for p in parts]), torch.cat([p.variance for p in parts]))
        del parts  # makes room
        return await self._indexes.read(
            lambda: Table.of(
                stamp, read_at, points, np.concatenate(vectors), np.concatenate(places), together
            )
        )

    async def _parts(self, vectors: NDArray[np.float32], work: Work | None) -> CentredParts:
        item, size = PartsItem(vectors), len(vectors)
        if work is None:
            found, _ = await self._ranker.submit(item, bucket="parts", pixels=size, deadline=math.inf)
        else:
            found = await work.run(self._ranker, item, bucket="parts", pixels=size)
        assert isinstance(found, CentredParts)
        return found
