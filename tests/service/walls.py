"""Small pictures of walls, as entries of an index of a real embedding server, and searches in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from interplay.media.images import encode_png
from interplay.rpc.common.v1 import common_pb2, index_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from tests.embedding_models import COLOURS, plain
from tests.service.embedding_process import EmbeddingProcess


def image(colour: str, seed: int = 0) -> common_pb2.Image:
    return common_pb2.Image(content=encode_png(plain(colour, seed=seed)))


def words(text: str, weight: float | None = None, language: str = "") -> pb.QueryPart:
    return pb.QueryPart(text=pb.Text(content=text, language=language), weight=weight)


def new_entry(name: str, colour: str, seed: int = 0, **fields: Any) -> index_pb2.NewEntry:
    return index_pb2.NewEntry(
        entry=index_pb2.Entry(id=name, caption=f"a {colour} wall", **fields), image=image(colour, seed)
    )


def make_walls(server: EmbeddingProcess) -> None:
    """An index of ten pictures of each colour, with places, times, tags and further facts."""
    server.call("CreateIndex", index_pb2.CreateIndexRequest(name="walls"))
    entries = []
    for number in range(40):
        colour = tuple(COLOURS)[number % 4]
        entry = new_entry(
            f"{colour}-{number}", colour, number, tags=["wall", f"n{number % 3}"], uri=f"x/{number}.png"
        )
        entry.entry.place.latitude, entry.entry.place.longitude = 41.0 + number / 100, 2.0
        entry.entry.time.FromDatetime(datetime(2020, 1, 1 + number % 28, tzinfo=UTC))
        entry.entry.extra_json = json.dumps({"number": number, "odd": bool(number % 2)})
        entries.append(entry)
    response = server.call("Upsert", index_pb2.UpsertRequest(index="walls", entries=entries))
    assert [result.id for result in response.results] == [entry.entry.id for entry in entries]
    assert not any(result.HasField("error") for result in response.results)


def search(server: EmbeddingProcess, *query: pb.QueryPart, **fields: Any) -> pb.SearchResponse:
    return server.call("Search", pb.SearchRequest(index="walls", query=query, **fields))


def found(response: pb.SearchResponse) -> list[str]:
    return [hit.entry.id for hit in response.hits]
