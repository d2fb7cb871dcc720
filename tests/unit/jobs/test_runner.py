"""The runner over small kinds of its own: every way in which an attempt can end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.errors import NotFound, Unavailable
from interplay.jobs import lease as lease_module
from interplay.jobs import sweep
from interplay.jobs.kinds import Kinds
from interplay.jobs.lease import Lease
from interplay.jobs.runner import JobRunner
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import Job, JobTable, NewJob
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobParams, JobResult, ModelServers, Work
from tests.conftest import wait_until


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


class CountParams(JobParams):
    units: int = 3


class CountWork(Work):
    """Doubles numbers, two a unit; ``Script`` decides what goes wrong."""

    def __init__(self, params: CountParams, script: Script) -> None:
        self.params = params
        self.script = script

    def plan(self) -> list[list[Any]]:
        self.script.step("plan")
        return [[2 * number, 2 * number + 1] for number in range(self.params.units)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        self.script.step(f"unit{items[0] // 2}")
        return self.script.answer([item * 2 for item in items])

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        self.script.step("finish")
        numbers = [result for unit in units for result in unit.results]
        return JobResult(summary={"numbers": numbers}, output="out")


class Script:
    """What happened, and what is to happen at each step."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.on: dict[str, list[BaseException | Callable[[], object]]] = {}
        self.answer: Callable[[list[Any]], list[Any]] = lambda results: results

    def step(self, name: str) -> None:
        self.steps.append(name)
        waiting = self.on.get(name)
        if waiting:
            action = waiting.pop(0)
            if isinstance(action, BaseException):
                raise action
            action()


