"""Who may do which unit of a job, in the table alone: claims, helpers, and claims that go stale."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from interplay.jobs import sweep
from interplay.jobs.assist import job_to_assist, join
from interplay.jobs.lease import LeaseLost, Share, UnitLost, claim
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import JobTable
from tests.unit.jobs.conftest import ManualClock
from tests.unit.jobs.count_kind import PARALLEL, help_with, kinds_of, numbers_of, submit, take


def test_everyone_gets_another_unit(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=3)
    first, second = help_with(table, job_id), help_with(table, job_id)
    assert numbers_of(lease, first, second) == [0, 1, 2]
    assert numbers_of(lease, first, second) == [0, 1, 2]  # asked again: the unit at hand
    assert numbers_of(help_with(table, job_id)) == [None]


def test_results_come_in_order_whoever_did_them(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=2)
    helper = help_with(table, job_id)
    mine, other = lease.next_unit(), helper.next_unit()
    assert mine and other
    helper.commit_unit(other, ["helper"])
    assert (table.get(job_id).done, lease.all_done()) == (1, False)
    assert lease.next_unit() == mine
    lease.commit_unit(mine, ["owner"])
    assert (table.get(job_id).done, lease.all_done()) == (2, True)
    assert [unit.results for unit in lease.done_units()] == [["owner"], ["helper"]]


def test_many_at_once_do_each_unit_once(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=40)
    shares = [lease, *(help_with(table, job_id, parallel=8) for _ in range(4))]
    committed: Counter[int] = Counter()

    def work(share: Share) -> None:
        while unit := share.next_unit():
            share.commit_unit(unit, [share.holder])
            committed[unit.number] += 1

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(work, shares))
    assert committed == dict.fromkeys(range(40), 1)
    assert table.get(job_id).done == 40
    assert lease.all_done()


def test_stale_claim_falls_to_the_next_who_asks(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=1)
    helper = help_with(table, job_id)
    unit = helper.next_unit()
    assert unit is not None
    clock.advance(sweep.LEASE_S / 2)
    lease.heartbeat()
    assert lease.next_unit() is None
    clock.advance(sweep.LEASE_S / 2 + 1)
    assert lease.next_unit() == unit
    with pytest.raises(UnitLost):
        helper.commit_unit(unit, ["late"])
    assert table.get(job_id).done == 0
    lease.commit_unit(unit, ["in time"])
    with pytest.raises(UnitLost, match="already done"):
        helper.commit_unit(unit, ["much too late"])
    assert [done.results for done in lease.done_units()] == [["in time"]]
    assert table.get(job_id).done == 1


def test_heartbeats_keep_a_claim_and_not_the_job(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    take(table, job_id, units=1)
    helper = help_with(table, job_id)
    unit = helper.next_unit()
    assert unit is not None
    for _ in range(4):
        clock.advance(sweep.LEASE_S / 2)
        helper.heartbeat()
    assert help_with(table, job_id).next_unit() is None
    # The attempt itself was silent: a helper's heartbeats do not hide that.
    assert [job.id for job in sweep.recover_lost(table)] == [job_id]
    for write in (helper.heartbeat, helper.next_unit, lambda: helper.commit_unit(unit, ["stale"])):
        with pytest.raises(LeaseLost):
            write()
    assert table.get(job_id).done == 0


def test_next_attempt_finds_all_units_free(table: JobTable, clock: ManualClock) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=2)
    helper = help_with(table, job_id)
    assert numbers_of(lease, helper) == [0, 1]
    lease.release("stopped")
    second = take(table, job_id)
    assert numbers_of(second, help_with(table, job_id)) == [0, 1]
    with pytest.raises(LeaseLost):
        helper.next_unit()


def test_unit_that_is_given_up_is_free(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=1)
    helper = help_with(table, job_id)
    assert numbers_of(helper, lease) == [0, None]
    helper.give_up_unit()
    assert numbers_of(lease) == [0]
    helper.give_up_unit()  # it is not his any more
    assert numbers_of(help_with(table, job_id)) == [None]


def test_no_more_workers_than_the_kind_allows(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id, units=9)
    assert numbers_of(lease) == [0]
    helpers = [help_with(table, job_id) for _ in range(PARALLEL)]
    assert numbers_of(*helpers) == [1, 2, None]
    assert job_to_assist(table, kinds_of(), lease_s=sweep.LEASE_S) is None


def test_helper_makes_way_for_a_job_that_waits(table: JobTable) -> None:
    job_id = submit(table)
    lease = take(table, job_id)
    helper = help_with(table, job_id)
    other = submit(table, "alone")
    assert job_to_assist(table, kinds_of(), lease_s=sweep.LEASE_S) is None
    assert numbers_of(helper, lease) == [None, 0]
    table.cancel(other)
    assert numbers_of(helper) == [1]


def test_helper_of_a_cancelled_job_takes_nothing_new(table: JobTable) -> None:
    job_id = submit(table)
    take(table, job_id)
    helper = help_with(table, job_id)
    unit = helper.next_unit()
    assert unit is not None
    table.cancel(job_id)
    assert helper.heartbeat() is JobState.CANCELLING
    assert helper.commit_unit(unit, ["done"]) is JobState.CANCELLING
    assert helper.next_unit() is None
    assert table.get(job_id).done == 1


def test_who_is_helped(table: JobTable, clock: ManualClock) -> None:
    def wanting() -> str | None:
        job = job_to_assist(table, kinds_of(), lease_s=sweep.LEASE_S)
        return job.id if job else None

    def joined(job_id: str) -> bool:
        return join(table, kinds_of(), job_id, "helper", lease_s=sweep.LEASE_S) is not None

    alone = take(table, submit(table, "alone"))
    assert (wanting(), joined(alone.job.id), joined("0" * 32)) == (None, False, False)
    job_id = submit(table)
    assert not joined(job_id)
    lease = claim(table, job_id, "owner")
    assert lease is not None
    assert (wanting(), joined(job_id)) == (None, False)  # not planned yet
    lease.save_plan([["a"], ["b"]])
    assert (wanting(), joined(job_id)) == (job_id, True)
    clock.advance(1)
    take(table, submit(table))
    assert wanting() == job_id  # the older one first
    while unit := lease.next_unit():
        lease.commit_unit(unit, ["done"])
    assert wanting() != job_id
    lease.succeed({})
    assert not joined(job_id)


def test_database_of_an_earlier_release_gets_the_new_columns(database_url: str) -> None:
    old = Database(database_url)
    table = JobTable(old)
    job_id = submit(table)
    lease = take(table, job_id)
    unit = lease.next_unit()
    assert unit is not None
    lease.commit_unit(unit, ["early"])
    lease.release("upgrade")
    with old.write() as connection:
        for column in ("holder", "claimed_at"):
            connection.execute(text(f"ALTER TABLE job_units DROP COLUMN {column}"))
    old.close()
    for _ in range(2):  # the second time there is nothing left to do
        database = Database(database_url)
        database.close()
    new = JobTable(database)
    assert numbers_of(take(new, job_id), help_with(new, job_id)) == [1, 2]
    database.close()
