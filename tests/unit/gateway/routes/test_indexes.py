"""``/v1/indexes`` end to end: HTTP in, gRPC out, and back; whose indexes are meant."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interplay.api_keys import create_api_key
from interplay.capabilities import CAPABILITIES, get_capability
from tests.fake_embedding import FakeEmbedding
from tests.unit.gateway.harness import RunningGateway, Starter, picture

PHOTO = picture("PNG", (60, 40))
ENCODED = base64.b64encode(PHOTO).decode()
ENTRY = {
    "id": "a/1.jpg",
    "uri": "s3://x/1.jpg",
    "caption": "Sunset",
    "tags": ["beach"],
    "place": {"latitude": 41.4, "longitude": 2.2},
    "time": "2020-05-06T07:08:09+02:00",
    "extra": {"stars": 4, "who": {"name": "mg"}},
}


def add(gateway: RunningGateway, *entries: dict[str, Any]) -> Any:
    return gateway.client.post("/v1/indexes/photos/entries", json={"entries": list(entries)})


def test_indexes_are_made_listed_and_removed(
    gateway: RunningGateway, embedding_server: FakeEmbedding
) -> None:
    made = gateway.client.post("/v1/indexes", json={"name": "new-one"})
    assert made.status_code == 201
    assert made.json() == {
        "name": "new-one",
        "generation": "g1",
        "entries": 0,
        "dimension": 4,
        "space": "sha256:" + "d" * 64,
        "created": "2026-01-02T03:04:05Z",
        "building": [],
    }
    assert gateway.client.post("/v1/indexes", json={"name": "new-one"}).status_code == 409
    listed = gateway.client.get("/v1/indexes").json()
    assert [index["name"] for index in listed["indexes"]] == ["photos", "new-one"]
    assert listed["languages"] == ["es"]
    assert gateway.client.get("/v1/indexes/new-one").json() == made.json()
    assert gateway.client.delete("/v1/indexes/new-one").status_code == 204
    for method in ("GET", "DELETE"):
        gone = gateway.client.request(method, "/v1/indexes/new-one")
        assert gone.status_code == 404 and "no index 'new-one'; there are: photos" in gone.text
    assert gateway.client.post("/v1/indexes", json={"name": "No Way"}).status_code == 422


def test_entries_are_added_with_all_they_have(
    gateway: RunningGateway, embedding_server: FakeEmbedding
) -> None:
    response = add(
        gateway,
        {**ENTRY, "image": {"content": ENCODED}},
        {"id": "b", "vector": [1, 2, 3, 4.5]},
        {"id": "c", "image": {"content": "AAAA"}},
    )
    assert response.status_code == 200
    body = response.json()
    assert body["added"] == 2 and body["timings"]["infer_ms"] == 4.0
    assert body["errors"] == [{"id": "c", "reason": "UNREADABLE_IMAGE", "message": "broken"}]
    first, second, _ = embedding_server.requests[-1].entries
    assert first.image.content == PHOTO and json.loads(first.entry.extra_json) == ENTRY["extra"]
    assert first.entry.time.ToDatetime(tzinfo=UTC) == datetime(2020, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert np.frombuffer(second.vector.values, "<f4").tolist() == [1, 2, 3, 4.5]
    deleted = gateway.client.post("/v1/indexes/photos/entries:delete", json={"ids": ["b", "nope"]})
    assert deleted.json() == {"deleted": 1}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"id": "a"}, "the entry 'a' needs exactly one of image and vector"),
        ({"id": "", "vector": [1]}, "entries.0.id"),
        ({"id": "a", "vector": [1], "place": {"latitude": 91, "longitude": 0}}, "place.latitude"),
        ({"id": "a", "vector": [1], "time": "2020-01-01T00:00:00"}, "time"),
        ({"id": "a", "vector": [1], "tags": [""]}, "tags"),
    ],
)
def test_what_is_no_entry(
    gateway: RunningGateway, embedding_server: FakeEmbedding, entry: dict[str, Any], text: str
) -> None:
    response = add(gateway, entry)
    assert response.status_code == 422 and text in response.text and embedding_server.requests == []


def test_changes_need_the_scope_of_jobs(
    start_gateway: Starter, embedding_server: FakeEmbedding, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    reader = create_api_key(keys, "reader", ["infer"])
    editor = create_api_key(keys, "editor", ["infer", "jobs"])
    running = start_gateway(api_keys_file=keys)
    changes = (
        ("POST", "/v1/indexes", {"name": "new"}, 201),
        ("POST", "/v1/indexes/photos/entries", {"entries": [{"id": "a", "vector": [1, 0, 0, 0]}]}, 200),
        ("POST", "/v1/indexes/photos/entries:delete", {"ids": ["a"]}, 200),
        ("DELETE", "/v1/indexes/new", None, 204),
    )
    for method, path, body, status in changes:
        for key, expected in ((reader, 403), (editor, status)):
            answer = running.client.request(method, path, json=body, headers={"X-API-Key": key})
            assert answer.status_code == expected, (method, path, answer.text)
    search = {"index": "photos", "query": "a"}
    assert running.client.post("/v1/search", json=search, headers={"X-API-Key": reader}).status_code == 200


# Whose indexes


@pytest.fixture
def other_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEmbedding]:
    """A second capability that keeps indexes."""
    capability = replace(get_capability("style_transfer"), indexes=True)
    rows = (*(row for row in CAPABILITIES if row.name != capability.name), capability)
    monkeypatch.setattr("interplay.capabilities.CAPABILITIES", rows)
    server = FakeEmbedding(capability)
    server.start()
    server.indexes = {"places": {}}
    yield server
    server.stop()


def test_each_capability_has_indexes_of_its_own(
    start_gateway: Starter, embedding_server: FakeEmbedding, other_server: FakeEmbedding, tmp_path: Path
) -> None:
    addresses = {
        "embedding": f"127.0.0.1:{embedding_server.port}",
        "style_transfer": f"127.0.0.1:{other_server.port}",
    }
    client = start_gateway(capability_addresses=addresses, dataset_roots=(str(tmp_path),)).client
    whose = {"capability": "style_transfer"}
    listed = client.get("/v1/indexes", params=whose).json()
    assert [index["name"] for index in listed["indexes"]] == ["places"] and listed["languages"] == []
    assert [i["name"] for i in client.get("/v1/indexes").json()["indexes"]] == ["photos"]
    path = "/v1/indexes/new"
    assert client.post("/v1/indexes", json={"name": "new"}, params=whose).status_code == 201
    assert client.get(path, params=whose).status_code == 200 and client.get(path).status_code == 404
    entries = {"entries": [{"id": "a", "vector": [1, 0, 0, 0]}]}
    assert client.post(f"{path}/entries", json=entries, params=whose).json()["added"] == 1
    assert client.get(f"{path}/thumbnails/a", params=whose).status_code == 404
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    other_server.indexes["new"]["a"].thumbnail = str(tmp_path / "a.jpg")
    assert client.get(f"{path}/thumbnails/a", params=whose).content == PHOTO
    assert client.post(f"{path}/entries:delete", json={"ids": ["a"]}, params=whose).json() == {"deleted": 1}
    made = client.post(f"{path}/snapshots", params=whose).json()["snapshot"]
    kept = client.get(f"{path}/snapshots", params=whose).json()["snapshots"]
    assert [snapshot["snapshot"] for snapshot in kept] == [made]
    file = client.get(f"{path}/snapshots/{made}", params=whose)
    binary = {"Content-Type": "application/octet-stream"}
    sent = client.post("/v1/indexes/sent/restore", content=file.content, headers=binary, params=whose)
    assert sent.status_code == 200 and other_server.restored[-1][1] == file.content
    for target in (f"{path}/snapshots/{made}", path):
        assert client.delete(target, params=whose).status_code == 204
    assert list(other_server.indexes) == ["places", "sent"]
    assert list(embedding_server.indexes) == ["photos"] and embedding_server.restored == []


@pytest.mark.parametrize("capability", ["nope", "text_detection", "Embedding", ""])
def test_a_capability_without_indexes_is_refused(
    gateway: RunningGateway, embedding_server: FakeEmbedding, capability: str
) -> None:
    for method, path, body in (
        ("GET", "/v1/indexes", None),
        ("POST", "/v1/indexes", {"name": "new"}),
        ("GET", "/v1/indexes/photos", None),
        ("DELETE", "/v1/indexes/photos", None),
        ("GET", "/v1/indexes/photos/thumbnails/a", None),
        ("POST", "/v1/indexes/photos/entries", {"entries": [{"id": "a", "vector": [1]}]}),
        ("POST", "/v1/indexes/photos/entries:delete", {"ids": ["a"]}),
        ("GET", "/v1/indexes/photos/snapshots", None),
        ("POST", "/v1/indexes/photos/snapshots", None),
        ("GET", "/v1/indexes/photos/snapshots/s0", None),
        ("DELETE", "/v1/indexes/photos/snapshots/s0", None),
        ("POST", "/v1/indexes/photos/restore", {"snapshot": "s0"}),
    ):
        refused = gateway.client.request(method, path, json=body, params={"capability": capability})
        assert refused.status_code == 422, (method, path, refused.text)
        message = "must be a capability that keeps indexes: embedding, locsens"
        assert refused.json()["detail"] == f"capability: {message}, got {capability!r}"
    assert embedding_server.requests == []
