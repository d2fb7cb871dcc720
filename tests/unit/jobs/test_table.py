from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from interplay.errors import IdempotencyMismatch, InternalError, InvalidParameter, NotFound, Unavailable
from interplay.jobs.lease import claim
from interplay.jobs.schema import Database, schema_versions
from interplay.jobs.states import JobState
from interplay.jobs.table import IDEMPOTENCY_TTL_S, JobTable, NewJob
from tests.conftest import REPOSITORY_ROOT
from tests.unit.jobs.conftest import ManualClock


def new_job(**changes: object) -> NewJob:
    return NewJob(**{"kind": "count", "params": {"input": "a"}, "owner": "key:1", **changes})  # type: ignore[arg-type]


def test_submit_and_get(table: JobTable, clock: ManualClock) -> None:
    job, created = table.submit(new_job(request_id="r1"))
    assert created
    assert table.get(job.id) == job
    assert (job.state, job.done, job.total, job.attempt) == (JobState.QUEUED, 0, None, 0)
    assert (job.request_id, job.owner, job.created_at) == ("r1", "key:1", clock.now)


def test_unknown_job(table: JobTable) -> None:
    with pytest.raises(NotFound, match="no job 'nope'"):
        table.get("nope")
    with pytest.raises(NotFound):
        table.cancel("nope")


def test_same_key_and_params_replay(table: JobTable) -> None:
    first, _ = table.submit(new_job(idempotency_key="k", params={"a": 1, "b": 2}))
    again, created = table.submit(new_job(idempotency_key="k", params={"b": 2, "a": 1}))
    assert not created
    assert again.id == first.id


@pytest.mark.parametrize("change", [{"params": {"input": "b"}}, {"kind": "other"}])
def test_same_key_with_another_request(table: JobTable, change: dict[str, object]) -> None:
    table.submit(new_job(idempotency_key="k"))
    with pytest.raises(IdempotencyMismatch) as caught:
        table.submit(new_job(idempotency_key="k", **change))
    assert caught.value.row.http_status == 422


def test_keys_of_different_owners_are_apart(table: JobTable) -> None:
    first, _ = table.submit(new_job(idempotency_key="k"))
    other, created = table.submit(new_job(idempotency_key="k", owner="key:2", params={"input": "b"}))
    assert created
    assert other.id != first.id


def test_keys_are_forgotten_after_a_day(table: JobTable, clock: ManualClock) -> None:
    first, _ = table.submit(new_job(idempotency_key="k"))
    clock.advance(IDEMPOTENCY_TTL_S)
    later, created = table.submit(new_job(idempotency_key="k", params={"input": "b"}))
    assert created
    assert later.id != first.id


def test_race_for_one_key_makes_one_job(table: JobTable) -> None:
    at_once = threading.Barrier(8)

    def submit(_: int) -> tuple[str, bool]:
        at_once.wait()
        job, created = table.submit(new_job(idempotency_key="k"))
        return job.id, created

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(submit, range(8)))
    assert len({job_id for job_id, _ in outcomes}) == 1
    assert sum(created for _, created in outcomes) == 1
    assert len(table.list().jobs) == 1


def test_pages_are_newest_first_and_complete(table: JobTable, clock: ManualClock) -> None:
    ids = []
    for number in range(7):
        ids.append(table.submit(new_job(params={"input": str(number)}))[0].id)
        clock.advance(number % 2)  # some at the same moment
    seen: list[str] = []
    token = ""
    while True:
        page = table.list(page_size=3, page_token=token)
        assert len(page.jobs) <= 3
        seen += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
        table.submit(new_job())  # a new job on top shifts nothing
    assert len(seen) == len(set(seen))
    assert set(seen) == set(ids)


def test_list_filters(table: JobTable) -> None:
    mine = table.submit(new_job())[0].id
    table.submit(new_job(owner="key:2"))
    other_kind = table.submit(new_job(kind="index"))[0].id
    table.cancel(other_kind)
    assert {job.id for job in table.list(owner="key:1").jobs} == {mine, other_kind}
    assert [job.id for job in table.list(kind="index").jobs] == [other_kind]
    assert [job.id for job in table.list(state=JobState.CANCELLED).jobs] == [other_kind]
    assert table.list(owner="nobody").jobs == ()


