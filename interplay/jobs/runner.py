"""Runs one job at a time through its units, under a lease.

A worker killed at any moment loses nothing that was committed and repeats at most the unit it was
at: each unit's result goes into the table together with the progress it makes, guarded by the
fence of the lease. A heartbeat thread says that the work goes on and hears when a client cancels.
Other workers may do units of the same job meanwhile (``assist``); alone, the attempt does them all.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from interplay.datasets import Datasets
from interplay.errors import InternalError, InterplayError, InvalidParameter
from interplay.jobs.kinds import Kinds
from interplay.jobs.lease import Lease, LeaseLost, Share, Unit, UnitLost, claim
from interplay.jobs.states import JobState
from interplay.jobs.sweep import LEASE_S, mark_dispatched
from interplay.jobs.table import JobError, JobTable
from interplay.jobs.work import JobContext, ModelServers, Work
from interplay.telemetry.logging import get_logger

HEARTBEAT_S = 5.0
# How long a job waits for a model server that is down or full before it fails.
PATIENCE_S = 15 * 60.0
# Waiting time before the second attempt; doubled each time.
RETRY_S = 5.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_TICK_S = 0.1
# How often an attempt that has no unit left looks whether its helpers are done with theirs.
_HELPERS_S = 0.5

T = TypeVar("T")
log = get_logger(__name__)


class CancelRequested(Exception):
    """A client wants the job to stop."""


class WorkerStopping(Exception):
    """The worker is shutting down."""


class Heartbeat:
    """Thread that keeps a lease or a helper's claim alive while the work goes on; a context manager.

    Attributes:
        cancelled: Set when a client asked for the job's end.
        lost: Set when another attempt holds the job.
    """

    def __init__(self, share: Share, interval_s: float) -> None:
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        self._share = share
        self._interval_s = interval_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{share.job.id[:8]}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def note(self, state: JobState) -> None:
        """Take in a state that was read from the table."""
        if state is JobState.CANCELLING:
            self.cancelled.set()

    def _beat(self) -> None:
        while not self._done.wait(self._interval_s):
            try:
                self.note(self._share.heartbeat())
            except LeaseLost:
                self.lost.set()
                return
            except SQLAlchemyError as error:  # the database may come back before the lease runs out
                log.warning("heartbeat_failed", job_id=self._share.job.id, error=str(error))


class JobRunner:
    """Runs jobs by id; one instance a worker, used by all its threads.

    Args:
        table: The job table.
        kinds: The kinds this worker knows.
        datasets: Where jobs may read and write.
        models: Clients of the model servers.
        worker: This worker's name, for people.
        heartbeat_s: Time between heartbeats; far below the lease time.
        patience_s: Longest wait for a model server.
        retry_s: Time before the second attempt at a job whose first one failed.
        lease_s: After this long without a heartbeat, a claim on a unit is stale.
    """

    def __init__(
        self,
        table: JobTable,
        kinds: Kinds,
        datasets: Datasets,
        models: ModelServers,
        *,
        worker: str,
        heartbeat_s: float = HEARTBEAT_S,
        patience_s: float = PATIENCE_S,
        retry_s: float = RETRY_S,
        lease_s: float = LEASE_S,
    ) -> None:
        self.table = table
        self.kinds = kinds
        self.datasets = datasets
        self.models = models
        self.worker = worker
        self.heartbeat_s = heartbeat_s
        self.patience_s = patience_s
        self.retry_s = retry_s
        self.lease_s = lease_s
        self.stopping = threading.Event()
        self._active = 0
        self._lock = threading.Lock()

    @property
    def active(self) -> int:
        """Jobs being run or helped with now."""
        return self._active

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Count one more active job."""
        with self._lock:
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1

    def stop(self) -> None:
        """Give every job back to the queue after the unit it is at, and take no new one."""
        self.stopping.set()

    def run(self, job_id: str) -> None:
        """Work on a job until it ends, is given back or is lost; returns at once if it is not to be had."""
        if self.stopping.is_set():  # the message is used up; let a sweeper send another one
            mark_dispatched(self.table, [job_id], sent=False)
            return
        lease = claim(self.table, job_id, self.worker, lease_s=self.lease_s)
        if lease is None:
            log.info("job_not_available", job_id=job_id)
            return
        try:
            with self.occupied(), Heartbeat(lease, self.heartbeat_s) as heartbeat:
                Attempt(self, lease, heartbeat).run()
        except LeaseLost:
            log.warning("lease_lost", job_id=job_id, fence=lease.fence)


