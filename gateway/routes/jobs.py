"""``/v1/jobs``: long work as resources that are submitted, watched, cancelled and fetched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from gateway.deps import AppState, Caller, StateDep, require_scope
from gateway.job_service import JobService
from gateway.openapi_parts import problem_responses
from gateway.schemas.jobs import (
    EXAMPLE_EVENTS,
    EXAMPLE_JOB,
    EXAMPLE_QUEUED,
    EXAMPLE_REQUEST,
    EXAMPLE_RESULT,
    JobBody,
    JobKindBody,
    JobKindList,
    JobList,
    JobRequest,
    JobResultBody,
    KindName,
)
from gateway.settings import GatewaySettings
from interplay.errors import (
    Conflict,
    Expired,
    IdempotencyMismatch,
    InvalidInput,
    InvalidParameter,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from interplay.jobs.kinds import JOB_KINDS, Kinds
from interplay.jobs.states import JobState
from interplay.jobs.table import MAX_PAGE_SIZE, Job

router = APIRouter(prefix="/v1", tags=["jobs"])

JobsCaller = Annotated[Caller, Depends(require_scope("jobs"))]

POLL_S = 0.5
HEARTBEAT_S = 15.0
MAX_STREAMS = 256
# How soon it makes sense to ask for a new job's state.
_RETRY_AFTER_S = "1"


async def open_jobs(settings: GatewaySettings) -> JobService:
    """The job service of a gateway; ``gateway.main`` keeps it in ``AppState.jobs``."""
    return await asyncio.to_thread(JobService, settings, Kinds(JOB_KINDS))


def _json_example(value: Any, **more: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}, **more}


@router.get(
    "/job-kinds",
    response_model=JobKindList,
    responses={
        200: _json_example({"kinds": [JobKindBody.from_kind(kind).model_dump() for kind in JOB_KINDS]}),
        **problem_responses(),
    },
)
def list_job_kinds(state: StateDep, caller: JobsCaller) -> JobKindList:
    """Kinds of jobs, with the JSON schema of their parameters."""
    return JobKindList(kinds=[JobKindBody.from_kind(kind) for kind in state.jobs.kinds])


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobBody,
    responses={
        202: _json_example(
            EXAMPLE_QUEUED,
            description="Accepted, or accepted before under the same Idempotency-Key",
            headers={
                "Location": {"description": "Where the job is.", "schema": {"type": "string"}},
                "Retry-After": {"description": "Seconds.", "schema": {"type": "string"}},
                "Idempotency-Replayed": {
                    "description": "`true` when the key was known; this is the job of that time.",
                    "schema": {"type": "string"},
                },
            },
        ),
        **problem_responses(
            InvalidInput, InvalidParameter, IdempotencyMismatch, PayloadTooLarge, Unavailable
        ),
    },
    openapi_extra={"requestBody": _json_example(EXAMPLE_REQUEST)},
)
def submit_job(
    body: JobRequest,
    response: Response,
    state: StateDep,
    caller: JobsCaller,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=r"^[\x21-\x7e]{1,128}$",
            description="Unique text, e.g. a UUID; the same key and body within 24 hours give the same job.",
        ),
    ] = None,
) -> JobBody:
    """Submit a job. It is accepted once it is in the job table, also while the broker is down."""
    job, created = state.jobs.submit(caller, body.kind, body.params, idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["Retry-After"] = _RETRY_AFTER_S
    if not created:
        response.headers["Idempotency-Replayed"] = "true"
    return JobBody.from_job(job)


@router.get(
    "/jobs",
    response_model=JobList,
    responses={
        200: _json_example({"jobs": [EXAMPLE_JOB], "next_page_token": ""}),
        **problem_responses(InvalidParameter, Unavailable),
    },
)
def list_jobs(
    state: StateDep,
    caller: JobsCaller,
    kind: Annotated[KindName | None, Query(description="Only this kind.")] = None,
    job_state: Annotated[JobState | None, Query(alias="state", description="Only in this state.")] = None,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Most jobs in the answer.")] = 50,
    page_token: Annotated[
        str, Query(max_length=256, description="`next_page_token` of the page before.")
    ] = "",
) -> JobList:
    """Your jobs, newest first; everyone's with the scope `admin`."""
    page = state.jobs.list(caller, kind=kind, state=job_state, page_size=page_size, page_token=page_token)
    return JobList(jobs=[JobBody.from_job(job) for job in page.jobs], next_page_token=page.next_page_token)


