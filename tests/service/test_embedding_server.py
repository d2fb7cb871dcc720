"""The embedding server as a process: vectors, searches, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2

from interplay import errors
from interplay.media.images import encode_jpeg, encode_png
from interplay.rpc.clients import INDEX_SERVICE
from interplay.rpc.common.v1 import common_pb2, index_pb2, models_pb2, models_pb2_grpc
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.store import resolve
from tests.embedding_models import COLOURS, DIMENSION, make_embedding_store
from tests.service.embedding_process import CAPABILITY, EmbeddingProcess
from tests.service.runtimes import RUNTIMES, running
from tests.service.walls import found, image, make_walls, search, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SHORT = index_pb2.Vector(values=b"abcd")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    store: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddingProcess]:
    """One server for the module, once with each runtime."""
    folder = tmp_path_factory.mktemp("server")
    with running(request.param, store, folder / "ts", "embedding") as settings:
        process = EmbeddingProcess(folder, store, max_image_pixels=100_000, **settings)
        process.wait_until_serving()
        yield process
        assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())  # and every line is JSON


def call(server: EmbeddingProcess, method: str, request: Any) -> Any:
    return server.call(method, request)


def numbers(vector: index_pb2.Vector) -> np.ndarray:
    return np.frombuffer(vector.values, dtype="<f4")


@pytest.fixture
def index(server: EmbeddingProcess) -> Iterator[str]:
    """An index of ten pictures of each colour."""
    make_walls(server)
    yield "walls"
    call(server, "DropIndex", index_pb2.DropIndexRequest(name="walls"))


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
    assert list(call(server, "ListLanguages", pb.ListLanguagesRequest()).languages) == ["ca", "es"]


def test_filters(server: EmbeddingProcess, index: str) -> None:
    def ids(**fields: Any) -> set[int]:
        response = search(server, words("red"), filter=index_pb2.Filter(**fields), limit=100)
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
    assert ids(circle=index_pb2.Circle(centre=centre, radius_m=5000)) == {0, 1, 2, 3, 4}
    assert ids(box=index_pb2.Box(south=41.195, west=1, north=42, east=3)) == set(range(20, 40))


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
        index_pb2.NewEntry(entry=index_pb2.Entry(id=name), image=common_pb2.Image(content=c))
        for name, c in copies.items()
    ]
    call(server, "Upsert", index_pb2.UpsertRequest(index="walls", entries=entries))
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
        ({"query": [pb.QueryPart(vector=SHORT)]}, f"has 4 bytes; {DIMENSION} 32-bit"),
        ({"query": [pb.QueryPart(entry="nope")]}, "index 'walls' has no entry 'nope'"),
        ({"limit": 0}, "limit is 0; it must be 1 to 200"),
        ({"page_token": "xx"}, "page_token is none that this server gave"),
        ({"filter": index_pb2.Filter(equals_json="[1]")}, "filter.equals_json is no JSON object"),
        ({"filter": index_pb2.Filter(equals_json='{"a": 1.5}')}, "neither text, a whole number nor a bool"),
        ({"filter": index_pb2.Filter(circle=index_pb2.Circle(radius_m=-1))}, "radius is -1 m"),
        ({"filter": index_pb2.Filter(box=index_pb2.Box(south=95))}, "latitude is 95"),
    ],
)  # fmt: skip
def test_what_is_no_search(
    server: EmbeddingProcess, index: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidParameter, match=message):
        call(server, "Search", pb.SearchRequest(**{"index": index, "query": [words("red")], **fields}))


# The server


def test_the_models_are_described(server: EmbeddingProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        response = models_pb2_grpc.ModelServiceStub(channel).ListModels(
            models_pb2.ListModelsRequest(), timeout=10
        )
    assert [model.info.name for model in response.models] == list(CAPABILITY.models)


def test_health_is_told_of_every_service(server: EmbeddingProcess) -> None:
    names = ("", CAPABILITY.grpc_service, INDEX_SERVICE, "interplay.embedding.v1.EmbeddingAnalysisService")
    for name in names:
        reply = server.client.health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING, name
