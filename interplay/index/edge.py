"""An embedded index: one Qdrant Edge shard in a folder, owned by one process.

The write-ahead log is on: a process killed in the middle of an upsert loses nothing that was
acknowledged. Nothing is indexed until ``optimize``, which builds the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qe
from numpy.typing import NDArray

from interplay.index.conditions import Names, conditions
from interplay.index.entries import Entry, Filter, point_id
from interplay.index.plan import DEFAULT_PLAN, PlannedIndex, SearchPlan

_NAMES = Names(
    filter=qe.Filter,
    field=qe.FieldCondition,
    value=qe.MatchValue,
    any_of=qe.MatchAny,
    text=qe.MatchText,
    circle=qe.GeoRadius,
    box=qe.GeoBoundingBox,
    point=qe.GeoPoint,
    times=qe.RangeDateTime,
    ids=lambda ids: qe.HasIdCondition(set(ids)),
)
_FIELD_INDEXES: dict[str, qe.PayloadSchemaType | qe.TextIndexParams] = {
    "tags": qe.PayloadSchemaType.Keyword,
    "caption": qe.TextIndexParams(tokenizer=qe.TokenizerType.Multilingual, lowercase=True),
    "time": qe.PayloadSchemaType.Datetime,
    "place": qe.PayloadSchemaType.Geo,
    "facts": qe.PayloadSchemaType.Keyword,
    "origin": qe.PayloadSchemaType.Keyword,
}


class EdgeIndex(PlannedIndex):
    """One generation of an embedded index. Searches may run on several threads, one write at a time.

    Args:
        folder: Of the shard; made if it does not exist.
        dimension: Of the vectors.
        plan: When to scan and when to use the graph.

    Raises:
        RuntimeError: Another process has the shard open, or it has another dimension.
    """

    def __init__(self, folder: Path, dimension: int, plan: SearchPlan = DEFAULT_PLAN) -> None:
        super().__init__(plan, _NAMES)
        self.dimension = dimension
        # Qdrant counts in kB: there is a graph where the plan walks one.
        graph_kb = max(1, plan.scan * dimension * 4 // 1024)
        config = qe.EdgeConfig(
            vectors=qe.EdgeVectorParams(size=dimension, distance=qe.Distance.Cosine),
            hnsw_config=qe.HnswIndexConfig(
                m=plan.m, ef_construct=plan.ef_construct, full_scan_threshold=graph_kb, payload_m=0
            ),
            quantization_config=qe.ScalarQuantizationConfig(type=qe.ScalarType.Int8, always_ram=True),
            optimizers=qe.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=graph_kb),
            wal_enabled=True,
        )
        if folder.is_dir() and any(folder.iterdir()):
            self._shard = qe.EdgeShard.load(str(folder), config)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._shard = qe.EdgeShard.create(str(folder), config)
            for field, schema in _FIELD_INDEXES.items():
                self._shard.update(qe.UpdateOperation.create_field_index(field, schema))

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Add entries, or replace those with the same id."""
        points = [qe.Point(point_id(e.id), e.vector.tolist(), e.payload()) for e in entries]
        self._shard.update(qe.UpdateOperation.upsert_points(points))

    def delete(self, ids: Sequence[str]) -> int:
        """Remove entries; returns how many there were."""
        there = self.get(ids)
        self._shard.update(qe.UpdateOperation.delete_points([point_id(i) for i in ids]))
        return len(there)

    def get(self, ids: Sequence[str]) -> list[Entry]:
        """The entries with these ids that exist, vectors included."""
        return self.at([point_id(i) for i in ids])

    def at(self, points: Sequence[str]) -> list[Entry]:
        """The same for points; see ``candidates``. In no order."""
        records = self._shard.retrieve(list(points), with_payload=True, with_vector=True)
        return [_entry(record) for record in records]

    def scroll(self, wanted: Filter | None = None, page: int = 256) -> Iterator[Entry]:
        """All entries, vectors included."""
        for records in self._pages(wanted, page, payload=True, vectors=True):
            yield from (_entry(record) for record in records)

    def _pages(
        self, wanted: Filter | None, page: int, *, payload: bool | list[str], vectors: bool
    ) -> Iterator[Sequence[Any]]:
        filters, offset = conditions(wanted or Filter(), _NAMES), None
        while True:
            request = qe.ScrollRequest(
                offset=offset, limit=page, filter=filters, with_payload=payload, with_vector=vectors
            )
            records, offset = self._shard.scroll(request)
            yield records
            if offset is None:
                return

    def _count(self, filters: Any, *, exact: bool) -> int:
        if filters is None:
            return self._shard.info().points_count
        return self._shard.count(qe.CountRequest(exact=exact, filter=filters))

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
    ) -> list[qe.ScoredPoint]:
        request = qe.SearchRequest(
            query=qe.Query.Nearest(vector.tolist()),
            limit=limit,
            offset=offset,
            filter=filters,
            params=qe.SearchParams(
                exact=ef is None,
                hnsw_ef=ef,
                quantization=qe.QuantizationSearchParams(
                    ignore=ef is None,
                    rescore=not rough,
                    oversampling=None if rough else self._plan.oversampling,
                ),
            ),
            with_payload=payload,
            with_vector=vectors,
        )
        return self._shard.search(request)

    def optimize(self) -> None:
        """Build the graph and merge segments; blocks until done."""
        self._shard.optimize()

    def flush(self) -> None:
        """Write everything to disk."""
        self._shard.flush()

    def close(self) -> None:
        """Flush and let go of the folder."""
        self._shard.flush()
        self._shard.close()


def _entry(record: Any) -> Entry:
    return Entry.from_payload(record.payload or {}, record.vector)
