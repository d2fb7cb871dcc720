"""What embedded indexes do beyond the contract: they live in a folder and survive their process."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interplay.errors import Unavailable
from interplay.index.catalogue import Spec
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Entry
from tests.conftest import REPOSITORY_ROOT
from tests.unit.index.conftest import DIMENSION
from tests.unit.index.test_catalogue import build

# Adds entries to a generation without end and says how many are acknowledged; swaps on the way.
ENDLESS_BUILD = """
import sys
from pathlib import Path
import numpy as np
from interplay.index.catalogue import Spec
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Entry

catalogue = EmbeddedCatalogue(Path(sys.argv[1]))
vector = np.ones(32, dtype=np.float32)
generation = 0
while True:
    generation += 1
    catalogue.begin(Spec.new("photos", f"r{generation}", 32, "space"))
    with catalogue.building("photos", f"r{generation}") as index:
        for batch in range(5):
            index.upsert([Entry(f"{batch}-{i}", vector * (i + 1)) for i in range(20)])
    catalogue.publish("photos", f"r{generation}")
    with catalogue.writing("photos") as index:
        index.upsert([Entry(f"online {generation}", vector, origin="online")])
    print(generation, flush=True)
"""


def test_indexes_are_there_again_after_a_restart(tmp_path: Path, entries: list[Entry]) -> None:
    first = EmbeddedCatalogue(tmp_path)
    build(first, "g1", entries[:20])
    first.begin(Spec.new("photos", "g2", DIMENSION, "space"))
    with first.building("photos", "g2") as index:
        index.upsert(entries[:7])
    first.begin(Spec.new("new", "g1", DIMENSION, "space"))
    first.close()
    second = EmbeddedCatalogue(tmp_path)
    assert [(i.spec.name, i.entries, i.building) for i in second.all()] == [("photos", 20, ("g2",))]
    assert second.publish("photos", "g2").entries == 7
    assert second.publish("new", "g1").entries == 0
    second.close()
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["CURRENT", "g2"]


def test_a_generation_older_than_the_one_that_answers_is_removed(
    tmp_path: Path, entries: list[Entry]
) -> None:
    first = EmbeddedCatalogue(tmp_path)
    first.begin(Spec.new("photos", "slow", DIMENSION, "space"))
    time.sleep(0.01)
    build(first, "fast", entries[:5])
    first.close()
    second = EmbeddedCatalogue(tmp_path)
    assert second.info("photos").building == () and not (tmp_path / "photos" / "slow").exists()
    second.close()


def test_a_second_process_is_refused(tmp_path: Path, entries: list[Entry]) -> None:
    first = EmbeddedCatalogue(tmp_path)
    build(first, "g1", entries[:5])
    with pytest.raises(Unavailable, match="cannot be opened"):
        EmbeddedCatalogue(tmp_path)
    first.close()


def test_a_reader_keeps_its_generation(tmp_path: Path, entries: list[Entry]) -> None:
    catalogue = EmbeddedCatalogue(tmp_path)
    build(catalogue, "g1", entries[:10])
    with catalogue.reading("photos") as index:
        build(catalogue, "g2", entries[10:12])
        assert index.count() == 10 and (tmp_path / "photos" / "g1").exists()
    assert catalogue.info("photos").entries == 2 and not (tmp_path / "photos" / "g1").exists()
    catalogue.close()


def test_a_folder_that_is_not_whole_is_removed(tmp_path: Path, entries: list[Entry]) -> None:
    """As a kill leaves it in the middle of beginning a generation, or of removing one."""
    first = EmbeddedCatalogue(tmp_path)
    build(first, "g1", entries[:5])
    for generation in ("g2", "g3"):
        first.begin(Spec.new("photos", generation, DIMENSION, "space"))
    first.begin(Spec.new("new", "g1", DIMENSION, "space"))
    first.close()
    for folder in ("photos/g2", "new/g1"):
        (tmp_path / folder / "spec.json").unlink()
        shutil.rmtree(tmp_path / folder / "shard" / "wal")
    second = EmbeddedCatalogue(tmp_path)
    assert second.info("photos").building == ("g3",) and not (tmp_path / "new").exists()
    second.close()


def test_a_generation_in_use_is_not_begun_again(tmp_path: Path, entries: list[Entry]) -> None:
    catalogue = EmbeddedCatalogue(tmp_path)
    build(catalogue, "empty", entries[:5])
    with catalogue.reading("photos") as index:
        catalogue.drop("photos")
        with pytest.raises(Unavailable, match="is still being removed"):
            catalogue.begin(Spec.new("photos", "empty", DIMENSION, "space"))
        assert index.count() == 5
    build(catalogue, "empty", entries[:3])
    assert catalogue.info("photos").entries == 3
    catalogue.close()


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.013, 0.031, 0.057, 0.101])
def test_a_process_killed_at_any_moment_leaves_a_whole_index(tmp_path: Path, pause_s: float) -> None:
    command = [sys.executable, "-c", ENDLESS_BUILD, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            swapped = int(process.stdout.readline())
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
        swapped = max([swapped, *map(int, process.stdout.read().split())])
    catalogue = EmbeddedCatalogue(tmp_path)
    generation = int(catalogue.info("photos").spec.generation[1:])
    assert swapped <= generation <= swapped + 1
    with catalogue.reading("photos") as index:
        assert len(index.get([f"{batch}-{i}" for batch in range(5) for i in range(20)])) == 100
        assert len(index.get([f"online {n}" for n in range(1, swapped + 1)])) == swapped
    catalogue.close()
