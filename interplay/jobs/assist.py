"""Helpers: workers with a free slot that do units of a job which another worker holds.

A helper claims one unit after the other under the fence of the attempt it helps, so its results are
committed exactly once, as the attempt's own are. It never plans, finishes or fails a job, and makes
way for jobs that wait for a worker. Nothing waits for a helper that does not come: the attempt does
whatever unit is free, and takes over those whose helper fell silent.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select

from interplay.jobs.kinds import Kinds
from interplay.jobs.lease import LeaseLost, Share, claimed_since
from interplay.jobs.runner import CancelRequested, Effort, Heartbeat, JobRunner, WorkerStopping
from interplay.jobs.schema import jobs, units
from interplay.jobs.states import JobState
from interplay.jobs.table import Job, JobTable, job_from_row
from interplay.telemetry.logging import get_logger

log = get_logger(__name__)


class Helper(Share):
    """The right to do units of a job that another worker holds. Made by ``join``.

    Args:
        most: Most workers at units of the job at the same time, its holder included.
        options: As for ``Share``.
    """

    def __init__(self, *options: Any, most: int) -> None:
        super().__init__(*options)
        self._most = most

    def _may_claim(self, connection: Connection, fresh: ColumnElement[bool]) -> bool:
        others = select(func.count()).where(*self._open, fresh, ~self._is_mine)
        running = select(jobs.c.id).where(
            jobs.c.id == self.job.id, jobs.c.state == JobState.RUNNING.value, ~_jobs_wait(self._table.clock())
        )
        return (
            connection.execute(running).first() is not None
            and connection.execute(others).scalar_one() < self._most
        )


def join(table: JobTable, kinds: Kinds, job_id: str, worker: str, *, lease_s: float) -> Helper | None:
    """Become a helper with a job; None when it is not running, not planned yet, or wants none."""
    most = _most_workers(kinds)
    query = select(jobs).where(
        jobs.c.id == job_id,
        jobs.c.state == JobState.RUNNING.value,
        jobs.c.total.is_not(None),
        jobs.c.kind.in_(most),
    )
    with table.database.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return Helper(table, job_from_row(row), row["fence"], worker, lease_s, most=most[row["kind"]])


def job_to_assist(table: JobTable, kinds: Kinds, *, lease_s: float) -> Job | None:
    """The oldest running job with a free unit and fewer workers than its kind allows.

    Returns:
        None when there is none, or when a job waits for a worker: that goes first.
    """
    now = table.clock()
    fresh = claimed_since(now - lease_s)
    open_units = (units.c.job_id == jobs.c.id, units.c.result.is_(None))
    workers = select(func.count()).where(*open_units, fresh).scalar_subquery()
    for kind, most in _most_workers(kinds).items():
        query = (
            select(jobs)
            .where(
                jobs.c.state == JobState.RUNNING.value,
                jobs.c.kind == kind,
                jobs.c.total.is_not(None),
                exists().where(*open_units, ~fresh),
                workers < most,
                ~_jobs_wait(now),
            )
            .order_by(jobs.c.created_at)
            .limit(1)
        )
        with table.database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is not None:
            return job_from_row(row)
    return None


def assist(runner: JobRunner, job_id: str) -> None:
    """Do units of a running job until none is free, a job waits, or it is over."""
    if runner.stopping.is_set():
        return
    helper = join(runner.table, runner.kinds, job_id, runner.worker, lease_s=runner.lease_s)
    if helper is None:
        log.info("job_needs_no_help", job_id=job_id)
        return
    with runner.occupied(), Heartbeat(helper, runner.heartbeat_s) as heartbeat:
        Assistance(runner, helper, heartbeat).run()


class Assistance(Effort):
    """One helper's part in an attempt."""

    def run(self) -> None:
        """Do units; whatever goes wrong is left to the attempt, which meets it at the same unit."""
        facts = {"job_id": self._share.job.id, "kind": self._share.job.kind}
        done = 0
        try:
            work = self._start()
            while unit := self._share.next_unit():
                self._run_unit(work, unit)
                done += 1
                self._check_interrupts()
        except LeaseLost:  # the attempt is over, and our claims with it
            log.info("help_not_wanted", **facts, units=done)
            return
        except (CancelRequested, WorkerStopping):
            pass
        except Exception:
            log.exception("help_failed", **facts)
        self._share.give_up_unit()
        log.info("job_helped", **facts, units=done)


def _most_workers(kinds: Kinds) -> dict[str, int]:
    """Workers that may be at one job, by the kinds where that is more than one."""
    return {kind.name: kind.parallel for kind in kinds if kind.parallel > 1}


def _jobs_wait(now: float) -> ColumnElement[bool]:
    """Whether a job waits for a worker."""
    waiting = jobs.alias("waiting")
    return exists().where(waiting.c.state == JobState.QUEUED.value, waiting.c.due_at <= now)
