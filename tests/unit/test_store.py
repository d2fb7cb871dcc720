"""The model store: whole versions or none, and no weights but those of the manifest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from interplay import store
from interplay.errors import Conflict, InternalError, NotFound
from interplay.store import MANIFEST_FILE, WEIGHTS_FILE, Manifest, list_models, publish, resolve


def manifest(name: str = "textfcn-test", version: int = 1, **changes: object) -> Manifest:
    return Manifest.model_validate(
        {
            "name": name,
            "version": version,
            "capability": "text_detection",
            "architecture": "textfcn",
            "config": {"preset": "compact"},
            "description": "for tests",
            "license": "MIT",
            "thresholds": {"pixel": 0.5},
            "parameters": 3,
            **changes,
        }
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "trained.safetensors"
    file.write_bytes(b"weights" * 1000)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_published_version_resolves_whole(root: Path, weights: Path) -> None:
    published = publish(root, manifest(), weights)
    found = resolve(root, "textfcn-test")
    assert found == published
    assert found.weights.read_bytes() == weights.read_bytes()
    assert found.manifest.thresholds == {"pixel": 0.5}
    assert found.manifest.weights_bytes == 7000
    assert found.manifest.digest == f"sha256:{store.sha256_file(weights)}"
    assert weights.exists()


def test_newest_version_is_the_largest_number(root: Path, weights: Path) -> None:
    for version in (9, 10, 2):
        publish(root, manifest(version=version), weights)
    assert resolve(root, "textfcn-test").manifest.version == 10
    assert resolve(root, "textfcn-test", 2).manifest.version == 2


def test_list_is_sorted_and_reads_no_weights(root: Path, weights: Path) -> None:
    for name, version in (("b", 10), ("b", 9), ("a", 1)):
        publish(root, manifest(name, version), weights).weights.unlink()
    assert [(m.name, m.version) for m in list_models(root)] == [("a", 1), ("b", 9), ("b", 10)]


def test_empty_and_missing_stores(root: Path) -> None:
    assert list_models(root) == []
    with pytest.raises(NotFound, match=r"no model 'x' in the store .*; known: none"):
        resolve(root, "x")


def test_messages_name_what_there_is(root: Path, weights: Path) -> None:
    for name, version in (("b", 1), ("a", 3), ("a", 1)):
        publish(root, manifest(name, version), weights)
    with pytest.raises(NotFound, match=r"no model 'c' .*known: a, b$"):
        resolve(root, "c")
    with pytest.raises(NotFound, match=r"no version 2 of 'a'; there are: 1, 3$"):
        resolve(root, "a", 2)


def test_versions_never_change(root: Path, weights: Path) -> None:
    publish(root, manifest(), weights)
    weights.write_bytes(b"other")
    with pytest.raises(Conflict, match="already"):
        publish(root, manifest(), weights)
    assert resolve(root, "textfcn-test").weights.stat().st_size == 7000
    assert [p.name for p in (root / "textfcn-test").iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["", "UPPER", "../up", "a/b", ".hidden", "-x", "a b", "a\n", "x" * 65])
def test_names_are_harmless_folder_names(root: Path, weights: Path, name: str) -> None:
    with pytest.raises(InternalError, match="must match"):
        publish(root, manifest(name), weights)
    assert not root.exists()


@pytest.mark.parametrize("version", [0, -1])
def test_versions_are_positive(version: int) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        manifest(version=version)


def test_changed_weights_are_refused(root: Path, weights: Path) -> None:
    model = publish(root, manifest(), weights)
    content = bytearray(model.weights.read_bytes())
    content[3500] ^= 1
    model.weights.write_bytes(content)
    with pytest.raises(InternalError, match=r"has sha256 [0-9a-f]{64}, but its manifest says"):
        resolve(root, "textfcn-test")
    assert resolve(root, "textfcn-test", verify=False).manifest == model.manifest


@pytest.mark.parametrize("length", [0, 6999])
def test_cut_weights_are_refused(root: Path, weights: Path, length: int) -> None:
    os.truncate(publish(root, manifest(), weights).weights, length)
    with pytest.raises(InternalError, match="sha256"):
        resolve(root, "textfcn-test")


def test_missing_weights_are_refused(root: Path, weights: Path) -> None:
    publish(root, manifest(), weights).weights.unlink()
    with pytest.raises(InternalError, match="is missing"):
        resolve(root, "textfcn-test")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": 2},
        {"version": "one"},
        {"weights_sha256": "0" * 64},
        {"surprise": 1},
        {"preprocessing": {"max_side": 0}},
    ],
)
def test_changed_manifest_is_refused(root: Path, weights: Path, change: dict[str, object]) -> None:
    file = publish(root, manifest(), weights).directory / MANIFEST_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InternalError, match="manifest"):
        resolve(root, "textfcn-test")


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_broken_manifest_is_refused(root: Path, weights: Path, text: str) -> None:
    (publish(root, manifest(), weights).directory / MANIFEST_FILE).write_text(text)
    with pytest.raises(InternalError, match="not a valid manifest"):
        resolve(root, "textfcn-test")


def test_folders_that_are_no_versions_are_passed_over(root: Path, weights: Path) -> None:
    published = publish(root, manifest(), weights)
    for name in ("draft", ".2-scratch", "2"):
        shutil.copytree(published.directory, published.directory.parent / name)
    (published.directory.parent / "2" / MANIFEST_FILE).unlink()  # half a copy by hand
    (root / "README.md").write_text("about")
    assert resolve(root, "textfcn-test").manifest.version == 1
    assert len(list_models(root)) == 1


def test_failed_publish_leaves_nothing(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish(root, manifest(), tmp_path / "absent")
    assert list((root / "textfcn-test").iterdir()) == []


def test_crash_in_the_middle_leaves_no_version(root: Path, weights: Path) -> None:
    """A process that dies without clean-up, right before the rename."""
    script = (
        "import os, sys; from pathlib import Path; from interplay import store\n"
        "os.rename = lambda *names: os._exit(9)\n"
        "m = store.Manifest.model_validate_json(sys.argv[3])\n"
        "store.publish(Path(sys.argv[1]), m, Path(sys.argv[2]))\n"
    )
    arguments = [sys.executable, "-c", script, str(root), str(weights), manifest().model_dump_json()]
    assert subprocess.run(arguments, check=False).returncode == 9
    assert list((root / "textfcn-test").glob(f".1-*/{WEIGHTS_FILE}"))  # it did get that far
    assert list_models(root) == []
    with pytest.raises(NotFound):
        resolve(root, "textfcn-test")
    publish(root, manifest(), weights)
    assert resolve(root, "textfcn-test").manifest.version == 1


def test_readers_see_whole_versions_only(root: Path, weights: Path) -> None:
    done = threading.Event()
    failures: list[Exception] = []

    def read() -> None:
        while not done.is_set():
            try:
                resolve(root, "textfcn-test")
            except NotFound:
                pass
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 40):
        publish(root, manifest(version=version), weights)
    done.set()
    reader.join()
    assert failures == []


def test_of_concurrent_publishers_one_wins(root: Path, tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def one(number: int, version: int, outcomes: list[object]) -> None:
        file = tmp_path / f"weights-{number}"
        file.write_bytes(bytes([number]) * 50_000)
        together.wait()
        try:
            outcomes.append(publish(root, manifest(version=version), file))
        except Conflict as error:
            outcomes.append(error)

    for version in range(1, 11):
        outcomes: list[object] = []
        threads = [threading.Thread(target=one, args=(number, version, outcomes)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [o for o in outcomes if isinstance(o, store.StoredModel)]
        assert len(outcomes) == 4
        assert len(winners) == 1
        assert resolve(root, "textfcn-test", version) == winners[0]
    assert all(path.name.isdigit() for path in (root / "textfcn-test").iterdir())
