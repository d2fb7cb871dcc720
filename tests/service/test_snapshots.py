"""Snapshots through a real embedding server: made, kept, sent, restored, refused, and kills in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from interplay import errors
from interplay.rpc.common.v1 import index_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.status import error_from_rpc
from tests.embedding_models import DIMENSION, make_embedding_store
from tests.service.embedding_process import EmbeddingProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MAX_BYTES = 8_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingProcess]:
    process = EmbeddingProcess(tmp_path_factory.mktemp("server"), store, max_snapshot_bytes=MAX_BYTES)
    process.wait_until_serving()
    yield process
    assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())


@pytest.fixture
def index(server: EmbeddingProcess) -> Iterator[str]:
    """An index of 200 vectors."""
    make(server, "walls", 200)
    yield "walls"
    for kept in call(server, "ListSnapshots", index_pb2.ListSnapshotsRequest(index="walls")).snapshots:
        call(server, "DeleteSnapshot", index_pb2.DeleteSnapshotRequest(index="walls", id=kept.id))
    call(server, "DropIndex", index_pb2.DropIndexRequest(name="walls"))


def call(server: EmbeddingProcess, method: str, request: Any) -> Any:
    return server.call(method, request)


def make(server: EmbeddingProcess, name: str, count: int) -> None:
    call(server, "CreateIndex", index_pb2.CreateIndexRequest(name=name))
    add(server, name, range(count))


def add(server: EmbeddingProcess, name: str, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 64):
        entries = [
            index_pb2.NewEntry(entry=index_pb2.Entry(id=f"e{n}", caption=f"wall {n}"), vector=vector(n))
            for n in range(start, min(start + 64, numbers.stop))
        ]
        call(server, "Upsert", index_pb2.UpsertRequest(index=name, entries=entries))


def vector(number: int) -> index_pb2.Vector:
    values = np.random.default_rng(number).normal(size=DIMENSION).astype("<f4")
    return index_pb2.Vector(values=values.tobytes())


def entries_of(server: EmbeddingProcess, name: str) -> int:
    indexes = call(server, "ListIndexes", index_pb2.ListIndexesRequest()).indexes
    return next((index.entries for index in indexes if index.name == name), -1)


def snapshot(server: EmbeddingProcess, name: str) -> index_pb2.Snapshot:
    made: index_pb2.Snapshot = call(
        server, "CreateSnapshot", index_pb2.CreateSnapshotRequest(index=name)
    ).snapshot
    return made


def download(server: EmbeddingProcess, made: index_pb2.Snapshot) -> bytes:
    request = index_pb2.DownloadSnapshotRequest(index=made.index, id=made.id)
    parts = list(server.client.indexes.DownloadSnapshot(request, timeout=60))
    assert parts[0].snapshot == made and all(part.chunk for part in parts[1:])
    return b"".join(part.chunk for part in parts[1:])


def restore(
    server: EmbeddingProcess, content: bytes | None, piece: int = 100_000, **target: Any
) -> index_pb2.Index:
    parts = [index_pb2.RestoreIndexRequest(restore=index_pb2.Restore(**target))]
    if content is not None:
        parts += [
            index_pb2.RestoreIndexRequest(chunk=content[start : start + piece])
            for start in range(0, len(content), piece)
        ]
    try:
        accepted, made = list(server.client.indexes.RestoreIndex(iter(parts), timeout=60))
    except grpc.RpcError as error:
        raise error_from_rpc(error) from error
    assert accepted.HasField("accepted")
    index: index_pb2.Index = made.index
    return index


def test_a_snapshot_is_made_listed_sent_and_removed(server: EmbeddingProcess, index: str) -> None:
    made = snapshot(server, index)
    assert (made.index, made.entries, made.dimension) == (index, 200, DIMENSION)
    content = download(server, made)
    assert len(content) == made.bytes
    second = snapshot(server, index)
    listed = call(server, "ListSnapshots", index_pb2.ListSnapshotsRequest(index=index)).snapshots
    assert {kept.id for kept in listed} == {made.id, second.id}
    call(server, "DeleteSnapshot", index_pb2.DeleteSnapshotRequest(index=index, id=made.id))
    listed = call(server, "ListSnapshots", index_pb2.ListSnapshotsRequest(index=index)).snapshots
    assert [kept.id for kept in listed] == [second.id]


def test_an_index_goes_back_to_a_snapshot(server: EmbeddingProcess, index: str) -> None:
    made = snapshot(server, index)
    add(server, index, range(200, 230))
    call(server, "Delete", index_pb2.DeleteRequest(index=index, ids=["e0", "e1"]))
    assert entries_of(server, index) == 228
    assert restore(server, None, index=index, id=made.id, replace=True).entries == 200
    query = [pb.QueryPart(entry="e1")]
    hits = call(server, "Search", pb.SearchRequest(index=index, query=query, limit=1)).hits
    assert [hit.entry.caption for hit in hits] == ["wall 1"]


def test_a_file_makes_an_index_of_any_name(server: EmbeddingProcess, index: str) -> None:
    made = snapshot(server, index)
    content = download(server, made)
    assert restore(server, content, index="sent", bytes=len(content)).entries == 200
    assert restore(server, content, piece=7, index="drops").entries == 200  # however it is cut
    assert restore(server, None, index="copy", of=index, id=made.id).entries == 200
    for name in ("sent", "drops", "copy"):
        call(server, "DropIndex", index_pb2.DropIndexRequest(name=name))


def test_a_dropped_index_comes_back_of_its_snapshot(server: EmbeddingProcess) -> None:
    make(server, "gone", 70)
    made = snapshot(server, "gone")
    call(server, "DropIndex", index_pb2.DropIndexRequest(name="gone"))
    (kept,) = call(server, "ListSnapshots", index_pb2.ListSnapshotsRequest(index="gone")).snapshots
    assert restore(server, None, index="gone", id=kept.id).entries == 70
    call(server, "DropIndex", index_pb2.DropIndexRequest(name="gone"))
    call(server, "DeleteSnapshot", index_pb2.DeleteSnapshotRequest(index="gone", id=made.id))


def test_what_cannot_be_restored(server: EmbeddingProcess, index: str) -> None:
    content = download(server, snapshot(server, index))
    space = content[content.index(b"sha256:") :][:71]
    wide = content.replace(b'"dimension": %d' % DIMENSION, b'"dimension": 900')
    for sent, target, kind, message in (
        (content, {"index": index}, errors.Conflict, "there is an index 'walls' already; say replace"),
        (content[:-5], {}, errors.InvalidInput, "it is truncated"),
        (content[:9000] + b"?" + content[9001:], {}, errors.InvalidInput, "do not have the checksum"),
        (b"GIF89a", {}, errors.InvalidInput, "this is no snapshot of an index"),
        (b"GIF89a" * 30_000, {}, errors.InvalidInput, "this is no snapshot of an index"),
        (content, {"bytes": len(content) + 1}, errors.InvalidInput, r"bytes came of"),
        (content, {"bytes": MAX_BYTES + 1}, errors.PayloadTooLarge, "8,000,001 bytes; the limit is"),
        (content + bytes(MAX_BYTES), {}, errors.PayloadTooLarge, "more than 8,000,000 bytes"),
        (content.replace(space, b"sha256:" + b"0" * 64), {}, errors.Conflict, "word model sha256:0000"),
        (wide, {}, errors.Conflict, f"have 900 numbers, and those of this server's model {DIMENSION}"),
        (None, {}, errors.InvalidInput, "neither a snapshot nor the id of one"),
        (None, {"id": "20200101t000000z-00000000"}, errors.NotFound, "of index 'new'; there are: none"),
        (None, {"id": "../../indexes/walls", "of": index}, errors.NotFound, "no snapshot"),
        (None, {"id": "x", "of": "../walls"}, errors.InvalidParameter, "must be lower-case letters"),
        (content, {"index": "No Way"}, errors.InvalidParameter, "must be lower-case letters"),
    ):  # fmt: skip
        with pytest.raises(kind, match=message):
            restore(server, sent, **{"index": "new", **target})
    with pytest.raises(errors.InvalidParameter, match="the first part must say what to restore"):
        try:
            list(
                server.client.indexes.RestoreIndex(
                    iter([index_pb2.RestoreIndexRequest(chunk=b"x")]), timeout=60
                )
            )
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error
    assert [found.name for found in call(server, "ListIndexes", index_pb2.ListIndexesRequest()).indexes] == [
        index
    ]
    assert entries_of(server, index) == 200
    folder = server.log.parent
    assert [path.name for path in (folder / "indexes").iterdir()] == ["walls"]
    assert all(path.is_dir() for path in (folder / "snapshots").iterdir())  # nothing of what was sent is left


def test_indexes_and_snapshots_that_are_not_there(server: EmbeddingProcess, index: str) -> None:
    for method, request in (
        ("CreateSnapshot", index_pb2.CreateSnapshotRequest(index="none")),
        ("ListSnapshots", index_pb2.ListSnapshotsRequest(index="none")),
    ):
        with pytest.raises(errors.NotFound, match="no index 'none'; there are: walls"):
            call(server, method, request)
    with pytest.raises(errors.NotFound, match="no snapshot 'x' of index 'walls'; there are: none"):
        call(server, "DeleteSnapshot", index_pb2.DeleteSnapshotRequest(index=index, id="x"))
    with pytest.raises(grpc.RpcError) as refused:
        list(
            server.client.indexes.DownloadSnapshot(
                index_pb2.DownloadSnapshotRequest(index=index, id="x"), timeout=60
            )
        )
    assert isinstance(error_from_rpc(refused.value), errors.NotFound)


def test_searches_and_writes_go_on_while_an_index_is_restored(server: EmbeddingProcess, index: str) -> None:
    made, over = snapshot(server, index), threading.Event()
    answers: list[int] = []
    failures: list[Exception] = []

    def read() -> None:
        request = pb.SearchRequest(index=index, query=[pb.QueryPart(entry="e7")], limit=5)
        while not over.is_set():
            try:
                answers.append(len(call(server, "Search", request).hits))
                add(server, index, range(7, 8))
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        restore(server, None, index=index, id=made.id, replace=True)
        snapshot(server, index)
    over.set()
    reader.join()
    assert failures == [] and len(answers) > 3 and set(answers) == {5}


def test_an_upload_that_breaks_off_leaves_nothing(server: EmbeddingProcess, index: str) -> None:
    content, go = download(server, snapshot(server, index)), threading.Event()

    def parts() -> Iterator[index_pb2.RestoreIndexRequest]:
        yield index_pb2.RestoreIndexRequest(restore=index_pb2.Restore(index="broken-off"))
        yield index_pb2.RestoreIndexRequest(chunk=content[:-1000])
        go.wait(30)

    running = server.client.indexes.RestoreIndex(parts(), timeout=60)
    time.sleep(0.3)
    running.cancel()
    go.set()
    assert entries_of(server, "broken-off") == -1
    assert restore(server, content, index="broken-off").entries == 200  # and its place is free again
    call(server, "DropIndex", index_pb2.DropIndexRequest(name="broken-off"))


@pytest.mark.parametrize("pause_s", [0.02, 0.15, 0.4])
def test_a_server_killed_in_a_restore_comes_back_with_the_old_or_the_new_index(
    store: Path, tmp_path: Path, pause_s: float
) -> None:
    first = EmbeddingProcess(tmp_path, store)
    first.wait_until_serving()
    make(first, "walls", 1000)
    made = snapshot(first, "walls")
    call(first, "Delete", index_pb2.DeleteRequest(index="walls", ids=[f"e{n}" for n in range(500)]))
    target = index_pb2.RestoreIndexRequest(restore=index_pb2.Restore(index="walls", id=made.id, replace=True))
    running = first.client.indexes.RestoreIndex(iter([target]), timeout=60)
    time.sleep(pause_s)
    first.kill()
    with pytest.raises(grpc.RpcError):
        list(running)
    second = EmbeddingProcess(tmp_path, store)
    second.wait_until_serving()
    assert entries_of(second, "walls") in (500, 1000)
    (kept,) = call(second, "ListSnapshots", index_pb2.ListSnapshotsRequest(index="walls")).snapshots
    assert kept == made
    assert len([path for path in (tmp_path / "indexes" / "walls").iterdir() if path.is_dir()]) == 1
    assert restore(second, None, index="walls", id=made.id, replace=True).entries == 1000
    assert second.end() == 0
