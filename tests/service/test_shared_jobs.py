"""One job on two Celery worker processes: shared, and with either of them killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.jobs.augment_dataset import KIND
from interplay.jobs.dispatch import Dispatcher, create_celery
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import Job, JobTable, NewJob
from interplay.jobs.work import DoneUnit, JobContext, ModelServers
from tests.conftest import ValkeyProcess, wait_until
from tests.fake_stylist import FakeStylist, digest, photo
from tests.service.worker_process import WorkerProcess
from training.datasets.icdar import read_icdar2015

pytestmark = pytest.mark.slow

IMAGES = 30
VARIANTS = 2


class House:
    """A data set, a style transfer server, a broker, and workers as a test starts them."""

    def __init__(self, folder: Path, valkey: ValkeyProcess) -> None:
        self.folder = folder
        self.valkey = valkey
        self.server = FakeStylist()
        self.server.start()
        self.addresses = {"style_transfer": f"127.0.0.1:{self.server.port}"}
        (folder / "data/in").mkdir(parents=True)
        for number in range(IMAGES):
            (folder / f"data/in/img_{number}.jpg").write_bytes(photo(number))
            (folder / f"data/in/gt_img_{number}.txt").write_text(f"1,1,9,1,9,9,1,9,W{number}\n")
        self.params = {"input": "in", "output": "out", "variants": VARIANTS, "batch_size": 2, "seed": 4}
        self.expected = self._expected()
        self.server.reset()
        self.database = Database(f"sqlite:///{folder}/state/jobs.sqlite3")
        self.table = JobTable(self.database)
        self.dispatcher = Dispatcher(create_celery(valkey.url), self.table)
        self.workers: list[WorkerProcess] = []

    def _expected(self) -> dict[str, bytes]:
        """What one worker makes in one unit, without any table or broker."""
        models = ModelServers(self.addresses)
        context = JobContext("job", Datasets([str(self.folder / "data")]), models)
        work = KIND.start(KIND.validate(self.params | {"output": "expected", "batch_size": 256}), context)
        work.finish([DoneUnit(items, work.run_unit(items)) for items in work.plan()])
        models.close()
        return files_of(self.folder / "data/expected")

    def worker(self) -> WorkerProcess:
        """Start a worker with a log of its own."""
        folder = self.folder / f"worker{len(self.workers)}"
        folder.mkdir()
        settings = {
            "state_dir": self.folder / "state",
            "dataset_roots": self.folder / "data",
            "capability_addresses": json.dumps(self.addresses),
        }
        worker = WorkerProcess(folder, self.valkey.url, "", **settings)
        worker.start()
        self.workers.append(worker)
        return worker

    def submit(self) -> str:
        job, _ = self.table.submit(NewJob(kind="augment_dataset", params=self.params, request_id="r-1"))
        self.dispatcher.send([job])
        return job.id

    def share(self, delay_s: float) -> tuple[str, WorkerProcess, WorkerProcess]:
        """A job that is being done by its owner and a helper."""
        self.server.delay_s = delay_s
        owner = self.worker()
        job_id = self.submit()
        self.wait_for(job_id, lambda job: job.done > 0)
        helper = self.worker()
        return job_id, owner, helper

    def wait_for(self, job_id: str, condition: Any) -> Job:
        try:
            wait_until(lambda: condition(self.table.get(job_id)), timeout_s=60, what="the job gets there")
        except BaseException:
            print(self.table.get(job_id))
            print("".join(worker.log.read_text()[-3000:] for worker in self.workers))
            raise
        return self.table.get(job_id)

    def check(self, job_id: str) -> Job:
        """The result is that of one worker, byte for byte, and holds each image once."""
        job = self.wait_for(job_id, lambda job: job.state.is_final)
        assert job.state is JobState.SUCCEEDED, job
        assert (job.done, job.total) == (IMAGES, IMAGES)
        out = self.folder / "data/out"
        found = [json.loads(line)["file"] for line in (out / "manifest.jsonl").read_text().splitlines()]
        assert len(found) == IMAGES * (1 + VARIANTS)
        assert set(Counter(found).values()) == {1}
        assert files_of(out) == self.expected
        samples = read_icdar2015(out, out)
        assert Counter(s.words[0].transcription for s in samples) == {
            f"W{number}": 1 + VARIANTS for number in range(IMAGES)
        }
        return job

    def repeated(self) -> int:
        """Images that were made more than once."""
        assert set(self.server.made) == {digest(photo(number)) for number in range(IMAGES)}
        return sum(times > VARIANTS for times in self.server.made.values())

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.dispatcher.close()
        self.database.close()
        self.server.stop()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def house(tmp_path: Path, own_valkey: ValkeyProcess) -> Iterator[House]:
    house = House(tmp_path, own_valkey)
    yield house
    house.close()


def units_of(worker: WorkerProcess) -> int:
    """Units that a worker did as a helper."""
    return sum(event["units"] for event in worker.events("job_helped"))


def test_two_workers_share_a_job(house: House) -> None:
    job_id, owner, helper = house.share(0.4)
    job = house.check(job_id)
    assert job.attempt == 1
    assert house.repeated() == 0
    wait_until(lambda: units_of(helper) > 0, what="the helper's log tells of its units")
    assert units_of(helper) < IMAGES / 2
    assert owner.events("job_succeeded")
    # The request id of the submission is on the helper's log lines, too.
    assert {event["request_id"] for event in helper.events("job_helped")} == {"r-1"}
    assert helper.terminate() == 0
    assert "Traceback" not in helper.log.read_text() + owner.log.read_text()


def test_helper_killed_in_mid_job(house: House) -> None:
    job_id, _, helper = house.share(0.4)
    wait_until(lambda: house.server.most_at_once > 2, timeout_s=30, what="the helper is at a unit")
    helper.kill()
    job = house.check(job_id)
    assert job.attempt == 1, "the owner did not even stop"
    assert house.repeated() <= 2, "at most the helper's unit"


def test_owner_killed_in_mid_job(house: House) -> None:
    job_id, owner, _ = house.share(0.4)
    wait_until(lambda: house.server.most_at_once > 2, timeout_s=30, what="the helper is at a unit")
    owner.kill()
    job = house.check(job_id)
    assert job.attempt == 2
    assert house.repeated() <= 4, "at most the units of both"


def test_a_job_of_its_own_goes_before_helping(house: House) -> None:
    job_id, _, _ = house.share(0.3)
    wait_until(lambda: house.server.most_at_once > 2, timeout_s=30, what="the helper is at a unit")
    params = {"input": "in", "output": "second", "batch_size": 64, "examples": 0}
    second, _ = house.table.submit(NewJob(kind="augment_dataset", params=params))
    house.dispatcher.send([second])
    house.wait_for(second.id, lambda job: job.state is JobState.RUNNING)
    assert house.table.get(job_id).state is JobState.RUNNING
    house.check(job_id)
    house.wait_for(second.id, lambda job: job.state is JobState.SUCCEEDED)
