"""`interplay tag`: what is sent to the gateway, and what people see of the place's doing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import FakeGateway
from tests.unit.cli.test_style import sent

ANSWER: dict[str, Any] = {
    "tags": [
        {"tag": "barcelona", "score": 4.1823, "rank_without_place": 1031},
        {"tag": "beach", "score": 3.9, "rank_without_place": 1},
        {"tag": "[bold]", "score": 2.0, "rank_without_place": 3},
        {"tag": "sea", "score": 1.0, "rank_without_place": 4},
    ],
    "without_place": [
        {"tag": "beach", "score": 0.412},
        {"tag": "sun", "score": 0.3},
        {"tag": "[bold]", "score": 0.2},
        {"tag": "sea", "score": 0.1},
    ],
    "place": {"latitude": 41.38, "longitude": 2.17},
    "place_source": "request",
    "scored": 1204,
    "model": {"name": "locsens-tagging"},
}
ALONE = {
    **ANSWER,
    "tags": [{"tag": "beach", "score": 0.412, "rank_without_place": None}],
    "without_place": [],
    "place": None,
    "place_source": None,
    "scored": 0,
}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file that passes for a photo."""
    file = tmp_path / "p.jpg"
    file.write_bytes(b"photo")
    return file


def test_tags_at_a_place(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    gateway.answer_json("/v1/locations:tag", ANSWER)
    ran = interplay("tag", photo, "--at", "41.38, 2.17", "--limit", 4, "--exact", "--url", gateway.url)
    assert ran.code == 0, ran.err
    path, _, fields = sent(gateway)
    assert path == "/v1/locations:tag" and fields["image"] == "p.jpg"
    options = {name: fields[name] for name in ("at", "limit", "mode", "photo_place")}
    assert options == {"at": "41.38,2.17", "limit": "4", "mode": "exact", "photo_place": "false"}
    assert f"{photo} at 41.3800,2.1700: 1,204 tags scored" in ran.out
    rows = [" ".join(line.split()) for line in ran.out.splitlines()[2:]]
    assert rows == [
        "1 barcelona 4.182 new (1,031) beach 41.2%",
        "2 beach 3.900 1 (down 1) sun 30.0%",
        "3 [bold] 2.000 3 [bold] 20.0%",
        "4 sea 1.000 4 sea 10.0%",
    ]


def test_the_photos_own_place(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    gateway.answer_json("/v1/locations:tag", {**ANSWER, "place_source": "photo"})
    ran = interplay("tag", photo, "--photo-place", "--url", gateway.url)
    fields = sent(gateway)[2]
    assert fields["photo_place"] == "true" and "at" not in fields and fields["mode"] == "fast"
    assert "(the photo's own place)" in ran.out


def test_without_a_place(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    gateway.answer_json("/v1/locations:tag", ALONE)
    ran = interplay("tag", photo, "--url", gateway.url)
    assert ran.code == 0 and f"{photo}: without a place" in ran.out and "without the place" not in ran.out
    assert "1 beach 41.2%" in " ".join(ran.out.split())


def test_json_is_one_line_a_photo(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "q.jpg"
    other.write_bytes(b"photo")
    gateway.answer_json("/v1/locations:tag", ANSWER)
    assert interplay("tag", photo, "--at", "-33.9,-151.2", "--url", gateway.url).code == 0
    assert sent(gateway)[2]["at"] == "-33.9,-151.2", "no option, though it begins with a hyphen"
    ran = interplay("tag", photo, other, "--at", "41.38,2.17", "--json", "--url", gateway.url)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert lines == [{"file": str(file), **ANSWER} for file in (photo, other)]


def test_a_photo_without_a_place_says_so(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path
) -> None:
    problem = {
        "reason": "INVALID_PARAMETER",
        "detail": "the photo does not say where it was taken",
        "errors": [{"field": "photo_place", "message": "x"}],
    }
    gateway.answer_json("/v1/locations:tag", problem, status=422, problem=True)
    ran = interplay("tag", photo, "--photo-place", "--url", gateway.url)
    assert ran.code == 1 and "the photo does not say where it was taken" in ran.err


def test_a_place_that_is_none_is_wrong_usage(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path
) -> None:
    ran = interplay("tag", photo, "--at", "Barcelona", "--url", gateway.url)
    assert ran.code == 2 and "write 41.38,2.17" in ran.err and gateway.asked == []
