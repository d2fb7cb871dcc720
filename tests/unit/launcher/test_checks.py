"""The doctor finds what is wrong, and says how to mend it."""

from __future__ import annotations

import socket
from importlib import metadata
from pathlib import Path

import pytest

from interplay.capabilities import CAPABILITIES
from interplay.launcher import checks
from interplay.launcher.checks import Outcome
from interplay.launcher.lock import hold_lock
from interplay.launcher.settings import LauncherSettings
from interplay.store import WEIGHTS_FILE, Manifest, publish


def publish_model(store: Path, name: str) -> Path:
    """Put a model into a store and return its weights file."""
    source = store.parent / "weights"
    source.write_bytes(b"weights of " + name.encode())
    manifest = Manifest(
        name=name,
        version=1,
        capability="text_detection",
        architecture="textfcn",
        description="for a test",
        license="MIT",
        parameters=1,
    )
    return publish(store, manifest, source).directory / WEIGHTS_FILE


def test_this_machine_can_run_what_is_installed() -> None:
    assert checks.check_python().outcome is Outcome.OK
    valkey = checks.check_valkey()
    assert valkey.outcome is Outcome.OK and "v=" in valkey.message


def test_versions_other_than_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "constraints.txt"
    lock.write_text(f"# comment\npydantic=={metadata.version('pydantic')}\nnot-installed==1.0\n")
    assert checks.check_packages(lock).outcome is Outcome.OK
    lock.write_text("pydantic==0.0.1\n")
    finding = checks.check_packages(lock)
    assert finding.outcome is Outcome.WARN
    assert "instead of 0.0.1" in finding.message and finding.mend == "make setup"


def test_a_library_that_does_not_import() -> None:
    finding = checks.check_import("x", "raise ImportError('libGL.so.1: cannot open shared object file')")
    assert finding.outcome is Outcome.FAIL
    assert finding.message.endswith("libGL.so.1: cannot open shared object file")


def test_missing_libgl_says_which_package(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = checks.Finding(Outcome.FAIL, "ImportError: libGL.so.1: cannot open shared object file")
    monkeypatch.setattr(checks, "check_import", lambda *_: broken)
    assert "libgl1" in checks.check_opencv().mend


def test_models_that_are_missing_damaged_or_whole(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    needed = [name for capability in CAPABILITIES for name in capability.models]
    finding = checks.check_models(store)
    assert finding.outcome is Outcome.FAIL
    assert all(name in finding.message for name in needed)

    weights = [publish_model(store, name) for name in needed]
    assert checks.check_models(store).outcome is Outcome.OK

    weights[0].chmod(0o644)
    weights[0].write_bytes(b"changed")
    finding = checks.check_models(store)
    assert finding.outcome is Outcome.FAIL and "sha256" in finding.message


def test_port_free_busy_and_ours(tmp_path: Path, free_port: int) -> None:
    settings = LauncherSettings(state_dir=tmp_path, port=free_port)
    assert checks.check_port(settings).outcome is Outcome.OK
    with socket.create_server(("127.0.0.1", free_port)):
        finding = checks.check_port(settings)
        assert finding.outcome is Outcome.FAIL
        assert str(free_port) in finding.message and "--port" in finding.mend
        with hold_lock(tmp_path, settings.url):
            assert checks.check_port(settings).outcome is Outcome.OK


def test_state_directory(tmp_path: Path) -> None:
    assert checks.check_state(tmp_path / "new" / "state").outcome is Outcome.OK
    (tmp_path / "file").touch()
    assert checks.check_state(tmp_path / "file" / "state").outcome is Outcome.FAIL
    with hold_lock(tmp_path, "http://127.0.0.1:8080"):
        assert "in use by the Interplay at http://127.0.0.1:8080" in checks.check_state(tmp_path).message


def test_dataset_roots(tmp_path: Path) -> None:
    assert checks.check_dataset_root(str(tmp_path)).outcome is Outcome.OK
    assert checks.check_dataset_root("s3://bucket/photos").outcome is Outcome.OK
    missing = checks.check_dataset_root(str(tmp_path / "missing"))
    assert missing.outcome is Outcome.FAIL and "--root" in missing.mend


def test_disk_and_memory_say_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GB free" in checks.check_disk(tmp_path / "not" / "yet").message
    assert checks.check_memory().message
    monkeypatch.setattr(checks, "FREE_DISK_WANTED_BYTES", 10**18)
    assert checks.check_disk(tmp_path).outcome is Outcome.WARN


def test_every_check_has_a_title_and_is_listed_once(tmp_path: Path) -> None:
    titles = [title for title, _ in checks.all_checks(LauncherSettings(state_dir=tmp_path), tmp_path)]
    assert len(titles) == len(set(titles))
    assert {"python", "packages", "opencv", "valkey", "models", "state", "port", "disk"} <= set(titles)
