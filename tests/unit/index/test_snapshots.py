"""An index in one file: what comes back, what is refused, and what a kill leaves."""

from __future__ import annotations

import errno
import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from interplay.errors import Cancelled, Conflict, InvalidInput, InvalidParameter, NoRoom, NotFound
from interplay.index import snapshots
from interplay.index.catalogue import Catalogue, Spec
from interplay.index.cluster import ClusterCatalogue
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Entry
from interplay.index.snapshots import describe, restore_snapshot, verify, write_snapshot
from tests.conftest import REPOSITORY_ROOT
from tests.unit.index.conftest import DIMENSION
from tests.unit.index.test_catalogue import build, online

# Puts a snapshot in the place of an index without end and says how often that is done.
ENDLESS_RESTORE = """
import sys
from pathlib import Path
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.snapshots import restore_snapshot

catalogue = EmbeddedCatalogue(Path(sys.argv[1]))
number = 0
while True:
    with open(sys.argv[2 + number % 2], "rb") as source:
        restore_snapshot(catalogue, "photos", source, replace=True)
    number += 1
    print(number, flush=True)
"""


@pytest.fixture
def snapshot(catalogue: Catalogue, entries: list[Entry], tmp_path: Path) -> Path:
    """Of an index with 300 built entries and one that came online."""
    build(catalogue, "g1", entries[:300])
    with catalogue.writing("photos") as index:
        index.upsert([online(entries[301], "new")])
    file = tmp_path / "photos.index"
    facts = write_snapshot(catalogue, "photos", file)
    assert (facts.entries, facts.spec.space, facts.size) == (301, "space", file.stat().st_size)
    return file


def restore(catalogue: Catalogue, name: str, file: Path, *, replace: bool = False) -> int:
    with file.open("rb") as source:
        return restore_snapshot(catalogue, name, source, replace=replace).entries


def test_an_index_comes_back_as_it_was(catalogue: Catalogue, snapshot: Path, entries: list[Entry]) -> None:
    with catalogue.writing("photos") as index:
        index.delete(["new", entries[0].id])
        index.upsert([online(entries[302], "newer")])
    assert restore(catalogue, "photos", snapshot, replace=True) == 301
    with catalogue.reading("photos") as index:
        assert index.get(["newer"]) == []  # nothing is carried over: it is the index of that time
        assert index.search(entries[301].vector, 1).hits[0].entry.id == "new"
        (found,) = index.get([entries[0].id])
        (came,) = index.get(["new"])
    np.testing.assert_allclose(found.vector, entries[0].vector, atol=1e-5)
    assert found.payload() == entries[0].payload() and came.origin == "online"
    assert catalogue.unfinished() == []


@pytest.mark.parametrize("other", ["embedded", "server"])
def test_a_file_moves_between_both_kinds(snapshot: Path, tmp_path: Path, other: str) -> None:
    made: Catalogue = (
        EmbeddedCatalogue(tmp_path / "other")
        if other == "embedded"
        else ClusterCatalogue(QdrantClient(":memory:"))
    )
    assert restore(made, "copy", snapshot) == 301
    assert made.spec("copy").space == "space" and made.spec("copy").dimension == DIMENSION
    made.close()


def test_an_empty_index_has_a_snapshot(catalogue: Catalogue, tmp_path: Path) -> None:
    build_empty = Spec.new("photos", "g1", DIMENSION, "space")
    catalogue.begin(build_empty)
    catalogue.publish("photos", "g1")
    assert write_snapshot(catalogue, "photos", tmp_path / "f").entries == 0
    assert restore(catalogue, "copy", tmp_path / "f") == 0
    with pytest.raises(NotFound, match="no index 'films'"):
        write_snapshot(catalogue, "films", tmp_path / "g")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["f"]


def test_an_index_is_not_replaced_by_accident(catalogue: Catalogue, snapshot: Path) -> None:
    with pytest.raises(Conflict, match="there is an index 'photos' already; say replace"):
        restore(catalogue, "photos", snapshot)
    with pytest.raises(InvalidParameter, match="must be lower-case letters"):
        restore(catalogue, "No Way", snapshot)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "this is no snapshot of an index"),
        (lambda content: b"PK\x03\x04" + content, "this is no snapshot of an index"),
        (lambda content: content[:27], "its head cannot be read"),
        (lambda content: content[:200], "it is truncated"),
        (lambda content: content[:-1], "it is truncated"),
        (lambda content: content[: len(content) // 2], "it is truncated"),
        (lambda content: content + b"\0", "it is truncated"),
        (lambda content: content[:-400] + b"x" + content[-399:], "do not have the checksum"),
        (lambda content: content[:5000] + b"\0" * 10 + content[5010:], "do not have the checksum"),
        (lambda content: content.replace(b'"dimension": 32', b'"dimension": "3"'), "its head cannot be read"),
        (lambda content: content[:4000] + content[4100:], "do not have the checksum"),
    ],
)  # fmt: skip
def test_a_damaged_file_changes_nothing(
    catalogue: Catalogue, snapshot: Path, damage: object, message: str
) -> None:
    snapshot.write_bytes(damage(snapshot.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InvalidInput, match=message):
        restore(catalogue, "photos", snapshot, replace=True)
    assert catalogue.info("photos").spec.generation == "g1" and catalogue.unfinished() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 7}, {"id": ""}, {"tags": [1]}, {"tags": None}, {"place": {"lat": 99, "lon": 0}},
        {"time": "soon"}, {"time": "2020-01-01"}, {"extra": []}, {"origin": "elsewhere"},
        {"fingerprint": "x"}, {"caption": None},
    ],
)  # fmt: skip
def test_contents_are_not_believed_for_their_checksum(
    catalogue: Catalogue, entries: list[Entry], tmp_path: Path, wrong: dict[str, object]
) -> None:
    class Forged(Entry):
        def payload(self) -> dict[str, object]:
            return {**super().payload(), **wrong}

    build(catalogue, "g1", entries[:3])
    file = tmp_path / "forged"
    with file.open("wb") as stream:
        forged = Forged("x", entries[0].vector)
        snapshots._write(stream, Spec.new("photos", "g", DIMENSION, "space"), iter([*entries[:300], forged]))
    with pytest.raises(InvalidInput, match="an entry from number 257 on cannot be read"):
        restore(catalogue, "photos", file, replace=True)
    assert catalogue.info("photos").entries == 3 and catalogue.unfinished() == []


