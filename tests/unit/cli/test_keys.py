"""`interplay keys` makes keys that the gateway accepts, and shows them once."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interplay.api_keys import SCOPES, KeyRing
from interplay.cli.keys import Scope


def test_scopes_are_those_of_the_gateway() -> None:
    assert {str(scope) for scope in Scope} == set(SCOPES)


def test_create_prints_a_key_that_works_and_keeps_only_its_hash(
    interplay: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    ran = interplay("keys", "create", "alice", "--file", file)
    assert ran.code == 0
    secret = ran.out.strip()
    found = KeyRing(file).find(secret)
    assert found is not None and found.id == "alice"
    assert found.allows("infer") and found.allows("jobs") and not found.allows("admin")
    assert secret not in file.read_text() and secret not in ran.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_several_keys_with_scopes_and_rates(interplay: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    interplay("keys", "create", "alice", "--file", file)
    ran = interplay("keys", "create", "root", "--scope", "admin", "--rate", "5", "--file", file)
    key = KeyRing(file).find(ran.out.strip())
    assert key is not None and key.allows("admin") and key.rate == 5
    listed = interplay("keys", "list", "--file", file)
    assert "alice" in listed.out and "5/s" in listed.out


def test_a_name_that_is_taken_and_a_broken_file(interplay: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    interplay("keys", "create", "alice", "--file", file)
    ran = interplay("keys", "create", "alice", "--file", file)
    assert ran.code == 1 and "alice" in ran.err and not ran.out
    file.write_text("{")
    ran = interplay("keys", "create", "bob", "--file", file)
    assert ran.code == 1 and "not JSON" in ran.err
