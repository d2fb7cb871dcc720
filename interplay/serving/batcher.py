"""Groups single requests into batches for the one thread that owns a model.

Life of an item: ``admit`` reserves room before any costly work (Overloaded at once when there is
none) → ``submit`` queues it → the owner thread takes a batch of one bucket, drops what expired or
was cancelled, runs it, and resolves every future. Whatever happens, a future that was handed out
is resolved: by a result, by the item's own error, or by ``Unavailable`` when the batcher stops.
If the owner thread dies, ``on_death`` is called once, so that health can turn NOT_SERVING.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

from interplay.errors import DeadlineExceeded, InterplayError, ModelFailed, Overloaded, Unavailable
from interplay.predictors.batch import BatchOutput
from interplay.serving.runtime import Runtime
from interplay.telemetry import metrics
from interplay.telemetry.logging import get_logger
from interplay.types import StageTimings

log = get_logger(__name__)

# Pixels of a batch where none are configured. A CPU is busy with one large photo: more of them at a time
# fall out of its caches and each takes longer (benchmarks/batching.py). A GPU wants more; its figure is an
# assumption that the same benchmark can check with --device cuda.
CPU_BATCH_PIXELS = 1_000_000
GPU_BATCH_PIXELS = 8_000_000

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class BatchLimits:
    """Bounds of one batcher.

    Attributes:
        max_batch_items: Items in a batch.
        max_batch_pixels: Pixels in a batch; one larger item still runs, alone. None: as suits the device.
        max_delay_s: How long the first item of a batch waits for others that are on their way.
        max_inflight: Admitted requests, waiting or running.
        max_inflight_pixels: Their pixels together; one larger request is admitted when it is alone.
    """

    max_batch_items: int = 8
    max_batch_pixels: int | None = None
    max_delay_s: float = 0.002
    max_inflight: int = 16
    max_inflight_pixels: int = 80_000_000


@dataclass
class Ticket:
    """Proof of admission; ``arrived`` once its item has been queued."""

    arrived: bool = False


@dataclass
class _Work(Generic[In, Out]):
    item: In
    bucket: Hashable
    pixels: int
    deadline: float
    future: Future[tuple[Out, StageTimings]]
    enqueued: float = field(default_factory=monotonic)


class Batcher(Generic[In, Out]):
    """Owner thread, queue and admission of one model.

    Args:
        name: Model name, for metrics and messages.
        runtime: Runs the batches; loaded on the owner thread.
        limits: Bounds.
        on_death: Called from the owner thread if it ends by an unforeseen error.

    Attributes:
        batch_pixels: Pixels in a batch, final once the model is loaded.
    """

    def __init__(
        self,
        name: str,
        runtime: Runtime[In, Out],
        limits: BatchLimits,
        *,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.name = name
        self.runtime = runtime
        self.limits = limits
        self.batch_pixels = limits.max_batch_pixels or CPU_BATCH_PIXELS
        self._on_death = on_death
        self._queue: deque[_Work[In, Out]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._inflight = 0
        self._inflight_pixels = 0
        self._on_their_way = 0
        self._seconds_per_item = 0.1
        self._batch_count = 0
        self._loaded: Future[None] = Future()
        self._thread = threading.Thread(target=self._own, name=f"owner-{name}", daemon=True)
        self._stage = {
            stage: metrics.INFERENCE_STAGE.labels(name, stage)
            for stage in ("queue", "preprocess", "infer", "postprocess")
        }
        self._batch_size = metrics.INFERENCE_BATCH_SIZE.labels(name)
        self._padding = metrics.INFERENCE_PADDING.labels(name)
        metrics.INFERENCE_QUEUE_DEPTH.labels(name).set_function(lambda: len(self._queue))
        metrics.INFERENCE_INFLIGHT.labels(name).set_function(lambda: self._inflight)

    async def start(self) -> None:
        """Start the owner thread and wait until the model is loaded and warm.

        Raises:
            Exception: What loading raised.
        """
        self._thread.start()
        await asyncio.wrap_future(self._loaded)

    @property
    def alive(self) -> bool:
        """Whether the owner thread runs."""
        return self._thread.is_alive()

    @contextmanager
    def admit(self, pixels: int) -> Iterator[Ticket]:
        """Hold room for one request from before decoding until its answer is made.

        Args:
            pixels: Size of the request's input.

        Yields:
            The ticket to hand to ``submit``.

        Raises:
            Overloaded: No room; ``retry_after_s`` estimates when there will be some.
            Unavailable: The batcher is stopping.
        """
        with self._wake:
            self._check_open()
            self._check_room(pixels)
            self._inflight += 1
            self._inflight_pixels += pixels
            self._on_their_way += 1
        ticket = Ticket()
        try:
            yield ticket
        finally:
            with self._wake:
                self._arrive(ticket)
                self._inflight -= 1
                self._inflight_pixels -= pixels
                self._wake.notify()

    async def submit(
        self, item: In, *, bucket: Hashable, pixels: int, deadline: float, ticket: Ticket | None = None
    ) -> tuple[Out, StageTimings]:
        """Queue an item and wait for its result.

        Args:
            item: Input of the runtime.
            bucket: Items of equal buckets may share a batch.
            pixels: Size of the item.
            deadline: ``time.monotonic()`` value after which the result is of no use.
            ticket: What ``admit`` gave; None for a later step of a request admitted elsewhere.

        Raises:
            InterplayError: The item's own error, ``DeadlineExceeded``, or ``Unavailable`` when stopping.
        """
        future: Future[tuple[Out, StageTimings]] = Future()
        with self._wake:
            self._check_open()
            if ticket:
                self._arrive(ticket)
            self._queue.append(_Work(item, bucket, pixels, deadline, future))
            self._wake.notify()
        return await asyncio.wrap_future(future)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the server is shutting down", retry_after_s=1.0)

    def _check_room(self, pixels: int) -> None:
        limits = self.limits
        if self._inflight >= limits.max_inflight:
            limit = f"{limits.max_inflight} requests"
        elif self._inflight and self._inflight_pixels + pixels > limits.max_inflight_pixels:
            limit = f"{limits.max_inflight_pixels:,} pixels"
        else:
            return
        wait_s = max(0.1, self._inflight * self._seconds_per_item / 2)
        raise Overloaded(
            f"{self.name} is at its limit of {limit} at one time; try again in {wait_s:.1f} s",
            retry_after_s=wait_s,
            metadata={"limit": limit, "inflight": str(self._inflight)},
        )

    def _arrive(self, ticket: Ticket) -> None:
        if not ticket.arrived:
            ticket.arrived = True
            self._on_their_way -= 1

    async def close(self) -> None:
        """Finish what is queued, then end the owner thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    # The owner thread from here on.

    def _own(self) -> None:
        try:
            self.runtime.load()
        except BaseException as error:
            self._loaded.set_exception(error)
            return
        if self.limits.max_batch_pixels is None and self.runtime.device.startswith("cuda"):
            self.batch_pixels = GPU_BATCH_PIXELS
        self._loaded.set_result(None)
        try:
            while batch := self._next_batch():
                self._run(batch)
        except BaseException as error:
            log.exception("owner_thread_died", model=self.name)
            if self._on_death:
                self._on_death(error)
        finally:
            with self._wake:
                self._closed = True
                leftover = list(self._queue)
                self._queue.clear()
            for work in leftover:
                _fail(work, Unavailable("the server is shutting down", retry_after_s=1.0))

    def _next_batch(self) -> list[_Work[In, Out]]:
        """The next batch; empty when the batcher is closed and the queue is done."""
        with self._wake:
            while True:
                self._drop_dead()
                if not self._queue:
                    if self._closed:
                        return []
                    self._wake.wait()
                    continue
                # Waiting only pays while further admitted requests are still on their way here.
                remaining_s = self._queue[0].enqueued + self.limits.max_delay_s - monotonic()
                if self._on_their_way > 0 and remaining_s > 0 and not self._closed and not self._is_full():
                    self._wake.wait(remaining_s)
                    continue
                if batch := self._take():
                    return batch

    def _is_full(self) -> bool:
        head = self._queue[0]
        same = [work for work in self._queue if work.bucket == head.bucket]
        return (
            len(same) >= self.limits.max_batch_items or sum(work.pixels for work in same) >= self.batch_pixels
        )

    def _take(self) -> list[_Work[In, Out]]:
        """Oldest item and as many of its bucket as fit; the others keep their order."""
        head = self._queue[0]
        batch: list[_Work[In, Out]] = []
        kept: deque[_Work[In, Out]] = deque()
        pixels = 0
        for work in self._queue:
            fits = len(batch) < self.limits.max_batch_items and (
                not batch or pixels + work.pixels <= self.batch_pixels
            )
            if work.bucket == head.bucket and fits and work.future.set_running_or_notify_cancel():
                batch.append(work)
                pixels += work.pixels
            elif not work.future.done():
                kept.append(work)
        self._queue = kept
        return batch

    def _drop_dead(self) -> None:
        """Resolve what expired and forget what was cancelled, before any inference is spent on it."""
        now = monotonic()
        kept: deque[_Work[In, Out]] = deque()
        for work in self._queue:
            if work.future.cancelled():
                continue
            if work.deadline <= now:
                waited_s = now - work.enqueued
                _fail(work, DeadlineExceeded(f"waited {waited_s:.1f} s for {self.name}, past the deadline"))
                continue
            kept.append(work)
        self._queue = kept

    def _run(self, batch: list[_Work[In, Out]]) -> None:
        try:
            self._run_batch(batch)
        except BaseException:
            for work in batch:
                _fail(work, ModelFailed(f"{self.name} failed on this input"))
            raise

    def _run_batch(self, batch: list[_Work[In, Out]]) -> None:
        started = monotonic()
        try:
            output = self._infer(batch)
        except (Unavailable, DeadlineExceeded, Overloaded) as error:  # of the runtime: no item's fault
            for work in batch:
                _fail(work, error)
            return
        if output is None:  # the batch as a whole failed: find the culprit, spare the others
            if len(batch) == 1:
                _fail(batch[0], ModelFailed(f"{self.name} failed on this input"))
            else:
                for work in batch:
                    self._run_batch([work])
            return
        self._batch_count += 1
        self._seconds_per_item += 0.1 * ((monotonic() - started) / len(batch) - self._seconds_per_item)
        self._observe(batch, output, started)
        for work, result in zip(batch, output.results, strict=True):
            if isinstance(result, InterplayError):
                _fail(work, result)
                continue
            timings = StageTimings(
                queue_s=started - work.enqueued,
                preprocess_s=output.preprocess_s,
                infer_s=output.infer_s,
                postprocess_s=output.postprocess_s,
                batch_size=len(batch),
                batch_id=self._batch_count,
            )
            work.future.set_result((result, timings))

    def _observe(self, batch: list[_Work[In, Out]], output: BatchOutput[Out], started: float) -> None:
        for work in batch:
            self._stage["queue"].observe(started - work.enqueued)
        self._stage["preprocess"].observe(output.preprocess_s)
        self._stage["infer"].observe(output.infer_s)
        self._stage["postprocess"].observe(output.postprocess_s)
        self._batch_size.observe(len(batch))
        self._padding.observe(output.padding_ratio)

    def _infer(self, batch: Sequence[_Work[In, Out]]) -> BatchOutput[Out] | None:
        """Output of the batch; None if it failed as a whole, which is logged.

        Raises:
            Unavailable, DeadlineExceeded, Overloaded: The runtime could not work.
        """
        deadline = max(work.deadline for work in batch)
        try:
            output = self.runtime.run([work.item for work in batch], deadline=deadline)
        except (Unavailable, DeadlineExceeded, Overloaded):
            raise
        except Exception:
            log.exception("batch_failed", model=self.name, items=len(batch))
            return None
        if len(output.results) != len(batch):
            log.error("wrong_result_count", model=self.name, items=len(batch), results=len(output.results))
            return None
        return output


def _fail(work: _Work[In, Out], error: InterplayError) -> None:
    future = work.future
    if future.done():
        return
    if future.running() or future.set_running_or_notify_cancel():
        future.set_exception(error)
