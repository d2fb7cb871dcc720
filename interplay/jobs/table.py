"""The job table as clients see it: submit, look up, list, cancel.

What a worker does to a job it holds is in ``lease``; what time does to jobs is in ``sweep``. The
three share the row mapping and ``change_state`` of this file and nothing else writes the table.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from interplay.errors import IdempotencyMismatch, InvalidParameter, NotFound
from interplay.jobs.schema import Database, idempotency_keys, jobs
from interplay.jobs.states import JobState, sources_of
from interplay.telemetry import metrics

DEFAULT_MAX_ATTEMPTS = 5
IDEMPOTENCY_TTL_S = 24 * 3600.0
RESULT_TTL_S = 24 * 3600.0
MAX_PAGE_SIZE = 200
JOB_ID = re.compile(r"[0-9a-f]{32}")

# Columns of a job that goes back to the queue: nobody holds it, and the broker does not have its id.
UNHELD = {"worker": None, "heartbeat_at": None, "dispatched_at": None}

Clock = Callable[[], float]


@dataclass(frozen=True)
class JobError:
    """Why a job failed: a reason of ``interplay.errors`` and a sentence for the client."""

    reason: str
    message: str


@dataclass(frozen=True)
class Job:
    """One row. Times are seconds since the epoch.

    Attributes:
        done: Items whose results are committed.
        total: Items in all; None until the job is planned.
        revision: Raised by every visible change.
        attempt: Times a worker took the job.
        fruitless_attempts: Of these, how many since the last committed unit.
        max_attempts: Most ``fruitless_attempts``.
        expires_at: When result and checkpoint go; None until the job ends.
    """

    id: str
    kind: str
    params: dict[str, Any]
    fingerprint: str
    state: JobState
    revision: int
    message: str
    done: int
    total: int | None
    attempt: int
    fruitless_attempts: int
    max_attempts: int
    heartbeat_at: float | None
    error: JobError | None
    result: dict[str, Any] | None
    request_id: str
    owner: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    expires_at: float | None


@dataclass(frozen=True)
class NewJob:
    """What a client submits; ``params`` are already validated by the job kind."""

    kind: str
    params: Mapping[str, Any]
    request_id: str = ""
    owner: str = ""
    idempotency_key: str | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS

    @property
    def fingerprint(self) -> str:
        """SHA-256 of kind and params, independent of the order of keys."""
        canonical = json.dumps([self.kind, self.params], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class JobPage:
    """Jobs, newest first, and the token of the next page; empty on the last."""

    jobs: tuple[Job, ...]
    next_page_token: str


class JobTable:
    """The job table; safe to share between threads."""

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self.database = database
        self.clock = clock

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Add a queued job, or find the one that the same Idempotency-Key made before.

        Job and key are written in one transaction: either both are there or neither.

        Returns:
            The job, and whether it is new.

        Raises:
            IdempotencyMismatch: The key was used within 24 hours with another kind or params.
        """
        try:
            return self._submit(new)
        except IntegrityError:
            # Another process inserted the same key between our look and our insert; now it is there to see.
            return self._submit(new)

    def _submit(self, new: NewJob) -> tuple[Job, bool]:
        now = self.clock()
        with self.database.write() as connection:
            if new.idempotency_key is not None:
                known = _known_job(connection, new, now)
                if known is not None:
                    return known, False
            job_id = uuid.uuid4().hex
            row = {
                "id": job_id,
                "kind": new.kind,
                "params": dict(new.params),
                "fingerprint": new.fingerprint,
                "state": JobState.QUEUED.value,
                "max_attempts": new.max_attempts,
                "request_id": new.request_id,
                "owner": new.owner,
                "created_at": now,
                "due_at": now,
            }
            connection.execute(insert(jobs).values(row))
            if new.idempotency_key is not None:
                connection.execute(
                    insert(idempotency_keys).values(
                        owner=new.owner,
                        key=new.idempotency_key,
                        fingerprint=new.fingerprint,
                        job_id=job_id,
                        expires_at=now + IDEMPOTENCY_TTL_S,
                    )
                )
            job = read_job(connection, job_id)
        count_state(job)
        return job, True

    def get(self, job_id: str) -> Job:
        """The job with this id.

        Raises:
            NotFound: There is none.
        """
        with self.database.read() as connection:
            return read_job(connection, job_id)

    def list(
        self,
        *,
        owner: str | None = None,
        kind: str | None = None,
        state: JobState | None = None,
        page_size: int = 50,
        page_token: str = "",
    ) -> JobPage:
        """Jobs, newest first.

        Args:
            owner: Only this key's jobs; None for everyone's.
            kind: Only this kind.
            state: Only in this state.
            page_size: 1 to 200.
            page_token: ``next_page_token`` of the page before.

        Raises:
            InvalidParameter: The token is not one of ours.
        """
        query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(page_size + 1)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if state is not None:
            query = query.where(jobs.c.state == state.value)
        if page_token:
            created_at, job_id = _decode_token(page_token)
            older = jobs.c.created_at < created_at
            query = query.where(or_(older, and_(jobs.c.created_at == created_at, jobs.c.id < job_id)))
        with self.database.read() as connection:
            found = [job_from_row(row) for row in connection.execute(query).mappings()]
        shown = tuple(found[:page_size])
        token = _encode_token(shown[-1]) if len(found) > page_size else ""
        return JobPage(shown, token)

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job; a final job stays as it is.

        A queued job is cancelled at once; a running one goes to ``cancelling`` and its worker
        stops after the unit at hand.

        Raises:
            NotFound: There is none.
        """
        now = self.clock()
        with self.database.write() as connection:
            job = read_job(connection, job_id)
            at_rest = jobs.c.state == JobState.QUEUED.value
            cancelled = change_state(
                connection, job_id, JobState.CANCELLED, at_rest, **final_values(now), message="cancelled"
            )
            if not cancelled:
                change_state(connection, job_id, JobState.CANCELLING, message="stopping")
            job = read_job(connection, job_id)
        if cancelled:
            count_state(job)
        return job


def change_state(connection: Connection, job_id: str, target: JobState, *where: Any, **values: Any) -> bool:
    """Move a job to ``target`` if its state allows that and ``where`` holds; say whether it moved."""
    result = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(sources_of(target)), *where)
        .values(state=target.value, revision=jobs.c.revision + 1, **values)
    )
    return result.rowcount == 1


def final_values(now: float, ttl_s: float = RESULT_TTL_S) -> dict[str, Any]:
    """Columns that every end of a job sets."""
    return {"finished_at": now, "expires_at": now + ttl_s, "worker": None}


def count_state(job: Job) -> None:
    """Count a job that reached its state, once the transaction is through."""
    metrics.JOBS.labels(job.kind, job.state.value).inc()


def read_job(connection: Connection, job_id: str) -> Job:
    """The job with this id.

    Raises:
        NotFound: There is none.
    """
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id!r}")
    return job_from_row(row)


def job_from_row(row: RowMapping) -> Job:
    """A row of ``jobs`` as a ``Job``."""
    values = {name: row[name] for name in Job.__dataclass_fields__ if name in row and name != "state"}
    error = JobError(row["error_reason"], row["error_message"] or "") if row["error_reason"] else None
    return Job(**values, state=JobState(row["state"]), error=error)


def _known_job(connection: Connection, new: NewJob, now: float) -> Job | None:
    """The job that this key made, if the key still counts."""
    same_key = (idempotency_keys.c.owner == new.owner, idempotency_keys.c.key == new.idempotency_key)
    connection.execute(delete(idempotency_keys).where(*same_key, idempotency_keys.c.expires_at <= now))
    row = connection.execute(select(idempotency_keys).where(*same_key)).mappings().one_or_none()
    if row is None:
        return None
    if row["fingerprint"] != new.fingerprint:
        raise IdempotencyMismatch(
            f"the Idempotency-Key {new.idempotency_key!r} was used before with another kind or other params",
            field="Idempotency-Key",
        )
    return read_job(connection, row["job_id"])


def _encode_token(last: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.created_at, last.id]).encode()).decode()


def _decode_token(token: str) -> tuple[float, str]:
    try:
        created_at, job_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        if not JOB_ID.fullmatch(job_id):
            raise ValueError("not a job id")
        return float(created_at), job_id
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise InvalidParameter(
            "page_token is not one that this list gave; leave it out to start over", field="page_token"
        ) from error
