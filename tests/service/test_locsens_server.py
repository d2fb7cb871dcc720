"""The LocSens server as a process: tags, images, scores, refusals; its answers are the predictors' own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from PIL import Image as PillowImage

from interplay import errors
from interplay.index.entries import Place, distance_m
from interplay.media.images import encode_png
from interplay.predictors.locsens.image import ImageTagger
from interplay.predictors.locsens.retriever import ImageRanker, ScoreItem
from interplay.predictors.locsens.tagger import PlaceTagger, TagItem
from interplay.rpc.clients import INDEX_SERVICE
from interplay.rpc.common.v1 import common_pb2, index_pb2
from interplay.rpc.locsens.v1 import locsens_pb2 as pb
from interplay.store import resolve
from tests.embedding_models import COLOURS, plain
from tests.locsens_models import PHOTOS, TAGS, make_locsens_store
from tests.service.locsens_process import CAPABILITY, LocSensProcess
from tests.service.runtimes import RUNTIMES, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BARCELONA = common_pb2.LatLng(latitude=41.38, longitude=2.17)
EVERYWHERE = np.array([41.38, 2.17])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_locsens_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    store: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocSensProcess]:
    """One server for the module, once with each runtime."""
    folder = tmp_path_factory.mktemp("server")
    with running(request.param, store, folder / "ts", "locsens") as settings:
        process = LocSensProcess(folder, store, max_exact_entries=50, **settings)
        process.wait_until_serving()
        yield process
        assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())  # and every line is JSON


@pytest.fixture(scope="module")
def image_model(store: Path) -> ImageTagger:
    return ImageTagger.open(store, device="cpu")


@pytest.fixture(scope="module")
def index(server: LocSensProcess) -> str:
    """Ten pictures of each colour around the world; two of them have no place."""
    server.call("CreateIndex", index_pb2.CreateIndexRequest(name="walls"))
    entries = []
    for number in range(40):
        colour = tuple(COLOURS)[number % 4]
        entry = index_pb2.Entry(id=f"{colour}-{number}", caption=f"a {colour} wall", tags=[f"n{number % 3}"])
        if number > 1:
            entry.place.latitude, entry.place.longitude = 41.38 - 2 * number, 2.17 + 4 * number
        entries.append(index_pb2.NewEntry(entry=entry, image=picture(colour, number)))
    answer = server.call("Upsert", index_pb2.UpsertRequest(index="walls", entries=entries))
    assert not any(result.HasField("error") for result in answer.results)
    return "walls"


def picture(colour: str, seed: int = 0) -> common_pb2.Image:
    return common_pb2.Image(content=encode_png(plain(colour, seed=seed)))


def place(latitude: float, longitude: float) -> common_pb2.LatLng:
    return common_pb2.LatLng(latitude=latitude, longitude=longitude)


def retrieve(server: LocSensProcess, **fields: Any) -> pb.RetrieveResponse:
    return server.call("Retrieve", pb.RetrieveRequest(index="walls", **fields))


# Tags


def test_an_image_alone(server: LocSensProcess, image_model: ImageTagger) -> None:
    answer = server.call("Tag", pb.TagRequest(image=picture("blue"), limit=3))
    chances = image_model.predict([plain("blue", seed=0)])[0].chances
    assert [tag.tag for tag in answer.tags] == [TAGS[row] for row in np.argsort(-chances)[:3]]
    assert answer.tags[0].tag == "blue"
    assert answer.tags[0].score == pytest.approx(chances.max(), abs=1e-5)
    assert not answer.without_place and not answer.HasField("place") and answer.model.name == "locsens-image"
    assert answer.timings.infer_ns > 0


@pytest.mark.parametrize("mode", [pb.MODE_FAST, pb.MODE_EXACT])
def test_an_image_at_a_place(
    server: LocSensProcess, store: Path, image_model: ImageTagger, mode: pb.Mode
) -> None:
    answer = server.call("Tag", pb.TagRequest(image=picture("blue"), place=BARCELONA, mode=mode, limit=9))
    alone = image_model.predict([plain("blue", seed=0)])[0]
    tagger = PlaceTagger.open(
        store, resolve(store, "locsens-image").manifest, image_model.tag_vectors, device="cpu"
    )
    found = tagger.tag(TagItem(alone.vector, alone.chances, EVERYWHERE, exact=mode == pb.MODE_EXACT))
    assert [tag.tag for tag in answer.tags] == [TAGS[row] for row in found.tags[:9]]
    np.testing.assert_allclose([tag.score for tag in answer.tags], found.scores[:9], atol=1e-4)
    order = [TAGS[row] for row in np.argsort(-alone.chances, kind="stable")]
    assert [tag.rank_without_place for tag in answer.tags] == [
        1 + order.index(tag.tag) for tag in answer.tags
    ]
    assert [tag.tag for tag in answer.without_place] == order
    assert (answer.place, answer.source) == (BARCELONA, pb.PLACE_SOURCE_REQUEST)
    assert answer.model.name == "locsens-tagging" and answer.scored == len(found.tags)


def test_a_photo_says_its_place_itself(server: LocSensProcess) -> None:
    exif, buffer = PillowImage.Exif(), io.BytesIO()
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 54.0, 0.0), 3: "E", 4: (151.0, 12.0, 0.0)})
    PillowImage.fromarray(plain("red")).save(buffer, format="JPEG", exif=exif)
    photo = common_pb2.Image(content=buffer.getvalue())
    answer = server.call("Tag", pb.TagRequest(image=photo, photo_place=True))
    assert (answer.place.latitude, answer.place.longitude) == pytest.approx((-33.9, 151.2))
    assert answer.source == pb.PLACE_SOURCE_PHOTO
    given = server.call("Tag", pb.TagRequest(image=photo, photo_place=True, place=BARCELONA))
    assert given.place == BARCELONA and given.source == pb.PLACE_SOURCE_REQUEST
    assert not server.call("Tag", pb.TagRequest(image=photo)).HasField("place")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"place": place(151.2, -33.9)}, "latitude is 151.2.*swapped"),
        ({"place": place(91, 0)}, "latitude is 91; it must be between -90 and 90"),
        ({"place": place(0, -180.5)}, "longitude is -180.5; it must be between -180 and 180"),
        ({"place": place(float("nan"), 0)}, "latitude is nan"),
        ({"photo_place": True}, "no place of its own"),
        ({"limit": 0}, "limit is 0; it must be 1 to 100"),
        ({"limit": 101}, "limit is 101; it must be 1 to 100"),
    ],
)
def test_tagging_refuses(server: LocSensProcess, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidParameter, match=message):
        server.call("Tag", pb.TagRequest(image=picture("red"), **fields))


@pytest.mark.parametrize("where", [(90, 0), (-90, 123), (0, 180), (0, -180), (90, -180)])
def test_poles_and_the_date_line_are_places(server: LocSensProcess, where: tuple[float, float]) -> None:
    answer = server.call("Tag", pb.TagRequest(image=picture("red"), place=place(*where), mode=pb.MODE_EXACT))
    twin = (where[0], -where[1]) if abs(where[1]) == 180 else (where[0], 77.0 if abs(where[0]) == 90 else 0.0)
    same = server.call("Tag", pb.TagRequest(image=picture("red"), place=place(*twin), mode=pb.MODE_EXACT))
    assert [(t.tag, t.score) for t in answer.tags] == [(t.tag, t.score) for t in same.tags]


# Images


def expected_scores(store: Path, image_model: ImageTagger, tags: tuple[str, ...]) -> dict[str, float]:
    ranker = ImageRanker.open(
        store, resolve(store, "locsens-image").manifest, image_model.tag_vectors, device="cpu"
    )
    colours = [tuple(COLOURS)[number % 4] for number in range(40)]
    images = [plain(colour, seed=number) for number, colour in enumerate(colours)]
    vectors = np.stack([image.vector for image in image_model.predict(images)])
    numbers = tuple(TAGS.index(tag) for tag in tags)
    scores = ranker.score(ScoreItem(vectors, numbers, EVERYWHERE))
    return {f"{colour}-{number}": float(scores[number]) for number, colour in enumerate(colours)}


@pytest.mark.parametrize("mode", [pb.MODE_FAST, pb.MODE_EXACT])
@pytest.mark.parametrize("tags", [("blue",), ("Barcelona", "#red")])
def test_images_for_tags_at_a_place(
    server: LocSensProcess, index: str, store: Path, image_model: ImageTagger, mode: pb.Mode,
    tags: tuple[str, ...],
) -> None:  # fmt: skip
    answer = retrieve(server, tags=tags, place=BARCELONA, mode=mode, limit=200)
    expected = expected_scores(store, image_model, tuple(tag.lower().removeprefix("#") for tag in tags))
    assert len(answer.hits) == 40 and answer.scored == 40
    assert answer.exact or mode == pb.MODE_FAST  # which scores a small index whole once it is in memory
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose(scores, [expected[hit.entry.id] for hit in answer.hits], atol=5e-3)
    assert answer.model.name == "locsens-retrieval"
    for hit in answer.hits:
        number = int(hit.entry.id.partition("-")[2])
        assert hit.HasField("distance_m") == (number > 1)
        if number > 1:
            there = Place(hit.entry.place.latitude, hit.entry.place.longitude)
            assert hit.distance_m == pytest.approx(distance_m(Place(41.38, 2.17), there))


def test_without_a_place_the_tag_decides(server: LocSensProcess, index: str) -> None:
    for mode in (pb.MODE_FAST, pb.MODE_EXACT):
        answer = retrieve(server, tags=["green"], limit=10, mode=mode)
        assert {hit.entry.id.partition("-")[0] for hit in answer.hits} == {"green"}
        assert answer.model.name == "locsens-image" and not answer.hits[0].HasField("distance_m")


@pytest.mark.parametrize("mode", [pb.MODE_FAST, pb.MODE_EXACT])
def test_a_radius_and_a_filter(server: LocSensProcess, index: str, mode: pb.Mode) -> None:
    near = retrieve(server, tags=["red"], place=BARCELONA, radius_m=2_000_000, mode=mode, limit=200)
    far = retrieve(server, tags=["red"], place=BARCELONA, mode=mode, limit=200)
    assert {h.entry.id for h in near.hits} == {
        h.entry.id for h in far.hits if h.HasField("distance_m") and h.distance_m <= 2_000_000
    }
    assert 0 < len(near.hits) < 40
    wanted = index_pb2.Filter(tags=["n1"])
    some = retrieve(server, tags=["red"], place=BARCELONA, filter=wanted, mode=mode, limit=200)
    assert len(some.hits) == 13 and all(hit.entry.tags == ["n1"] for hit in some.hits)
    none = retrieve(server, tags=["red"], place=place(-80, 0), radius_m=1.0, mode=mode)
    assert not none.hits and none.scored == 0


def test_what_changes_is_seen_by_the_exact_mode(server: LocSensProcess, index: str) -> None:
    def ids() -> set[str]:
        answer = retrieve(server, tags=["red"], place=BARCELONA, mode=pb.MODE_EXACT, limit=200)
        return {hit.entry.id for hit in answer.hits}

    before = ids()
    new = index_pb2.NewEntry(entry=index_pb2.Entry(id="late"), image=picture("red", 99))
    server.call("Upsert", index_pb2.UpsertRequest(index="walls", entries=[new]))
    assert ids() == before | {"late"}
    server.call("Delete", index_pb2.DeleteRequest(index="walls", ids=["late"]))
    assert ids() == before


def test_the_exact_mode_has_a_limit(server: LocSensProcess, index: str) -> None:
    entries = [
        index_pb2.NewEntry(entry=index_pb2.Entry(id=f"more-{n}"), image=picture("red", n)) for n in range(11)
    ]
    server.call("Upsert", index_pb2.UpsertRequest(index="walls", entries=entries))
    try:
        with pytest.raises(errors.InvalidParameter, match="51 entries; the mode exact takes at most 50"):
            retrieve(server, tags=["red"], place=BARCELONA, mode=pb.MODE_EXACT)
        assert retrieve(server, tags=["red"], place=BARCELONA).scored == 51
    finally:
        ids = [entry.entry.id for entry in entries]
        server.call("Delete", index_pb2.DeleteRequest(index="walls", ids=ids))


def test_near_duplicates_come_once(server: LocSensProcess, index: str) -> None:
    twin = index_pb2.NewEntry(entry=index_pb2.Entry(id="twin"), image=picture("red", 4))
    server.call("Upsert", index_pb2.UpsertRequest(index="walls", entries=[twin]))
    try:
        grouped = retrieve(server, tags=["red"], place=BARCELONA, limit=200, group_duplicates=True)
    finally:
        server.call("Delete", index_pb2.DeleteRequest(index="walls", ids=["twin"]))
    assert grouped.scored == 41 and len(grouped.hits) == 40
    (pair,) = [hit for hit in grouped.hits if hit.duplicates]
    assert {pair.entry.id, *pair.duplicates} == {"twin", "red-4"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tags": []}, "tags has 0 items; it must have 1 to 8"),
        ({"tags": ["red"] * 9}, "tags has 9 items; it must have 1 to 8"),
        ({"tags": ["redd"]}, "do not know the tag 'redd'; similar: red"),
        ({"tags": ["red"], "radius_m": 5.0}, "a radius needs a place"),
        ({"tags": ["red"], "place": BARCELONA, "radius_m": 0.0}, "radius is 0 m"),
        ({"tags": ["red"], "place": BARCELONA, "radius_m": float("nan")}, "radius is nan m"),
        ({"tags": ["red"], "limit": 201}, "limit is 201; it must be 1 to 200"),
        ({"tags": ["red"], "place": place(-33.9, 251.2)}, "longitude is 251.2"),
        (
            {
                "tags": ["red"],
                "place": BARCELONA,
                "radius_m": 5.0,
                "filter": index_pb2.Filter(circle=index_pb2.Circle(centre=BARCELONA, radius_m=1.0)),
            },
            "radius_m or the filter's circle",
        ),
    ],
)
def test_retrieval_refuses(server: LocSensProcess, index: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidParameter, match=message):
        retrieve(server, **fields)


def test_an_index_that_is_not_there(server: LocSensProcess) -> None:
    for mode in (pb.MODE_FAST, pb.MODE_EXACT):
        request = pb.RetrieveRequest(index="nope", tags=["red"], place=BARCELONA, mode=mode)
        with pytest.raises(errors.NotFound, match="no index 'nope'"):
            server.call("Retrieve", request)


def test_an_empty_index_has_no_hits(server: LocSensProcess) -> None:
    server.call("CreateIndex", index_pb2.CreateIndexRequest(name="void"))
    for mode in (pb.MODE_FAST, pb.MODE_EXACT):
        request = pb.RetrieveRequest(index="void", tags=["red"], place=BARCELONA, mode=mode)
        assert not server.call("Retrieve", request).hits


# Triplets and the vocabulary


@pytest.mark.parametrize("task", [pb.TASK_TAGGING, pb.TASK_RETRIEVAL])
def test_triplets(server: LocSensProcess, store: Path, image_model: ImageTagger, task: pb.Task) -> None:
    triplets = [
        pb.Triplet(image=number % 2, tag=tag, place=place(10.0 * number, 20.0 * number))
        for number, tag in enumerate(("red", "sea", "sydney", "blue"))
    ]
    request = pb.ScoreRequest(images=[picture("red"), picture("blue")], triplets=triplets, task=task)
    answer = server.call("Score", request)
    opened = ImageRanker if task == pb.TASK_RETRIEVAL else PlaceTagger
    manifest = resolve(store, "locsens-image").manifest
    scorer = opened.open(store, manifest, image_model.tag_vectors, device="cpu").scorer
    vectors = [image.vector for image in image_model.predict([plain(c, seed=0) for c in ("red", "blue")])]
    for number, (triplet, score) in enumerate(zip(triplets, answer.scores, strict=True)):
        where = np.array((10.0 * number, 20.0 * number))
        expected = scorer.score_tags(vectors[triplet.image], where)[TAGS.index(triplet.tag)]
        assert score == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize(
    ("triplet", "message"),
    [
        (pb.Triplet(image=1, tag="red", place=BARCELONA), "image is 1; the request has images 0 to 0"),
        (pb.Triplet(tag="red"), "a triplet needs a place"),
        (pb.Triplet(tag="nothing", place=BARCELONA), "do not know the tag 'nothing'"),
    ],
)
def test_triplets_that_cannot_be(server: LocSensProcess, triplet: pb.Triplet, message: str) -> None:
    with pytest.raises(errors.InvalidParameter, match=message):
        server.call("Score", pb.ScoreRequest(images=[picture("red")], triplets=[triplet]))


def test_the_vocabulary(server: LocSensProcess) -> None:
    answer = server.call("ListTags", pb.ListTagsRequest())
    assert [(tag.tag, tag.photos) for tag in answer.tags] == list(zip(TAGS, PHOTOS, strict=True))
    some = server.call("ListTags", pb.ListTagsRequest(prefix="S", limit=2))
    assert [tag.tag for tag in some.tags] == ["sydney", "sea"] and some.total == 3
    assert server.call("ListTags", pb.ListTagsRequest(prefix="x")).total == 0


# Around it


def test_health_and_models(server: LocSensProcess) -> None:
    for service in ("", CAPABILITY.grpc_service, INDEX_SERVICE):
        reply = server.client.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    from interplay.rpc.common.v1 import models_pb2

    models = server.client.call(server.client.models.ListModels, models_pb2.ListModelsRequest()).models
    assert tuple(model.info.name for model in models) == CAPABILITY.models


def test_what_is_no_image_is_refused(server: LocSensProcess) -> None:
    with pytest.raises(errors.UnsupportedMedia):
        server.call("Tag", pb.TagRequest(image=common_pb2.Image(content=b"not an image"), place=BARCELONA))