class Effort:
    """Work on the units of one job under a share of it: an attempt, or a helper's part in one."""

    def __init__(self, runner: JobRunner, share: Share, heartbeat: Heartbeat) -> None:
        self._runner = runner
        self._share = share
        self._heartbeat = heartbeat
        self._progressed = False

    def _start(self) -> Work:
        """The job's work, with its parameters checked."""
        job = self._share.job
        try:
            kind = self._runner.kinds.get(job.kind)
        except InvalidParameter as error:  # the gateway knew it: another worker may be of a newer release
            raise InternalError(f"this worker does not know the kind: {error.message}") from error
        context = JobContext(job.id, self._runner.datasets, self._runner.models)
        return kind.start(kind.validate(job.params), context)

    def _run_unit(self, work: Work, unit: Unit) -> None:
        results = self._patiently(lambda: work.run_unit(unit.items))
        if len(results) != len(unit.items):
            raise InternalError(
                f"unit {unit.number} has {len(unit.items)} items and gave {len(results)} results"
            )
        try:
            self._heartbeat.note(self._share.commit_unit(unit, results))
        except UnitLost as lost:  # we were silent for too long, and another worker did it
            log.warning("unit_lost", job_id=self._share.job.id, unit=unit.number, why=str(lost))
            return
        self._progressed = True

    def _patiently(self, step: Callable[[], T]) -> T:
        """Do a step; while a model server is down or full, wait and do it again."""
        give_up_at = time.monotonic() + self._runner.patience_s
        wait_s = _FIRST_WAIT_S
        while True:
            self._check_interrupts()
            try:
                return step()
            except InterplayError as error:
                if not error.row.retryable or time.monotonic() > give_up_at:
                    raise
                pause_s = max(wait_s, error.retry_after_s or 0.0) * random.uniform(0.75, 1.25)
                self._share.say(f"{error.message}; trying again in {pause_s:.0f} s")
                log.warning("job_waits", job_id=self._share.job.id, reason=error.row.reason, wait_s=pause_s)
                self._pause(pause_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check_interrupts()
            time.sleep(_TICK_S)

    def _check_interrupts(self) -> None:
        if self._heartbeat.lost.is_set():
            raise LeaseLost(self._share.job.id)
        if self._heartbeat.cancelled.is_set():
            raise CancelRequested
        if self._runner.stopping.is_set():
            raise WorkerStopping


class Attempt(Effort):
    """One attempt at one job, from claim to end."""

    def __init__(self, runner: JobRunner, lease: Lease, heartbeat: Heartbeat) -> None:
        super().__init__(runner, lease, heartbeat)
        self._lease = lease

    def run(self) -> None:
        """Do the work and say how it ended."""
        lease = self._lease
        facts = {"job_id": lease.job.id, "kind": lease.job.kind, "attempt": lease.job.attempt}
        log.info("job_started", **facts, done=lease.job.done, total=lease.job.total)
        try:
            self._work()
            log.info("job_succeeded", **facts)
        except CancelRequested:
            lease.cancelled()
            log.info("job_cancelled", **facts)
        except WorkerStopping:
            lease.release("its worker was stopped; waiting for another one")
            log.info("job_released", **facts)
        except LeaseLost:
            raise
        except InternalError as error:  # a fault on our side may be gone the next time
            log.warning("attempt_failed", **facts, error=error.message)
            self._give_up_or_release(error.message)
        except InterplayError as error:
            log.warning("job_failed", **facts, reason=error.row.reason, error=error.message)
            lease.fail(JobError(error.row.reason, error.message))
        except Exception as error:
            log.exception("attempt_failed", **facts)
            # The exception's text may hold what clients must not see; its type does not.
            self._give_up_or_release(type(error).__name__)

    def _work(self) -> None:
        lease = self._lease
        work = self._start()
        if lease.job.total is None:
            lease.save_plan(self._patiently(work.plan))
        while True:
            if unit := lease.next_unit():
                self._run_unit(work, unit)
            elif lease.all_done():
                break
            else:  # helpers are at the rest; a unit that one drops, or falls silent over, comes to us
                self._pause(_HELPERS_S)
        result = self._patiently(lambda: work.finish(lease.done_units()))
        lease.succeed(result.model_dump(mode="json"))

    def _give_up_or_release(self, why: str) -> None:
        job = self._lease.job
        fruitless = 0 if self._progressed else job.fruitless_attempts
        if fruitless >= job.max_attempts:
            message = f"given up after {fruitless} attempts without progress; the last one failed: {why}"
            self._lease.fail(JobError("INTERNAL", message))
            return
        delay_s = self._runner.retry_s * 2 ** max(0, fruitless - 1)
        message = f"attempt {job.attempt} failed: {why}; next one in {delay_s:.0f} s"
        self._lease.release(message, delay_s=delay_s, fruitless=True)
