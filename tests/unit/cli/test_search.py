"""`interplay search` and `interplay index`: what the gateway is sent, and what people see of its answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from interplay.cli.places import parse_length, parse_place
from tests.unit.cli.conftest import FakeGateway
from tests.unit.cli.test_style import sent

HIT: dict[str, Any] = {
    "id": "a/1.jpg",
    "uri": "file:///a/1.jpg",
    "caption": "[bold]Sunset",
    "tags": [],
    "place": {"latitude": 41.4, "longitude": 2.2},
    "time": None,
    "extra": {},
    "score": 0.7123,
    "probability": 0.931,
    "duplicates": ["b", "c"],
}
ANSWER = {
    "hits": [HIT, {**HIT, "id": "b", "place": None, "probability": None, "duplicates": []}],
    "next_page_token": "abc",
    "understood": {
        "words": ["beach"],
        "read_as": [{"word": "platja", "stand_ins": ["beach", "sea"]}],
        "unknown": ["zzz"],
    },
    "candidates": 120,
    "exact": True,
}
LOCATED = {
    "hits": [
        {**HIT, "distance_m": 1234.5, "score": 3.4},
        {**HIT, "id": "b", "distance_m": None, "place": None, "duplicates": []},
    ],
    "scored": 1500,
    "exact": False,
    "model": {"name": "locsens-retrieval"},
}
AT = {"latitude": 41.38, "longitude": 2.17}
INDEX = {"name": "photos", "entries": 48211, "created": "2026-11-25T10:15:00Z", "building": ["job-1"]}


@pytest.mark.parametrize(
    ("text", "metres"), [("50km", 50_000), ("300m", 300), ("2mi", 3218.688), ("1.5 KM", 1500), ("7", 7)]
)
def test_lengths(text: str, metres: float) -> None:
    assert parse_length(text) == pytest.approx(metres)


@pytest.mark.parametrize("text", ["", "km", "5 miles", "1.2.3km", "-5km"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no distance; write 50km"):
        parse_length(text)


def test_places() -> None:
    assert parse_place("41.38, -2.17") == {"latitude": 41.38, "longitude": -2.17}
    for text in ("41.38", "a,b", "1,2,3"):
        with pytest.raises(typer.BadParameter, match="is not latitude,longitude"):
            parse_place(text)


def test_a_search_with_everything(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/search", ANSWER)
    ran = interplay(
        "search", "beach:1 people:-0.5", "--index", "walls", "--near", "41.38,2.17", "--radius", "50km",
        "--box", "40,1,42,3", "--tag", "a", "--tag", "b", "--any-tag", "c", "--text", "sun",
        "--after", "2020-01-01T00:00:00Z", "--where", "stars=4", "--where", "who=mg", "--limit", 5,
        "--lang", "ca", "--like", "x.jpg", "--group-duplicates", "--relevant-only", "--url", gateway.url,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    (path, _, body) = gateway.asked[-1]
    assert path == "/v1/search"
    assert json.loads(body) == {
        "index": "walls",
        "query": "beach:1 people:-0.5",
        "language": "ca",
        "like": ["x.jpg"],
        "filter": {
            "tags": ["a", "b"],
            "any_tags": ["c"],
            "text": "sun",
            "after": "2020-01-01T00:00:00Z",
            "equals": {"stars": 4, "who": "mg"},
            "near": {"latitude": 41.38, "longitude": 2.17, "radius_m": 50000},
            "box": {"south": 40, "west": 1, "north": 42, "east": 3},
        },
        "limit": 5,
        "page_token": "",
        "group_duplicates": True,
        "relevant_only": True,
    }
    shown = (
        "0.712",
        "93%",
        "a/1.jpg (+2 alike)",
        "[bold]Sunset",
        "41.4000,2.2000",
        "platja: read as beach, sea",
        "unknown, left out: zzz",
        "2 of 120 photos that pass the filter (all compared)",
        "--page-token abc",
    )
    for text in shown:
        assert text in ran.out


def test_a_search_by_photo_is_a_form(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answer_json("/v1/search", ANSWER)
    photo = tmp_path / "p.jpg"
    photo.write_bytes(b"photo")
    ran = interplay(
        "search", "--image", photo, "--image-weight", 0.5, "--tag", "a", "--json", "--url", gateway.url
    )
    assert ran.code == 0 and json.loads(ran.out) == ANSWER
    _, _, fields = sent(gateway)
    assert fields["image"] == "p.jpg" and fields["image_weight"] == "0.5"
    assert json.loads(fields["filter"]) == {"tags": ["a"]} and json.loads(fields["like"]) == []


def test_words_need_no_quotes(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/search", ANSWER)
    assert interplay("search", "train", "snow:0.5", "--url", gateway.url).code == 0
    assert json.loads(gateway.asked[-1][2])["query"] == "train snow:0.5"


def test_tags_alone_are_a_search_of_another_kind(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/locations:search", LOCATED)
    ran = interplay(
        "search", "--tag", "bridge", "--tag", "night", "--near", "41.38,2.17", "--radius", "50km", "--exact",
        "--index", "walls", "--after", "2020-01-01T00:00:00Z", "--any-tag", "c", "--where", "stars=4",
        "--box", "40,1,42,3", "--limit", 5, "--group-duplicates", "--url", gateway.url,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    ((path, headers, body),) = gateway.asked
    assert path == "/v1/locations:search" and headers["Accept"] == "application/json"
    assert json.loads(body) == {
        "index": "walls",
        "tags": ["bridge", "night"],
        "place": AT,
        "radius_m": 50_000,
        "mode": "exact",
        "filter": {
            "any_tags": ["c"],
            "after": "2020-01-01T00:00:00Z",
            "equals": {"stars": 4},
            "box": {"south": 40, "west": 1, "north": 42, "east": 3},
        },
        "limit": 5,
        "group_duplicates": True,
    }
    for text in (
        "3.400",
        "1.2 km",
        "a/1.jpg (+2 alike)",
        "[bold]Sunset",
        "41.4000,2.2000",
        "locsens-retrieval",
    ):
        assert text in ran.out
    assert "2 photos; 1,500 scored" in ran.out and "candidates; --exact scores all" in ran.out


def test_tags_alone_without_a_place_or_a_radius(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/locations:search", {**LOCATED, "exact": True})
    assert "all that pass the filter" in interplay("search", "--tag", "sea", "--url", gateway.url).out
    body = json.loads(gateway.asked[-1][2])
    assert body["place"] is None and body["radius_m"] is None and body["mode"] == "fast"
    assert interplay("search", "--tag", "sea", "--near", "41.38,2.17", "--url", gateway.url).code == 0
    body = json.loads(gateway.asked[-1][2])
    assert body["place"] == AT and body["radius_m"] is None and body["filter"] == {}


def test_with_words_a_tag_stays_a_filter(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/search", ANSWER)
    ran = interplay("search", "dog", "--tag", "a", "--near", "41.38,2.17", "--url", gateway.url)
    assert ran.code == 0, ran.err
    path, _, body = gateway.asked[-1]
    near = {**AT, "radius_m": 10_000}
    assert path == "/v1/search" and json.loads(body)["filter"] == {"tags": ["a"], "near": near}
    assert interplay("search", "--like", "x", "--tag", "a", "--url", gateway.url).code == 0
    assert gateway.asked[-1][0] == "/v1/search"


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/locations:search", ("--tag", "sea", "--near", "41.38,2.17")),
        ("/v1/search", ("dog",)),
        ("/v1/search", ("night", "--image", "p.jpg")),
    ],
)
def test_maps_and_sheets_are_written(
    interplay: Callable[..., Any],
    gateway: FakeGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.jpg").write_bytes(b"photo")
    answer = LOCATED if "locations" in path else ANSWER
    gateway.answer_json(path, answer)
    files = ("--map", "maps/out.html", "--sheet", "out.png")
    ran = interplay("search", *arguments, *files, "--json", "--url", gateway.url)
    assert ran.code == 0 and json.loads(ran.out) == answer, ran.err
    assert "maps/out.html: 20 bytes" in ran.err
    assert (tmp_path / "maps" / "out.html").read_bytes() == b"<!doctype html> page"
    assert (tmp_path / "out.png").read_bytes() == b"\x89PNG picture"
    assert [asked[0] for asked in gateway.asked] == [path] * 3
    accepts = [headers["Accept"] for _, headers, _ in gateway.asked]
    assert accepts == ["application/json", "text/html", "image/png"]


def test_of_nothing_there_is_a_map_and_no_sheet(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answer_json("/v1/locations:search", {**LOCATED, "hits": []})
    page, sheet = tmp_path / "out.html", tmp_path / "out.png"
    ran = interplay("search", "--tag", "sea", "--map", page, "--sheet", sheet, "--url", gateway.url)
    assert ran.code == 0 and page.exists() and not sheet.exists()
    assert "there is nothing to draw" in ran.err


def test_a_map_that_cannot_be_written(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answer_json("/v1/search", ANSWER)
    (tmp_path / "file").write_text("")
    ran = interplay("search", "dog", "--map", tmp_path / "file" / "out.html", "--url", gateway.url)
    assert ran.code == 1 and "out.html cannot be written" in ran.err and "Traceback" not in ran.err


def test_what_cannot_be_read_is_wrong_usage(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    for arguments in (
        ("--near", "here"),
        ("--near", "1,2", "--radius", "far"),
        ("--box", "1,2"),
        ("--where", "x"),
        ("--radius", "5km"),
        ("--exact",),
        ("--exact", "--tag", "a"),
    ):
        ran = interplay("search", "dog", *arguments, "--url", gateway.url)
        assert ran.code == 2 and gateway.asked == []


def test_what_only_words_have(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    for arguments in (("--lang", "ca"), ("--page-token", "x"), ("--relevant-only",)):
        ran = interplay("search", "--tag", "a", *arguments, "--url", gateway.url)
        assert ran.code == 2 and "need words or a photo" in ran.err and gateway.asked == []


def test_indexes_are_listed(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/indexes?capability=embedding", {"indexes": [INDEX], "languages": ["ca", "es"]})
    ran = interplay("index", "list", "--url", gateway.url)
    assert ran.code == 0 and "48,211" in ran.out and "job-1" in ran.out and "en, ca, es" in ran.out
    gateway.answer_json("/v1/indexes?capability=embedding", {"indexes": [], "languages": []})
    assert "interplay index create photos" in interplay("index", "list", "--url", gateway.url).out


def test_photos_are_added_in_parts(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(20)]
    for file in files:
        file.write_bytes(file.name.encode())
    error = {"id": files[3].as_posix(), "reason": "UNREADABLE_IMAGE", "message": "broken"}
    gateway.answer_json("/v1/indexes/photos/entries?capability=embedding", {"added": 9, "errors": [error]})
    ran = interplay("index", "add", "photos", *files, "--tag", "t", "--at", "41,2", "--url", gateway.url)
    assert ran.code == 1 and "photos: 18 added, 2 not" in ran.out and "3.jpg: broken" in ran.err
    bodies = [json.loads(body)["entries"] for _, _, body in gateway.asked]
    assert [len(entries) for entries in bodies] == [16, 4]
    first = bodies[0][0]
    assert first["id"] == files[0].as_posix() and first["uri"] == files[0].as_uri()
    assert base64.b64decode(first["image"]["content"]) == b"0.jpg"
    assert first["tags"] == ["t"] and first["place"] == {"latitude": 41, "longitude": 2}


def test_indexes_are_made_and_removed(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/indexes?capability=embedding", INDEX, status=201)
    assert "photos: empty" in interplay("index", "create", "photos", "--url", gateway.url).out
    gateway.answer_json("/v1/indexes/photos/entries:delete?capability=embedding", {"deleted": 2})
    assert "photos: 2 removed" in interplay("index", "remove", "photos", "a", "b", "--url", gateway.url).out
    assert json.loads(gateway.asked[-1][2]) == {"ids": ["a", "b"]}
    gateway.answer_json("/v1/indexes/photos?capability=embedding", {})
    assert "photos: removed" in interplay("index", "drop", "photos", "--yes", "--url", gateway.url).out


def test_the_capability_is_passed_on(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/indexes?capability=other", {"indexes": [INDEX], "languages": []})
    ran = interplay("index", "list", "--capability", "other", "--url", gateway.url)
    assert ran.code == 0 and "photos" in ran.out and "query words" not in ran.out
    problem = {"reason": "INVALID_PARAMETER", "detail": "capability: must be one"}
    gateway.answer_json("/v1/indexes/photos/snapshots?capability=no", problem, status=422, problem=True)
    bad = interplay("index", "snapshots", "photos", "--capability", "no", "--url", gateway.url)
    assert bad.code == 1 and "capability: must be one" in bad.err
