"""Jobs through the real parts: job table, Valkey, Celery worker process, text detection over gRPC."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interplay.jobs.dispatch import Dispatcher, create_celery
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import Job, JobTable, NewJob
from interplay.launcher.ports import free_port
from tests.conftest import ValkeyProcess, wait_until
from tests.fake_text_detection import FakeTextDetection, picture
from tests.postgres import empty_database, postgres_url
from tests.service.worker_process import WorkerProcess

__all__ = ["postgres_url"]  # a fixture

pytestmark = pytest.mark.slow

UNITS, UNIT_SIZE = 12, 4
IMAGES = UNITS * UNIT_SIZE


class House:
    """All parts of one test."""

    def __init__(self, folder: Path, valkey: ValkeyProcess, database_url: str = "") -> None:
        self.folder = folder
        self.valkey = valkey
        self.server = FakeTextDetection(free_port())
        self.server.start()
        self.database_url = database_url or f"sqlite:///{folder}/state/jobs.sqlite3"
        self.database = Database(self.database_url)
        self.table = JobTable(self.database)
        self.dispatcher = Dispatcher(create_celery(valkey.url), self.table)
        self.workers: list[WorkerProcess] = []
        (folder / "data/in").mkdir(parents=True)
        for number in range(IMAGES):
            (folder / f"data/in/{number:03}.png").write_bytes(picture(number / IMAGES, number=number))

    def worker(self, **options: Any) -> WorkerProcess:
        """Start a worker."""
        options = {"database_url": self.database_url, **options}
        worker = WorkerProcess(self.folder, self.valkey.url, self.server.target, **options)
        worker.start()
        self.workers.append(worker)
        return worker

    def submit(self, *, send: bool = True, kind: str = "filter_text_images", **changes: Any) -> str:
        """Submit a job as the gateway does."""
        params = {"input": "in", "output": "out", "rule": {"threshold": 0.5}, "batch_size": UNIT_SIZE}
        new = {
            "kind": kind,
            "params": params if kind == "filter_text_images" else {},
            "request_id": "r-42",
            **changes,
        }
        job, _ = self.table.submit(NewJob(**new))
        if send:
            self.dispatcher.send([job])
        return job.id

    def wait(self, job_id: str, *states: JobState, timeout_s: float = 40) -> Job:
        """Wait until the job is in one of these states."""
        try:
            wait_until(lambda: self.table.get(job_id).state in states, timeout_s=timeout_s, what=f"{states}")
        except BaseException:
            print(self.table.get(job_id))
            print("".join(worker.log.read_text()[-4000:] for worker in self.workers[:1]))
            raise
        return self.table.get(job_id)

    def wait_for_progress(self, job_id: str, done: int) -> None:
        """Wait until so many images are done."""
        wait_until(lambda: self.table.get(job_id).done >= done, timeout_s=40, what=f"{done} done")

    def check_result(self, job_id: str) -> Job:
        """Each image is in the result exactly once."""
        job = self.wait(job_id, JobState.SUCCEEDED, JobState.FAILED)
        assert job.state is JobState.SUCCEEDED, job.error
        names = []
        for name in ("kept", "dropped", "failed"):
            for line in (self.folder / f"data/out/{name}.jsonl").read_text().splitlines():
                names.append(json.loads(line)["id"])
        assert Counter(names) == Counter(f"{number:03}.png" for number in range(IMAGES))
        assert (job.done, job.total) == (IMAGES, IMAGES)
        return job

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.kill()
        self.dispatcher.close()
        self.database.close()
        self.server.stop()


@pytest.fixture
def house(tmp_path: Path, own_valkey: ValkeyProcess) -> Iterator[House]:
    house = House(tmp_path, own_valkey)
    yield house
    house.close()


def test_a_job_from_queue_to_result_and_a_clean_stop(house: House) -> None:
    alive = house.folder / "alive"
    metrics_port = free_port()
    worker = house.worker(liveness_file=alive, metrics_port=metrics_port)
    job_id = house.submit()
    job = house.check_result(job_id)
    assert job.attempt == 1
    assert house.server.seen == dict.fromkeys(range(IMAGES), 1)
    # The request id of the submission is on the worker's log lines.
    assert [e["request_id"] for e in worker.events("job_succeeded") if e["job_id"] == job_id] == ["r-42"]
    wait_until(alive.exists)
    metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    assert 'interplay_jobs_total{kind="filter_text_images",state="succeeded"} 1.0' in metrics
    assert 'interplay_job_attempts_total{kind="filter_text_images"} 1.0' in metrics
    assert worker.terminate() == 0
    assert "Traceback" not in worker.log.read_text()


def test_worker_killed_in_mid_job(house: House) -> None:
    house.server.delay_s = 0.03
    first = house.worker()
    job_id = house.submit()
    house.wait_for_progress(job_id, 3 * UNIT_SIZE)
    first.kill()
    done = house.table.get(job_id).done
    assert 0 < done < IMAGES
    house.worker()
    job = house.check_result(job_id)
    assert job.attempt == 2
    # At most the unit at hand was done twice.
    repeated = [number for number, times in house.server.seen.items() if times > 1]
    assert len(repeated) <= UNIT_SIZE
    assert max(house.server.seen.values()) <= 2


def test_worker_killed_in_mid_job_with_postgresql(
    tmp_path: Path, own_valkey: ValkeyProcess, postgres_url: str
) -> None:
    house = House(tmp_path, own_valkey, empty_database(postgres_url))
    try:
        test_worker_killed_in_mid_job(house)
    finally:
        house.close()


def test_worker_stopped_in_mid_job_hands_it_over_at_once(house: House) -> None:
    house.server.delay_s = 0.03
    first = house.worker(lease_s=600, heartbeat_s=1)
    job_id = house.submit()
    house.wait_for_progress(job_id, 2 * UNIT_SIZE)
    assert first.terminate() == 0
    job = house.table.get(job_id)
    assert (job.state, job.fruitless_attempts) == (JobState.QUEUED, 0)
    house.worker(lease_s=600, heartbeat_s=1)  # no lease has to run out
    house.check_result(job_id)
    assert max(house.server.seen.values()) == 1


def test_valkey_killed_in_mid_job(house: House) -> None:
    house.server.delay_s = 0.02
    worker = house.worker()
    job_id = house.submit()
    house.wait_for_progress(job_id, UNIT_SIZE)
    house.valkey.restart(kill=True)
    job = house.check_result(job_id)
    assert max(house.server.seen.values()) == 1, "the job did not even notice"
    assert job.attempt == 1
    # And the worker takes new jobs from the new Valkey.
    second = house.submit(params={"input": "in", "output": "out2"})
    house.wait(second, JobState.SUCCEEDED)
    assert worker.exit_code is None


def test_valkey_loses_all_it_holds_while_jobs_are_queued(house: House) -> None:
    job_id = house.submit()
    house.valkey.stop(kill=True)
    for file in (house.folder / "valkey").glob("**/*.rdb"):
        file.unlink()
    for file in sorted((house.folder / "valkey").glob("**/*aof*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    # Submitted while the broker is down: accepted, sent later.
    second = house.submit(params={"input": "in", "output": "out2"})
    house.valkey.start()
    assert house.dispatcher.messages() == 0
    house.worker()
    house.check_result(job_id)
    house.wait(second, JobState.SUCCEEDED)


def test_worker_starts_before_valkey_and_text_detection(house: House) -> None:
    house.valkey.stop()
    house.server.stop()
    house.worker()
    job_id = house.submit()
    house.valkey.start()
    house.wait(job_id, JobState.RUNNING)
    wait_until(lambda: "trying again" in house.table.get(job_id).message)
    house.server.start()
    house.check_result(job_id)


def test_cancel_in_mid_job(house: House) -> None:
    house.server.delay_s = 0.05
    house.worker()
    job_id = house.submit()
    house.wait_for_progress(job_id, UNIT_SIZE)
    assert house.table.cancel(job_id).state is JobState.CANCELLING
    job = house.wait(job_id, JobState.CANCELLED)
    assert 0 < job.done < IMAGES
    assert not (house.folder / "data/out/summary.json").exists()


def test_job_that_kills_its_workers_is_given_up(house: House) -> None:
    worker = house.worker(module="tests.service.poison_worker", lease_s=0.7)
    job_id = house.submit(kind="poison", max_attempts=2)
    for _ in range(3):
        wait_until(lambda: worker.exit_code is not None, what="the job kills its worker")
        assert worker.exit_code == -signal.SIGKILL
        worker.start()  # as the launcher or Kubernetes would
    house.wait(job_id, JobState.FAILED)
    job = house.table.get(job_id)
    assert job.error is not None
    assert "given up after 2 attempts" in job.error.message
    assert (job.done, job.total) == (1, 2)
    # The first attempt did a unit, so it is not among the two that were fruitless.
    assert job.attempt == 3


def test_the_worker_never_imports_torch() -> None:
    code = "import sys, services.worker.__main__; print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
