"""A job kind that counts, and shares of its jobs, for tests of several workers at one job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from interplay.jobs import sweep
from interplay.jobs.assist import Helper, join
from interplay.jobs.kinds import Kinds
from interplay.jobs.lease import Lease, Share, claim
from interplay.jobs.table import JobTable, NewJob
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobParams, JobResult, Work

PARALLEL = 3


class NoParams(JobParams):
    pass


class CountWork(Work):
    """Eight units of one number each, which are doubled; ``on_unit`` is told of each before."""

    def __init__(self, on_unit: Callable[[int], object]) -> None:
        self._on_unit = on_unit

    def plan(self) -> list[list[Any]]:
        return [[number] for number in range(8)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        self._on_unit(items[0])
        return [items[0] * 2]

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        return JobResult(summary={"numbers": [unit.results[0] for unit in units]}, output="out")


def kinds_of(on_unit: Callable[[int], object] = int, **changes: Any) -> Kinds:
    def start(params: NoParams, context: JobContext) -> Work:
        return CountWork(on_unit)

    many = JobKind("count", "Counts", NoParams, {}, start, **{"parallel": PARALLEL, **changes})
    return Kinds((many, JobKind("alone", "Counts alone", NoParams, {}, start)))


def submit(table: JobTable, kind: str = "count", **changes: Any) -> str:
    return table.submit(NewJob(kind=kind, params={}, **changes))[0].id


def take(table: JobTable, job_id: str, units: int = 4) -> Lease:
    lease = claim(table, job_id, "owner")
    assert lease is not None
    if lease.job.total is None:
        lease.save_plan([[number] for number in range(units)])
    return lease


def help_with(table: JobTable, job_id: str, **kinds: Any) -> Helper:
    helper = join(table, kinds_of(**kinds), job_id, "helper", lease_s=sweep.LEASE_S)
    assert helper is not None
    return helper


def numbers_of(*shares: Share) -> list[int | None]:
    found = [share.next_unit() for share in shares]
    return [unit.number if unit else None for unit in found]
