"""A model server's life: load, warm up, serve, drain, stop.

SERVING only after warm-up. SIGTERM or SIGINT: NOT_SERVING, keep serving for ``drain_delay_s``,
refuse new calls and wait for those in progress, stop the batchers, exit 0. If an owner thread
dies: NOT_SERVING and exit 1, so that whatever supervises the process starts a fresh one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from interplay.capabilities import Capability
from interplay.rpc.clients import OPEN_INFERENCE_SERVICE
from interplay.rpc.common.v1 import models_pb2_grpc
from interplay.rpc.open_inference.v1.open_inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from interplay.serving.batcher import Batcher
from interplay.serving.interceptors import ActiveCalls, EdgeInterceptor
from interplay.serving.model_service import ModelService
from interplay.serving.open_inference.models import OpenModel
from interplay.serving.open_inference.servicer import OpenInferenceService
from interplay.serving.settings import ModelServerSettings
from interplay.serving.torchserve.runtime import TorchServeRuntime
from interplay.settings import MAX_MESSAGE_BYTES, available_cores
from interplay.telemetry import metrics
from interplay.telemetry.logging import configure_logging, get_logger
from interplay.telemetry.tracing import configure_tracing

log = get_logger(__name__)

_FLUSH_S = 0.2
MODEL_SERVICE = "interplay.common.v1.ModelService"


@dataclass(frozen=True)
class Service:
    """What a capability hands to ``serve``.

    Attributes:
        batchers: One a model, the main model first.
        register: Adds the capability's servicer to the server.
        close: Closes what the servicer holds open, such as a channel to another server.
        further: Full names of services that ``register`` adds beside the capability's own.
        tensors: Models that the Open Inference Protocol offers, too.
    """

    batchers: Sequence[Batcher[Any, Any]]
    register: Callable[[grpc.aio.Server], None]
    close: Callable[[], Awaitable[None]] | None = None
    further: Sequence[str] = ()
    tensors: Sequence[OpenModel] = ()


# Builds a Service; gets the settings, a pool for decoding and the callback for dying owner threads.
ServiceBuilder = Callable[[Any, ThreadPoolExecutor, Callable[[BaseException], None]], Service]


class ModelServer:
    """One capability's gRPC server in this process.

    Args:
        capability: Row of the capability table.
        settings: The process's settings.
        build: Makes the capability's service.
    """

    def __init__(self, capability: Capability, settings: ModelServerSettings, build: ServiceBuilder) -> None:
        self.capability = capability
        self.settings = settings
        self.port = 0
        self._pool = ThreadPoolExecutor(available_cores() + 1, thread_name_prefix="decode")
        self._died: asyncio.Future[BaseException] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._service = build(settings, self._pool, self._report_death)
        runtimes = (batcher.runtime for batcher in self._service.batchers)
        self._remote = [runtime for runtime in runtimes if isinstance(runtime, TorchServeRuntime)]
        self._watch: asyncio.Task[None] | None = None
        self._names = (
            self.capability.grpc_service,
            *self._service.further,
            MODEL_SERVICE,
            OPEN_INFERENCE_SERVICE,
        )
        self._serving = False
        self._health = health_aio.HealthServicer()
        self._active = ActiveCalls()
        self._server = grpc.aio.server(
            interceptors=[EdgeInterceptor(self._active)],
            options=server_options(settings),
            # Beyond what admission refuses politely; a flood of tiny calls must not pile up either.
            maximum_concurrent_rpcs=settings.max_inflight * 16,
        )

    async def start(self) -> None:
        """Bind, load and warm up the models, then report SERVING.

        The port is bound first, so that probes see NOT_SERVING instead of a refused connection.
        """
        self._loop = asyncio.get_running_loop()
        self._died = self._loop.create_future()
        services = [*self._names, "grpc.health.v1.Health"]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(  # type: ignore[no-untyped-call]
            ModelService(self.capability.name, self._service.batchers, self.settings), self._server
        )
        add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            OpenInferenceService(self._service.tensors, lambda: self._serving), self._server
        )
        self._service.register(self._server)
        if self.settings.reflection:
            reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], self._server)
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.port = self._server.add_insecure_port(f"{self.settings.host}:{self.settings.port}")
        await self._server.start()
        for batcher in self._service.batchers:
            await batcher.start()
            self._describe(batcher)
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        if self._remote:
            self._watch = asyncio.create_task(self._follow_runtimes())
        log.info("serving", capability=self.capability.name, address=f"{self.settings.host}:{self.port}")

    async def run_until(self, stop: asyncio.Event) -> int:
        """Serve until ``stop`` is set or an owner thread dies, then drain.

        Returns:
            Exit status: 0 after a stop, 1 after a death.
        """
        assert self._died is not None, "start() comes first"
        stopping = asyncio.ensure_future(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopping, self._died}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        dead = self._died.done()
        stopping.cancel()
        await self.stop(drain=not dead)
        return 1 if dead else 0

    async def stop(self, *, drain: bool = True) -> None:
        """NOT_SERVING, then finish calls in progress (``drain``) or not, then stop the models."""
        log.info("draining" if drain else "stopping", capability=self.capability.name)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        for batcher in self._service.batchers:
            metrics.MODEL_READY.labels(batcher.name).set(0)
        if drain:
            await asyncio.sleep(self.settings.drain_delay_s)
            refusing = asyncio.create_task(self._server.stop(self.settings.drain_grace_s))
            await self._active.wait_idle(self.settings.drain_grace_s)
            await asyncio.sleep(_FLUSH_S)  # the last answers are still being written
            await self._server.stop(0)  # ends the health streams, which nobody else would
            await refusing
        else:
            await self._server.stop(0)
        for batcher in self._service.batchers:
            await batcher.close()
        for runtime in self._remote:
            runtime.close()
        if self._service.close is not None:
            await self._service.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        log.info("stopped", capability=self.capability.name)

    async def _follow_runtimes(self) -> None:
        """SERVING while the models' TorchServe answers for all of them, NOT_SERVING while it does not."""
        well = True
        while True:
            await asyncio.sleep(self.settings.torchserve.health_interval_s)
            answers = await asyncio.gather(*(asyncio.to_thread(r.is_healthy) for r in self._remote))
            if all(answers) == well:
                continue
            well = all(answers)
            status = health_pb2.HealthCheckResponse
            await self._set_health(status.SERVING if well else status.NOT_SERVING)
            for batcher in self._service.batchers:
                metrics.MODEL_READY.labels(batcher.name).set(int(well))
            if well:
                log.info("torchserve_back", capability=self.capability.name)
            else:
                log.warning("torchserve_away", capability=self.capability.name)

    def _report_death(self, error: BaseException) -> None:
        loop, died = self._loop, self._died
        if loop and died:
            loop.call_soon_threadsafe(_set_once, died, error)

    def _describe(self, batcher: Batcher[Any, Any]) -> None:
        runtime = batcher.runtime
        manifest = runtime.manifest
        metrics.MODEL_INFO.labels(
            manifest.name, str(manifest.version), manifest.digest, runtime.device, runtime.dtype
        ).set(1)
        metrics.MODEL_LOAD.labels(batcher.name).set(runtime.load_s)
        metrics.MODEL_READY.labels(batcher.name).set(1)
        log.info(
            "model_ready",
            model=manifest.name,
            version=manifest.version,
            device=runtime.device,
            dtype=runtime.dtype,
            seconds=round(runtime.load_s, 3),
        )

    async def _set_health(self, status: Any) -> None:
        self._serving = status == health_pb2.HealthCheckResponse.SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)


