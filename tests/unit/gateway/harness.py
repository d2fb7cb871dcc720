"""A gateway and a model server for tests: real uvicorn and real gRPC on free ports, canned answers."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import numpy as np
import uvicorn
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from PIL import Image

from gateway.main import create_app
from gateway.settings import GatewaySettings
from interplay.capabilities import get_capability
from interplay.errors import InterplayError
from interplay.rpc.common.v1 import common_pb2, models_pb2, models_pb2_grpc
from interplay.rpc.open_inference.v1.open_inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from interplay.rpc.status import status_from_error
from interplay.rpc.tensors import Tensor
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2_grpc
from interplay.serving.open_inference.models import Inputs, OpenModel
from interplay.serving.open_inference.servicer import OpenInferenceService
from interplay.settings import MAX_MESSAGE_BYTES
from interplay.store import Manifest
from interplay.telemetry.context import METADATA_KEY

CAPABILITY = get_capability("text_detection")
MODEL = common_pb2.ModelInfo(name="fake", version="3", digest="sha256:" + "a" * 64)
READER = common_pb2.ModelInfo(name="fake-reader", version="1", digest="sha256:" + "b" * 64)
TIMINGS = common_pb2.Timings(
    queue_ns=1_000_000,
    decode_ns=2_000_000,
    preprocess_ns=3_000_000,
    infer_ns=4_000_000,
    postprocess_ns=500_000,
    batch_size=2,
)
CORNERS = ((10.0, 10.0), (60.0, 12.0), (59.0, 30.0), (9.0, 28.0))


def picture(kind: str = "JPEG", size: tuple[int, int] = (120, 80), **options: Any) -> bytes:
    """An image file with some structure in it."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 3 % 256, columns * 2 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return buffer.getvalue()


HEATMAP = picture("PNG", (12, 8))


