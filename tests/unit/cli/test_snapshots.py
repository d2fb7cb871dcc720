"""`interplay index snapshot` and `restore`: what is asked of the gateway, and what lies on the disk then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.cli.conftest import FakeGateway

ID = "20261125t101500z-8c2f6f6e"
PATH = "/v1/indexes/photos/snapshots"
QUERY = "?capability=embedding"
SNAPSHOT = {"snapshot": ID, "entries": 48211, "bytes": 8, "created": "2026-11-25T10:15:00Z"}


def test_a_snapshot_becomes_a_file(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answer_json(PATH + QUERY, SNAPSHOT, status=201)
    gateway.answers[f"{PATH}/{ID}{QUERY}"] = (200, "application/octet-stream", b"contents")
    out = tmp_path / "backups" / "photos.index"
    ran = interplay("index", "snapshot", "photos", "--out", out, "--url", gateway.url)
    assert ran.code == 0 and f"photos: 48,211 photos, 8 bytes in {out}" in ran.out
    assert out.read_bytes() == b"contents" and [path.name for path in out.parent.iterdir()] == [out.name]
    assert [path for path, _, _ in gateway.asked] == [
        PATH + QUERY,
        f"{PATH}/{ID}{QUERY}",
        f"{PATH}/{ID}{QUERY}",
    ]  # and removed there
    again = interplay("index", "snapshot", "photos", "--out", out, "--url", gateway.url)
    assert again.code == 2 and "is there already" in again.err and len(gateway.asked) == 3
    kept = interplay("index", "snapshot", "photos", "--out", out, "--force", "--keep", "--url", gateway.url)
    assert kept.code == 0 and len(gateway.asked) == 5


def test_a_file_that_did_not_come_whole_is_none(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answer_json(PATH + QUERY, {**SNAPSHOT, "bytes": 9}, status=201)
    gateway.answers[f"{PATH}/{ID}{QUERY}"] = (200, "application/octet-stream", b"contents")
    ran = interplay("index", "snapshot", "photos", "--out", tmp_path / "f", "--url", gateway.url)
    assert ran.code == 1 and "8 bytes came of 9" in ran.err and list(tmp_path.iterdir()) == []


def test_snapshots_are_made_listed_and_removed_on_the_server(
    interplay: Callable[..., Any], gateway: FakeGateway
) -> None:
    gateway.answer_json(PATH + QUERY, SNAPSHOT, status=201)
    made = interplay("index", "snapshot", "photos", "--url", gateway.url)
    assert made.code == 0 and f"in snapshot {ID}" in made.out and len(gateway.asked) == 1
    gateway.answer_json(PATH + QUERY, {"snapshots": [SNAPSHOT]})
    listed = interplay("index", "snapshots", "photos", "--url", gateway.url)
    assert ID in listed.out and "48,211" in listed.out
    gateway.answer_json(f"{PATH}/{ID}{QUERY}", {})
    assert "removed" in interplay("index", "drop-snapshot", "photos", ID, "--url", gateway.url).out
    gateway.answer_json(PATH + QUERY, {"snapshots": []})
    assert "make one" in interplay("index", "snapshots", "photos", "--url", gateway.url).out


def test_an_index_is_made_of_a_file(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "photos.index"
    file.write_bytes(bytes(range(256)) * 9000)
    gateway.answer_json(
        "/v1/indexes/photos/restore?replace=true&capability=embedding", {"name": "photos", "entries": 48211}
    )
    ran = interplay("index", "restore", "photos", file, "--replace", "--url", gateway.url)
    assert ran.code == 0 and "photos: 48,211 photos" in ran.out
    (_, headers, body) = gateway.asked[-1]
    assert headers["Content-Type"] == "application/octet-stream" and body == file.read_bytes()
    problem = {"reason": "INVALID_INPUT", "detail": "the snapshot is damaged: it is truncated"}
    gateway.answer_json(
        "/v1/indexes/photos/restore?replace=false&capability=embedding", problem, status=400, problem=True
    )
    bad = interplay("index", "restore", "photos", file, "--url", gateway.url)
    assert bad.code == 1 and "it is truncated" in bad.err


def test_an_index_is_made_of_what_the_server_keeps(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answer_json(
        "/v1/indexes/copy/restore?replace=false&capability=embedding", {"name": "copy", "entries": 3}
    )
    ran = interplay("index", "restore", "copy", "--snapshot", ID, "--of", "photos", "--url", gateway.url)
    assert ran.code == 0 and json.loads(gateway.asked[-1][2]) == {"snapshot": ID, "of": "photos"}
    neither = interplay("index", "restore", "copy", "--url", gateway.url)
    assert neither.code == 2 and "either a FILE or a --snapshot" in neither.err
