"""`interplay models` over a real store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interplay.store import WEIGHTS_FILE, Manifest, publish


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with two versions of one model."""
    root = tmp_path / "store"
    root.mkdir()
    for version in (1, 2):
        weights = tmp_path / f"weights-{version}"
        weights.write_bytes(b"w" * 1000 * version)
        manifest = Manifest(
            name="textfcn-tiny",
            version=version,
            capability="text_detection",
            architecture="textfcn",
            description="for a test",
            license="MIT",
            parameters=500,
            thresholds={"pixel": 0.5},
        )
        publish(root, manifest, weights)
    return root


def test_list(interplay: Callable[..., Any], store: Path) -> None:
    ran = interplay("models", "list", "--store", store)
    assert ran.code == 0
    assert ran.out.count("textfcn-tiny") == 2 and "sha256" in ran.out
    listed = json.loads(interplay("models", "list", "--store", store, "--json").out)
    assert [(m["name"], m["version"], m["weights_bytes"]) for m in listed] == [
        ("textfcn-tiny", 1, 1000),
        ("textfcn-tiny", 2, 2000),
    ]


def test_the_environment_names_the_store(
    interplay: Callable[..., Any], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERPLAY_MODEL_STORE", str(store))
    assert "textfcn-tiny" in interplay("models", "list").out


def test_an_empty_store_and_none(interplay: Callable[..., Any], tmp_path: Path) -> None:
    ran = interplay("models", "list", "--store", tmp_path)
    assert ran.code == 0 and "no models" in ran.out
    ran = interplay("models", "list", "--store", tmp_path / "missing")
    assert ran.code == 1 and "--store" in ran.err


def test_show_takes_the_newest_or_the_version_asked_for(interplay: Callable[..., Any], store: Path) -> None:
    newest = json.loads(interplay("models", "show", "textfcn-tiny", "--store", store, "--json").out)
    assert newest["version"] == 2 and newest["thresholds"] == {"pixel": 0.5}
    ran = interplay("models", "show", "textfcn-tiny", "--version", "1", "--store", store)
    assert ran.code == 0 and "for a test" in ran.out


def test_show_of_what_is_not_there_says_what_is(interplay: Callable[..., Any], store: Path) -> None:
    ran = interplay("models", "show", "textfcn-huge", "--store", store)
    assert ran.code == 1 and "known: textfcn-tiny" in ran.err
    ran = interplay("models", "show", "textfcn-tiny", "--version", "7", "--store", store)
    assert ran.code == 1 and "there are: 1, 2" in ran.err


def test_verify_finds_the_damaged_version(interplay: Callable[..., Any], store: Path) -> None:
    ran = interplay("models", "verify", "--store", store)
    assert ran.code == 0 and ran.out.count("ok") == 2

    weights = store / "textfcn-tiny" / "1" / WEIGHTS_FILE
    weights.write_bytes(b"x" * 1000)
    ran = interplay("models", "verify", "--store", store)
    assert ran.code == 1
    assert "BAD  textfcn-tiny 1" in ran.out and "ok   textfcn-tiny 2" in ran.out
    results = json.loads(interplay("models", "verify", "--store", store, "--json").out)
    assert [result["ok"] for result in results] == [False, True]
    assert interplay("models", "verify", "textfcn-tiny", "--store", store).code == 0, "the newest is whole"


def test_package(interplay: Callable[..., Any], tmp_path: Path) -> None:
    from tests.embedding_models import make_embedding_store

    store, out = make_embedding_store(tmp_path / "models"), tmp_path / "out"
    ran = interplay("models", "package", "embedding-words", "--store", store, "--out", out)
    assert ran.code == 0 and ran.out.startswith(str(out / "embedding-words.mar"))
    ran = interplay("models", "package", "--all", "--store", store, "--out", out)
    assert ran.code == 0 and ran.out.count(".mar") == 2
    assert sorted(file.name for file in out.iterdir()) == ["embedding-image.mar", "embedding-words.mar"]
    for wrong in ((), ("embedding-words", "--all"), ("--all", "--version", "1")):
        assert interplay("models", "package", *wrong, "--store", store).code == 2
    ran = interplay("models", "package", "backbone-lite0", "--store", store, "--out", out)
    assert ran.code == 1 and "cannot be served by itself" in ran.err
