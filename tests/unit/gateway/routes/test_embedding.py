"""``/v1/embeddings`` and ``/v1/search`` end to end: HTTP in, gRPC out, and back."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gateway.schemas.search import parse_query
from interplay.errors import DeadlineExceeded, Unavailable
from interplay.rpc.common.v1 import index_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from tests.fake_embedding import FakeEmbedding
from tests.unit.gateway.harness import RunningGateway, Starter, picture
from tests.unit.gateway.routes.test_indexes import ENCODED, ENTRY, PHOTO, add

# Queries as text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("beach", [("beach", 1)]),
        ("beach:1 sunset:0.5 people:-0.6", [("beach", 1), ("sunset", 0.5), ("people", -0.6)]),
        ('  "red car":2  -dog  ', [("red car", 2), ("dog", -1)]),
        ('-"red car":0.5', [("red car", -0.5)]),
        ("café 海灘:1e-1", [("café", 1), ("海灘", 0.1)]),
        ("", []),
    ],
)
def test_queries_are_read(text: str, parts: list[tuple[str, float]]) -> None:
    assert parse_query(text) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beach:", "the weight of 'beach' is '', which is no number"),
        ("beach:x", "the weight of 'beach' is 'x', which is no number"),
        ("beach:0", "the weight of 'beach' is 0; it must be between -10 and 10, and not 0"),
        ("beach:nan", "is nan"),
        ("beach:11", "is 11"),
        ('"red car', "cannot read the query from"),
        (":1", "cannot read the query from"),
        ('"red"car', "cannot read the query from"),
    ],
)
def test_queries_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_query(text)


# Vectors


def test_embeddings_in_the_shape_of_openai(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    response = gateway.client.post("/v1/embeddings", json={"input": ["dog zzz", "cats"], "model": "any"})
    assert response.status_code == 200
    body = response.json()
    assert body["object"] == "list" and body["model"] == "fake-words"
    assert body["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert [(row["object"], row["index"], row["modality"], row["unknown"]) for row in body["data"]] == [
        ("embedding", 0, "text", ["zzz"]),
        ("embedding", 1, "text", []),
    ]
    assert body["data"][0]["embedding"] == [7.0, 0, 0, 0]


def test_embeddings_of_one_text_as_base64(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    body = {"input": "dog", "encoding_format": "base64", "language": "es", "dimensions": 4}
    response = gateway.client.post("/v1/embeddings", json=body)
    (row,) = response.json()["data"]
    assert np.frombuffer(base64.b64decode(row["embedding"]), "<f4").tolist() == [3, 0, 0, 0]
    assert embedding_server.requests[-1].texts[0].language == "es"


def test_images_are_embedded_beside_texts(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    response = gateway.client.post("/v1/embeddings", json={"input": "dog", "images": [{"content": ENCODED}]})
    assert [(row["index"], row["modality"]) for row in response.json()["data"]] == [(0, "text"), (1, "image")]
    assert embedding_server.requests[-1].images[0].content == PHOTO
    alone = gateway.client.post("/v1/embeddings", json={"images": [{"content": ENCODED}]})
    assert alone.json()["model"] == "fake-image"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 422, "there is nothing to embed: neither input nor images"),
        ({"input": []}, 422, "nothing to embed"),
        ({"input": ["x"] * 257}, 422, "input has 257 texts; the limit is 256"),
        ({"input": "x", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"input": "x", "dimensions": 7}, 422, "dimensions is 7; the model has 4"),
        ({"images": [{"content": "%"}]}, 422, "images[0].content is not base64"),
        ({"images": [{}]}, 422, "images[0] needs exactly one of content and uri"),
        ({"images": [{"content": "AAAA"}]}, 422, "broken"),
        ({"input": "x", "nonsense": 1}, 422, "nonsense"),
        ([], 400, "must be a JSON object"),
    ],
)
def test_what_is_no_embedding_request(
    gateway: RunningGateway, embedding_server: FakeEmbedding, body: Any, status: int, text: str
) -> None:
    response = gateway.client.post("/v1/embeddings", json=body)
    assert response.status_code == status and text in response.text
    assert response.headers["content-type"] == "application/problem+json"


# Searching


def test_a_search_by_words(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    add(gateway, {**ENTRY, "image": {"content": ENCODED}}, {"id": "b", "vector": [1, 0, 0, 0]})
    query = {
        "index": "photos",
        "query": 'beach zzz:0.5 "red car":-1',
        "language": "es",
        "limit": 1,
        "group_duplicates": True,
        "relevant_only": True,
        "filter": {
            "tags": ["beach"],
            "any_tags": ["a", "b"],
            "text": "sun",
            "after": "2020-01-01T00:00:00Z",
            "before": "2021-01-01T00:00:00+01:00",
            "near": {"latitude": 41.38, "longitude": 2.17, "radius_m": 50000},
            "box": {"south": -1, "west": 170, "north": 1, "east": -170},
            "equals": {"stars": 4, "open": True, "who": "mg"},
        },
    }
    response = gateway.client.post("/v1/search", json=query)
    assert response.status_code == 200
    body = response.json()
    (hit,) = body["hits"]
    assert hit == {
        **ENTRY,
        "time": "2020-05-06T05:08:09Z",
        "thumbnail": None,
        "score": 0.9,
        "probability": 0.75,
        "duplicates": [],
    }
    assert body["understood"] == {"words": ["beach", "red", "car"], "read_as": [], "unknown": ["zzz"]}
    assert (body["candidates"], body["exact"], body["next_page_token"]) == (2, True, "1")
    assert body["model"]["name"] == "fake-words" and "Server-Timing" in response.headers
    sent: pb.SearchRequest = embedding_server.requests[-1]
    assert [(p.text.content, p.text.language, round(p.weight, 3)) for p in sent.query] == [
        ("beach", "es", 1.0), ("zzz", "es", 0.5), ("red car", "es", -1.0),
    ]  # fmt: skip
    assert sent.group_duplicates and sent.relevant_only and sent.limit == 1
    assert sent.filter.circle.radius_m == 50000 and sent.filter.box.west == 170
    assert json.loads(sent.filter.equals_json) == {"stars": 4, "open": True, "who": "mg"}
    assert sent.filter.after.ToDatetime(tzinfo=UTC) == datetime(2020, 1, 1, tzinfo=UTC)
    follow = gateway.client.post("/v1/search", json={**query, "page_token": body["next_page_token"]})
    assert [hit["id"] for hit in follow.json()["hits"]] == ["b"]
    assert follow.json()["hits"][0]["place"] is None


def test_a_search_by_image_in_a_form(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    fields = {
        "index": "photos",
        "query": "night",
        "image_weight": "0.5",
        "like": '["b"]',
        "filter": '{"tags": ["x"]}',
    }
    response = gateway.post_image("/v1/search", PHOTO, data=fields)
    assert response.status_code == 200
    sent = embedding_server.requests[-1]
    assert [part.WhichOneof("content") for part in sent.query] == ["text", "entry", "image"]
    assert sent.query[2].image.content == PHOTO and sent.query[2].weight == 0.5
    assert list(sent.filter.tags) == ["x"] and sent.limit == 20


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "index"),
        ({"index": "photos"}, "there is nothing to search for: no query, no image, no like"),
        ({"index": "photos", "query": "a:0"}, "the weight of 'a' is 0"),
        ({"index": "photos", "query": " ".join(["w"] * 33)}, "the query has 33 parts; the limit is 32"),
        ({"index": "photos", "query": "a", "limit": 201}, "limit"),
        ({"index": "photos", "query": "a", "image_weight": 0}, "image_weight is 0; it must not be"),
        ({"index": "photos", "query": "a", "filter": {"near": {"latitude": 1, "longitude": 2}}}, "radius_m"),
        ({"index": "photos", "query": "a", "filter": {"after": "2020-01-01"}}, "after"),
        ({"index": "photos", "query": "a", "filter": {"colour": 1}}, "colour"),
        ({"index": "photos", "query": "a", "colour": 1}, "unknown field 'colour'"),
    ],
)
def test_what_is_no_search(
    gateway: RunningGateway, embedding_server: FakeEmbedding, body: dict[str, Any], text: str
) -> None:
    response = gateway.client.post("/v1/search", json=body)
    assert response.status_code == 422 and text in response.text and embedding_server.requests == []


def test_thumbnails_and_contact_sheets(
    start_gateway: Starter, embedding_server: FakeEmbedding, tmp_path: Path
) -> None:
    running = start_gateway(dataset_roots=(str(tmp_path),))
    small = picture("JPEG", (64, 48))
    (tmp_path / "1.jpg").write_bytes(small)
    entries = embedding_server.indexes["photos"]
    entries["a/1 x.jpg"] = index_pb2.Entry(
        id="a/1 x.jpg", thumbnail=str(tmp_path / "1.jpg"), caption="Sunset"
    )
    entries["gone"] = index_pb2.Entry(id="gone", thumbnail=str(tmp_path / "2.jpg"))
    entries["outside"] = index_pb2.Entry(id="outside", thumbnail="/etc/passwd")
    entries["none"] = index_pb2.Entry(id="none")
    search = {"index": "photos", "query": "a"}
    hits = {hit["id"]: hit for hit in running.client.post("/v1/search", json=search).json()["hits"]}
    assert hits["none"]["thumbnail"] is None
    path = hits["a/1 x.jpg"]["thumbnail"]
    assert path == "/v1/indexes/photos/thumbnails/a/1%20x.jpg"
    shown = running.client.get(path)
    assert (shown.status_code, shown.headers["content-type"], shown.content) == (200, "image/jpeg", small)
    for name in ("gone", "outside", "none", "nope"):
        missing = running.client.get(f"/v1/indexes/photos/thumbnails/{name}")
        assert missing.status_code == 404 and "/etc" not in missing.text
    sheet = running.client.post("/v1/search", json=search, headers={"Accept": "image/png"})
    assert sheet.status_code == 200 and sheet.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(sheet.content)).width > 4 * 200
    entries.clear()
    assert running.client.post("/v1/search", json=search, headers={"Accept": "image/png"}).status_code == 404


def test_errors_of_the_server_come_through(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    missing = gateway.client.post("/v1/search", json={"index": "films", "query": "a"})
    assert missing.status_code == 404 and "no index 'films'; there are: photos" in missing.text
    for error, status in ((Unavailable("down"), 503), (DeadlineExceeded("late"), 504)):
        embedding_server.error = error
        assert gateway.client.post("/v1/embeddings", json={"input": "a"}).status_code == status
