"""What time does to jobs: lost ones go back to the queue, unsent ones are sent, old results expire.

Runs as a thread in every worker, so no part has to be added for it; workers that sweep at the same
moment divide the rows between them. The broker may lose all it holds at any time: what is queued
is in the table, and the sweeper sends it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from interplay.jobs.schema import idempotency_keys, jobs, units
from interplay.jobs.states import FINAL_STATES, JobState
from interplay.jobs.table import UNHELD, Job, JobTable, change_state, count_state, final_values, read_job
from interplay.telemetry import metrics

LEASE_S = 30.0
# How long the row of an expired job stays, so that its id answers "expired" and not "unknown".
TOMBSTONE_S = 7 * 24 * 3600.0
_BATCH = 100


@dataclass(frozen=True)
class Backlog:
    """What waits and what runs; ages in seconds, 0 when there is none."""

    by_kind: dict[str, int]
    oldest_queued_s: float
    oldest_heartbeat_s: float


def recover_lost(table: JobTable, *, lease_s: float = LEASE_S) -> list[Job]:
    """Deal with jobs whose worker has not been heard of for ``lease_s``.

    A running one goes back to the queue, or fails when its attempts are used up without progress;
    one that was to be cancelled is cancelled.

    Returns:
        The jobs, as they are now.
    """
    now = table.clock()
    held = (JobState.RUNNING.value, JobState.CANCELLING.value)
    with table.database.read() as connection:
        lost = connection.execute(
            select(jobs.c.id, jobs.c.state, jobs.c.fence, jobs.c.fruitless_attempts, jobs.c.max_attempts)
            .where(jobs.c.state.in_(held), jobs.c.heartbeat_at < now - lease_s)
            .limit(_BATCH)
        ).all()
    recovered = []
    for row in lost:
        # Under the fence we saw and only if still silent: another sweeper or the worker may be faster.
        where = (jobs.c.fence == row.fence, jobs.c.heartbeat_at < now - lease_s)
        with table.database.write() as connection:
            if row.state == JobState.CANCELLING:
                moved = change_state(
                    connection, row.id, JobState.CANCELLED, *where, **final_values(now), message="cancelled"
                )
            elif row.fruitless_attempts >= row.max_attempts:
                moved = change_state(
                    connection,
                    row.id,
                    JobState.FAILED,
                    *where,
                    **final_values(now),
                    message="",
                    error_reason="INTERNAL",
                    error_message=(
                        f"given up after {row.max_attempts} attempts without progress; each time the worker "
                        "stopped without a word (out of memory, perhaps)"
                    ),
                )
            else:
                message = "its worker fell silent; waiting for another one"
                moved = change_state(
                    connection, row.id, JobState.QUEUED, *where, **UNHELD, due_at=now, message=message
                )
            if moved:
                recovered.append(read_job(connection, row.id))
    for job in recovered:
        count_state(job)
    return recovered


def due_for_dispatch(table: JobTable, *, resend_after_s: float | None) -> list[Job]:
    """Queued jobs whose id the broker does not have, oldest first, marked as sent now.

    Args:
        table: The job table.
        resend_after_s: Also take jobs that were sent longer ago than this; None when the broker
            still holds messages, among which theirs may be.
    """
    now = table.clock()
    unsent: ColumnElement[bool] = jobs.c.dispatched_at.is_(None)
    if resend_after_s is not None:
        unsent = or_(unsent, jobs.c.dispatched_at < now - resend_after_s)
    queued = (jobs.c.state == JobState.QUEUED.value, jobs.c.due_at <= now, unsent)
    with table.database.read() as connection:
        found = connection.execute(
            select(jobs.c.id).where(*queued).order_by(jobs.c.created_at).limit(_BATCH)
        ).all()
    if not found:
        return []
    mine = []
    with table.database.write() as connection:
        for (job_id,) in found:  # each row goes to one sweeper: the condition holds only once
            marked = connection.execute(
                update(jobs).where(jobs.c.id == job_id, *queued).values(dispatched_at=now)
            )
            if marked.rowcount == 1:
                mine.append(read_job(connection, job_id))
    return mine


def mark_dispatched(table: JobTable, job_ids: Iterable[str], *, sent: bool) -> None:
    """Note that ids were handed to the broker, or could not be."""
    at = table.clock() if sent else None
    with table.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id.in_(list(job_ids))).values(dispatched_at=at))


def expire(table: JobTable, *, tombstone_s: float = TOMBSTONE_S) -> list[Job]:
    """Drop results and checkpoints whose time is over, and rows that were expired long enough.

    Files that a job wrote into a dataset root belong to the user and stay.

    Returns:
        The jobs that expired now.
    """
    now = table.clock()
    final = [state.value for state in FINAL_STATES - {JobState.EXPIRED}]
    expired = []
    with table.database.write() as connection:
        over = select(jobs.c.id).where(jobs.c.state.in_(final), jobs.c.expires_at <= now).limit(_BATCH)
        for (job_id,) in connection.execute(over).all():
            if change_state(
                connection, job_id, JobState.EXPIRED, result=None, message="the result has expired"
            ):
                connection.execute(delete(units).where(units.c.job_id == job_id))
                expired.append(read_job(connection, job_id))
        connection.execute(delete(idempotency_keys).where(idempotency_keys.c.expires_at <= now))
        connection.execute(
            delete(jobs).where(jobs.c.state == JobState.EXPIRED.value, jobs.c.expires_at <= now - tombstone_s)
        )
    for job in expired:
        count_state(job)
    return expired


def measure_backlog(table: JobTable) -> Backlog:
    """Count what waits and runs, and set the gauges."""
    now = table.clock()
    queued = jobs.c.state == JobState.QUEUED.value
    held = jobs.c.state.in_([JobState.RUNNING.value, JobState.CANCELLING.value])
    with table.database.read() as connection:
        rows = connection.execute(
            select(jobs.c.kind, func.count()).where(or_(queued, held)).group_by(jobs.c.kind)
        )
        by_kind = {row[0]: int(row[1]) for row in rows}
        queued_since = connection.scalar(select(func.min(jobs.c.due_at)).where(queued))
        silent_since = connection.scalar(select(func.min(jobs.c.heartbeat_at)).where(held))
    backlog = Backlog(
        by_kind,
        max(0.0, now - queued_since) if queued_since is not None else 0.0,
        max(0.0, now - silent_since) if silent_since is not None else 0.0,
    )
    metrics.JOBS_BACKLOG.clear()
    for kind, count in by_kind.items():
        metrics.JOBS_BACKLOG.labels(kind).set(count)
    metrics.JOB_OLDEST_QUEUED.set(backlog.oldest_queued_s)
    metrics.WORKER_HEARTBEAT_AGE.set(backlog.oldest_heartbeat_s)
    return backlog
