"""The gateway's side of jobs: checks what is submitted, and shows each caller its own jobs.

Everything here blocks on the job database or on storage; routes call it in threads.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from gateway.deps import Caller
from gateway.settings import GatewaySettings
from interplay.datasets import Datasets
from interplay.errors import Conflict, Expired, NotFound, Unavailable
from interplay.jobs.dispatch import Dispatcher, create_celery
from interplay.jobs.kinds import Kinds
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import JOB_ID, Job, JobPage, JobTable, NewJob
from interplay.jobs.work import JobResult, ResultFile
from interplay.telemetry.context import get_request_id

P = ParamSpec("P")
R = TypeVar("R")

_CHUNK_BYTES = 256 * 1024


def _unavailable_without_database(method: Callable[P, R]) -> Callable[P, R]:
    """Answer 503 while the database is down, restarting or locked for too long."""

    @functools.wraps(method)
    def guarded(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return method(*arguments, **options)
        except OperationalError as error:
            raise Unavailable("the job database does not answer", retry_after_s=2) from error

    return guarded


class JobService:
    """Jobs for HTTP callers.

    Args:
        settings: The gateway's configuration.
        kinds: Kinds that may be submitted.

    Attributes:
        open_streams: Clients that follow a job now.

    Raises:
        Unavailable: The job database cannot be reached.
    """

    def __init__(self, settings: GatewaySettings, kinds: Kinds) -> None:
        self.kinds = kinds
        self.open_streams = 0
        self._database = Database(settings.effective_database_url)
        self._table = JobTable(self._database)
        self._datasets = Datasets(settings.dataset_roots)
        self._dispatcher = Dispatcher(create_celery(settings.redis_url), self._table)

    async def ping(self) -> None:
        """Ask the database for a sign of life."""

        def ask() -> None:
            with self._database.read() as connection:
                connection.scalar(select(1))

        await asyncio.to_thread(ask)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._dispatcher.close)
        await asyncio.to_thread(self._database.close)

    @_unavailable_without_database
    def submit(
        self, caller: Caller, kind_name: str, params: dict[str, Any], idempotency_key: str | None
    ) -> tuple[Job, bool]:
        """Queue a job; say whether it is new.

        The row is written first. A broker that is down delays the job and does not refuse it.

        Raises:
            InvalidParameter: Unknown kind or wrong parameters.
            PermissionDenied: A path is outside the data set roots.
            IdempotencyMismatch: The key was used with another request.
        """
        kind = self.kinds.get(kind_name)
        checked = kind.validate(params)
        for field, path in checked.paths().items():
            self._datasets.resolve(path, name=f"params.{field}")
        new = NewJob(
            kind=kind.name,
            params=checked.model_dump(mode="json"),
            request_id=get_request_id(),
            owner=caller.id,
            idempotency_key=idempotency_key,
        )
        job, created = self._table.submit(new)
        if created:
            self._dispatcher.send([job])
        return job, created

    @_unavailable_without_database
    def get(self, caller: Caller, job_id: str) -> Job:
        """A job of the caller's, or anyone's for ``admin``.

        Raises:
            NotFound: There is none, or it is somebody else's.
        """
        # The check also keeps characters from the database that it would choke on.
        job = self._table.get(job_id) if JOB_ID.fullmatch(job_id) else None
        if job is None or not (caller.allows("admin") or job.owner == caller.id):
            raise NotFound(f"there is no job {job_id[:64]!r}")
        return job

    @_unavailable_without_database
    def list(self, caller: Caller, **filters: Any) -> JobPage:
        """The caller's jobs, or everyone's for ``admin``; arguments as ``JobTable.list``."""
        return self._table.list(owner=None if caller.allows("admin") else caller.id, **filters)

    @_unavailable_without_database
    def cancel(self, caller: Caller, job_id: str) -> Job:
        """Ask for a job's end; see ``JobTable.cancel``."""
        return self._table.cancel(self.get(caller, job_id).id)

    def result(self, caller: Caller, job_id: str) -> tuple[Job, JobResult]:
        """What a job left.

        Raises:
            NotFound: No such job.
            Conflict: It is not done, failed, or was cancelled.
            Expired: The result is gone.
        """
        job = self.unexpired(self.get(caller, job_id))
        if job.state is JobState.FAILED and job.error:
            raise Conflict(f"the job failed and has no result: {job.error.message}")
        if job.state is JobState.CANCELLED:
            raise Conflict("the job was cancelled and has no result")
        if job.state is not JobState.SUCCEEDED:
            progress = f"{job.done} of {job.total} items" if job.total is not None else "not planned yet"
            raise Conflict(
                f"the job is {job.state.value} ({progress}); its result comes when it has succeeded"
            )
        return job, JobResult.model_validate(job.result)

    def result_file(self, caller: Caller, job_id: str, name: str) -> tuple[ResultFile, Iterator[bytes]]:
        """A file of a job's result, with its present size, and its content in pieces.

        Raises:
            NotFound: No such job or file, or somebody removed it.
            Conflict, Expired: As ``result``.
        """
        _, result = self.result(caller, job_id)
        file = next((f for f in result.files if f.name == name), None)
        if file is None:
            known = ", ".join(f.name for f in result.files)
            raise NotFound(f"the result has no file {name[:64]!r}; it has: {known}")
        path = f"{result.output.rstrip('/')}/{file.name}"
        size = self._datasets.size(path)
        if size is None:
            raise NotFound(f"{file.name} was removed from {result.output}")

        def pieces() -> Iterator[bytes]:
            with self._datasets.open(path) as stream:
                while piece := stream.read(_CHUNK_BYTES):
                    yield piece

        return file.model_copy(update={"bytes": size}), pieces()

    def unexpired(self, job: Job) -> Job:
        """The job, if its time is not over; the sweeper may be a little late.

        Raises:
            Expired: It is over.
        """
        over = job.expires_at is not None and job.expires_at <= self._table.clock()
        if over or job.state is JobState.EXPIRED:
            raise Expired(f"the result of job {job.id} was removed after its time limit")
        return job
