"""One request on a model server: admission, deadline, decoding, stage times, outcome.

Every capability's servicer is written with these few steps::

    with self._requests.admit(request.image.content, context) as work:
        image = await work.decode()
        heatmap = await work.run(self._segmenter, image, bucket=…, pixels=…)
        content = await work.finish(encode_heatmap_png, heatmap.text)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Any, ParamSpec, TypeVar

from interplay.errors import DeadlineExceeded, InterplayError
from interplay.media.images import ImageLimits, decode, probe
from interplay.rpc.common.v1 import common_pb2
from interplay.serving.batcher import Batcher, Ticket
from interplay.telemetry import metrics
from interplay.telemetry.tracing import tracer
from interplay.types import Image, StageTimings

P = ParamSpec("P")
T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")


class Work:
    """An admitted request; made by ``Requests.admit``.

    Attributes:
        deadline: ``time.monotonic()`` value after which the answer is of no use.
        timings: Stage times so far.
    """

    def __init__(self, requests: Requests, content: bytes, deadline: float, ticket: Ticket) -> None:
        self._requests = requests
        self._content = content
        self._ticket = ticket
        self.deadline = deadline
        self.timings = StageTimings()

    async def decode(self) -> Image:
        """The request's image, (H, W, 3) uint8 RGB, upright; decoded off the event loop.

        Raises:
            UnreadableImage: Broken pixel data.
        """
        started = perf_counter()
        with tracer.start_as_current_span("decode"):
            image = await self._in_pool(decode, self._content, self._requests.image_limits)
        self.timings.decode_s += perf_counter() - started
        metrics.INFERENCE_STAGE.labels(self._requests.batcher.name, "decode").observe(self.timings.decode_s)
        return image

    async def run(self, batcher: Batcher[In, Out], item: In, *, bucket: Hashable, pixels: int) -> Out:
        """Result of one item, by way of a batcher.

        Raises:
            InterplayError: See ``Batcher.submit``.
        """
        # The ticket tells the batcher that gave it that an item arrived; another one never waited for it.
        ticket = self._ticket if batcher is self._requests.batcher else None
        with tracer.start_as_current_span(f"infer {batcher.name}"):
            result, timings = await batcher.submit(
                item, bucket=bucket, pixels=pixels, deadline=self.deadline, ticket=ticket
            )
        self.timings.add(timings)
        return result

    async def run_all(
        self, batcher: Batcher[In, Out], items: Sequence[tuple[In, Hashable, int]]
    ) -> list[Out]:
        """Results of many items of this request, queued at once; a batch's time counts once.

        Args:
            batcher: Where to queue them.
            items: Item, bucket and pixels of each.

        Raises:
            InterplayError: The first item's error; see ``Batcher.submit``.
        """
        started = perf_counter()
        with tracer.start_as_current_span(f"infer {batcher.name}"):
            answers = await asyncio.gather(
                *(
                    batcher.submit(item, bucket=bucket, pixels=pixels, deadline=self.deadline)
                    for item, bucket, pixels in items
                )
            )
        batches = {timings.batch_id: timings for _, timings in answers}
        busy_s = 0.0
        for timings in batches.values():
            self.timings.add(replace(timings, queue_s=0.0))
            busy_s += timings.preprocess_s + timings.infer_s + timings.postprocess_s
        self.timings.queue_s += max(0.0, perf_counter() - started - busy_s)
        return [result for result, _ in answers]

    async def finish(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step of answer making off the event loop and count it as postprocessing."""
        started = perf_counter()
        result = await self._in_pool(function, *args, **kwargs)
        self.timings.postprocess_s += perf_counter() - started
        return result

    async def _in_pool(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if monotonic() > self.deadline:
            raise DeadlineExceeded("the deadline passed before the request was done")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._requests.pool, lambda: function(*args, **kwargs))


class Requests:
    """Admits requests to one server.

    Args:
        batcher: The main model's batcher; its limits bound the whole server.
        pool: Threads for decoding and answer making.
        image_limits: What images are accepted.
        max_deadline_s: Longer deadlines, and none, are cut to this.
    """

    def __init__(
        self,
        batcher: Batcher[Any, Any],
        pool: ThreadPoolExecutor,
        image_limits: ImageLimits,
        max_deadline_s: float,
    ) -> None:
        self.batcher = batcher
        self.pool = pool
        self.image_limits = image_limits
        self._max_deadline_s = max_deadline_s

    @contextmanager
    def admit(
        self, content: bytes | None, context: Any, *, times: int = 1, pixels: int = 0
    ) -> Iterator[Work]:
        """Check an image's header, reserve room for it, and count how the request ends.

        Args:
            content: The encoded image; None for a request without one.
            context: The call's ``grpc.aio.ServicerContext``.
            times: How many results the model makes of the image.
            pixels: Size of what a request without an image has the model do.

        Raises:
            Overloaded: No room.
            PayloadTooLarge, UnsupportedMedia, UnreadableImage: See ``interplay.media.images.probe``.
        """
        remaining = context.time_remaining()
        allowed_s = self._max_deadline_s if remaining is None else min(remaining, self._max_deadline_s)
        deadline = monotonic() + allowed_s
        outcome = "error"
        try:
            if content is not None:
                pixels = probe(content, self.image_limits).pixels
            with self.batcher.admit(pixels * times) as ticket:
                yield Work(self, content or b"", deadline, ticket)
            outcome = "ok"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except InterplayError as error:
            outcome = error.row.outcome
            raise
        finally:
            manifest = self.batcher.runtime.manifest
            metrics.INFERENCE_REQUESTS.labels(manifest.name, str(manifest.version), outcome).inc()


def timings_message(timings: StageTimings) -> common_pb2.Timings:
    """``Timings`` of the contract."""
    return common_pb2.Timings(
        queue_ns=int(timings.queue_s * 1e9),
        decode_ns=int(timings.decode_s * 1e9),
        preprocess_ns=int(timings.preprocess_s * 1e9),
        infer_ns=int(timings.infer_s * 1e9),
        postprocess_ns=int(timings.postprocess_s * 1e9),
        batch_size=timings.batch_size,
    )
