"""A text detection server for tests: the real contract over real gRPC, scores read off the pixels.

A picture's red level is its text probability and its green level its brightness, so a test knows
every score beforehand and no model is loaded. Heatmaps are the red level pixel by pixel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import cv2
import grpc
import numpy as np
from google.rpc import code_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from numpy.typing import NDArray

from interplay.capabilities import get_capability
from interplay.errors import InterplayError, Overloaded
from interplay.media.images import decode, encode_png
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.status import item_error, status_from_error
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2_grpc as pb_grpc


def picture(text: float, brightness: int = 100, *, number: int = 0) -> bytes:
    """A PNG with this text probability and brightness; ``number`` makes it unlike others."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :, 0] = round(text * 255)
    pixels[:, :, 1] = brightness
    pixels[:, :, 2] = number % 256
    return encode_png(pixels)


class FakeTextDetection(pb_grpc.TextDetectionServiceServicer):
    """The service, and the server it runs in.

    Attributes:
        seen: How often each ``number`` of ``picture`` was scored.
        delay_s: Time for each image.
        model_version: What answers say.
        overloads: So many images are turned away first.
        failures: So many streams break with INTERNAL first.
        words: What is read.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.target = f"127.0.0.1:{port}"
        self.seen: dict[int, int] = {}
        self.delay_s = 0.0
        self.model_version = "1"
        self.overloads = 0
        self.failures = 0
        self.words = "HELLO"
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Start serving on the port, which stays the same over restarts."""
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        pb_grpc.add_TextDetectionServiceServicer_to_server(self, self._server)
        status = health.HealthServicer()
        status.set(get_capability("text_detection").grpc_service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(status, self._server)
        assert self._server.add_insecure_port(self.target) == self.port
        self._server.start()

    def stop(self) -> None:
        """Stop at once; calls in progress break."""
        if self._server:
            self._server.stop(None).wait()
            self._server = None

    @property
    def scored(self) -> int:
        """Images scored so far, repetitions included."""
        with self._lock:
            return sum(self.seen.values())

    def Presence(self, request: Any, context: Any) -> Any:
        """Score one image."""
        return self._score(request.image.content)

    def Segment(self, request: Any, context: Any) -> Any:
        """The red level as a heatmap."""
        red = self._red(request, context)
        return pb.SegmentResponse(
            heatmap=encode_png(red),
            format=pb.HEATMAP_FORMAT_PNG,
            width=red.shape[1],
            height=red.shape[0],
            model=self._model(),
        )

    def Detect(self, request: Any, context: Any) -> Any:
        """Upright boxes around what is redder than half and no more than eight pixels apart."""
        red = self._red(request, context)
        joined = cv2.morphologyEx((red > 127).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
        _, _, boxes, _ = cv2.connectedComponentsWithStats(joined)
        regions = []
        for left, top, width, height, _ in boxes[1:].tolist():  # the first is what is not red
            corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
            polygon = common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in corners])
            regions.append(pb.Region(polygon=polygon, score=1.0))
        return pb.DetectResponse(
            regions=regions, width=red.shape[1], height=red.shape[0], model=self._model()
        )

    def Read(self, request: Any, context: Any) -> Any:
        """``words`` where anything is redder than half, else no text."""
        red = self._red(request, context)
        text = self.words if (red > 127).any() else ""
        return pb.ReadResponse(text=text, width=red.shape[1], height=red.shape[0], model=self._model())

    def ProcessBulk(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Score a stream of images."""
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        for request in requests:
            try:
                if self.overloads:
                    self.overloads -= 1
                    raise Overloaded("the queue is full", retry_after_s=0.01)
                yield pb.ProcessBulkResponse(
                    id=request.id, presence=self._score(request.presence.image.content)
                )
            except InterplayError as error:
                yield pb.ProcessBulkResponse(id=request.id, error=item_error(error))
            except ZeroDivisionError:
                error = common_pb2.ItemError(
                    code=code_pb2.INTERNAL, reason="MODEL_FAILED", message="inference raised"
                )
                yield pb.ProcessBulkResponse(id=request.id, error=error)

    def _score(self, content: bytes) -> Any:
        time.sleep(self.delay_s)
        pixels = decode(content)
        text, brightness, number = (int(v) for v in pixels[0, 0])
        with self._lock:
            self.seen[number] = self.seen.get(number, 0) + 1
        if number == 255:  # a picture the model cannot take
            raise ZeroDivisionError
        height, width = pixels.shape[:2]
        return pb.PresenceResponse(
            mean_probability=text / 255,
            max_probability=text / 255,
            text_area_ratio=float(text > 127),
            mean_brightness=brightness,
            width=width,
            height=height,
            model=self._model(),
        )

    def _red(self, request: Any, context: Any) -> NDArray[np.uint8]:
        """Red level of a request's picture, (H, W); the call ends if it is none."""
        time.sleep(self.delay_s)
        try:
            return np.ascontiguousarray(decode(request.image.content)[..., 0])
        except InterplayError as error:
            context.abort_with_status(rpc_status.to_status(status_from_error(error)))
            raise

    def _model(self) -> Any:
        return common_pb2.ModelInfo(name="fake", version=self.model_version, digest="sha256:0")
