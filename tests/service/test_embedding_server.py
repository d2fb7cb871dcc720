"""The embedding server as a process: vectors, indexes, searches, builds, refusals, ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from interplay import errors
from interplay.media.images import encode_jpeg, encode_png
from interplay.rpc.common.v1 import common_pb2, models_pb2, models_pb2_grpc
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.store import resolve
from tests.embedding_models import COLOURS, DIMENSION, make_embedding_store, plain
from tests.service.embedding_process import CAPABILITY, EmbeddingProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingProcess]:
    process = EmbeddingProcess(tmp_path_factory.mktemp("server"), store, max_image_pixels=100_000)
    process.wait_until_serving()
    yield process
    assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())  # and every line is JSON


def call(server: EmbeddingProcess, method: str, request: Any) -> Any:
    return server.client.call(getattr(server.client.stub, method), request)


def image(colour: str, seed: int = 0) -> common_pb2.Image:
    return common_pb2.Image(content=encode_png(plain(colour, seed=seed)))


def words(text: str, weight: float | None = None, language: str = "") -> pb.QueryPart:
    return pb.QueryPart(text=pb.Text(content=text, language=language), weight=weight)


def numbers(vector: pb.Vector) -> np.ndarray:
    return np.frombuffer(vector.values, dtype="<f4")


def new_entry(name: str, colour: str, seed: int = 0, **fields: Any) -> pb.NewEntry:
    return pb.NewEntry(
        entry=pb.Entry(id=name, caption=f"a {colour} wall", **fields), image=image(colour, seed)
    )


@pytest.fixture
def index(server: EmbeddingProcess) -> Iterator[str]:
    """An index of ten pictures of each colour, with places, times, tags and further facts."""
    call(server, "CreateIndex", pb.CreateIndexRequest(name="walls"))
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
    response = call(server, "Upsert", pb.UpsertRequest(index="walls", entries=entries))
    assert [result.id for result in response.results] == [entry.entry.id for entry in entries]
    assert not any(result.HasField("error") for result in response.results)
    yield "walls"
    call(server, "DropIndex", pb.DropIndexRequest(name="walls"))


def search(server: EmbeddingProcess, *query: pb.QueryPart, **fields: Any) -> pb.SearchResponse:
    return call(server, "Search", pb.SearchRequest(index="walls", query=query, **fields))


def found(response: pb.SearchResponse) -> list[str]:
    return [hit.entry.id for hit in response.hits]


# Vectors


def test_texts_become_vectors_and_tell_how_they_were_understood(
    server: EmbeddingProcess, store: Path
) -> None:
    texts = [
        pb.Text(content="the red sky"),
        pb.Text(content="ROJO", language="es"),
        pb.Text(content="skyscrapers"),
        pb.Text(content="zzzz"),
    ]
    response = call(server, "EmbedText", pb.EmbedTextRequest(texts=texts))
    vectors = [numbers(vector) for vector in response.vectors]
    assert [np.linalg.norm(vector).round(4) for vector in vectors] == [1, 1, 1, 0]
    assert vectors[0][0] == pytest.approx(1 / np.sqrt(1 + 1 + 0.25), abs=1e-4)
    understood = response.understood
    assert list(understood[0].words) == ["red", "sky"]
    assert [(r.word, list(r.stand_ins)) for r in understood[1].read_as] == [("rojo", ["red"])]
    assert [(r.word, list(r.stand_ins)) for r in understood[2].read_as] == [("skyscrapers", ["skyscraper"])]
    assert list(understood[3].unknown) == ["zzzz"]
    assert response.model.digest == resolve(store, "embedding-words").manifest.digest


def test_images_become_vectors_near_their_words(server: EmbeddingProcess) -> None:
    response = call(
        server, "EmbedImage", pb.EmbedImageRequest(images=[image(colour, 77) for colour in COLOURS])
    )
    texts = call(server, "EmbedText", pb.EmbedTextRequest(texts=[pb.Text(content=c) for c in COLOURS]))
    images = np.stack([numbers(result.vector) for result in response.results])
    scores = images @ np.stack([numbers(vector) for vector in texts.vectors]).T
    assert (scores.argmax(1) == np.arange(4)).all() and scores.diagonal().min() > 0.9
    assert response.timings.infer_ns > 0


def test_a_broken_image_costs_the_others_nothing(server: EmbeddingProcess) -> None:
    broken = common_pb2.Image(content=b"nothing")
    response = call(server, "EmbedImage", pb.EmbedImageRequest(images=[image("red"), broken, image("blue")]))
    assert [result.WhichOneof("result") for result in response.results] == ["vector", "error", "vector"]
    assert response.results[1].error.reason == "UNSUPPORTED_MEDIA"
    with pytest.raises(errors.UnsupportedMedia):
        call(server, "EmbedImage", pb.EmbedImageRequest(images=[broken]))


def test_a_stream_of_texts_and_images(server: EmbeddingProcess) -> None:
    items = [pb.EmbedBulkRequest(id=f"i{n}", image=image("red", n)) for n in range(30)]
    items += [pb.EmbedBulkRequest(id="t", text=pb.Text(content="red")), pb.EmbedBulkRequest(id="n"),
              pb.EmbedBulkRequest(id="l", text=pb.Text(content="x", language="zz"))]  # fmt: skip
    answers = {answer.id: answer for answer in server.client.stub.EmbedBulk(iter(items), timeout=60)}
    assert set(answers) == {item.id for item in items}
    assert all(answers[f"i{n}"].HasField("vector") for n in range(30))
    assert list(answers["t"].understood.words) == ["red"]
    assert answers["n"].error.message == "the item has neither image nor text"
    assert "known: en, ca, es" in answers["l"].error.message


# Searching


def test_a_word_finds_its_pictures(server: EmbeddingProcess, index: str) -> None:
    response = search(server, words("blue"), limit=10)
    assert all(name.startswith("blue") for name in found(response)) and len(response.hits) == 10
    assert response.candidates == 40 and response.exact
    scores = [hit.score for hit in response.hits]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0.8
    assert all(hit.probability > 0.9 for hit in response.hits)
    hit = response.hits[0].entry
    assert hit.caption == "a blue wall" and hit.uri.startswith("x/") and "wall" in hit.tags
    assert json.loads(hit.extra_json)["number"] % 4 == 2


def test_weights_images_and_entries_add_up(server: EmbeddingProcess, index: str) -> None:
    assert found(search(server, pb.QueryPart(image=image("green", 99)), limit=3))[0].startswith("green")
    assert found(search(server, pb.QueryPart(entry="white-3"), limit=1)) == ["white-3"]
    mixed = search(server, words("red"), words("blue"), words("blue", -1.5), limit=10)
    assert all(name.startswith("red") for name in found(mixed))
    away = search(server, pb.QueryPart(image=image("red")), words("red", -3), limit=40)
    assert all(name.startswith("red") for name in found(away)[-10:])
    assert not any(hit.HasField("probability") for hit in away.hits)  # calibrated for words alone
    vector = call(server, "EmbedText", pb.EmbedTextRequest(texts=[pb.Text(content="white")])).vectors[0]
    assert found(search(server, pb.QueryPart(vector=vector), limit=1))[0].startswith("white")


def test_queries_in_another_language(server: EmbeddingProcess, index: str) -> None:
    response = search(server, words("azul", language="es"), limit=5)
    assert all(name.startswith("blue") for name in found(response))
    assert response.understood[0].read_as[0].word == "azul"


def test_filters(server: EmbeddingProcess, index: str) -> None:
    def ids(**fields: Any) -> set[int]:
        response = search(server, words("red"), filter=pb.Filter(**fields), limit=100)
        assert response.candidates == len(response.hits)
        return {int(name.split("-")[1]) for name in found(response)}

    every = set(range(40))
    assert ids(tags=["n1"]) == {n for n in every if n % 3 == 1}
    assert ids(any_tags=["n1", "n2"]) == {n for n in every if n % 3}
    assert ids(text="GREEN wall") == {n for n in every if n % 4 == 1}
    assert ids(equals_json='{"odd": true}') == {n for n in every if n % 2}
    assert ids(equals_json='{"number": 7}') == {7}
    after, before = Timestamp(), Timestamp()
    after.FromDatetime(datetime(2020, 1, 10, tzinfo=UTC))
    before.FromDatetime(datetime(2020, 1, 12, tzinfo=UTC))
    assert ids(after=after, before=before) == {n for n in every if 10 <= 1 + n % 28 < 12}
    centre = common_pb2.LatLng(latitude=41.0, longitude=2.0)
    assert ids(circle=pb.Circle(centre=centre, radius_m=5000)) == {0, 1, 2, 3, 4}
    assert ids(box=pb.Box(south=41.195, west=1, north=42, east=3)) == set(range(20, 40))


def test_pages_and_the_cut_off(server: EmbeddingProcess, index: str) -> None:
    whole, token, pages = found(search(server, words("red"), limit=40)), "", []
    while True:
        page = search(server, words("red"), limit=7, page_token=token)
        pages += found(page)
        if not (token := page.next_page_token):
            break
    assert pages == whole and len(set(pages)) == 40
    relevant = search(server, words("red"), limit=40, relevant_only=True)
    assert {name.split("-")[0] for name in found(relevant)} == {"red"} and relevant.next_page_token == ""
    with pytest.raises(errors.InvalidParameter, match="page_token belongs to another query"):
        token = search(server, words("red"), limit=7).next_page_token
        search(server, words("blue"), limit=7, page_token=token)


def test_near_duplicates_are_grouped(server: EmbeddingProcess, index: str) -> None:
    rng = np.random.default_rng(5)
    picture = np.kron(rng.integers(0, 256, (9, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    picture[..., 1:] //= 4  # reddish
    copies = {
        "dup-png": encode_png(picture),
        "dup-jpg": encode_jpeg(picture, 60),
        "dup-small": encode_png(picture[::2, ::2]),
    }
    entries = [
        pb.NewEntry(entry=pb.Entry(id=name), image=common_pb2.Image(content=c)) for name, c in copies.items()
    ]
    call(server, "Upsert", pb.UpsertRequest(index="walls", entries=entries))
    part = pb.QueryPart(image=common_pb2.Image(content=copies["dup-png"]))
    plainly = search(server, part, limit=3)
    assert set(found(plainly)) == set(copies)
    grouped = search(server, part, limit=3, group_duplicates=True)
    first, *others = found(grouped)
    assert first in copies and not set(others) & set(copies)
    assert set(grouped.hits[0].duplicates) == set(copies) - {first}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query": []}, "query has 0 items; it must have 1 to 32"),
        ({"query": [words("zzzz qqqq")]}, "the query has no direction; the model knows none of: zzzz, qqqq"),
        ({"query": [words("red"), words("red", -1)]}, "the query has no direction; its parts cancel out"),
        ({"query": [words("red", 0)]}, "weight is 0; it must be between -10 and 10, and not 0"),
        ({"query": [words("red", float("nan"))]}, "weight is nan"),
        ({"query": [pb.QueryPart()]}, r"query\[0\] has neither text, image, entry nor vector"),
        ({"query": [pb.QueryPart(vector=pb.Vector(values=b"abcd"))]}, f"has 4 bytes; {DIMENSION} 32-bit"),
        ({"query": [pb.QueryPart(entry="nope")]}, "index 'walls' has no entry 'nope'"),
        ({"limit": 0}, "limit is 0; it must be 1 to 200"),
        ({"page_token": "xx"}, "page_token is none that this server gave"),
        ({"filter": pb.Filter(equals_json="[1]")}, "filter.equals_json is no JSON object"),
        ({"filter": pb.Filter(equals_json='{"a": 1.5}')}, "is neither text, a whole number nor a boolean"),
        ({"filter": pb.Filter(circle=pb.Circle(radius_m=-1))}, "radius is -1 m"),
        ({"filter": pb.Filter(box=pb.Box(south=95))}, "latitude is 95"),
    ],
)  # fmt: skip
def test_what_is_no_search(
    server: EmbeddingProcess, index: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidParameter, match=message):
        call(server, "Search", pb.SearchRequest(**{"index": index, "query": [words("red")], **fields}))


# Indexes


def test_indexes_are_listed_made_and_removed(server: EmbeddingProcess, store: Path, index: str) -> None:
    response = call(server, "ListIndexes", pb.ListIndexesRequest())
    (listed,) = response.indexes
    assert (listed.name, listed.entries, listed.dimension) == ("walls", 40, DIMENSION)
    assert listed.space == resolve(store, "embedding-words").manifest.digest
    assert list(response.languages) == ["ca", "es"]
    with pytest.raises(errors.Conflict, match="there is an index 'walls' already"):
        call(server, "CreateIndex", pb.CreateIndexRequest(name="walls"))
    with pytest.raises(errors.InvalidParameter, match="must be lower-case letters"):
        call(server, "CreateIndex", pb.CreateIndexRequest(name="No Way"))
    for method, request in (
        ("DropIndex", pb.DropIndexRequest(name="none")),
        ("Delete", pb.DeleteRequest(index="none", ids=["a"])),
        ("Search", pb.SearchRequest(index="none", query=[words("red")])),
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
    call(server, "Upsert", pb.UpsertRequest(index=index, generation="job-1", entries=[new_entry("a", "red")]))
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


def test_the_models_are_described(server: EmbeddingProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        response = models_pb2_grpc.ModelServiceStub(channel).ListModels(
            models_pb2.ListModelsRequest(), timeout=10
        )
    assert [model.info.name for model in response.models] == list(CAPABILITY.models)


def test_a_killed_server_has_its_indexes_when_it_is_back(store: Path, tmp_path: Path) -> None:
    first = EmbeddingProcess(tmp_path, store)
    first.wait_until_serving()
    call(first, "CreateIndex", pb.CreateIndexRequest(name="walls"))
    call(first, "Upsert", pb.UpsertRequest(index="walls", entries=[new_entry("a", "red")]))
    call(first, "BeginBuild", pb.BeginBuildRequest(index="walls", generation="g2"))
    call(first, "Upsert", pb.UpsertRequest(index="walls", generation="g2", entries=[new_entry("b", "blue")]))
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