@pytest.mark.parametrize("token", ["x", "e30=", "é", "W10=", "WyJhIiwgMV0=", "WzEsICJcdTAwMDAiXQ=="])
def test_bad_page_token(table: JobTable, token: str) -> None:
    with pytest.raises(InvalidParameter, match="page_token"):
        table.list(page_token=token)


def test_cancel_queued_is_at_once_and_idempotent(table: JobTable) -> None:
    job_id = table.submit(new_job())[0].id
    first = table.cancel(job_id)
    assert first.state is JobState.CANCELLED
    assert first.expires_at is not None
    assert table.cancel(job_id) == first
    assert claim(table, job_id, "w") is None


def test_cancel_running_waits_for_the_worker(table: JobTable) -> None:
    job_id = table.submit(new_job())[0].id
    lease = claim(table, job_id, "w")
    assert lease is not None
    assert table.cancel(job_id).state is JobState.CANCELLING
    assert table.cancel(job_id).state is JobState.CANCELLING
    assert lease.heartbeat() is JobState.CANCELLING
    lease.cancelled()
    assert table.get(job_id).state is JobState.CANCELLED


def test_cancel_finished_changes_nothing(table: JobTable) -> None:
    job_id = table.submit(new_job())[0].id
    lease = claim(table, job_id, "w")
    assert lease is not None
    lease.succeed({"summary": {}})
    done = table.get(job_id)
    assert table.cancel(job_id) == done


def test_every_visible_change_raises_the_revision(table: JobTable) -> None:
    job_id = table.submit(new_job())[0].id
    revisions = [table.get(job_id).revision]
    lease = claim(table, job_id, "w")
    assert lease is not None
    revisions.append(table.get(job_id).revision)
    lease.save_plan([["a"], ["b"]])
    revisions.append(table.get(job_id).revision)
    lease.say("waiting")
    revisions.append(table.get(job_id).revision)
    unit = lease.next_unit()
    assert unit is not None
    lease.commit_unit(unit, [1])
    revisions.append(table.get(job_id).revision)
    lease.heartbeat()
    assert table.get(job_id).revision == revisions[-1]
    assert revisions == sorted(set(revisions))


OPEN_AND_SUBMIT = """
import sys
from interplay.jobs.schema import Database
from interplay.jobs.table import JobTable, NewJob
JobTable(Database(sys.argv[1])).submit(NewJob(kind="count", params={}))
"""


@pytest.mark.slow
def test_processes_that_start_at_once_make_one_schema(database_url: str) -> None:
    command = [sys.executable, "-c", OPEN_AND_SUBMIT, database_url]
    processes = [subprocess.Popen(command, cwd=REPOSITORY_ROOT) for _ in range(4)]
    assert [process.wait(90) for process in processes] == [0, 0, 0, 0]
    database = Database(database_url)
    assert len(JobTable(database).list().jobs) == 4
    database.close()


def test_schema_of_another_release_is_refused(database: Database, database_url: str) -> None:
    with database.write() as connection:
        connection.execute(update(schema_versions).values(version=99))
    with pytest.raises(InternalError, match="schema 99"):
        Database(database_url)


def test_failed_transaction_leaves_nothing(database: Database, table: JobTable) -> None:
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(insert(schema_versions).values(version=7))
        raise RuntimeError
    job, _ = table.submit(new_job())
    assert table.get(job.id) == job


def test_unreachable_database_is_told_without_the_password() -> None:
    with pytest.raises(Unavailable) as caught:
        Database("postgresql://someone:secret@127.0.0.1:1/jobs")
    assert "secret" not in caught.value.message


def test_missing_folders_are_made(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/a/b/jobs.sqlite3").close()
    assert (tmp_path / "a/b/jobs.sqlite3").exists()
