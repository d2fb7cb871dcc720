"""A job with an owner and helpers, by their runners: they share it, and either may fail, stop or vanish."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.errors import InvalidParameter, Unavailable
from interplay.jobs.assist import assist
from interplay.jobs.runner import JobRunner
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import Job, JobTable
from interplay.jobs.work import ModelServers
from services.worker.settings import WorkerSettings
from services.worker.sweeper import Sweeper
from tests.conftest import wait_until
from tests.unit.jobs.count_kind import help_with, kinds_of, submit, take


class Bench:
    """A job table with several runners on a real clock, and short leases."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'jobs.sqlite3'}")
        self.table = JobTable(self.database)
        self.folder = folder
        self.seen: Counter[int] = Counter()
        self.script: Callable[[int], object] = int
        self.kinds = kinds_of(self._on_unit)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._runners: list[JobRunner] = []

    def _on_unit(self, number: int) -> None:
        with self._lock:
            self.seen[number] += 1
        self.script(number)

    def runner(self, **changes: Any) -> JobRunner:
        options = {"heartbeat_s": 0.1, "lease_s": 0.6, "patience_s": 5.0, "retry_s": 0.0, **changes}
        datasets = Datasets([str(self.folder)])
        runner = JobRunner(self.table, self.kinds, datasets, ModelServers({}), worker="w", **options)
        self._runners.append(runner)
        return runner

    def start(self, work: Callable[[], object], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name)
        thread.start()
        self._threads.append(thread)
        return thread

    def run(self, job_id: str, **changes: Any) -> threading.Thread:
        return self.start(lambda: self.runner(**changes).run(job_id), "owner")

    def help(self, job_id: str, runner: JobRunner | None = None) -> threading.Thread:
        helper = runner or self.runner()
        return self.start(lambda: assist(helper, job_id), "helper")

    def wait(self, job_id: str) -> Job:
        wait_until(lambda: self.table.get(job_id).state.is_final, what="the job ends")
        return self.table.get(job_id)

    def check(self, job_id: str) -> None:
        job = self.wait(job_id)
        assert job.state is JobState.SUCCEEDED, job
        assert job.result is not None
        assert job.result["summary"]["numbers"] == [number * 2 for number in range(8)]
        assert (job.done, job.total) == (8, 8)

    def close(self) -> None:
        for runner in self._runners:
            runner.stop()
        for thread in self._threads:
            thread.join(10)
        self.database.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("interplay.jobs.runner._FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("interplay.jobs.runner._TICK_S", 0.01)
    monkeypatch.setattr("interplay.jobs.runner._HELPERS_S", 0.05)
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def by_thread() -> str:
    return threading.current_thread().name


def test_owner_and_helper_share_a_job(bench: Bench) -> None:
    done: dict[int, str] = {}

    def script(number: int) -> None:
        done[number] = by_thread()
        time.sleep(0.15)

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id)
    wait_until(lambda: bench.seen)
    bench.help(job_id)
    bench.check(job_id)
    assert bench.seen == dict.fromkeys(range(8), 1)
    assert set(done.values()) == {"owner", "helper"}


def test_owner_waits_for_the_unit_of_a_slow_helper(bench: Bench) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def script(number: int) -> None:
        if by_thread() == "helper":
            begun.set()
            go_on.wait(10)
        else:
            begun.wait(10)

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id)
    wait_until(lambda: bench.seen)
    bench.help(job_id)
    wait_until(lambda: bench.table.get(job_id).done == 7)
    time.sleep(1.0)  # longer than the lease: heartbeats keep the helper's claim
    assert bench.table.get(job_id).state is JobState.RUNNING
    go_on.set()
    bench.check(job_id)
    assert bench.seen == dict.fromkeys(range(8), 1)


def test_unit_of_a_helper_that_vanished_is_done_by_the_owner(bench: Bench) -> None:
    job_id = submit(bench.table)
    gone: list[int] = []

    def script(number: int) -> None:
        if not gone:  # somebody takes a unit and is never heard of again
            helper = help_with(bench.table, job_id)
            gone.extend(unit.number for unit in [helper.next_unit()] if unit)

    bench.script = script
    bench.run(job_id)
    bench.check(job_id)
    assert gone == [1]