def test_no_room_is_said_before_and_when_it_happens(
    catalogue: Catalogue, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        usage = shutil.disk_usage(tmp_path)._replace(free=70_000_000)
        patched.setattr(shutil, "disk_usage", lambda _: usage)
        write_snapshot(catalogue, "photos", tmp_path / "fits")
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=67_000_000))
        with pytest.raises(NoRoom, match=r"needs about 115,584 bytes .* disk has 67,000,000 free"):
            write_snapshot(catalogue, "photos", tmp_path / "too-large")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(snapshots, "_write", full)
    with pytest.raises(NoRoom, match="the server's disk is full"):
        write_snapshot(catalogue, "photos", tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["fits", "photos.index"]


def test_a_restore_that_is_given_up_leaves_nothing(catalogue: Catalogue, snapshot: Path) -> None:
    asked = iter([False, True])
    with snapshot.open("rb") as source, pytest.raises(Cancelled, match="given up"):
        restore_snapshot(catalogue, "copy", source, cancelled=lambda: next(asked))
    assert [info.spec.name for info in catalogue.all()] == ["photos"] and catalogue.unfinished() == []


def test_restores_of_a_dead_process_are_swept_by_the_next(catalogue: Catalogue, snapshot: Path) -> None:
    for name, generation, created in (
        ("photos", "restore-old", "2020-01-01T00:00:00+00:00"),
        ("other", "restore-old", "2020-01-01T00:00:00+00:00"),
        ("photos", "job-old", "2020-01-01T00:00:00+00:00"),
    ):
        catalogue.begin(Spec(name, generation, DIMENSION, "space", created))
    catalogue.begin(Spec.new("photos", "restore-new", DIMENSION, "space"))
    restore(catalogue, "copy", snapshot)
    left = sorted((spec.name, spec.generation) for spec in catalogue.unfinished())
    assert left == [("photos", "job-old"), ("photos", "restore-new")]


def test_the_old_index_answers_until_the_new_one_is_whole(
    catalogue: Catalogue, snapshot: Path, entries: list[Entry]
) -> None:
    with catalogue.writing("photos") as index:
        index.delete([entry.id for entry in entries[:300]])
    seen = []

    def look() -> bool:
        seen.append(catalogue.info("photos").entries)
        return False

    with snapshot.open("rb") as source:
        restore_snapshot(catalogue, "photos", source, replace=True, cancelled=look)
    assert seen == [1, 1] and catalogue.info("photos").entries == 301


def test_a_write_is_in_a_snapshot_or_not(tmp_path: Path, entries: list[Entry]) -> None:
    """Writes of ten entries at a time while snapshots are made: none is in it in part."""
    catalogue = EmbeddedCatalogue(tmp_path / "indexes")
    build(catalogue, "g1", entries[:200])
    over, written = threading.Event(), []

    def write() -> None:
        while not over.is_set():
            with catalogue.writing("photos") as index:
                index.upsert([online(entries[i], f"w{len(written)}-{i}") for i in range(10)])
            written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    for number in range(8):
        counts.append(write_snapshot(catalogue, "photos", tmp_path / f"{number}").entries)
        time.sleep(0.02)
    over.set()
    writer.join()
    catalogue.close()
    assert all(count % 10 == 0 for count in counts) and counts[-1] > counts[0] >= 200


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.06, 0.1, 0.17])
def test_a_process_killed_in_a_restore_leaves_the_old_or_the_new_index(
    tmp_path: Path, entries: list[Entry], pause_s: float
) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "indexes")
    for number, count in enumerate((300, 400)):
        build(catalogue, f"g{number}", entries[:count])
        write_snapshot(catalogue, "photos", tmp_path / f"{count}.index")
    catalogue.close()
    arguments = [str(tmp_path / name) for name in ("indexes", "300.index", "400.index")]
    command = [sys.executable, "-c", ENDLESS_RESTORE, *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
    catalogue = EmbeddedCatalogue(tmp_path / "indexes")
    (info,) = catalogue.all()
    assert info.entries in (300, 400) and info.building == ()
    with catalogue.reading("photos") as index:
        assert len(index.get([entry.id for entry in entries[: info.entries]])) == info.entries
    folders = [path.name for path in (tmp_path / "indexes" / "photos").iterdir() if path.is_dir()]
    assert folders == [info.spec.generation]
    catalogue.close()


def test_a_snapshot_says_what_it_is(snapshot: Path) -> None:
    facts = describe(snapshot)
    with snapshot.open("rb") as stream:
        assert verify(stream) == facts
    assert facts.spec.name == "photos" and facts.created.tzinfo is not None
    with pytest.raises(InvalidInput, match="no snapshot"):
        verify(io.BytesIO(json.dumps({"spec": 1}).encode()))
