"""A style transfer server for tests: the real contract over real gRPC, a style being a plain colour.

What is restyled turns into the mix's colour, and every mode restyles a part of its own, so a test
knows every pixel beforehand and no model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from interplay.capabilities import get_capability
from interplay.errors import InterplayError, InvalidParameter
from interplay.media.images import decode, encode_picture, encode_png
from interplay.rpc.common.v1 import common_pb2, models_pb2, models_pb2_grpc
from interplay.rpc.status import status_from_error
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from interplay.rpc.style_transfer.v1 import style_transfer_pb2_grpc as pb_grpc
from interplay.settings import MAX_MESSAGE_BYTES
from interplay.types import Image

CAPABILITY = get_capability("style_transfer")
# Style → domain and colour.
STYLES = {
    "red-neon": ("scene", (255, 0, 0)),
    "gold": ("scene", (200, 160, 0)),
    "typewriter": ("print", (0, 0, 200)),
}
# What is taken for nearest to any region.
NEAREST = "gold"
WORD = ((10.0, 10.0), (60.0, 10.0), (60.0, 30.0), (10.0, 30.0))
DETECTOR = common_pb2.ModelInfo(name="fake", version="3", digest="sha256:" + "a" * 64)
TIMINGS = common_pb2.Timings(queue_ns=1_000_000, infer_ns=4_000_000, batch_size=2)

_KINDS = {pb.PICTURE_FORMAT_PNG: "PNG", pb.PICTURE_FORMAT_JPEG: "JPEG", pb.PICTURE_FORMAT_WEBP: "WEBP"}


def colour_of(*parts: tuple[str, float]) -> tuple[int, ...]:
    """Colour of a mix: the sum of its styles' by weight."""
    total = sum(weight * np.array(STYLES[name][1]) for name, weight in parts)
    return tuple(int(value) for value in np.clip(np.rint(total), 0, 255))


class FakeStyleTransfer(pb_grpc.StyleTransferServiceServicer, models_pb2_grpc.ModelServiceServicer):
    """The service, and the server it runs in.

    Attributes:
        error: Raised by every call, if set.
        requests: Requests that came in, oldest first.
        styles: Names that are listed.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._server: grpc.Server | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what earlier tests did."""
        self.error: InterplayError | None = None
        self.requests: list[Any] = []
        self.styles = list(STYLES)

    def start(self) -> None:
        """Start serving, on a free port the first time, which stays the same over restarts."""
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        pb_grpc.add_StyleTransferServiceServicer_to_server(self, self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        status = health.HealthServicer()
        status.set(CAPABILITY.grpc_service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(status, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Stop at once; calls in progress break."""
        if self._server:
            self._server.stop(None).wait()
            self._server = None

    def ListStyles(self, request: Any, context: Any) -> Any:
        """All styles; a thumbnail is a plate of the style's colour."""
        self._enter(request, context)
        styles = []
        for name in self.styles:
            domain, colour = STYLES[name]
            plate = np.full((40, 100, 3), colour, np.uint8)
            styles.append(
                pb.Style(
                    name=name,
                    domain=domain,
                    thumbnail=b"" if request.without_thumbnails else encode_png(plate),
                    model=_model(name),
                    end_to_end=name == "red-neon",
                )
            )
        return pb.ListStylesResponse(styles=styles)

    def Stylize(self, request: Any, context: Any) -> Any:
        """The photo, a part of it in the colours of the mixes."""
        self._enter(request, context)
        photo = decode(request.image.content)
        height, width = photo.shape[:2]
        styled = np.zeros((height, width), bool)
        for rows, columns in _restyled(request, height, width):
            styled[rows, columns] = True
        images = []
        for index, mix in enumerate(request.mixes):
            result = photo.copy()
            result[styled] = self._colour(mix, f"mixes[{index}]", context)
            images.append(_encoded(result, request))
        return pb.StylizeResponse(
            images=images,
            format=request.format,
            width=width,
            height=height,
            styled_ratio=styled.mean(),
            model=_model(request.mixes[0].parts[0].style),
            detector=DETECTOR if request.mode == pb.STYLE_MODE_SELECTIVE else None,
            timings=TIMINGS,
        )

    def RenderText(self, request: Any, context: Any) -> Any:
        """A plate of the mix's colour with a clear rim, or the photo with such a plate."""
        self._enter(request, context)
        mix = request.mix if request.HasField("mix") else pb.StyleMix(parts=[pb.StyleWeight(style=NEAREST)])
        colour = self._colour(mix, "mix", context)
        region = None
        if request.HasField("image"):
            corners = [common_pb2.Point(x=x, y=y) for x, y in WORD]
            region = request.region if request.HasField("region") else common_pb2.Polygon(points=corners)
            picture = decode(request.image.content).copy()
            picture[_box(region)] = colour
        else:
            lines = request.text.split("\n")
            height = (request.line_height or 64) * len(lines)
            picture = np.zeros((height, 10 * max(map(len, lines)), 4), np.uint8)
            picture[2:-2, 2:-2] = (*colour, 255)
        return pb.RenderTextResponse(
            image=_encoded(picture, request),
            format=request.format,
            width=picture.shape[1],
            height=picture.shape[0],
            mix=mix,
            region=region,
            model=_model(mix.parts[0].style),
            detector=DETECTOR if region else None,
            timings=TIMINGS,
        )

    def ListModels(self, request: Any, context: Any) -> Any:
        """The two models."""
        models = [
            models_pb2.ServedModel(info=_model(name), capability=CAPABILITY.name)
            for name in ("red-neon", "typewriter")
        ]
        return models_pb2.ListModelsResponse(models=models)

    def _enter(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.error is not None:
            context.abort_with_status(rpc_status.to_status(status_from_error(self.error)))

    def _colour(self, mix: Any, field: str, context: Any) -> tuple[int, ...]:
        for index, part in enumerate(mix.parts):
            if part.style not in STYLES:
                error = InvalidParameter(f"there is no style {part.style!r}", field=f"{field}.parts[{index}]")
                context.abort_with_status(rpc_status.to_status(status_from_error(error)))
        return colour_of(*((p.style, p.weight if p.HasField("weight") else 1.0) for p in mix.parts))


def _model(style: str) -> common_pb2.ModelInfo:
    domain = STYLES[style][0]
    return common_pb2.ModelInfo(name=f"fake-{domain}", version="2", digest="sha256:" + "c" * 64)


def _restyled(request: Any, height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that a mode restyles."""
    if request.mode == pb.STYLE_MODE_WHOLE:
        yield slice(None), slice(None)
    elif request.mode == pb.STYLE_MODE_SELECTIVE:
        yield slice(0, height // 2), slice(None)
    elif request.mode == pb.STYLE_MODE_END_TO_END:
        yield slice(None), slice(0, width // 4)
    else:
        yield from map(_box, request.polygons)


def _box(polygon: Any) -> tuple[slice, slice]:
    xs, ys = [round(p.x) for p in polygon.points], [round(p.y) for p in polygon.points]
    return slice(max(0, min(ys)), max(0, *ys)), slice(max(0, min(xs)), max(0, *xs))


def _encoded(picture: Image, request: Any) -> bytes:
    quality = {"quality": request.quality} if request.HasField("quality") else {}
    return encode_picture(picture, _KINDS[request.format], **quality)