def test_failure_of_a_helper_is_left_to_the_owner(bench: Bench) -> None:
    begun = threading.Event()

    def script(number: int) -> None:
        if by_thread() == "helper":
            begun.set()
            raise ZeroDivisionError
        begun.wait(10)

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id, lease_s=600)  # the unit is given up, and not waited for
    wait_until(lambda: bench.seen)
    bench.help(job_id).join(10)
    bench.check(job_id)
    assert sorted(bench.seen.values()) == [1] * 7 + [2]


def test_error_of_the_job_is_the_owners_to_tell(bench: Bench) -> None:
    begun = threading.Event()

    def script(number: int) -> None:
        if by_thread() == "helper":
            begun.set()
        if number == 1:
            raise InvalidParameter("unit 1 cannot be done")
        begun.wait(10)

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id)
    wait_until(lambda: bench.seen)
    bench.help(job_id)
    job = bench.wait(job_id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.message == "unit 1 cannot be done"


def test_helper_waits_for_a_model_server_too(bench: Bench) -> None:
    troubles = [Unavailable("down"), Unavailable("down")]

    def script(number: int) -> None:
        if by_thread() == "helper" and troubles:
            raise troubles.pop()
        time.sleep(0.1)

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id)
    wait_until(lambda: bench.seen)
    bench.help(job_id)
    bench.check(job_id)
    assert not troubles


def test_cancel_stops_owner_and_helper_after_their_units(bench: Bench) -> None:
    ready = threading.Barrier(3, timeout=10)

    def script(number: int) -> None:
        ready.wait()  # both are at a unit, and so is the test
        ready.wait()

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id, heartbeat_s=60)
    wait_until(lambda: bench.seen)
    helper = bench.help(job_id)
    ready.wait()
    bench.table.cancel(job_id)
    ready.wait()
    helper.join(10)
    assert bench.wait(job_id).state is JobState.CANCELLED
    assert bench.seen == {0: 1, 1: 1}


def test_helper_that_is_stopped_leaves_after_its_unit(bench: Bench) -> None:
    stopped = threading.Event()
    runner = bench.runner()

    def script(number: int) -> None:
        if by_thread() == "helper":
            runner.stop()
            stopped.set()
        stopped.wait(10)

    bench.script = script
    job_id = submit(bench.table)
    bench.run(job_id)
    wait_until(lambda: bench.seen)
    bench.help(job_id, runner).join(10)
    assert runner.active == 0
    bench.check(job_id)
    assert bench.seen == dict.fromkeys(range(8), 1)
    seen = dict(bench.seen)
    assist(runner, job_id)  # a stopped runner takes nothing
    assert bench.seen == seen


def test_owner_that_loses_its_unit_goes_on_with_the_next(bench: Bench) -> None:
    job_id = submit(bench.table)

    def script(number: int) -> None:
        if number == 1 and bench.seen[1] == 1:
            # The owner stalled: its claim is stale, but nobody has taken the job from it yet.
            time.sleep(0.7)
            helper = help_with(bench.table, job_id)
            helper._lease_s = 0.6
            unit = helper.next_unit()
            assert unit is not None
            assert unit.number == 1
            helper.commit_unit(unit, [2])

    bench.script = script
    bench.run(job_id, heartbeat_s=60)
    bench.check(job_id)
    assert bench.table.get(job_id).attempt == 1


class Broker:
    """Stands in for the dispatcher."""

    def __init__(self) -> None:
        self.waiting: int | None = 0
        self.called: list[str] = []

    def messages(self) -> int | None:
        return self.waiting

    def send(self, jobs: Iterable[Job]) -> bool:
        return True

    def call_helper(self, job: Job) -> None:
        self.called.append(job.id)


def test_helpers_are_called_for_free_slots_alone(bench: Bench, tmp_path: Path) -> None:
    broker, runner = Broker(), bench.runner()
    settings = WorkerSettings(state_dir=tmp_path, concurrency=1)
    sweeper = Sweeper(bench.table, broker, runner, settings, kinds=bench.kinds)  # type: ignore[arg-type]
    job_id = submit(bench.table)
    sweeper.sweep()
    assert broker.called == []  # it waits for its own worker first
    take(bench.table, job_id)
    with runner.occupied():
        sweeper.sweep()
    broker.waiting = 1
    sweeper.sweep()
    broker.waiting = None
    sweeper.sweep()
    assert broker.called == []
    broker.waiting = 0
    sweeper.sweep()
    assert broker.called == [job_id]