@router.get(
    "/jobs/{job_id}",
    response_model=JobBody,
    responses={200: _json_example(EXAMPLE_JOB), **problem_responses(NotFound, Unavailable)},
)
def get_job(job_id: str, state: StateDep, caller: JobsCaller) -> JobBody:
    """A job's state and progress; also of one that has expired, for a week."""
    return JobBody.from_job(state.jobs.get(caller, job_id))


@router.post(
    "/jobs/{job_id}:cancel",
    response_model=JobBody,
    responses={
        200: _json_example(EXAMPLE_JOB | {"state": "cancelling"}),
        **problem_responses(NotFound, Unavailable),
    },
)
def cancel_job(job_id: str, state: StateDep, caller: JobsCaller) -> JobBody:
    """Stop a job after the unit it is at. Asking again, or when it is over, changes nothing."""
    return JobBody.from_job(state.jobs.cancel(caller, job_id))


@router.get(
    "/jobs/{job_id}/result",
    response_model=JobResultBody,
    responses={
        200: _json_example(EXAMPLE_RESULT),
        **problem_responses(NotFound, Conflict, Expired, Unavailable),
    },
)
def get_result(job_id: str, state: StateDep, caller: JobsCaller) -> JobResultBody:
    """Numbers and files of a job that has succeeded; 409 before that, 410 after it has expired."""
    job, result = state.jobs.result(caller, job_id)
    return JobResultBody(**result.model_dump(), job_id=job.id, expires_at=job.expires_at)


@router.get(
    "/jobs/{job_id}/result/{file}",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problem_responses(NotFound, Conflict, Expired, Unavailable),
    },
)
def get_result_file(job_id: str, file: str, state: StateDep, caller: JobsCaller) -> StreamingResponse:
    """One file of the result."""
    found, pieces = state.jobs.result_file(caller, job_id, file)
    headers = {
        "Content-Length": str(found.bytes),
        "Content-Disposition": f'attachment; filename="{found.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(pieces, media_type=found.media_type, headers=headers)


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events `progress` and, last, `end`; `data` is the job",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE_EVENTS}},
        },
        204: {"description": "The job is over and you know it: do not connect again"},
        **problem_responses(NotFound, Expired, Overloaded, Unavailable),
    },
)
async def watch_job(
    job_id: str,
    state: StateDep,
    caller: JobsCaller,
    last_event_id: Annotated[
        str | None,
        Header(max_length=20, description="`id` of the last event received; older ones are left out."),
    ] = None,
) -> Response:
    """Follow a job until its end."""
    jobs: JobService = state.jobs
    job = await asyncio.to_thread(lambda: jobs.unexpired(jobs.get(caller, job_id)))
    seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    if job.state.is_final and seen >= job.revision:
        return Response(status_code=204)
    if jobs.open_streams >= MAX_STREAMS:
        raise Overloaded(f"{MAX_STREAMS} event streams are open; that is the limit", retry_after_s=5)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _events(state, caller, job, seen), media_type="text/event-stream", headers=headers
    )


async def _events(state: AppState, caller: Caller, job: Job, seen: int) -> AsyncIterator[bytes]:
    """Each event is the whole job, so a client that missed some has lost nothing."""
    jobs: JobService = state.jobs
    jobs.open_streams += 1
    try:
        quiet_since = time.monotonic()
        while True:
            if job.revision > seen:
                seen = job.revision
                quiet_since = time.monotonic()
                yield format_sse_event(
                    data_str=JobBody.from_job(job).model_dump_json(),
                    event="end" if job.state.is_final else "progress",
                    id=str(seen),
                )
            if job.state.is_final or state.draining:  # a client that is cut off connects again elsewhere
                return
            if time.monotonic() - quiet_since > HEARTBEAT_S:
                quiet_since = time.monotonic()
                yield format_sse_event(comment="still here")
            await asyncio.sleep(POLL_S)
            job = await asyncio.to_thread(jobs.get, caller, job.id)
    finally:
        jobs.open_streams -= 1
