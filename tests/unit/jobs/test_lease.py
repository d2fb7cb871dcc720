from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from interplay.jobs import sweep
from interplay.jobs.lease import Lease, LeaseLost, Unit, claim
from interplay.jobs.states import JobState
from interplay.jobs.table import JobError, JobTable, NewJob
from tests.unit.jobs.conftest import ManualClock

SILENT_S = sweep.LEASE_S + 1


def submit(table: JobTable, **changes: object) -> str:
    return table.submit(NewJob(kind="count", params={}, **changes))[0].id  # type: ignore[arg-type]


def take(table: JobTable, job_id: str, worker: str = "w") -> Lease:
    lease = claim(table, job_id, worker)
    assert lease is not None
    return lease


def take_over(table: JobTable, clock: ManualClock, job_id: str) -> Lease:
    """What happens when the worker falls silent."""
    clock.advance(SILENT_S)
    assert [job.id for job in sweep.recover_lost(table)] == [job_id]
    return take(table, job_id, "second")


def unit_of(lease: Lease) -> Unit:
    unit = lease.next_unit()
    assert unit is not None
    return unit


def test_only_one_of_many_gets_a_job(table: JobTable) -> None:
    job_id = submit(table)
    with ThreadPoolExecutor(6) as pool:
        leases = list(pool.map(lambda n: claim(table, job_id, f"w{n}"), range(6)))
    assert sum(lease is not None for lease in leases) == 1
    assert table.get(job_id).attempt == 1


def test_unknown_job_is_not_to_be_had(table: JobTable) -> None:
    assert claim(table, "nope", "w") is None


def test_fence_grows_with_every_claim(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    first = take(table, job_id)
    second = take_over(table, clock, job_id)
    assert second.fence > first.fence


def test_units_are_done_in_order_with_progress(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    lease.save_plan([["a", "b"], ["c"]])
    assert table.get(job_id).total == 3
    progress = []
    while unit := lease.next_unit():
        lease.commit_unit(unit, [item.upper() for item in unit.items])
        progress.append(table.get(job_id).done)
    assert progress == [2, 3]
    assert [(unit.items, unit.results) for unit in lease.done_units()] == [
        (["a", "b"], ["A", "B"]),
        (["c"], ["C"]),
    ]


def test_many_units_come_back_whole(table: JobTable) -> None:
    lease = take(table, submit(table))
    lease.save_plan([[number] for number in range(450)])
    for _ in range(45):
        unit = unit_of(lease)
        lease.commit_unit(unit, unit.items)
    done = [unit.items[0] for unit in lease.done_units() if unit.results is not None]
    assert done == list(range(45))


def test_takeover_goes_on_at_the_checkpoint(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    first = take(table, job_id)
    first.save_plan([["a"], ["b"], ["c"]])
    first.commit_unit(unit_of(first), ["A"])
    second = take_over(table, clock, job_id)
    assert second.job.total == 3
    assert second.job.done == 1
    assert unit_of(second).items == ["b"]


@pytest.mark.parametrize(
    "write",
    [
        lambda lease, unit: lease.heartbeat(),
        lambda lease, unit: lease.say("still here"),
        lambda lease, unit: lease.save_plan([["x"]]),
        lambda lease, unit: lease.commit_unit(unit, ["stale"]),
        lambda lease, unit: lease.succeed({"summary": "stale"}),
        lambda lease, unit: lease.fail(JobError("INTERNAL", "stale")),
        lambda lease, unit: lease.cancelled(),
        lambda lease, unit: lease.release("stale"),
    ],
    ids=["heartbeat", "say", "save_plan", "commit_unit", "succeed", "fail", "cancelled", "release"],
)
def test_stale_attempt_cannot_write(table: JobTable, clock: ManualClock, write: object) -> None:
    job_id = submit(table)
    stale = take(table, job_id)
    stale.save_plan([["a"], ["b"]])
    unit = unit_of(stale)
    holder = take_over(table, clock, job_id)
    before = table.get(job_id)
    with pytest.raises(LeaseLost):
        write(stale, unit)  # type: ignore[operator]
    assert table.get(job_id) == before
    holder.commit_unit(unit_of(holder), ["fresh"])
    assert [done.results for done in holder.done_units()][0] == ["fresh"]


def test_stale_attempt_cannot_write_after_the_end(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    stale = take(table, job_id)
    take_over(table, clock, job_id).succeed({"summary": "right"})
    with pytest.raises(LeaseLost):
        stale.succeed({"summary": "wrong"})
    assert table.get(job_id).result == {"summary": "right"}


def test_a_unit_is_committed_once(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    lease.save_plan([["a"]])
    unit = unit_of(lease)
    lease.commit_unit(unit, ["A"])
    with pytest.raises(LeaseLost, match="already done"):
        lease.commit_unit(unit, ["again"])
    assert table.get(job_id).done == 1


def test_heartbeats_keep_a_job(table: JobTable, clock: ManualClock) -> None:
    lease = take(table, submit(table))
    for _ in range(4):
        clock.advance(SILENT_S / 2)
        lease.heartbeat()
        assert sweep.recover_lost(table) == []


def test_commit_tells_of_a_cancellation(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    lease.save_plan([["a"], ["b"]])
    table.cancel(job_id)
    assert lease.commit_unit(unit_of(lease), ["A"]) is JobState.CANCELLING


def test_release_does_not_count_unless_fruitless(table: JobTable) -> None:
    job_id = submit(table)
    take(table, job_id).release("stopped")
    assert table.get(job_id).fruitless_attempts == 0
    take(table, job_id).release("failed", fruitless=True)
    assert table.get(job_id).fruitless_attempts == 1
    lease = take(table, job_id)
    lease.save_plan([["a"], ["b"]])
    lease.commit_unit(unit_of(lease), ["A"])
    lease.release("stopped")
    assert table.get(job_id).fruitless_attempts == 0
    assert table.get(job_id).attempt == 3


def test_release_of_a_cancelled_job_ends_it(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    table.cancel(job_id)
    lease.release("stopped")
    assert table.get(job_id).state is JobState.CANCELLED


def test_ends_say_when_they_expire(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    clock.advance(5)
    lease.fail(JobError("NOT_FOUND", "no input"), ttl_s=100)
    job = table.get(job_id)
    assert job.error == JobError("NOT_FOUND", "no input")
    assert (job.started_at, job.finished_at, job.expires_at) == (clock.now - 5, clock.now, clock.now + 100)
