"""Probes and metrics: is the process alive, can it answer requests, what has it done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response

from gateway.deps import AppState, StateDep, require_scope
from gateway.openapi_parts import problem_responses
from gateway.schemas.health import Liveness, PartState, Readiness

router = APIRouter(tags=["health"])

_CHECK_TIMEOUT_S = 1.0
_DRAINING = PartState(state="draining", detail="shutting down")
_READY_EXAMPLE = {
    "status": "ready",
    "parts": {
        "text_detection": {"state": "serving"},
        "redis": {"state": "serving"},
        "jobs": {"state": "serving"},
    },
}
_NOT_READY_EXAMPLE = {
    "status": "not_ready",
    "parts": {
        "text_detection": {"state": "down", "detail": "not serving at 127.0.0.1:50051"},
        "redis": {"state": "serving"},
        "jobs": {"state": "serving"},
    },
}


@router.get(
    "/livez",
    response_model=Liveness,
    responses={
        200: {"content": {"application/json": {"example": {"status": "alive"}}}},
        **problem_responses(authenticated=False),
    },
)
async def livez() -> Liveness:
    """The process runs; nothing else is looked at."""
    return Liveness(status="alive")


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={
        200: {"content": {"application/json": {"example": _READY_EXAMPLE}}},
        503: {
            "model": Readiness,
            "description": "Some part is down",
            "content": {"application/json": {"example": _NOT_READY_EXAMPLE}},
        },
        **problem_responses(authenticated=False),
    },
)
async def readyz(
    state: StateDep,
    own: Annotated[bool, Query(description="Ask only the gateway itself, not the parts behind it.")] = False,
) -> Response:
    """Whether every part that requests need can be reached; 503 and the reasons when not.

    With `own=true`, whether this gateway takes requests. That is the question for load balancers and
    Kubernetes: all gateways have the same parts behind them, so if one part is away, taking the gateways
    out of the rotation would fail the other parts' requests, too.
    """
    readiness = own_readiness(state) if own else await check_readiness(state)
    ready = readiness.status == "ready"
    return JSONResponse(
        readiness.model_dump(exclude_none=True),
        status_code=200 if ready else 503,
        headers={} if ready else {"Retry-After": "1"},
    )


@router.get(
    "/metrics",
    dependencies=[Depends(require_scope("admin"))],
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus exposition format",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "interplay_http_requests_total 1.0"}
            },
        },
        **problem_responses(),
    },
)
async def metrics() -> Response:
    """Prometheus metrics of the gateway; also on the metrics port, where no key is needed."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def own_readiness(state: AppState) -> Readiness:
    """Whether the gateway itself is not shutting down."""
    if state.draining:
        return Readiness(status="not_ready", parts={"gateway": _DRAINING})
    return Readiness(status="ready", parts={"gateway": PartState(state="serving")})


async def check_readiness(state: AppState) -> Readiness:
    """Ask all parts at once."""
    checks: dict[str, Awaitable[PartState]] = {name: _capability(state, name) for name in state.clients}
    checks["redis"] = _reachable(_ping_redis(state))
    if state.jobs is not None:
        checks["jobs"] = _reachable(state.jobs.ping())
    parts = dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))
    if state.draining:
        parts["gateway"] = _DRAINING
    ready = all(part.state == "serving" for part in parts.values())
    return Readiness(status="ready" if ready else "not_ready", parts=parts)


async def _capability(state: AppState, name: str) -> PartState:
    client = state.clients[name]
    if await client.is_serving(_CHECK_TIMEOUT_S):
        return PartState(state="serving")
    return PartState(state="down", detail=f"not serving at {client.target}")


async def _ping_redis(state: AppState) -> None:
    await state.redis.ping()


async def _reachable(check: Awaitable[Any]) -> PartState:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check
    except TimeoutError:
        return PartState(state="down", detail=f"no answer within {_CHECK_TIMEOUT_S:g} s")
    except (RedisError, OSError) as error:
        return PartState(state="down", detail=type(error).__name__)
    except Exception as error:  # whatever the database driver raises: a probe reports, it never fails
        return PartState(state="down", detail=type(error).__name__)
    return PartState(state="serving")
