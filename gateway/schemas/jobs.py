"""Bodies of ``/v1/jobs``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from interplay.jobs.states import JobState
from interplay.jobs.table import Job
from interplay.jobs.work import JobKind, JobResult

KindName = Annotated[
    str, Field(pattern=r"^[a-z0-9_]{1,64}$", description="Name of a job kind; see /v1/job-kinds.")
]


class JobRequest(BaseModel):
    """A job to be done."""

    model_config = ConfigDict(extra="forbid")

    kind: KindName
    params: dict[str, Any] = Field(
        default={}, description="Parameters of the kind; their schema is in /v1/job-kinds."
    )


class JobErrorBody(BaseModel):
    """Why a job failed."""

    reason: str = Field(description="Upper-case constant, as in problems; stable.")
    message: str = Field(description="What happened.")


class ProgressBody(BaseModel):
    """How far a job is."""

    done: int = Field(description="Items whose results are safe.")
    total: int | None = Field(default=None, description="Items in all; null until the job is planned.")


class JobBody(BaseModel):
    """A job as it is now."""

    id: str
    kind: str
    params: dict[str, Any]
    state: JobState
    message: str = Field(description="What it waits for or is about, for people; may be empty.")
    progress: ProgressBody
    attempt: int = Field(description="Times a worker took it up.")
    max_attempts: int = Field(description="Most attempts in a row without progress.")
    error: JobErrorBody | None = Field(default=None, description="Set when the state is `failed`.")
    request_id: str = Field(description="Id of the request that submitted it; in the logs of all parts.")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = Field(
        default=None, description="When the result goes; null until the job ends."
    )

    @classmethod
    def from_job(cls, job: Job) -> JobBody:
        """From a row of the job table."""
        return cls(
            id=job.id,
            kind=job.kind,
            params=job.params,
            state=job.state,
            message=job.message,
            progress=ProgressBody(done=job.done, total=job.total),
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            error=JobErrorBody(reason=job.error.reason, message=job.error.message) if job.error else None,
            request_id=job.request_id,
            created_at=_moment(job.created_at),
            started_at=_moment(job.started_at) if job.started_at else None,
            finished_at=_moment(job.finished_at) if job.finished_at else None,
            expires_at=_moment(job.expires_at) if job.expires_at else None,
        )


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobBody]
    next_page_token: str = Field(description="`page_token` of the next page; empty on the last one.")


class JobResultBody(JobResult):
    """What a finished job left; files are at `/v1/jobs/{id}/result/{name}`."""

    job_id: str
    expires_at: datetime


class JobKindBody(BaseModel):
    """A kind of job that can be submitted."""

    name: str
    summary: str
    capabilities: list[str] = Field(description="Model servers it calls.")
    params_schema: dict[str, Any] = Field(description="JSON schema of `params`.")
    example: dict[str, Any] = Field(description="`params` that are valid.")

    @classmethod
    def from_kind(cls, kind: JobKind) -> JobKindBody:
        """From the list of kinds."""
        return cls(
            name=kind.name,
            summary=kind.summary,
            capabilities=list(kind.capabilities),
            params_schema=kind.params.model_json_schema(),
            example=kind.example,
        )


class JobKindList(BaseModel):
    """All kinds."""

    kinds: list[JobKindBody]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_ID = "0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a"
EXAMPLE_REQUEST: dict[str, Any] = {
    "kind": "filter_text_images",
    "params": {"input": "photos", "output": "filtered", "rule": "mmhs150k"},
}
EXAMPLE_JOB: dict[str, Any] = {
    "id": _ID,
    **EXAMPLE_REQUEST,
    "state": "running",
    "message": "",
    "progress": {"done": 128, "total": 1000},
    "attempt": 1,
    "max_attempts": 5,
    "error": None,
    "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "created_at": "2026-11-20T09:00:00Z",
    "started_at": "2026-11-20T09:00:01Z",
    "finished_at": None,
    "expires_at": None,
}
EXAMPLE_QUEUED = EXAMPLE_JOB | {
    "state": "queued",
    "progress": {"done": 0, "total": None},
    "attempt": 0,
    "started_at": None,
}
EXAMPLE_RESULT: dict[str, Any] = {
    "job_id": _ID,
    "expires_at": "2026-11-21T09:05:00Z",
    "summary": {"images": 1000, "kept": 871, "dropped": 126, "failed": 3, "rule": "mmhs150k"},
    "output": "/data/filtered",
    "files": [{"name": "kept.jsonl", "media_type": "application/jsonl", "bytes": 181204}],
}
EXAMPLE_EVENTS = """\
id: 3
event: progress
data: {"id": "0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a", "state": "running", "message": ""}

: still here

id: 18
event: end
data: {"id": "0b1f7c0e5d9c4a6e8f3a2b1c0d9e8f7a", "state": "succeeded", "message": ""}
"""
