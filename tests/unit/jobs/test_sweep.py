from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select

from interplay.errors import NotFound
from interplay.jobs import sweep
from interplay.jobs.lease import Lease, claim
from interplay.jobs.schema import units
from interplay.jobs.states import JobState
from interplay.jobs.table import RESULT_TTL_S, JobTable, NewJob
from tests.unit.jobs.conftest import ManualClock

SILENT_S = sweep.LEASE_S + 1


def submit(table: JobTable, **changes: object) -> str:
    return table.submit(NewJob(kind="count", params={}, **changes))[0].id  # type: ignore[arg-type]


def take(table: JobTable, job_id: str) -> Lease:
    lease = claim(table, job_id, "w")
    assert lease is not None
    return lease


def test_silent_job_goes_back_to_the_queue(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    sweep.mark_dispatched(table, [job_id], sent=True)
    take(table, job_id)
    assert sweep.recover_lost(table) == []
    clock.advance(SILENT_S)
    (job,) = sweep.recover_lost(table)
    assert (job.id, job.state) == (job_id, JobState.QUEUED)
    # It is sent again at once, whatever the broker holds.
    assert [due.id for due in sweep.due_for_dispatch(table, resend_after_s=None)] == [job_id]


def test_job_that_kills_its_workers_fails_at_the_cap(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table, max_attempts=3)
    for _ in range(3):
        take(table, job_id)
        clock.advance(SILENT_S)
        (job,) = sweep.recover_lost(table)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "3 attempts" in job.error.message
    assert claim(table, job_id, "w") is None


def test_progress_resets_the_cap(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table, max_attempts=2)
    take(table, job_id).save_plan([[number] for number in range(6)])
    for _ in range(5):
        clock.advance(SILENT_S)
        (job,) = sweep.recover_lost(table)
        assert job.state is JobState.QUEUED
        lease = take(table, job_id)
        unit = lease.next_unit()
        assert unit is not None
        lease.commit_unit(unit, [0])


def test_silent_job_that_was_to_stop_is_cancelled(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    take(table, job_id)
    table.cancel(job_id)
    clock.advance(SILENT_S)
    (job,) = sweep.recover_lost(table)
    assert job.state is JobState.CANCELLED


def test_unsent_jobs_are_due_once(table: JobTable) -> None:
    ids = [submit(table) for _ in range(3)]
    assert [job.id for job in sweep.due_for_dispatch(table, resend_after_s=None)] == ids
    assert sweep.due_for_dispatch(table, resend_after_s=None) == []


def test_sweepers_share_the_rows(table: JobTable) -> None:
    ids = {submit(table) for _ in range(20)}
    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(lambda _: sweep.due_for_dispatch(table, resend_after_s=None), range(4)))
    sent = [job.id for share in shares for job in share]
    assert len(sent) == len(ids)
    assert set(sent) == ids


def test_sent_jobs_are_due_again_only_when_the_broker_is_empty(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    sweep.mark_dispatched(table, [job_id], sent=True)
    clock.advance(60)
    assert sweep.due_for_dispatch(table, resend_after_s=None) == []
    assert sweep.due_for_dispatch(table, resend_after_s=90) == []
    assert [job.id for job in sweep.due_for_dispatch(table, resend_after_s=30)] == [job_id]


def test_delayed_attempt_is_not_due_before_its_time(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    take(table, job_id).release("failed", delay_s=40, fruitless=True)
    assert sweep.due_for_dispatch(table, resend_after_s=0) == []
    clock.advance(40)
    assert [job.id for job in sweep.due_for_dispatch(table, resend_after_s=None)] == [job_id]


def test_failed_sending_makes_a_job_due(table: JobTable) -> None:
    job_id = submit(table)
    assert sweep.due_for_dispatch(table, resend_after_s=None)
    sweep.mark_dispatched(table, [job_id], sent=False)
    assert [job.id for job in sweep.due_for_dispatch(table, resend_after_s=None)] == [job_id]


def test_results_expire_then_rows_go(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    lease.save_plan([["a"]])
    unit = lease.next_unit()
    assert unit is not None
    lease.commit_unit(unit, ["A"])
    lease.succeed({"summary": {}})
    assert sweep.expire(table) == []
    clock.advance(RESULT_TTL_S)
    (job,) = sweep.expire(table)
    assert (job.id, job.state, job.result) == (job_id, JobState.EXPIRED, None)
    with table.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(units)) == 0
    assert sweep.expire(table) == []
    clock.advance(sweep.TOMBSTONE_S)
    sweep.expire(table)
    with pytest.raises(NotFound):
        table.get(job_id)


def test_backlog_gauges(table: JobTable, clock: ManualClock) -> None:
    submit(table)
    clock.advance(30)
    running = submit(table)
    take(table, running)
    clock.advance(12)
    backlog = sweep.measure_backlog(table)
    assert (backlog.by_kind, backlog.oldest_queued_s, backlog.oldest_heartbeat_s) == ({"count": 2}, 42, 12)
    assert REGISTRY.get_sample_value("interplay_jobs_backlog", {"kind": "count"}) == 2
    assert REGISTRY.get_sample_value("interplay_job_oldest_queued_seconds") == 42
    assert REGISTRY.get_sample_value("interplay_worker_heartbeat_age_seconds") == 12


def test_empty_table_has_no_backlog(table: JobTable) -> None:
    backlog = sweep.measure_backlog(table)
    assert (backlog.by_kind, backlog.oldest_queued_s, backlog.oldest_heartbeat_s) == ({}, 0, 0)
