"""``IndexService`` of a real embedding server: entries, builds, swaps, refusals, kills."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interplay import errors
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.common.v1 import index_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2
from interplay.store import resolve
from tests.embedding_models import DIMENSION, make_embedding_store
from tests.service.embedding_process import EmbeddingProcess
from tests.service.walls import found, make_walls, new_entry, search, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingProcess]:
    process = EmbeddingProcess(tmp_path_factory.mktemp("server"), store)
    process.wait_until_serving()
    yield process
    assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())  # and every line is JSON


def call(server: EmbeddingProcess, method: str, request: Any) -> Any:
    return server.call(method, request)


@pytest.fixture
def index(server: EmbeddingProcess) -> Iterator[str]:
    """An index of ten pictures of each colour."""
    make_walls(server)
    yield "walls"
    call(server, "DropIndex", pb.DropIndexRequest(name="walls"))


def test_indexes_are_listed_made_and_removed(server: EmbeddingProcess, store: Path, index: str) -> None:
    response = call(server, "ListIndexes", pb.ListIndexesRequest())
    (listed,) = response.indexes
    assert (listed.name, listed.entries, listed.dimension) == ("walls", 40, DIMENSION)
    assert listed.space == resolve(store, "embedding-words").manifest.digest
    with pytest.raises(errors.Conflict, match="there is an index 'walls' already"):
        call(server, "CreateIndex", pb.CreateIndexRequest(name="walls"))
    with pytest.raises(errors.InvalidParameter, match="must be lower-case letters"):
        call(server, "CreateIndex", pb.CreateIndexRequest(name="No Way"))
    for method, request in (
        ("DropIndex", pb.DropIndexRequest(name="none")),
        ("Delete", pb.DeleteRequest(index="none", ids=["a"])),
        ("Search", embedding_pb2.SearchRequest(index="none", query=[words("red")])),
        ("Upsert", pb.UpsertRequest(index="none", entries=[new_entry("a", "red")])),
    ):
        with pytest.raises(errors.NotFound, match="no index 'none'; there are: walls"):
            call(server, method, request)


def test_entries_are_replaced_and_removed(server: EmbeddingProcess, index: str) -> None:
    call(server, "Upsert", pb.UpsertRequest(index=index, entries=[new_entry("red-0", "blue")]))
    assert "red-0" in found(search(server, words("blue"), limit=11))
    assert call(server, "Delete", pb.DeleteRequest(index=index, ids=["red-0", "nope"])).deleted == 1
    assert search(server, words("blue")).candidates == 39


def test_one_bad_entry_costs_the_others_nothing(server: EmbeddingProcess, index: str) -> None:
    bad = [
        pb.NewEntry(entry=pb.Entry(id="no-content")),
        pb.NewEntry(entry=pb.Entry(id="broken"), image=common_pb2.Image(content=b"nothing")),
        new_entry("", "red"),
        new_entry("tag", "red", tags=[""]),
        new_entry("json", "red", extra_json="{"),
        new_entry("place", "red", place=common_pb2.LatLng(latitude=91)),
    ]
    response = call(server, "Upsert", pb.UpsertRequest(index=index, entries=[*bad, new_entry("good", "red")]))
    messages = [result.error.message for result in response.results]
    assert messages[0] == "the entry has neither image nor vector"
    assert "not an image" in messages[1] and "id has 0 characters" in messages[2]
    assert "a tag has 0 characters" in messages[3] and "extra_json is no JSON" in messages[4]
    assert "latitude is 91" in messages[5] and messages[6] == ""
    assert search(server, words("red")).candidates == 41


def test_a_build_answers_once_it_is_published(server: EmbeddingProcess, index: str) -> None:
    call(server, "Upsert", pb.UpsertRequest(index=index, entries=[new_entry("online", "white")]))
    begin = pb.BeginBuildRequest(index=index, generation="job-1")
    assert call(server, "BeginBuild", begin).entries == 0
    call(
        server,
        "Upsert",
        pb.UpsertRequest(index=index, generation="job-1", entries=[new_entry("a", "red")]),
    )
    assert call(server, "BeginBuild", begin).entries == 1  # the job came back
    assert search(server, words("red")).candidates == 41
    (listed,) = call(server, "ListIndexes", pb.ListIndexesRequest()).indexes
    assert list(listed.building) == ["job-1"]
    publish = pb.PublishBuildRequest(index=index, generation="job-1")
    for _ in range(2):  # told twice, done once
        published = call(server, "PublishBuild", publish).index
        # What built the index before is gone; what came online is carried over: all forty, and this one.
        assert (published.generation, published.entries, list(published.building)) == ("job-1", 42, [])
    with pytest.raises(errors.NotFound, match="no generation 'job-2' of index 'walls' is being built"):
        call(
            server,
            "Upsert",
            pb.UpsertRequest(index=index, generation="job-2", entries=[new_entry("a", "red")]),
        )
    call(server, "BeginBuild", pb.BeginBuildRequest(index=index, generation="job-2"))
    call(server, "AbortBuild", pb.AbortBuildRequest(index=index, generation="job-2"))
    assert not call(server, "ListIndexes", pb.ListIndexesRequest()).indexes[0].building


def test_searches_go_on_while_a_build_is_written_and_swapped(server: EmbeddingProcess, index: str) -> None:
    over, answers, failures = threading.Event(), [], []

    def read() -> None:
        while not over.is_set():
            try:
                answers.append(len(search(server, words("red"), limit=5).hits))
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3):
        generation = f"swap-{number}"
        call(server, "BeginBuild", pb.BeginBuildRequest(index=index, generation=generation))
        entries = [new_entry(f"built-{n}", "red", n) for n in range(30)]
        call(server, "Upsert", pb.UpsertRequest(index=index, generation=generation, entries=entries))
        call(server, "PublishBuild", pb.PublishBuildRequest(index=index, generation=generation))
    over.set()
    reader.join()
    assert failures == [] and len(answers) > 3 and set(answers) == {5}


def test_a_killed_server_has_its_indexes_when_it_is_back(store: Path, tmp_path: Path) -> None:
    first = EmbeddingProcess(tmp_path, store)
    first.wait_until_serving()
    call(first, "CreateIndex", pb.CreateIndexRequest(name="walls"))
    call(first, "Upsert", pb.UpsertRequest(index="walls", entries=[new_entry("a", "red")]))
    call(first, "BeginBuild", pb.BeginBuildRequest(index="walls", generation="g2"))
    call(
        first,
        "Upsert",
        pb.UpsertRequest(index="walls", generation="g2", entries=[new_entry("b", "blue")]),
    )
    first.kill()
    second = EmbeddingProcess(tmp_path, store)
    second.wait_until_serving()
    assert found(search(second, words("red"))) == ["a"]
    published = call(second, "PublishBuild", pb.PublishBuildRequest(index="walls", generation="g2")).index
    assert published.entries == 2
    assert second.end() == 0


def test_indexes_of_another_model_are_refused_by_name(store: Path, tmp_path: Path) -> None:
    first = EmbeddingProcess(tmp_path, store)
    first.wait_until_serving()
    call(first, "CreateIndex", pb.CreateIndexRequest(name="walls"))
    assert first.end() == 0
    for spec in (tmp_path / "indexes").glob("walls/*/spec.json"):
        spec.write_text(spec.read_text().replace("sha256:", "sha256:0"))
    second = EmbeddingProcess(tmp_path, store)
    second.wait_until_serving()
    with pytest.raises(errors.Conflict, match="was built with the word model sha256:0.* build it again"):
        search(second, words("red"))
    assert second.end() == 0
