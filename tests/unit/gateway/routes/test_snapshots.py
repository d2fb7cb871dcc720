"""Snapshots over HTTP: files that pass through in pieces, what is refused, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interplay.api_keys import create_api_key
from interplay.errors import NoRoom, Unavailable
from tests.conftest import wait_until
from tests.fake_embedding import FakeEmbedding
from tests.unit.gateway.harness import RunningGateway, Starter

BINARY = {"Content-Type": "application/octet-stream"}
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.middleware._LINGER_S", 0.3)


def restore(gateway: RunningGateway, content: Any, name: str = "new", **arguments: Any) -> httpx.Response:
    return gateway.client.post(f"/v1/indexes/{name}/restore", content=content, headers=BINARY, **arguments)


def test_snapshots_are_made_listed_sent_and_removed(
    gateway: RunningGateway, embedding_server: FakeEmbedding
) -> None:
    path = "/v1/indexes/photos/snapshots"
    made = gateway.client.post(path)
    assert made.status_code == 201 and made.json() == {
        "index": "photos",
        "snapshot": "s0",
        "entries": 7,
        "bytes": 3_072_000,
        "dimension": 4,
        "space": "",
        "created": "2026-01-02T03:04:05Z",
    }
    gateway.client.post(path)
    listed = gateway.client.get(path).json()["snapshots"]
    assert [found["snapshot"] for found in listed] == ["s1", "s0"]
    file = gateway.client.get(f"{path}/s0")
    assert file.status_code == 200 and file.content == embedding_server.snapshots["photos"]["s0"]
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"] == 'attachment; filename="photos-s0.index"'
    assert gateway.client.delete(f"{path}/s0").status_code == 204
    for method in ("GET", "DELETE"):
        gone = gateway.client.request(method, f"{path}/s0")
        assert gone.status_code == 404 and "no snapshot 's0' of index 'photos'" in gone.text


def test_an_index_is_restored_of_what_the_server_keeps(
    gateway: RunningGateway, embedding_server: FakeEmbedding
) -> None:
    gateway.client.post("/v1/indexes/photos/snapshots")
    path = "/v1/indexes/photos/restore"
    answer = gateway.client.post(path, json={"snapshot": "s0"}, params={"replace": "true"})
    assert answer.status_code == 200 and answer.json()["name"] == "photos"
    assert gateway.client.post("/v1/indexes/b/restore", json={"snapshot": "s0", "of": "photos"}).is_success
    (first, _), (second, _) = embedding_server.restored
    assert (first.index, first.replace, first.id, first.of) == ("photos", True, "s0", "")
    assert (second.index, second.replace, second.of) == ("b", False, "photos")
    assert gateway.client.post(path, json={"snapshot": "s9"}).status_code == 404


def test_a_file_passes_through_in_pieces(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    """Beyond every limit on bodies that are held: 300 MiB, with and without a length."""
    content = bytes(MIB) * 300
    assert restore(gateway, content).status_code == 200
    assert restore(gateway, (content[:MIB] for _ in range(3))).status_code == 200
    (first, came), (second, parts) = embedding_server.restored
    assert first.bytes == len(came) == len(content) and came == content
    assert second.bytes == 0 and parts == content[: 3 * MIB]


@pytest.mark.parametrize("size", [2 * MIB, 4096 * MIB])
def test_a_refusal_comes_before_all_is_sent(
    gateway: RunningGateway, embedding_server: FakeEmbedding, size: int
) -> None:
    embedding_server.refuses_heads = True
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while sent < size:
            sent += 65536
            yield bytes(65536)

    refused = restore(gateway, pieces())
    assert refused.status_code == 409 and refused.json()["detail"] == "the snapshot is of another model"
    assert size == 2 * MIB or sent < size
    embedding_server.refuses_heads = False
    assert restore(gateway, b"x").status_code == 200  # and the next is served


def test_what_is_refused(start_gateway: Starter, embedding_server: FakeEmbedding) -> None:
    gateway = start_gateway(max_snapshot_bytes=MIB, upload_timeout_s=0.5)
    declared = restore(gateway, bytes(MIB + 1))
    assert declared.status_code == 413 and "has 1,048,577 bytes; the limit is 1,048,576" in declared.text
    counted = restore(gateway, (bytes(65536) for _ in range(32)))
    assert counted.status_code == 413 and "more than 1,048,576 bytes" in counted.text
    form = gateway.client.post("/v1/indexes/a/restore", files={"file": b"x"})
    assert form.status_code == 415 and "send application/json or application/octet-stream" in form.text
    for body, status in (({"snapshot": ""}, 422), ({"snapshot": "a", "no": 1}, 422), ([], 400), ({}, 422)):
        assert gateway.client.post("/v1/indexes/a/restore", json=body).status_code == status
    assert embedding_server.restored == []
    embedding_server.error = NoRoom("the server's disk is full; 5 bytes are free")
    for answer in (restore(gateway, b"x"), gateway.client.post("/v1/indexes/photos/snapshots")):
        assert answer.status_code == 507 and answer.json()["reason"] == "NO_ROOM"
    embedding_server.error = Unavailable("down")
    for path in ("snapshots", "snapshots/s0"):
        down = gateway.client.get(f"/v1/indexes/photos/{path}")
        assert down.status_code == 503 and int(down.headers["retry-after"]) >= 1


def test_a_file_that_stands_still_is_given_up(
    start_gateway: Starter, embedding_server: FakeEmbedding
) -> None:
    import socket

    gateway = start_gateway(upload_timeout_s=0.5)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/indexes/a/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n"
            b"Content-Type: application/octet-stream\r\n\r\nabc"
        )
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408") and b"did not arrive within 0.5 s; 3 bytes came" in answer
    assert embedding_server.restored == []


def test_a_client_that_goes_away_ends_the_restore(
    gateway: RunningGateway, embedding_server: FakeEmbedding
) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(MIB)
        raise RuntimeError("the cable is out")

    with pytest.raises(RuntimeError, match="cable"):
        restore(gateway, pieces())
    admission = gateway.state.admission
    wait_until(lambda: admission._inflight["embedding"] == 0, what="the call has ended")
    wait_until(lambda: admission._body_bytes == 0, what="the body is let go")
    assert embedding_server.restored == []


def test_snapshots_need_the_scope_of_jobs(
    start_gateway: Starter, embedding_server: FakeEmbedding, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    reader = create_api_key(keys, "reader", ["infer"])
    editor = create_api_key(keys, "editor", ["infer", "jobs"])
    gateway = start_gateway(api_keys_file=keys)
    embedding_server.snapshots["photos"]["s0"] = b"file"
    path = "/v1/indexes/photos"
    for method, target, arguments in (
        ("GET", f"{path}/snapshots", {}),
        ("GET", f"{path}/snapshots/s0", {}),
        ("POST", f"{path}/snapshots", {}),
        ("POST", f"{path}/restore", {"json": {"snapshot": "s0"}}),
        ("DELETE", f"{path}/snapshots/s0", {}),
    ):
        for secret, allowed in ((reader, False), (editor, True)):
            answer = gateway.client.request(method, target, headers={"X-API-Key": secret}, **arguments)
            assert answer.is_success if allowed else answer.status_code == 403, (method, target, answer.text)
