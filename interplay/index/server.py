"""An index on a Qdrant server or cluster: one collection.

The same settings, filters and search plan as the embedded index; the contract tests run both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from interplay.index.conditions import Names, conditions
from interplay.index.entries import Entry, Filter, point_id
from interplay.index.plan import DEFAULT_PLAN, PlannedIndex, SearchPlan

_NAMES = Names(
    filter=models.Filter,
    field=models.FieldCondition,
    value=models.MatchValue,
    any_of=models.MatchAny,
    text=models.MatchText,
    circle=models.GeoRadius,
    box=models.GeoBoundingBox,
    point=models.GeoPoint,
    times=models.DatetimeRange,
    ids=lambda ids: models.HasIdCondition(has_id=list(ids)),
)
_FIELD_INDEXES: dict[str, models.PayloadSchemaType | models.TextIndexParams] = {
    "tags": models.PayloadSchemaType.KEYWORD,
    "caption": models.TextIndexParams(
        type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.MULTILINGUAL, lowercase=True
    ),
    "time": models.PayloadSchemaType.DATETIME,
    "place": models.PayloadSchemaType.GEO,
    "facts": models.PayloadSchemaType.KEYWORD,
    "origin": models.PayloadSchemaType.KEYWORD,
}


class ServerIndex(PlannedIndex):
    """One generation of an index on a server.

    Args:
        client: Connected client.
        collection: Its collection, or an alias of it.
        dimension: Of the vectors.
        plan: When to scan and when to use the graph.
        facts: Make the collection, and keep these with it; None where it exists.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        dimension: int,
        plan: SearchPlan = DEFAULT_PLAN,
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(plan, _NAMES)
        self.dimension = dimension
        self.collection = collection
        self._client = client
        if facts is None:
            return  # it exists
        # Qdrant counts in kB: there is a graph where the plan walks one.
        graph_kb = max(1, plan.scan * dimension * 4 // 1024)
        client.create_collection(
            collection,
            vectors_config=models.VectorParams(size=dimension, distance=models.Distance.COSINE),
            hnsw_config=models.HnswConfigDiff(
                m=plan.m, ef_construct=plan.ef_construct, full_scan_threshold=graph_kb, payload_m=0
            ),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=graph_kb),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            ),
            metadata=facts or {},
        )
        for field, schema in _FIELD_INDEXES.items():
            client.create_payload_index(collection, field, schema, wait=True)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Add entries, or replace those with the same id."""
        points = [
            models.PointStruct(id=point_id(e.id), vector=e.vector.tolist(), payload=e.payload())
            for e in entries
        ]
        self._client.upsert(self.collection, points, wait=True)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove entries; returns how many there were."""
        there = self.get(ids)
        if there:
            points = models.PointIdsList(points=[point_id(entry.id) for entry in there])
            self._client.delete(self.collection, points, wait=True)
        return len(there)

    def get(self, ids: Sequence[str]) -> list[Entry]:
        """The entries with these ids that exist, vectors included."""
        return self.at([point_id(i) for i in ids])

    def at(self, points: Sequence[str]) -> list[Entry]:
        """The same for points; see ``candidates``. In no order."""
        records = self._client.retrieve(self.collection, list(points), with_payload=True, with_vectors=True)
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
            records, offset = self._client.scroll(
                self.collection,
                filters,
                limit=page,
                offset=offset,
                with_payload=payload,
                with_vectors=vectors,
            )
            yield records
            if offset is None:
                return

    def _count(self, filters: Any, *, exact: bool) -> int:
        return self._client.count(self.collection, filters, exact=exact).count

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
    ) -> list[models.ScoredPoint]:
        return self._client.query_points(
            self.collection,
            query=vector.tolist(),
            limit=limit,
            offset=offset,
            query_filter=filters,
            search_params=models.SearchParams(
                exact=ef is None,
                hnsw_ef=ef,
                quantization=models.QuantizationSearchParams(
                    ignore=ef is None,
                    rescore=not rough,
                    oversampling=None if rough else self._plan.oversampling,
                ),
            ),
            with_payload=payload,
            with_vectors=vectors,
        ).points

    def optimize(self) -> None:
        """Nothing to do: the server builds its graph by itself."""

    def flush(self) -> None:
        """Nothing to do: every write is acknowledged once it is in the server's log."""

    def close(self) -> None:
        """Nothing to do: the client belongs to the catalogue."""


def _entry(record: models.Record) -> Entry:
    assert isinstance(record.vector, list)
    return Entry.from_payload(record.payload or {}, record.vector)  # type: ignore[arg-type]
