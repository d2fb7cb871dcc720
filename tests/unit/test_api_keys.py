"""API keys: creation, files, reloading."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from interplay.api_keys import ApiKeyFileError, KeyRing, create_api_key, load_api_keys
from interplay.errors import InvalidParameter

GOOD = {"id": "a", "sha256": "0" * 64, "scopes": ["infer"]}


def test_a_created_key_is_found_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    first = create_api_key(path, "alice", ["infer"])
    second = create_api_key(path, "bob", ["jobs", "infer"], rate=5)
    text = path.read_text()
    assert first not in text
    assert hashlib.sha256(first.encode()).hexdigest() in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = KeyRing(path)
    alice, bob = ring.find(first), ring.find(second)
    assert alice is not None and bob is not None
    assert (alice.id, alice.scopes, alice.rate) == ("alice", {"infer"}, None)
    assert (bob.id, bob.scopes, bob.rate) == ("bob", {"infer", "jobs"}, 5)
    assert ring.find(first + "x") is None
    assert ring.find("") is None
    assert ring.find("\udcff") is None


def test_scopes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_api_key(path, "user", ["infer"])
    create_api_key(path, "root", ["admin"])
    user, root = load_api_keys(path)
    assert user.allows("infer") and not user.allows("jobs") and not user.allows("admin")
    assert root.allows("infer") and root.allows("jobs") and root.allows("admin")


@pytest.mark.parametrize(
    ("key_id", "scopes", "rate"),
    [
        ("", ["infer"], None),
        ("a b", ["infer"], None),
        ("a", [], None),
        ("a", ["root"], None),
        ("a", ["infer"], -1),
    ],
)
def test_bad_keys_are_not_created(tmp_path: Path, key_id: str, scopes: list[str], rate: float | None) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(InvalidParameter):
        create_api_key(path, key_id, scopes, rate=rate)
    assert not path.exists()


def test_an_id_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_api_key(path, "alice", ["infer"])
    with pytest.raises(InvalidParameter, match="alice"):
        create_api_key(path, "alice", ["jobs"])
    assert len(load_api_keys(path)) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "not JSON"),
        ("{}", "JSON list"),
        ("[1]", "entry 0"),
        (json.dumps([GOOD, GOOD]), "twice"),
        (json.dumps([GOOD | {"sha256": "abc"}]), "64 lower-case"),
        (json.dumps([GOOD | {"scopes": ["all"]}]), "scopes"),
        (json.dumps([GOOD | {"scopes": "infer"}]), "scopes"),
        (json.dumps([GOOD | {"rate": True}]), "rate"),
        (json.dumps([GOOD | {"secret": "x"}]), "unknown field 'secret'"),
        (json.dumps([{"id": "a"}]), "sha256"),
    ],
)
def test_broken_files_name_their_fault(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ApiKeyFileError, match=expected):
        load_api_keys(path)


def test_changes_are_seen_without_a_restart_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old = create_api_key(path, "old", ["infer"])
    ring = KeyRing(path)
    new = create_api_key(path, "new", ["infer"])
    assert ring.find(old) and ring.find(new)
    path.write_text("[")
    assert ring.find(old) and ring.find(new)
    path.write_text(
        json.dumps([{"id": "new", "sha256": hashlib.sha256(new.encode()).hexdigest(), "scopes": ["infer"]}])
    )
    assert ring.find(old) is None
    assert ring.find(new) is not None


def test_without_a_file_no_key_is_required() -> None:
    ring = KeyRing(None)
    assert not ring.required
    assert ring.find("anything") is None