class Bench:
    """A job table with a runner on a real clock."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'jobs.sqlite3'}")
        self.now = time.time
        self.offset = 0.0
        self.table = JobTable(self.database, clock=lambda: time.time() + self.offset)
        self.script = Script()
        self.models = ModelServers({})
        self.folder = folder

    def runner(self, **changes: Any) -> JobRunner:
        def start(params: CountParams, context: JobContext) -> Work:
            return CountWork(params, self.script)

        kind = JobKind("count", "Counts", CountParams, {}, start)
        options = {"worker": "w", "heartbeat_s": 0.05, "patience_s": 5.0, "retry_s": 0.0, **changes}
        return JobRunner(self.table, Kinds((kind,)), Datasets([str(self.folder)]), self.models, **options)

    def submit(self, **changes: Any) -> str:
        return self.table.submit(NewJob(**{"kind": "count", "params": {}, **changes}))[0].id

    def run(self, job_id: str, **changes: Any) -> Job:
        self.runner(**changes).run(job_id)
        return self.table.get(job_id)

    def recover(self) -> None:
        """Let the lease run out and the sweeper look; again if a heartbeat came in between."""
        while self.table.list(state=JobState.RUNNING).jobs:
            self.offset += sweep.LEASE_S + 1
            sweep.recover_lost(self.table)


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    bench = Bench(tmp_path)
    yield bench
    bench.database.close()


@pytest.fixture(autouse=True)
def fast_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interplay.jobs.runner._FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("interplay.jobs.runner._TICK_S", 0.01)


ALL = [0, 2, 4, 6, 8, 10]


def numbers(job: Job) -> list[int]:
    assert job.state is JobState.SUCCEEDED, job
    assert job.result is not None
    return job.result["summary"]["numbers"]


def test_a_job_from_start_to_end(bench: Bench) -> None:
    job = bench.run(bench.submit())
    assert numbers(job) == ALL
    assert (job.done, job.total, job.attempt, job.message) == (6, 6, 1, "")
    assert bench.script.steps == ["plan", "unit0", "unit1", "unit2", "finish"]


def test_second_delivery_of_the_same_id_does_nothing(bench: Bench) -> None:
    job_id = bench.submit()
    bench.run(job_id)
    steps = list(bench.script.steps)
    bench.run(job_id)
    bench.runner().run("0" * 32)
    assert bench.script.steps == steps


@pytest.mark.parametrize("step", ["plan", "unit0", "unit1", "unit2", "finish"])
def test_killed_anywhere_repeats_at_most_that_step(bench: Bench, step: str) -> None:
    bench.script.on = {step: [Killed()]}
    job_id = bench.submit()
    with pytest.raises(Killed):
        bench.runner().run(job_id)
    assert bench.table.get(job_id).state is JobState.RUNNING
    bench.recover()
    assert numbers(bench.run(job_id)) == ALL
    assert [s for s in bench.script.steps if bench.script.steps.count(s) > 1] == [step, step]


@pytest.mark.parametrize("method", ["save_plan", "commit_unit", "succeed"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_a_commit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str, after: bool
) -> None:
    real = getattr(Lease, method)

    def killed(self: Lease, *arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(lease_module.Lease, method, real)
        if after:
            real(self, *arguments, **options)
        raise Killed

    monkeypatch.setattr(lease_module.Lease, method, killed)
    job_id = bench.submit()
    with pytest.raises(Killed):
        bench.runner().run(job_id)
    bench.recover()
    job = bench.run(job_id)
    assert numbers(job) == ALL
    assert job.done == 6
    repeated = {s for s in bench.script.steps if bench.script.steps.count(s) > 1}
    expected = {"save_plan": "plan", "commit_unit": "unit0", "succeed": "finish"}
    assert repeated == (set() if after else {expected[method]})


def test_stalled_attempt_that_wakes_up_changes_nothing(bench: Bench) -> None:
    asleep, wake = threading.Event(), threading.Event()

    def stall() -> None:
        asleep.set()
        wake.wait(20)

    bench.script.on = {"unit1": [stall]}
    bench.script.answer = lambda results: results
    job_id = bench.submit()
    stalled = threading.Thread(target=bench.runner(heartbeat_s=60).run, args=(job_id,))
    stalled.start()
    assert asleep.wait(10)
    bench.recover()
    done = bench.run(job_id)
    assert numbers(done) == ALL
    wake.set()
    stalled.join(10)
    assert bench.table.get(job_id) == done


def test_lost_lease_is_noticed_between_steps(bench: Bench) -> None:
    job_id = bench.submit()
    runner = bench.runner()

    def lose() -> None:
        bench.recover()
        wait_until(lambda: not any(t.name.startswith("heartbeat") for t in threading.enumerate()))

    bench.script.on = {"unit0": [lose]}
    runner.run(job_id)
    assert bench.script.steps == ["plan", "unit0"]
    assert bench.table.get(job_id).state is JobState.QUEUED


def test_cancel_between_units(bench: Bench) -> None:
    job_id = bench.submit()
    bench.script.on = {"unit1": [lambda: bench.table.cancel(job_id)]}
    job = bench.run(job_id)
    assert job.state is JobState.CANCELLED
    assert job.done == 4  # the unit at hand was finished
    assert "unit2" not in bench.script.steps


def test_cancel_while_waiting_for_a_model_server(bench: Bench) -> None:
    job_id = bench.submit()
    bench.script.on = {"unit1": [Unavailable("down", retry_after_s=60)]}
    attempt = threading.Thread(target=bench.runner().run, args=(job_id,))
    attempt.start()
    wait_until(lambda: "trying again" in bench.table.get(job_id).message)
    assert bench.table.get(job_id).message.startswith("down; trying again in ")
    bench.table.cancel(job_id)
    attempt.join(10)
    assert bench.table.get(job_id).state is JobState.CANCELLED


@pytest.mark.parametrize("step", ["plan", "unit1", "finish"])
def test_model_server_down_for_a_while(bench: Bench, step: str) -> None:
    bench.script.on = {step: [Unavailable("down")] * 3}
    job = bench.run(bench.submit())
    assert numbers(job) == ALL
    assert job.attempt == 1
    assert bench.script.steps.count(step) == 4


def test_model_server_down_for_too_long(bench: Bench) -> None:
    bench.script.on = {"unit1": [Unavailable("the model server cannot be reached")] * 1000}
    job = bench.run(bench.submit(), patience_s=0.3)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert (job.error.reason, job.error.message) == ("UNAVAILABLE", "the model server cannot be reached")
    assert job.done == 2


def test_input_error_ends_the_job_at_once(bench: Bench) -> None:
    bench.script.on = {"plan": [NotFound("there is no folder 'x'")]}
    job = bench.run(bench.submit())
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.reason == "NOT_FOUND"
    assert job.attempt == 1


def test_poison_unit_fails_at_the_cap(bench: Bench) -> None:
    bench.script.on = {"unit1": [ZeroDivisionError("secret detail")] * 10}
    job_id = bench.submit(max_attempts=3)
    job = bench.run(job_id)
    assert job.state is JobState.QUEUED
    assert "attempt 1 failed: ZeroDivisionError" in job.message
    while job.state is JobState.QUEUED:
        assert bench.script.steps.count("unit1") < 10
        job = bench.run(job_id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "3 attempts" in job.error.message
    assert "ZeroDivisionError" in job.error.message
    assert "secret" not in job.error.message
    # The first attempt made progress with unit 0, so it is not one of the three.
    assert bench.script.steps.count("unit1") == 4
    assert bench.script.steps.count("unit0") == 1


def test_attempt_that_failed_by_chance_is_made_up_for(bench: Bench) -> None:
    bench.script.on = {"unit2": [OSError("disk")]}
    job_id = bench.submit()
    assert bench.run(job_id).state is JobState.QUEUED
    assert [job.id for job in sweep.due_for_dispatch(bench.table, resend_after_s=None)] == [job_id]
    assert numbers(bench.run(job_id)) == ALL


def test_stop_gives_the_job_back_after_the_unit(bench: Bench) -> None:
    runner = bench.runner()
    bench.script.on = {"unit1": [runner.stop]}
    job_id = bench.submit()
    runner.run(job_id)
    job = bench.table.get(job_id)
    assert (job.state, job.done, job.fruitless_attempts) == (JobState.QUEUED, 4, 0)
    runner.run(job_id)  # a stopped runner takes nothing
    assert bench.table.get(job_id) == job
    assert [due.id for due in sweep.due_for_dispatch(bench.table, resend_after_s=None)] == [job_id]
    assert numbers(bench.run(job_id)) == ALL


def test_wrong_number_of_results_is_a_fault_of_ours(bench: Bench) -> None:
    bench.script.answer = lambda results: results[:-1]
    job = bench.run(bench.submit(max_attempts=1))
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "2 items and gave 1 results" in job.error.message


def test_unknown_kind_and_bad_params_fail_clearly(bench: Bench) -> None:
    # Another worker may be of a newer release, so this is an attempt and not yet the end.
    assert bench.run(bench.submit(kind="gone")).state is JobState.QUEUED
    job = bench.run(bench.submit(kind="gone", max_attempts=1))
    assert job.error is not None
    assert "no job kind 'gone'; known: count" in job.error.message
    job = bench.run(bench.submit(params={"units": "many", "other": 1}))
    assert job.error is not None
    assert "params.units" in job.error.message
    assert "params.other" in job.error.message


def test_heartbeats_during_a_long_unit(bench: Bench) -> None:
    job_id = bench.submit()
    seen: list[float | None] = []

    def watch() -> None:
        first = bench.table.get(job_id).heartbeat_at
        wait_until(lambda: bench.table.get(job_id).heartbeat_at != first)
        seen.append(first)

    bench.script.on = {"unit1": [watch]}
    assert numbers(bench.run(job_id)) == ALL
    assert seen


def test_two_kinds_of_one_name_are_refused() -> None:
    kind = JobKind("a", "", CountParams, {}, lambda params, context: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="same name"):
        Kinds((kind, kind))
