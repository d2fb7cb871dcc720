from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from interplay.jobs.lease import claim
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import Job, JobTable, NewJob
from services.worker import liveness
from services.worker.settings import WorkerSettings
from services.worker.sweeper import DEAF_EXIT_CODE, Sweeper
from tests.conftest import wait_until


class Broker:
    """Stands in for the dispatcher: takes ids, or is down."""

    def __init__(self) -> None:
        self.waiting: int | None = 0
        self.sent: list[str] = []

    def messages(self) -> int | None:
        return self.waiting

    def send(self, jobs: Iterable[Job]) -> bool:
        self.sent += [job.id for job in jobs]
        return True


class Runner:
    """Stands in for the runner: idle or not."""

    active = 0


class Bench:
    def __init__(self, folder: Path, **settings: object) -> None:
        self.database = Database(f"sqlite:///{folder / 'jobs.sqlite3'}")
        self.offset = 0.0
        self.table = JobTable(self.database, clock=lambda: time.time() + self.offset)
        self.broker = Broker()
        self.runner = Runner()
        self.exits: list[int] = []
        self.settings = WorkerSettings(**{"state_dir": folder, "sweep_s": 0.02, **settings})  # type: ignore[arg-type]
        self.sweeper = Sweeper(
            self.table,
            self.broker,  # type: ignore[arg-type]
            self.runner,  # type: ignore[arg-type]
            self.settings,
            leave=self.exits.append,
        )

    def submit(self) -> str:
        return self.table.submit(NewJob(kind="k", params={}))[0].id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, deaf_after_s=0.05, liveness_file=tmp_path / "alive")
    yield bench
    bench.database.close()


def test_unsent_job_is_sent_once(bench: Bench) -> None:
    job_id = bench.submit()
    bench.sweeper.sweep()
    bench.sweeper.sweep()
    assert bench.broker.sent == [job_id]


def test_job_is_sent_again_when_the_broker_lost_it(bench: Bench) -> None:
    job_id = bench.submit()
    bench.sweeper.sweep()
    bench.offset += bench.settings.resend_after_s + 1
    bench.broker.waiting = 3  # its message may be among these
    bench.sweeper.sweep()
    assert bench.broker.sent == [job_id]
    bench.broker.waiting = 0
    bench.sweeper.sweep()
    assert bench.broker.sent == [job_id, job_id]


def test_nothing_is_marked_as_sent_while_the_broker_is_down(bench: Bench) -> None:
    job_id = bench.submit()
    bench.broker.waiting = None
    bench.sweeper.sweep()
    assert bench.broker.sent == []
    bench.broker.waiting = 0
    bench.sweeper.sweep()
    assert bench.broker.sent == [job_id]


def test_lost_job_is_recovered_and_sent_in_one_round(bench: Bench) -> None:
    job_id = bench.submit()
    bench.sweeper.sweep()
    assert claim(bench.table, job_id, "w")
    bench.offset += bench.settings.lease_s + 1
    bench.broker.waiting = 5
    bench.sweeper.sweep()
    assert bench.table.get(job_id).state is JobState.QUEUED
    assert bench.broker.sent == [job_id, job_id]


def test_idle_worker_that_ignores_messages_leaves(bench: Bench) -> None:
    bench.broker.waiting = 2
    bench.sweeper.sweep()
    assert bench.exits == []
    time.sleep(0.06)
    bench.sweeper.sweep()
    assert bench.exits == [DEAF_EXIT_CODE]


@pytest.mark.parametrize("sign", ["busy", "empty", "down"])
def test_signs_of_life_start_the_clock_anew(bench: Bench, sign: str) -> None:
    bench.broker.waiting = 2
    bench.sweeper.sweep()
    time.sleep(0.06)
    if sign == "busy":
        bench.runner.active = 1
    else:
        bench.broker.waiting = 0 if sign == "empty" else None
    bench.sweeper.sweep()
    bench.runner.active, bench.broker.waiting = 0, 2
    bench.sweeper.sweep()
    assert bench.exits == []


def test_thread_sweeps_and_shows_that_it_lives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = bench.settings.liveness_file
    assert alive is not None
    monkeypatch.setenv("INTERPLAY_LIVENESS_FILE", str(alive))
    assert liveness.main() == 1
    job_id = bench.submit()
    bench.sweeper.start()
    wait_until(alive.exists)
    bench.sweeper.stop()
    assert bench.broker.sent == [job_id]
    assert liveness.main() == 0
    os.utime(alive, (time.time() - 120, time.time() - 120))
    assert liveness.main() == 1


def test_thread_survives_a_failed_sweep(bench: Bench) -> None:
    alive = bench.settings.liveness_file
    assert alive is not None
    rounds = iter([RuntimeError("database down"), RuntimeError("still down")])

    def messages() -> int:
        for error in rounds:
            raise error
        return 0

    bench.broker.messages = messages  # type: ignore[method-assign]
    bench.sweeper.start()
    wait_until(alive.exists)
    bench.sweeper.stop()


def test_lease_must_outlast_heartbeats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three times"):
        WorkerSettings(state_dir=tmp_path, lease_s=10, heartbeat_s=5)