class BackgroundLoop:
    """An event loop in a thread, so that tests can be plain functions."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], timeout_s: float = 30.0) -> Any:
        """Run a coroutine in the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class FakeTextServer(
    text_detection_pb2_grpc.TextDetectionServiceServicer, models_pb2_grpc.ModelServiceServicer
):
    """A model server without a model.

    Attributes:
        error: Raised by every call, if set.
        gate: Calls wait for it; set unless a test clears it.
        requests: Requests that came in, oldest first.
        metadata: Metadata of the last call.
        remaining_s: Deadline of the last call.
        entered: Set when a call comes in.
        cancelled: Set when the client has cancelled a call.
    """

    def __init__(self, background: BackgroundLoop) -> None:
        self._background = background
        self.port = 0
        self.reset()

    def reset(self) -> None:
        """Forget what earlier tests did."""
        self.error: InterplayError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.requests: list[Message] = []
        self.metadata: dict[str, str] = {}
        self.remaining_s = 0.0
        self.entered = threading.Event()
        self.cancelled = threading.Event()

    async def start(self) -> None:
        """Listen on the port of the last start, or on a free one."""
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.aio.server(options=options)
        self._health = health.aio.HealthServicer()
        text_detection_pb2_grpc.add_TextDetectionServiceServicer_to_server(self, self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        add_GRPCInferenceServiceServicer_to_server(OpenInference(self), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.set_serving(True)
        await self._server.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self._server.stop(None)

    async def set_serving(self, serving: bool) -> None:
        """Change the health status."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        await self._health.set(CAPABILITY.grpc_service, status)

    async def _answer(
        self, request: Message, context: grpc.aio.ServicerContext, response: Message
    ) -> Message:
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata() or ())
        self.remaining_s = context.time_remaining() or 0.0
        self.entered.set()
        try:
            while not self.gate.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            await context.abort_with_status(rpc_status.to_status(status_from_error(self.error)))
        return response

    @property
    def request_id(self) -> str | None:
        """Request id that the last call carried."""
        return self.metadata.get(METADATA_KEY)

    async def Segment(self, request: pb.SegmentRequest, context: grpc.aio.ServicerContext) -> Message:
        """Canned heatmap."""
        raw = request.format == pb.HEATMAP_FORMAT_FLOAT16
        response = pb.SegmentResponse(
            heatmap=np.zeros((8, 12), "<f2").tobytes() if raw else HEATMAP,
            format=pb.HEATMAP_FORMAT_FLOAT16 if raw else pb.HEATMAP_FORMAT_PNG,
            width=12,
            height=8,
            model=MODEL,
            timings=TIMINGS,
        )
        return await self._answer(request, context, response)

    async def Detect(self, request: pb.DetectRequest, context: grpc.aio.ServicerContext) -> Message:
        """One canned region."""
        response = pb.DetectResponse(regions=[_region()], width=120, height=80, model=MODEL, timings=TIMINGS)
        return await self._answer(request, context, response)

    async def Read(self, request: pb.ReadRequest, context: grpc.aio.ServicerContext) -> Message:
        """One canned word."""
        response = pb.ReadResponse(
            words=[pb.Word(region=_region(), text="EXIT", confidence=0.75)],
            text="EXIT",
            width=120,
            height=80,
            model=None if request.polygons else MODEL,
            reader=READER,
            timings=TIMINGS,
        )
        return await self._answer(request, context, response)

    async def Presence(self, request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> Message:
        """Canned scores."""
        response = pb.PresenceResponse(
            mean_probability=0.25,
            max_probability=0.5,
            text_area_ratio=0.125,
            mean_brightness=100.0,
            width=120,
            height=80,
            model=MODEL,
            timings=TIMINGS,
        )
        return await self._answer(request, context, response)

    async def ListModels(self, request: Message, context: grpc.aio.ServicerContext) -> Message:
        """One canned model."""
        limits = models_pb2.Limits(max_image_bytes=1000, max_inflight=7, max_deadline_s=60.0)
        model = models_pb2.ServedModel(
            info=MODEL,
            capability=CAPABILITY.name,
            dtype="float32",
            limits=limits,
            thresholds={"pixel": 0.5},
            labels=["text"],
        )
        return models_pb2.ListModelsResponse(models=[model])


def _region() -> pb.Region:
    points = [common_pb2.Point(x=x, y=y) for x, y in CORNERS]
    return pb.Region(polygon=common_pb2.Polygon(points=points), score=0.9)


class OpenInference(OpenInferenceService):
    """The real service of tensors, on a model that doubles numbers and measures words.

    Args:
        owner: Whose ``error`` its calls raise.
    """

    def __init__(self, owner: FakeTextServer) -> None:
        manifest = Manifest(
            name=CAPABILITY.models[0], version=3, capability=CAPABILITY.name, architecture="fake",
            description="doubles", license="MIT", parameters=0,
        )  # fmt: skip
        batcher: Any = SimpleNamespace(name=manifest.name, runtime=SimpleNamespace(manifest=manifest))

        async def answer(inputs: Inputs, context: Any) -> dict[str, Any]:
            lengths = np.array([len(word) for word in inputs["words"]])
            return {"doubled": 2 * inputs["numbers"], "lengths": lengths, "words": inputs["words"]}

        numbers, words = Tensor("numbers", "FP32", (-1, 2)), Tensor("words", "BYTES", (-1,))
        outputs = (Tensor("doubled", "FP32", (-1, 2)), Tensor("lengths", "INT64", (-1,)), words)
        super().__init__([OpenModel(batcher, (numbers, words), outputs, answer)], lambda: True)
        self._owner = owner

    async def ModelReady(self, request: Any, context: Any) -> Any:
        return await self._answered(super().ModelReady(request, context), context)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        return await self._answered(super().ModelMetadata(request, context), context)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        return await self._answered(super().ModelInfer(request, context), context)

    async def _answered(self, answer: Awaitable[Any], context: grpc.aio.ServicerContext) -> Any:
        """The answer, or an error's status, as the interceptor of a model server sends it."""
        try:
            found = await answer
            if self._owner.error is not None:
                raise self._owner.error
            return found
        except InterplayError as error:
            return await context.abort_with_status(rpc_status.to_status(status_from_error(error)))


class RunningGateway:
    """The gateway behind a real uvicorn in the background loop.

    Attributes:
        url: Where it listens.
        client: HTTP client with that base URL, without retries or environment.
    """

    def __init__(self, background: BackgroundLoop, settings: GatewaySettings) -> None:
        self._background = background
        self.app = create_app(settings)
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, http="httptools", ws="none", log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.run_coroutine_threadsafe(self._server.serve(), background.loop)
        background.run(self._started())
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    async def _started(self) -> None:
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.01)

    @property
    def state(self) -> Any:
        """The gateway's ``AppState``."""
        return self.app.state.gateway

    def post_image(self, path: str, content: bytes | None = None, **arguments: Any) -> httpx.Response:
        """POST a picture as a multipart form."""
        file = ("photo.jpg", picture() if content is None else content, "image/jpeg")
        return self.client.post(path, files={"image": file}, **arguments)

    def close(self) -> None:
        """Shut the server down, with the application's lifespan."""
        self.client.close()
        self._server.should_exit = True
        self._serving.result(30)


Starter = Callable[..., RunningGateway]
AsyncWork = Callable[[], Awaitable[Any]]
