"""A worker's hold on a job: claimed with a fence, kept by heartbeats, written only under that fence.

A claim raises the job's fence. Whatever the holder writes later carries the fence it got; once
another worker has claimed the job, those writes find no row and raise ``LeaseLost``. So however
late a stalled worker wakes up, it cannot commit.

Units are claimed one at a time, so that helpers (``assist``) can work on the same job: a claim
names its holder, is kept by the same heartbeats, and falls to whoever asks next once it is stale.
Helpers write under the fence of the attempt they help; when that attempt ends, so do they.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, or_, select, update

from interplay.jobs.schema import jobs, units
from interplay.jobs.states import JobState
from interplay.jobs.sweep import LEASE_S
from interplay.jobs.table import (
    RESULT_TTL_S,
    UNHELD,
    Job,
    JobError,
    JobTable,
    change_state,
    count_state,
    final_values,
    read_job,
)
from interplay.jobs.work import DoneUnit
from interplay.telemetry import metrics

_INSERT_ROWS = 200
_HELD = (JobState.RUNNING.value, JobState.CANCELLING.value)
UNCLAIMED = {"holder": None, "claimed_at": None}


class LeaseLost(Exception):
    """Another attempt holds the job, or it is over; this attempt must stop without a trace."""


class UnitLost(LeaseLost):
    """Another worker holds this unit or has done it; the job may still be ours."""


@dataclass(frozen=True)
class Unit:
    """A part of a job that is done as a whole; ``items`` is what ``Work.plan`` gave."""

    number: int
    items: list[Any]


class Share:
    """The right to do units of one job: what a lease and a helper have in common.

    Attributes:
        job: The row at the time of the claim.
        fence: Number, in the order of attempts, of the attempt that this is part of.
        holder: Whose claims on units these are; no two shares have the same.
    """

    def __init__(self, table: JobTable, job: Job, fence: int, worker: str, lease_s: float = LEASE_S) -> None:
        self._table = table
        self._lease_s = lease_s
        self.job = job
        self.fence = fence
        self.holder = f"{worker}/{uuid.uuid4().hex[:12]}"

    def heartbeat(self) -> JobState:
        """Say that the work goes on, on the unit at hand, too.

        Returns:
            ``running``, or ``cancelling`` when a client wants it to stop.

        Raises:
            LeaseLost: As every method here.
        """
        with self._table.database.write() as connection:
            self._touch(connection)
            connection.execute(
                update(units).where(*self._open, self._is_mine).values(claimed_at=self._table.clock())
            )
            return read_job(connection, self.job.id).state

    def say(self, message: str) -> None:
        """Show a sentence to who watches the job."""
        with self._table.database.write() as connection:
            self._touch(connection, message=message, revision=jobs.c.revision + 1)

    def next_unit(self) -> Unit | None:
        """Claim the first unit that has no result and that nobody else is at; None when there is none."""
        now = self._table.clock()
        fresh = claimed_since(now - self._lease_s)
        with self._table.database.write() as connection:
            self._touch(connection)  # locks the job's row: claims on units come one after the other
            if not self._may_claim(connection, fresh):
                return None
            row = connection.execute(
                select(units.c.number, units.c.work_items)
                .where(*self._open, or_(~fresh, self._is_mine))
                .order_by(units.c.number)
                .limit(1)
            ).one_or_none()
            if row is None:
                return None
            claimed = update(units).where(units.c.job_id == self.job.id, units.c.number == row.number)
            connection.execute(claimed.values(holder=self.holder, claimed_at=now))
        return Unit(row.number, row.work_items)

    def _may_claim(self, connection: Connection, fresh: ColumnElement[bool]) -> bool:
        """Whether to take a unit at all; ``fresh`` are those that somebody is at."""
        return True

    def give_up_unit(self) -> None:
        """Let another worker have the unit at hand."""
        with self._table.database.write() as connection:
            connection.execute(update(units).where(*self._open, self._is_mine).values(UNCLAIMED))

    def commit_unit(self, unit: Unit, result: list[Any]) -> JobState:
        """Store a unit's result and the progress it makes, in one transaction.

        Returns:
            ``running`` or ``cancelling``.

        Raises:
            UnitLost: The claim had gone stale and another worker took the unit.
        """
        with self._table.database.write() as connection:
            self._touch(
                connection,
                done=jobs.c.done + len(unit.items),
                fruitless_attempts=0,
                message="",
                revision=jobs.c.revision + 1,
            )
            stored = connection.execute(
                update(units)
                .where(*self._open, units.c.number == unit.number, self._is_mine)
                .values(result=result, committed_at=self._table.clock())
            )
            if stored.rowcount != 1:  # rolls the progress back, too
                raise UnitLost(f"unit {unit.number} of job {self.job.id} is already done or another's")
            return read_job(connection, self.job.id).state

    @property
    def _is_ours(self) -> ColumnElement[bool]:
        return jobs.c.fence == self.fence

    @property
    def _is_mine(self) -> ColumnElement[bool]:
        return units.c.holder == self.holder

    @property
    def _open(self) -> tuple[ColumnElement[bool], ...]:
        """Units of the job without a result."""
        return (units.c.job_id == self.job.id, units.c.result.is_(None))

    def _touch(self, connection: Connection, **values: Any) -> None:
        held = connection.execute(
            update(jobs)
            .where(jobs.c.id == self.job.id, self._is_ours, jobs.c.state.in_(_HELD))
            .values(fence=self.fence, **values)  # the fence stays as it is: an update locks the row
        )
        if held.rowcount != 1:
            raise LeaseLost(self.job.id)


class Lease(Share):
    """The right to work on one job and to end it. Made by ``claim``."""

    def save_plan(self, plan: Sequence[list[Any]]) -> Job:
        """Store the units, all or none; from then on every attempt works on these."""
        with self._table.database.write() as connection:
            total = sum(len(items) for items in plan)
            self._touch(connection, total=total, message="", revision=jobs.c.revision + 1)
            for start in range(0, len(plan), _INSERT_ROWS):
                some = enumerate(plan[start : start + _INSERT_ROWS], start)
                rows = [
                    {"job_id": self.job.id, "number": number, "work_items": items} for number, items in some
                ]
                connection.execute(insert(units), rows)
            return read_job(connection, self.job.id)

    def all_done(self) -> bool:
        """Whether every unit has its result."""
        with self._table.database.read() as connection:
            return connection.execute(select(units.c.number).where(*self._open).limit(1)).first() is None

    def done_units(self) -> Iterator[DoneUnit]:
        """All units with their results, in order, read a few at a time."""
        number = -1
        query = select(units.c.number, units.c.work_items, units.c.result).where(
            units.c.job_id == self.job.id
        )
        while True:
            with self._table.database.read() as connection:
                rows = connection.execute(
                    query.where(units.c.number > number).order_by(units.c.number).limit(20)
                ).all()
            if not rows:
                return
            for row in rows:
                yield DoneUnit(row.work_items, row.result)
            number = rows[-1].number

    def succeed(self, result: dict[str, Any], *, ttl_s: float = RESULT_TTL_S) -> None:
        """End the job with its result."""
        self._end(JobState.SUCCEEDED, ttl_s, result=result, message="")

    def fail(self, error: JobError, *, ttl_s: float = RESULT_TTL_S) -> None:
        """End the job with an error."""
        self._end(JobState.FAILED, ttl_s, error_reason=error.reason, error_message=error.message, message="")

    def cancelled(self, *, ttl_s: float = RESULT_TTL_S) -> None:
        """End the job as a client asked."""
        self._end(JobState.CANCELLED, ttl_s, message="cancelled")

    def release(self, message: str, *, delay_s: float = 0.0, fruitless: bool = False) -> None:
        """Give the job back to the queue.

        Args:
            message: Why, for who watches.
            delay_s: When the sweeper sends it again, from now.
            fruitless: Whether this attempt counts against the cap.
        """
        now = self._table.clock()
        # dispatched_at: sent anew by the sweeper, for the message that brought us here is used up.
        values: dict[str, Any] = {"due_at": now + delay_s, "message": message, **UNHELD}
        if not fruitless:  # undoes what the claim added, unless a committed unit did already
            counted = jobs.c.fruitless_attempts
            values["fruitless_attempts"] = case((counted > 0, counted - 1), else_=0)
        with self._table.database.write() as connection:
            if change_state(connection, self.job.id, JobState.QUEUED, self._is_ours, **values):
                return
            # Not running any more: perhaps a client wanted its end meanwhile.
            over = {**final_values(now), "message": "cancelled"}
            if not change_state(connection, self.job.id, JobState.CANCELLED, self._is_ours, **over):
                raise LeaseLost(self.job.id)

    def _touch(self, connection: Connection, **values: Any) -> None:
        super()._touch(connection, heartbeat_at=self._table.clock(), **values)

    def _end(self, state: JobState, ttl_s: float, **values: Any) -> None:
        now = self._table.clock()
        with self._table.database.write() as connection:
            if not change_state(
                connection, self.job.id, state, self._is_ours, **final_values(now, ttl_s), **values
            ):
                raise LeaseLost(self.job.id)
            job = read_job(connection, self.job.id)
        count_state(job)
        metrics.JOB_DURATION.labels(job.kind).observe(now - (job.started_at or now))


def claimed_since(oldest: float) -> ColumnElement[bool]:
    """Whether somebody is at a unit; a claim that was not renewed since ``oldest`` is stale."""
    return and_(units.c.holder.is_not(None), units.c.claimed_at >= oldest)


def claim(table: JobTable, job_id: str, worker: str, *, lease_s: float = LEASE_S) -> Lease | None:
    """Take a queued job.

    Args:
        table: The job table.
        job_id: Which job.
        worker: Name of the taker, for people.
        lease_s: After this long without a heartbeat, a claim on a unit is stale.

    Returns:
        The lease; None when somebody else works on it or it is over. That is normal: ids may be
        sent more than once.
    """
    now = table.clock()
    with table.database.write() as connection:
        taken = change_state(
            connection,
            job_id,
            JobState.RUNNING,
            fence=jobs.c.fence + 1,
            attempt=jobs.c.attempt + 1,
            fruitless_attempts=jobs.c.fruitless_attempts + 1,
            worker=worker,
            heartbeat_at=now,
            started_at=func.coalesce(jobs.c.started_at, now),
            message="",
        )
        if not taken:
            return None
        # Whoever was at a unit cannot commit under the new fence, so nothing is gained by waiting.
        held = update(units).where(units.c.job_id == job_id, units.c.holder.is_not(None))
        connection.execute(held.where(units.c.result.is_(None)).values(UNCLAIMED))
        fence = connection.execute(select(jobs.c.fence).where(jobs.c.id == job_id)).scalar_one()
        job = read_job(connection, job_id)
    metrics.JOB_ATTEMPTS.labels(job.kind).inc()
    count_state(job)
    return Lease(table, job, fence, worker, lease_s)
