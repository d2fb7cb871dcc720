"""What routes depend on: the process's state and the caller.

``AppState`` is built once by ``gateway.main`` and hangs on ``app.state.gateway``. Routes take

    state: StateDep                     settings, clients, Valkey, job service
    caller: Annotated[Caller, Depends(require_scope("jobs"))]
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from redis.asyncio import Redis

from gateway.admission import Admission
from gateway.rate_limit import RateLimiter
from gateway.settings import GatewaySettings
from interplay.api_keys import KeyRing
from interplay.capabilities import get_capability
from interplay.datasets import Datasets
from interplay.errors import PermissionDenied, Unavailable
from interplay.media.fetch import ImageFetcher
from interplay.rpc.clients import ModelServerClient


@dataclass(frozen=True)
class Caller:
    """Who sends the request.

    Attributes:
        id: ``key:<id of the API key>``, or ``address:<peer address>`` where keys are not used. Jobs and
            idempotency keys belong to it.
        scopes: What the caller may do.
        rate: Requests a second for this caller; None takes the gateway's default.
    """

    id: str
    scopes: frozenset[str]
    rate: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether the caller may do what ``scope`` covers; ``admin`` covers everything."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass
class AppState:
    """Everything that lives as long as the process.

    Attributes:
        settings: Configuration.
        clients: Model-server clients by capability name.
        redis: Client of Valkey or Redis.
        keys: API keys.
        limiter: Token buckets of the callers.
        admission: In-flight caps.
        fetcher: Gets images by URL, from allowed hosts only.
        drawing: Bounds the threads that draw on photos.
        datasets: Where thumbnails are read.
        jobs: Job service behind ``/v1/jobs``, opened by ``gateway.routes.jobs``.
        draining: True once shutdown has been asked for; ``/readyz`` then says so.
    """

    settings: GatewaySettings
    clients: dict[str, ModelServerClient]
    redis: Redis
    keys: KeyRing
    limiter: RateLimiter
    admission: Admission
    fetcher: ImageFetcher
    drawing: asyncio.Semaphore
    datasets: Datasets
    jobs: Any = None
    draining: bool = False

    def client(self, capability: str) -> ModelServerClient:
        """Client of a capability.

        Raises:
            Unavailable: The capability is not started in this installation.
        """
        client = self.clients.get(get_capability(capability).name)
        if client is None:
            raise Unavailable(f"{capability} is not part of this installation", retry_after_s=60)
        return client


async def get_state(request: Request) -> AppState:
    """The process's state."""
    state: AppState = request.app.state.gateway
    return state


async def get_caller(request: Request) -> Caller:
    """Who sends the request; set by the authentication middleware."""
    caller: Caller = request.scope["interplay.caller"]
    return caller


StateDep = Annotated[AppState, Depends(get_state)]
CallerDep = Annotated[Caller, Depends(get_caller)]


def require_scope(scope: str) -> Callable[[Caller], Awaitable[Caller]]:
    """Dependency that lets only callers with a scope through and returns the caller.

    Args:
        scope: ``infer``, ``jobs`` or ``admin``.
    """

    async def check(caller: CallerDep) -> Caller:
        if not caller.allows(scope):
            raise PermissionDenied(
                f"this API key does not have the scope {scope!r}", metadata={"scope": scope}
            )
        return caller

    return check
