"""`interplay text`: what is sent to the gateway, what is shown, and what happens when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import FakeGateway

POLYGON = [[10.2, 20.0], [60.0, 20.0], [60.0, 40.0], [10.0, 40.0]]
READ = {
    "width": 640,
    "height": 480,
    "text": "[bold]",
    "words": [{"polygon": POLYGON, "score": 0.9, "text": "[bold]", "confidence": 0.98}],
}
PROBLEM = {
    "type": "urn:interplay:problem:unreadable-image",
    "title": "Unreadable image",
    "status": 422,
    "detail": "the JPEG is cut off",
    "reason": "UNREADABLE_IMAGE",
    "request_id": "x",
}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file that passes for a photo."""
    file = tmp_path / "street.jpg"
    file.write_bytes(b"\xff\xd8 photo")
    return file


def test_read_shows_the_words(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    gateway.answer_json("/v1/text:read", READ)
    ran = interplay("text", "read", photo, "--url", gateway.url, "--min-confidence", "0.5", "--api-key", "k1")
    assert ran.code == 0, ran.err
    assert "1 words" in ran.out and "640×480" in ran.out
    assert "[bold]" in ran.out and "0.98" in ran.out and "10,20 60,20 60,40 10,40" in ran.out
    ((path, headers, body),) = gateway.asked
    assert path == "/v1/text:read" and headers["X-API-Key"] == "k1"
    assert b'name="image"; filename="street.jpg"' in body and b"\xff\xd8 photo" in body
    assert b'name="min_confidence"' in body and b"pixel_threshold" not in body


def test_json_is_one_line_a_photo(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(b"png")
    gateway.answer_json("/v1/text:read", READ)
    ran = interplay("text", "read", photo, other, "--json", "--url", gateway.url)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["file"] for line in lines] == [str(photo), str(other)]
    assert lines[0]["text"] == "[bold]"


def test_detect_and_its_picture(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    answer = {"width": 64, "height": 48, "regions": [{"polygon": POLYGON, "score": 0.5}]}
    gateway.answer_json("/v1/text:detect", answer)
    ran = interplay("text", "detect", photo, "-o", tmp_path / "drawn.png", "--url", gateway.url)
    assert ran.code == 0 and "0.50" in ran.out
    assert (tmp_path / "drawn.png").read_bytes() == b"\x89PNG picture"


def test_segment_of_several_photos_goes_into_a_folder(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(b"png")
    ran = interplay("text", "segment", photo, other, "-o", tmp_path / "maps", "--url", gateway.url)
    assert ran.code == 0
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == [
        "other.heatmap.png",
        "street.heatmap.png",
    ]


def test_presence(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    answer = {"mean_probability": 0.01234, "max_probability": 0.9, "text_area_ratio": 0.05}
    gateway.answer_json("/v1/text:presence", answer)
    ran = interplay("text", "presence", photo, "--url", gateway.url)
    assert "mean probability 0.0123" in ran.out and "5.00% of the area" in ran.out


def test_a_bad_photo_is_reported_and_the_others_are_read(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    gateway.answer_json("/v1/text:read", PROBLEM, status=422, problem=True)
    ran = interplay("text", "read", photo, photo, "--url", gateway.url)
    assert ran.code == 1
    assert ran.err.count("the JPEG is cut off") == 2 and len(gateway.asked) == 2


def test_no_gateway_is_3_and_says_how_to_start_one(
    interplay: Callable[..., Any], photo: Path, free_port: int
) -> None:
    ran = interplay("text", "read", photo, "--url", f"http://127.0.0.1:{free_port}")
    assert ran.code == 3 and "interplay up" in ran.err


def test_a_refused_key_ends_at_once(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    problem = {**PROBLEM, "status": 401, "reason": "UNAUTHENTICATED", "detail": "no valid API key"}
    gateway.answer_json("/v1/text:read", problem, status=401, problem=True)
    ran = interplay("text", "read", photo, photo, "--url", gateway.url)
    assert ran.code == 1 and "no valid API key" in ran.err and len(gateway.asked) == 1


def test_something_else_on_that_port(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path
) -> None:
    gateway.answers["/v1/text:read"] = (404, "text/html", b"<h1>not here</h1>")
    ran = interplay("text", "read", photo, "--url", gateway.url)
    assert ran.code == 1 and "answered 404" in ran.err


def test_a_missing_file_is_wrong_usage(interplay: Callable[..., Any], tmp_path: Path) -> None:
    ran = interplay("text", "read", tmp_path / "missing.jpg")
    assert ran.code == 2 and "missing.jpg" in ran.err