def _set_once(future: asyncio.Future[BaseException], value: BaseException) -> None:
    if not future.done():
        future.set_result(value)


def server_options(settings: ModelServerSettings) -> list[tuple[str, Any]]:
    """gRPC arguments of a model server: message size, keep-alive, age of connections."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients ping every 30 s (``interplay.rpc.clients``); by default two of these in five minutes without
        # data, or in two hours without a call, count as an attack and end the connection.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", 60_000),
        # A second server on the same port would silently get half of the calls.
        ("grpc.so_reuseport", 0),
    ]


def serve(capability: Capability, settings: ModelServerSettings, build: ServiceBuilder) -> int:
    """Run a model server until a signal; the body of every ``services/<capability>/__main__``.

    Returns:
        Exit status.
    """
    configure_logging(capability.name, level=settings.log_level, log_format=settings.log_format)
    configure_tracing(capability.name, settings.otlp_endpoint)
    metrics.serve_metrics(settings.metrics_host, settings.metrics_port)
    # A call crosses the loop half a dozen times; uvloop makes that some tenths of a millisecond shorter.
    return uvloop.run(_serve(capability, settings, build))


async def _serve(capability: Capability, settings: ModelServerSettings, build: ServiceBuilder) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        server = ModelServer(capability, settings, build)
        await server.start()
    except Exception as error:
        log.exception("start_failed", capability=capability.name, reason=str(error))
        return 1
    return await server.run_until(stop)
