"""The words in an image, read by the text detection server; a post is judged without them if it cannot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any

from interplay.errors import DeadlineExceeded, InterplayError
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2
from interplay.serving.bulk import with_patience

MAX_CHARACTERS = 10_000


@dataclass(frozen=True)
class ImageWords:
    """The words in an image.

    Attributes:
        text: None where nobody looked, "" where there are none.
        source: Where they are from.
        reason: Why nobody looked.
    """

    text: str | None
    source: pb.ImageTextSource = pb.IMAGE_TEXT_SOURCE_UNSPECIFIED
    reason: str = ""


def not_read(reason: str) -> ImageWords:
    """Nobody looked for words."""
    return ImageWords(None, pb.IMAGE_TEXT_SOURCE_NOT_READ, reason)


class ImageReader:
    """Asks the text detection server, for some images at a time.

    Args:
        client: The server.
        timeout_s: Of one image, from the time when it is sent.
        at_once: Images that are sent at one time; the others wait.
    """

    def __init__(self, client: ModelServerClient, *, timeout_s: float, at_once: int) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(at_once)

    async def read(self, content: bytes, deadline: float) -> ImageWords:
        """The words in an encoded image, on one line. Raises nothing: that it was not read is an answer.

        Args:
            content: JPEG, PNG or WebP.
            deadline: ``time.monotonic()`` value after which the post goes on without.
        """
        request = text_detection_pb2.ReadRequest(image=common_pb2.Image(content=content))
        try:
            async with asyncio.timeout(max(0.0, deadline - monotonic())), self._places:
                until = min(deadline, monotonic() + self._timeout_s)
                response = await self._ask(request, until)
        except (TimeoutError, DeadlineExceeded):
            return not_read("the text detection server, which reads images, did not answer in time")
        except InterplayError as error:
            return not_read(f"the text detection server, which reads images, gave no answer: {error.message}")
        words = " ".join(response.text.split())
        return ImageWords(words[:MAX_CHARACTERS], pb.IMAGE_TEXT_SOURCE_READ)

    async def _ask(self, request: text_detection_pb2.ReadRequest, until: float) -> Any:
        """The answer; where the server is full, tried again until the time is up."""

        def left_s() -> float:
            return until - monotonic()

        async def once() -> Any:
            return await self._client.call(self._client.stub.Read, request, timeout_s=left_s())

        return await with_patience(once, left_s)
