"""What the style server asks of the text detection server: where the text is."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from interplay.errors import InternalError, NotFound, Unavailable
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb


@dataclass(frozen=True)
class Heat:
    """A heatmap and the model that made it.

    Attributes:
        map: (H, W) uint8, 255 times the probability of text.
        model: ``ModelInfo`` of the detector.
    """

    map: NDArray[np.uint8]
    model: common_pb2.ModelInfo


class Detection:
    """Client of the text detection server.

    Args:
        client: Its channel.
    """

    def __init__(self, client: ModelServerClient) -> None:
        self._client = client

    async def heat(self, content: bytes, timeout_s: float) -> Heat:
        """Text probability of every pixel of an encoded photo.

        Raises:
            Unavailable: The server is down; the message says what it is needed for.
            InterplayError: What the server raised.
        """
        response = await self._call(
            self._client.stub.Segment, pb.SegmentRequest(image=common_pb2.Image(content=content)), timeout_s
        )
        with PillowImage.open(io.BytesIO(response.heatmap), formats=("PNG",)) as picture:
            return Heat(np.asarray(picture.convert("L")), response.model)

    async def largest_word(self, content: bytes, timeout_s: float) -> NDArray[np.float32]:
        """Corners of the word region with the largest area, (4, 2) float32.

        Raises:
            NotFound: There is no text in the photo.
            Unavailable: As ``heat``.
        """
        request = pb.DetectRequest(image=common_pb2.Image(content=content))
        response = await self._call(self._client.stub.Detect, request, timeout_s)
        quads = [
            np.array([[p.x, p.y] for p in region.polygon.points], dtype=np.float32)
            for region in response.regions
        ]
        if not quads:
            raise NotFound(
                "no text was found in the photo; name a region to put the words into", field="region"
            )
        return max(quads, key=_area)

    async def close(self) -> None:
        """Close the channel."""
        await self._client.close()

    async def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        try:
            return await self._client.call(method, request, timeout_s=timeout_s)
        except Unavailable as error:
            raise Unavailable(
                f"the text detection server, which finds the text, is not available ({error.message}); "
                "the modes WHOLE, END_TO_END and POLYGONS do without it",
                retry_after_s=error.retry_after_s or 1.0,
            ) from error


def same_size(heat: Heat, height: int, width: int) -> NDArray[np.uint8]:
    """The heatmap, which must have the photo's size.

    Raises:
        InternalError: It has another one.
    """
    if heat.map.shape != (height, width):
        raise InternalError(
            f"the heatmap is {heat.map.shape[1]}x{heat.map.shape[0]} and the photo {width}x{height}"
        )
    return heat.map


def _area(quad: NDArray[np.float32]) -> float:
    x, y = quad[:, 0], quad[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
