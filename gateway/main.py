"""Wires the gateway: middleware, routes, and what lives as long as the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.admission import Admission
from gateway.deps import AppState
from gateway.middleware import BodyLimit, Gatekeeper, RequestContext
from gateway.openapi import build_openapi
from gateway.problems import install_handlers
from gateway.rate_limit import RateLimiter
from gateway.routes import (
    comments,
    embedding,
    health,
    indexes,
    jobs,
    locations,
    models,
    moderations,
    open_inference,
    posts,
    snapshots,
    style,
    text,
)
from gateway.settings import GatewaySettings
from interplay import __version__
from interplay.api_keys import KeyRing
from interplay.capabilities import get_capability
from interplay.datasets import Datasets
from interplay.media.fetch import AllowList, ImageFetcher
from interplay.rpc.clients import ModelServerClient
from interplay.settings import available_cores

_REDIS_TIMEOUT_S = 0.25


def create_app(settings: GatewaySettings) -> FastAPI:
    """The ASGI application; connections are opened when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state.gateway = build_state(settings)
        state.jobs = await jobs.open_jobs(settings)
        try:
            yield
        finally:
            await state.jobs.close()
            await asyncio.gather(*(client.close() for client in state.clients.values()))
            await state.redis.aclose()

    app = FastAPI(
        title="Interplay",
        version=__version__,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # Spans only where telemetry.tracing installed a provider; metrics and logs are our own.
        telemetry={
            "tracing": True,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },
    )
    install_handlers(app)
    for routes in (
        text,
        style,
        embedding,
        locations,
        posts,
        moderations,
        comments,
        indexes,
        snapshots,
        models,
        open_inference,
        jobs,
        health,
    ):
        app.include_router(routes.router)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(Gatekeeper)
    app.add_middleware(RequestContext)

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            app.openapi_schema = build_openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def build_state(settings: GatewaySettings) -> AppState:
    """Clients of everything the gateway talks to; none connects before it is used."""
    redis = Redis.from_url(
        settings.redis_url,
        socket_timeout=_REDIS_TIMEOUT_S,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return AppState(
        settings=settings,
        clients={
            name: ModelServerClient(
                get_capability(name), target, default_timeout_s=settings.request_timeout_s
            )
            for name, target in settings.capability_addresses.items()
        },
        redis=redis,
        keys=KeyRing(settings.api_keys_file),
        limiter=RateLimiter(redis, settings.effective_rate_limit, settings.rate_burst_s),
        admission=Admission(settings.max_inflight, settings.max_body_bytes),
        fetcher=ImageFetcher(
            AllowList.parse(settings.url_allowlist),
            max_bytes=settings.max_image_bytes,
            timeout_s=settings.url_timeout_s,
        ),
        drawing=asyncio.Semaphore(available_cores()),
        datasets=Datasets(settings.dataset_roots),
    )
