"""``/v1/locations…`` end to end: HTTP in, gRPC out, and back."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from interplay.errors import DeadlineExceeded, InvalidParameter, Unavailable
from interplay.rpc.common.v1 import common_pb2, index_pb2
from interplay.rpc.locsens.v1 import locsens_pb2 as pb
from tests.fake_embedding import FakeEmbedding
from tests.fake_locsens import FakeLocSens
from tests.unit.gateway.harness import RunningGateway, Starter, picture
from tests.unit.media.test_exif import BARCELONA, gps_block

PHOTO = picture("PNG", (60, 40))
LOCATED = picture("JPEG", (60, 40), exif=gps_block(BARCELONA))
ENCODED = base64.b64encode(PHOTO).decode()
AT = {"latitude": 41.38, "longitude": 2.17}
SEARCH = {"index": "photos", "tags": ["bridge"], "place": AT}


def post(gateway: RunningGateway, operation: str, body: Any, **headers: str) -> Any:
    return gateway.client.post(f"/v1/locations:{operation}", json=body, headers=headers)


def found(identifier: str, score: float, **fields: Any) -> pb.RetrievedImage:
    """A hit with an entry of these fields."""
    distance = fields.pop("distance_m", None)
    return pb.RetrievedImage(entry=index_pb2.Entry(id=identifier, **fields), score=score, distance_m=distance)


# Tagging


def test_tags_of_a_photo_at_a_place(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    response = gateway.post_image(
        "/v1/locations:tag", PHOTO, data={"at": "41.38, 2.17", "limit": "2", "mode": "exact"}
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["tags"] == [
        {"tag": "barcelona", "score": 4.5, "rank_without_place": 5},
        {"tag": "bridge", "score": 3.5, "rank_without_place": 4},
    ]
    assert body["without_place"] == [{"tag": "beach", "score": 0.5}, {"tag": "beachhouse", "score": 0.4}]
    assert (body["place"], body["place_source"], body["scored"]) == (AT, "request", 5)
    assert body["model"]["name"] == "fake-tagging" and body["timings"]["infer_ms"] == 4.0
    sent = locsens_server.requests[-1]
    assert sent.image.content == PHOTO and (sent.limit, sent.mode) == (2, pb.MODE_EXACT)
    assert (sent.place.latitude, sent.place.longitude, sent.photo_place) == (41.38, 2.17, False)


@pytest.mark.parametrize("at", [AT, "41.38,2.17", json.dumps(AT)])
def test_a_place_is_an_object_or_text_in_json_and_in_forms(
    gateway: RunningGateway, locsens_server: FakeLocSens, at: Any
) -> None:
    answers = [post(gateway, "tag", {"image": {"content": ENCODED}, "at": at})]
    if isinstance(at, str):
        answers.append(gateway.post_image("/v1/locations:tag", PHOTO, data={"at": at}))
    for answer in answers:
        assert answer.status_code == 200 and answer.json()["place"] == AT, answer.text
    assert locsens_server.requests[-1].limit == 10 and locsens_server.requests[-1].mode == pb.MODE_FAST


def test_tags_without_a_place(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    body = gateway.post_image("/v1/locations:tag", LOCATED).json()
    assert body["tags"][0] == {"tag": "beach", "score": 0.5, "rank_without_place": None}
    assert body["without_place"] == [] and body["place"] is None and body["place_source"] is None
    assert body["model"]["name"] == "fake-image"


def test_the_place_that_the_photo_says_itself(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    """The gateway hands the file on with all its metadata."""
    body = gateway.post_image("/v1/locations:tag", LOCATED, data={"photo_place": "true"}).json()
    assert body["place"] == pytest.approx(AT) and body["place_source"] == "photo"
    assert locsens_server.requests[-1].image.content == LOCATED
    none = gateway.post_image("/v1/locations:tag", PHOTO, data={"photo_place": "true"})
    assert none.status_code == 422 and none.json()["errors"][0]["field"] == "photo_place"


PLACE_FAULTS = [
    ({"latitude": 91, "longitude": 100}, ".latitude", "less than or equal to 90, got 91"),
    ({"latitude": -90.5, "longitude": 100}, ".latitude", "greater than or equal to -90, got -90.5"),
    ({"latitude": 0, "longitude": 180.1}, ".longitude", "less than or equal to 180, got 180.1"),
    ({"latitude": 95, "longitude": 200}, ".latitude", "less than or equal to 90, got 95"),
    ({"latitude": 151.2, "longitude": -33.9}, ".latitude", "are latitude and longitude swapped?"),
    ("151.2,-33.9", ".latitude", "swapped? latitude must be between -90 and 90, got 151.2"),
    ({"latitude": 41.38}, ".longitude", "Field required"),
    ({"latitude": 41.38, "longitude": None}, ".longitude", "valid number"),
    ({"latitude": 1, "longitude": 2, "altitude": 3}, ".altitude", "unknown field"),
    ("nan,2.17", ".latitude", "finite number, got nan"),
    ("41.38,inf", ".longitude", "finite number, got inf"),
    ("41.38", "", "must be latitude,longitude in degrees, e.g. 41.38,2.17, got '41.38'"),
    ("41.38,2.17,3", "", "must be latitude,longitude in degrees"),
    ("41.38;2.17", "", "must be latitude,longitude in degrees"),
    ("Barcelona", "", "must be latitude,longitude in degrees"),
    ("{", "", "must be latitude,longitude or a JSON object"),
    ([41.38, 2.17], "", "valid dictionary"),
]


@pytest.mark.parametrize(("place", "where", "text"), PLACE_FAULTS)
def test_places_that_are_none_are_named(
    gateway: RunningGateway, locsens_server: FakeLocSens, place: Any, where: str, text: str
) -> None:
    triplets = [{"image": 0, "tag": "beach", "place": place}]
    requests = [
        ("at", post(gateway, "tag", {"image": {"content": ENCODED}, "at": place})),
        ("place", post(gateway, "search", {**SEARCH, "place": place})),
        (
            "triplets.0.place",
            post(gateway, "score", {"images": [{"content": ENCODED}], "triplets": triplets}),
        ),
    ]
    if isinstance(place, str):
        requests.append(("at", gateway.post_image("/v1/locations:tag", PHOTO, data={"at": place})))
    for field, answer in requests:
        assert answer.status_code == 422, answer.text
        (fault, *_) = answer.json()["errors"]
        assert fault["field"] == field + where and text in fault["message"]
    assert locsens_server.requests == []


def test_the_other_places_of_the_gateway_say_it_too(
    gateway: RunningGateway, embedding_server: FakeEmbedding
) -> None:
    near = {"latitude": 151.2, "longitude": -33.9, "radius_m": 5}
    answer = gateway.client.post(
        "/v1/search", json={"index": "photos", "query": "a", "filter": {"near": near}}
    )
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "filter.near.latitude"
    assert "swapped?" in answer.text


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"limit": 101}, "limit", "less than or equal to 100"),
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"mode": "slow"}, "mode", "'fast' or 'exact'"),
        ({"photo_place": "perhaps"}, "photo_place", "boolean"),
        ({"place": AT}, "place", "unknown field 'place'; known: image, at, photo_place, limit, mode"),
    ],
)
def test_options_that_are_none(
    gateway: RunningGateway, locsens_server: FakeLocSens, fields: dict[str, Any], field: str, text: str
) -> None:
    answer = post(gateway, "tag", {"image": {"content": ENCODED}, **fields})
    assert answer.status_code == 422 and text in answer.text
    assert answer.json()["errors"][0]["field"] == field and locsens_server.requests == []


# Searching


def test_a_search_with_everything(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    locsens_server.hits = [
        found(
            "a/1.jpg",
            3.25,
            caption="Bridge",
            tags=["bridge"],
            place=common_pb2.LatLng(**AT),
            thumbnail="/t/1.jpg",
            distance_m=12.34,
        ),
        found("b", 1.0),
    ]
    body = {
        **SEARCH,
        "tags": ["bridge", "sea"],
        "radius_m": 50_000,
        "filter": {"tags": ["night"], "after": "2020-01-01T00:00:00Z", "equals": {"stars": 4}},
        "limit": 2,
        "mode": "exact",
        "group_duplicates": True,
    }
    response = post(gateway, "search", body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["hits"][0] == {
        "id": "a/1.jpg",
        "uri": "",
        "caption": "Bridge",
        "tags": ["bridge"],
        "place": AT,
        "time": None,
        "extra": {},
        "thumbnail": "/v1/indexes/photos/thumbnails/a/1.jpg?capability=locsens",
        "score": 3.25,
        "distance_m": 12.3,
        "duplicates": [],
    }
    assert answer["hits"][1]["distance_m"] is None and answer["hits"][1]["thumbnail"] is None
    assert (answer["scored"], answer["exact"], answer["model"]["name"]) == (2, True, "fake-retrieval")
    assert "Server-Timing" in response.headers
    sent = locsens_server.requests[-1]
    assert list(sent.tags) == ["bridge", "sea"] and sent.radius_m == 50_000 and sent.group_duplicates
    assert (sent.limit, sent.mode, sent.place.longitude) == (2, pb.MODE_EXACT, 2.17)
    assert list(sent.filter.tags) == ["night"] and json.loads(sent.filter.equals_json) == {"stars": 4}


def test_a_single_tag_without_a_place(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    answer = post(gateway, "search", {"index": "photos", "tags": "sea"})
    assert answer.status_code == 200 and answer.json()["hits"] == []
    sent = locsens_server.requests[-1]
    assert list(sent.tags) == ["sea"] and sent.limit == 20 and sent.mode == pb.MODE_FAST
    assert not sent.HasField("place") and not sent.HasField("radius_m") and not sent.HasField("filter")


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"index": ""}, "index", "at least 1 character"),
        ({"tags": []}, "tags", "at least 1 item"),
        ({"tags": ["a"] * 9}, "tags", "at most 8 items"),
        ({"tags": ["a", ""]}, "tags.1", "at least 1 character"),
        ({"tags": "a" * 101}, "tags.0", "at most 100 characters"),
        ({"tags": None}, "tags", "valid list"),
        ({"radius_m": 0}, "radius_m", "greater than 0, got 0"),
        ({"radius_m": 3e7}, "radius_m", "less than or equal to 20037508"),
        ({"radius_m": 5, "place": None}, "radius_m", "needs a place to be around, got 5"),
        (
            {"radius_m": 5, "filter": {"near": {**AT, "radius_m": 5}}},
            "filter",
            "near and radius_m are both set; give one circle",
        ),
        ({"filter": {"colour": 1}}, "filter.colour", "unknown field"),
        ({"limit": 201}, "limit", "less than or equal to 200, got 201"),
        ({"mode": "slow"}, "mode", "'fast' or 'exact'"),
        ({"colour": 1}, "colour", "unknown field"),
    ],
)
def test_what_is_no_search(
    gateway: RunningGateway, locsens_server: FakeLocSens, fields: dict[str, Any], field: str, text: str
) -> None:
    answer = post(gateway, "search", {**SEARCH, **fields})
    assert answer.status_code == 422 and text in answer.text, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert locsens_server.requests == []


def test_a_search_is_shown_as_a_sheet_and_as_a_map(
    start_gateway: Starter, locsens_server: FakeLocSens, tmp_path: Path
) -> None:
    running = start_gateway(dataset_roots=(str(tmp_path),))
    small = picture("JPEG", (64, 48))
    (tmp_path / "1.jpg").write_bytes(small)
    place = common_pb2.LatLng(**AT)
    locsens_server.hits = [
        found(
            "1", 3.0, caption="<i>Pont</i>", place=place, thumbnail=str(tmp_path / "1.jpg"), distance_m=1500
        ),
        found("2", 2.0, place=place, thumbnail="/etc/passwd"),
        found("3", 1.0),
    ]
    sheet = post(running, "search", SEARCH, Accept="image/png")
    assert sheet.status_code == 200 and sheet.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(sheet.content)).width > 3 * 200
    page = post(running, "search", {**SEARCH, "radius_m": 2000}, Accept="text/html")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    for text in (
        "<title>bridge near 41.3800° N, 2.1700° E</title>",
        "3 photos of the index photos; 3 were scored",
        f"data:image/jpeg;base64,{base64.b64encode(small).decode()}",
        "&lt;i&gt;Pont&lt;/i&gt;",
        "1.5 km",
        "Without a place",
    ):
        assert text in page.text, text
    assert "root:" not in page.text and page.text.count("<img ") == 1
    locsens_server.hits = []
    assert post(running, "search", SEARCH, Accept="image/png").status_code == 404
    assert "Nothing was found" in post(running, "search", SEARCH, Accept="text/html").text
    assert post(running, "search", SEARCH, Accept="image/jpeg").status_code == 406


def test_an_ordinary_search_has_a_map_too(gateway: RunningGateway, embedding_server: FakeEmbedding) -> None:
    entries = embedding_server.indexes["photos"]
    entries["1"] = index_pb2.Entry(id="1", caption="Sunset", place=common_pb2.LatLng(**AT))
    body = {"index": "photos", "query": "beach <b>", "filter": {"near": {**AT, "radius_m": 9000}}}
    page = gateway.client.post("/v1/search", json=body, headers={"Accept": "text/html"})
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>beach &lt;b&gt;</title>" in page.text and "Sunset" in page.text
    assert '"place": [41.38, 2.17]' in page.text and '"circle": [[[' in page.text


# Scoring and the vocabulary


def test_triplets_are_scored(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    triplets = [
        {"image": 1, "tag": "beach", "place": AT},
        {"image": 0, "tag": "sea", "place": "-33.9,151.2"},
    ]
    body = {"images": [{"content": ENCODED}] * 2, "triplets": triplets, "task": "retrieval"}
    answer = post(gateway, "score", body)
    assert answer.status_code == 200 and answer.json()["scores"] == [41.38, -33.9], answer.text
    assert answer.json()["model"]["name"] == "fake-retrieval"
    sent = locsens_server.requests[-1]
    assert [image.content for image in sent.images] == [PHOTO, PHOTO] and sent.task == pb.TASK_RETRIEVAL
    assert [(t.image, t.tag) for t in sent.triplets] == [(1, "beach"), (0, "sea")]


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"images": []}, "images", "at least 1 item"),
        ({"images": [{"content": ENCODED}] * 17}, "images", "at most 16 items"),
        ({"images": [{"content": "%"}]}, "images[0].content", "is not base64"),
        ({"images": [{}]}, "images[0]", "needs exactly one of content and uri"),
        ({"triplets": []}, "triplets", "at least 1 item"),
        ({"triplets": [{"image": 0, "tag": "a", "place": AT}] * 1001}, "triplets", "at most 1000 items"),
        ({"triplets": [{"image": 0, "tag": "a"}]}, "triplets.0.place", "Field required"),
        ({"triplets": [{"image": -1, "tag": "a", "place": AT}]}, "triplets.0.image", "equal to 0, got -1"),
        (
            {"triplets": [{"image": 1, "tag": "a", "place": AT}]},
            "triplets[0].image",
            "triplets[0].image is 1; there are 1 images, from 0",
        ),
        ({"task": "both"}, "task", "'tagging' or 'retrieval'"),
    ],
)
def test_what_cannot_be_scored(
    gateway: RunningGateway, locsens_server: FakeLocSens, fields: dict[str, Any], field: str, text: str
) -> None:
    body = {
        "images": [{"content": ENCODED}],
        "triplets": [{"image": 0, "tag": "a", "place": AT}],
        **fields,
    }
    answer = post(gateway, "score", body)
    assert answer.status_code == 422 and text in answer.text, answer.text
    assert answer.json()["errors"][0]["field"] == field and locsens_server.requests == []


def test_the_vocabulary(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    answer = gateway.client.get("/v1/locations/tags", params={"prefix": "beach", "limit": 1})
    assert answer.json() == {"tags": [{"tag": "beach", "photos": 100}], "total": 2}
    assert len(gateway.client.get("/v1/locations/tags").json()["tags"]) == 5
    assert locsens_server.requests[-1].limit == 100
    for query, field in (
        ({"limit": 1001}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"prefix": "a" * 101}, "prefix"),
    ):
        refused = gateway.client.get("/v1/locations/tags", params=query)
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == field


# Troubles


def test_errors_of_the_server_come_through(gateway: RunningGateway, locsens_server: FakeLocSens) -> None:
    missing = post(gateway, "search", {**SEARCH, "index": "films"})
    assert missing.status_code == 404 and "no index 'films'; there are: photos" in missing.text
    unknown = post(gateway, "search", {**SEARCH, "tags": ["zzz"]})
    assert unknown.status_code == 422 and unknown.json()["errors"][0]["field"] == "tags"
    for error, status in (
        (Unavailable("down"), 503),
        (DeadlineExceeded("late"), 504),
        (InvalidParameter("no", field="x"), 422),
    ):
        locsens_server.error = error
        assert post(gateway, "search", SEARCH).status_code == status
        assert gateway.post_image("/v1/locations:tag", PHOTO).status_code == status


def test_without_the_capability_there_is_a_503(start_gateway: Starter) -> None:
    running = start_gateway(capability_addresses={"text_detection": "127.0.0.1:1"})
    answer = post(running, "search", SEARCH)
    assert answer.status_code == 503 and "locsens is not part of this installation" in answer.text
