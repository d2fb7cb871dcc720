"""Data sets of each form, and ``augment_dataset`` run over them, for tests."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.jobs.augment_dataset import KIND, AugmentDataset, AugmentDatasetWork
from interplay.jobs.work import DoneUnit, JobContext, JobResult, ModelServers
from tests.fake_stylist import FakeStylist, photo

SCENE = {"gold", "red-neon"}


@pytest.fixture
def server() -> Iterator[FakeStylist]:
    server = FakeStylist()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(tmp_path: Path, server: FakeStylist) -> Iterator[JobContext]:
    models = ModelServers({"style_transfer": f"127.0.0.1:{server.port}"})
    yield JobContext("job", Datasets([str(tmp_path)]), models)
    models.close()


def work_on(context: JobContext, **params: Any) -> AugmentDatasetWork:
    checked = KIND.validate({"input": "in", "output": "out", **params})
    assert isinstance(checked, AugmentDataset)
    return AugmentDatasetWork(checked, context)


def run(context: JobContext, **params: Any) -> JobResult:
    """The whole job, each unit by an attempt of its own and in any order, as JSON in between."""
    units = json.loads(json.dumps(work_on(context, **params).plan()))
    order = list(range(len(units)))
    random.Random(1).shuffle(order)
    results = {number: work_on(context, **params).run_unit(units[number]) for number in order}
    done = [DoneUnit(units[n], json.loads(json.dumps(results[n]))) for n in range(len(units))]
    return work_on(context, **params).finish(done)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files_of(folder: Path) -> dict[str, str]:
    """Digest of each file."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def truth(number: int, word: str = "WORD") -> bytes:
    return f"\ufeff{number},2,9,2,9,8,{number},8,{word}\r\n".encode()


def icdar(folder: Path, count: int = 3, word: str = "WORD", first: int = 1) -> Path:
    """Images and words, in folders beside each other."""
    for name in ("images", "gt"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"images/img_{number}.jpg").write_bytes(photo(number))
        (folder / f"gt/gt_img_{number}.txt").write_bytes(truth(number, word))
    return folder


def coco(folder: Path) -> None:
    folder.mkdir()
    for number in (3, 11):
        (folder / f"{number}.png").write_bytes(photo(number, "PNG"))
    content = {
        "imgs": {str(n): {"id": n, "file_name": f"{n}.png", "set": "train"} for n in (3, 11)},
        "anns": {
            "5": {"id": 5, "image_id": 11, "bbox": [1, 2, 3, 4], "utf8_string": "A", "legibility": "legible"},
            "6": {"id": 6, "image_id": 11, "mask": [2, 2, 9, 2, 9, 9], "legibility": "illegible"},
        },
        "imgToAnns": {"11": [5, 6]},
        "info": "made here",
    }
    (folder / "coco.json").write_text(json.dumps(content))
