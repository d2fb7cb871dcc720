"""An index is rebuilt while workers and servers are killed: the old one answers until the new one does.

A search is answered by the whole old index, by the whole new one, or with 503 while the server is away;
never with anything else, and never by the old one again once the new one has answered.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import wait_until
from tests.e2e.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WORKER, SERVER = "services.worker", "services.embedding"
OLD = 10


class Watcher:
    """Searches without a pause and remembers every answer.

    Attributes:
        seen: Of each answer: status, and which contents answered (the ids' prefix and their number).
        faults: Answers that must not be.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: list[tuple[int, str]] = []
        self.faults: list[str] = []

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._over.is_set():
            answer = self._client.post("/v1/search", json={"index": "kills", "query": "sky", "limit": 200})
            contents = ""
            if answer.status_code == 200:
                ids = {hit["id"].partition("-")[0] for hit in answer.json()["hits"]}
                contents = f"{'+'.join(sorted(ids))} {answer.json()['candidates']}"
            elif answer.status_code != 503 or int(answer.headers.get("retry-after", 0)) < 1:
                self.faults.append(f"{answer.status_code}: {answer.text}")
            self.seen.append((answer.status_code, contents))
            time.sleep(0.02)

    def contents(self) -> list[str]:
        """Contents that answered, in order, repetitions left out."""
        found = [contents for status, contents in self.seen if status == 200]
        return [now for before, now in zip(["", *found], found, strict=False) if now != before]


def photos(system: System, name: str, count: int) -> str:
    """A folder of small pictures whose ids begin with its name."""
    folder = system.state.parent / "photos" / "kills" / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(name) + count)
    for number in range(count):
        picture = rng.integers(0, 256, 3) + rng.normal(0, 12, (60, 80, 3))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{name}-{number}.jpg")
    return f"kills/{name}"


def submit(system: System, name: str, count: int) -> str:
    params = {
        "index": "kills",
        "input": photos(system, name, count),
        "output": f"kills/out-{name}",
        "batch_size": 8,
    }
    body = {"kind": "build_index", "params": params}
    answer = httpx.post(f"{system.url}/v1/jobs", json=body, timeout=30, trust_env=False)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job_of(system: System, job: str) -> dict[str, Any]:
    answer = httpx.get(f"{system.url}/v1/jobs/{job}", timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["state"] not in ("failed", "cancelled"), found
    return found


def wait_for(system: System, job: str, done: int, *, timeout_s: float = 180) -> None:
    """Until so many photos are done, or all are."""
    deadline = time.monotonic() + timeout_s
    while True:
        progress = job_of(system, job)["progress"]
        if progress["done"] >= done or progress["done"] == progress["total"]:
            return
        assert time.monotonic() < deadline, progress
        time.sleep(0.005)


def finish(system: System, job: str) -> None:
    wait_until(lambda: job_of(system, job)["state"] == "succeeded", timeout_s=240, what="the job ends")


def kill(system: System, module: str) -> None:
    """End a part with SIGKILL, if it is there at all."""
    os.kill(system.part_pid(module), signal.SIGKILL)


@pytest.fixture
def watched(system: System) -> Iterator[Watcher]:
    """An index of ten photos, searched all the time."""
    if httpx.get(f"{system.url}/v1/indexes/kills", timeout=30, trust_env=False).status_code == 404:
        finish(system, submit(system, "first", OLD))
    with Watcher(system.url) as watcher:
        wait_until(lambda: watcher.seen, what="the first search")
        yield watcher
    wait_until(system.is_ready, timeout_s=120, what="all is up again")


def check(system: System, watcher: Watcher, name: str, count: int) -> None:
    """The new index answers with everything, after the old one alone; nothing else is on the disk."""
    wait_until(lambda: watcher.seen[-1][0] == 200, timeout_s=120, what="searches are answered")
    wait_until(lambda: watcher.contents()[-1] == f"{name} {count}", what="the new index answers")
    assert watcher.faults == []
    old, new = watcher.contents()
    assert new == f"{name} {count}" and not old.startswith(name)
    assert {status for status, _ in watcher.seen} <= {200, 503}
    folder = system.state / "indexes" / "kills"
    wait_until(lambda: len(list(folder.iterdir())) == 2, what="the old generation is gone")
    current = (folder / "CURRENT").read_text().strip()
    assert sorted(path.name for path in folder.iterdir()) == ["CURRENT", current]


def test_worker_and_server_killed_while_photos_are_embedded(system: System, watched: Watcher) -> None:
    job = submit(system, "mid", 160)
    wait_for(system, job, 16)
    kill(system, SERVER)
    wait_for(system, job, 64)
    assert job_of(system, job)["progress"]["done"] < 160
    kill(system, WORKER)
    finish(system, job)
    check(system, watched, "mid", 160)
    assert 503 in {status for status, _ in watched.seen}


@pytest.mark.parametrize("pause_s", [0.0, 0.1])
def test_the_server_killed_around_the_swap(system: System, watched: Watcher, pause_s: float) -> None:
    name = f"swap{pause_s * 100:.0f}"
    job = submit(system, name, 48)
    wait_for(system, job, 48)
    time.sleep(pause_s)
    kill(system, SERVER)
    finish(system, job)
    check(system, watched, name, 48)


def test_the_worker_killed_around_the_swap(system: System, watched: Watcher) -> None:
    job = submit(system, "end", 48)
    wait_for(system, job, 48)
    kill(system, WORKER)
    finish(system, job)
    check(system, watched, "end", 48)
