"""A model server without a model: the real server around a runtime that the test holds and breaks."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import grpc
import numpy as np
from PIL import Image as PillowImage

from interplay.capabilities import get_capability
from interplay.errors import InterplayError
from interplay.predictors.batch import BatchOutput
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.status import item_error
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import process_stream
from interplay.serving.model_service import model_info
from interplay.serving.requests import Requests, timings_message
from interplay.serving.server import ModelServer, Service
from interplay.serving.settings import ModelServerSettings
from interplay.store import Manifest
from interplay.types import Image

CAPABILITY = get_capability("text_detection")
MANIFEST = Manifest(
    name="brightness",
    version=3,
    capability="text_detection",
    architecture="mean",
    description="Mean of the pixels",
    license="MIT",
    thresholds={"pixel": 0.5},
    labels=("dark", "bright"),
    parameters=0,
    weights_sha256="ab" * 32,
)


class ThreadDeath(BaseException):
    """What no predictor should raise: it ends the owner thread."""


class BrightnessRuntime:
    """Mean of each image; ``load_gate`` and ``gate`` hold it back, ``act`` may raise."""

    kind = "in_process"
    manifest = MANIFEST
    device = "cpu"
    dtype = "float32"
    load_s = 0.25

    def __init__(self) -> None:
        self.load_gate = threading.Event()
        self.gate = threading.Event()
        self.load_gate.set()
        self.gate.set()
        self.running = threading.Event()
        self.act: Callable[[Sequence[Image]], None] = lambda batch: None
        self.items = 0
        self.batches = 0

    def load(self) -> None:
        assert self.load_gate.wait(30)

    def run(self, batch: Sequence[Image], *, deadline: float = 0.0) -> BatchOutput[float]:
        self.running.set()
        assert self.gate.wait(30)
        self.items += len(batch)
        self.batches += 1
        self.act(batch)
        return BatchOutput(results=[float(np.mean(image)) for image in batch], infer_s=0.001)


class BrightnessServicer(pb_grpc.TextDetectionServiceServicer):
    """``Presence`` answers the brightness, ``Segment`` has a bug, ``ProcessBulk`` is many ``Presence``."""

    def __init__(self, batcher: Batcher[Image, float], requests: Requests) -> None:
        self._batcher = batcher
        self._requests = requests

    async def Presence(
        self, request: pb.PresenceRequest, context: grpc.aio.ServicerContext
    ) -> pb.PresenceResponse:
        with self._requests.admit(request.image.content, context) as work:
            image = await work.decode()
            height, width = image.shape[:2]
            mean = await work.run(self._batcher, image, bucket=(height, width), pixels=height * width)
            mean = await work.finish(round, mean, 1)
        return pb.PresenceResponse(
            mean_brightness=mean,
            width=width,
            height=height,
            model=model_info(MANIFEST),
            timings=timings_message(work.timings),
        )

    async def Segment(
        self, request: pb.SegmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.SegmentResponse:
        raise ValueError("a bug that knows secrets")

    async def ProcessBulk(
        self, requests: AsyncIterator[pb.ProcessBulkRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ProcessBulkResponse]:
        async def handle(item: pb.ProcessBulkRequest) -> pb.ProcessBulkResponse:
            try:
                return pb.ProcessBulkResponse(
                    id=item.id, presence=await self.Presence(item.presence, context)
                )
            except InterplayError as error:
                return pb.ProcessBulkResponse(id=item.id, error=item_error(error))

        async for response in process_stream(requests, handle, concurrency=4):
            yield response


def server_settings(**changes: object) -> ModelServerSettings:
    return ModelServerSettings.model_validate({"port": 0, "metrics_port": 0, **changes})


def make_server(
    runtime: BrightnessRuntime, *, close: Callable[[], Awaitable[None]] | None = None, **changes: object
) -> ModelServer:
    """A server of this capability, not started."""

    def build(
        settings: ModelServerSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
    ) -> Service:
        batcher: Batcher[Image, float] = Batcher(
            MANIFEST.name, runtime, settings.batch_limits, on_death=on_death
        )
        requests = Requests(batcher, pool, settings.image_limits, settings.max_deadline_s)
        servicer = BrightnessServicer(batcher, requests)
        return Service(
            batchers=[batcher],
            register=lambda server: pb_grpc.add_TextDetectionServiceServicer_to_server(servicer, server),
            close=close,
        )

    return ModelServer(CAPABILITY, server_settings(**changes), build)


@asynccontextmanager
async def running_server(
    runtime: BrightnessRuntime, **changes: object
) -> AsyncIterator[tuple[ModelServer, ModelServerClient]]:
    """A started server and a client of it."""
    server = make_server(runtime, **changes)
    await server.start()
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{server.port}")
    try:
        yield server, client
    finally:
        await client.close()
        runtime.gate.set()
        await server.stop(drain=False)


def photo_request(value: int = 100, size: tuple[int, int] = (8, 8)) -> pb.PresenceRequest:
    """Request with an even grey PNG."""
    buffer = io.BytesIO()
    PillowImage.new("L", size, value).save(buffer, format="PNG")
    request = pb.PresenceRequest()
    request.image.content = buffer.getvalue()
    return request
