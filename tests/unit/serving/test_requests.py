"""One request's way through a server: deadline, room, stage times and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import numpy as np
import pytest
from prometheus_client import REGISTRY

from interplay.errors import DeadlineExceeded, ModelFailed, Overloaded, UnreadableImage, UnsupportedMedia
from interplay.media.images import ImageLimits
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.requests import Requests, timings_message
from interplay.types import Image, StageTimings
from tests.unit.serving.echo_capability import MANIFEST, BrightnessRuntime, photo_request

CONTENT = photo_request(50).image.content


@dataclass
class CallContext:
    """As much of ``grpc.aio.ServicerContext`` as admission asks."""

    remaining_s: float | None = None

    def time_remaining(self) -> float | None:
        return self.remaining_s


@pytest.fixture
def runtime() -> BrightnessRuntime:
    return BrightnessRuntime()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@asynccontextmanager
async def started(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor, *, max_inflight: int = 8, max_deadline_s: float = 20
) -> AsyncIterator[Requests]:
    batcher: Batcher[Image, float] = Batcher(
        MANIFEST.name, runtime, BatchLimits(max_inflight=max_inflight, max_batch_items=4)
    )
    await batcher.start()
    try:
        yield Requests(batcher, pool, ImageLimits(), max_deadline_s)
    finally:
        runtime.gate.set()
        await batcher.close()


def outcomes() -> dict[str, float]:
    labels = {"model": MANIFEST.name, "version": "3"}
    names = ("ok", "invalid", "rejected", "cancelled", "deadline", "error")
    return {
        name: REGISTRY.get_sample_value("interplay_inference_requests_total", {**labels, "outcome": name})
        or 0.0
        for name in names
    }


class Outcomes:
    """How requests ended since this was made."""

    def __init__(self) -> None:
        self._before = outcomes()

    def all(self) -> dict[str, float]:
        changes = {name: value - self._before[name] for name, value in outcomes().items()}
        return {name: change for name, change in changes.items() if change}


@pytest.fixture
def counted() -> Outcomes:
    return Outcomes()


async def whole(requests: Requests, content: bytes = CONTENT, remaining_s: float | None = None) -> float:
    with requests.admit(content, CallContext(remaining_s)) as work:
        image = await work.decode()
        return await work.run(requests.batcher, image, bucket=image.shape, pixels=image.size)


@pytest.mark.parametrize("remaining_s, allowed_s", [(None, 20), (3600.0, 20), (5.0, 5), (0.0, 0)])
async def test_deadline_is_the_callers_but_never_later_than_the_servers(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor, remaining_s: float | None, allowed_s: float
) -> None:
    async with started(runtime, pool) as requests:
        before = monotonic()
        with requests.admit(CONTENT, CallContext(remaining_s)) as work:
            assert before + allowed_s <= work.deadline <= monotonic() + allowed_s


async def test_good_request(runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes) -> None:
    async with started(runtime, pool) as requests:
        assert await whole(requests) == 50
        assert requests.batcher._inflight == 0
    assert counted.all() == {"ok": 1}


async def test_stage_times_are_kept(runtime: BrightnessRuntime, pool: ThreadPoolExecutor) -> None:
    async with started(runtime, pool) as requests:
        with requests.admit(CONTENT, CallContext()) as work:
            image = await work.decode()
            await work.run(requests.batcher, image, bucket=0, pixels=1)
            assert await work.finish(sorted, [2, 1], reverse=True) == [2, 1]
    timings = work.timings
    assert timings.infer_s == 0.001
    assert min(timings.queue_s, timings.decode_s, timings.postprocess_s) > 0
    assert (timings.batch_size, timings.preprocess_s) == (1, 0)


async def test_many_items_of_one_request_count_a_batch_once(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor
) -> None:
    async with started(runtime, pool) as requests:
        with requests.admit(CONTENT, CallContext()) as work:
            image = await work.decode()
            results = await work.run_all(requests.batcher, [(image + i, 0, 1) for i in range(10)])
            assert await work.run_all(requests.batcher, []) == []
    assert results == [50 + i for i in range(10)]
    assert runtime.batches < 10
    assert round(work.timings.infer_s / 0.001) == runtime.batches
    assert 2 <= work.timings.batch_size <= 4


@pytest.mark.parametrize(
    "content, error",
    [(b"", UnsupportedMedia), (b"text", UnsupportedMedia), (CONTENT[:45], UnreadableImage)],
    ids=["empty", "text", "truncated"],
)
async def test_bad_image(
    runtime: BrightnessRuntime,
    pool: ThreadPoolExecutor,
    counted: Outcomes,
    content: bytes,
    error: type[Exception],
) -> None:
    async with started(runtime, pool) as requests:
        with pytest.raises(error):
            await whole(requests, content)
        assert requests.batcher._inflight == 0
    assert counted.all() == {"invalid": 1}
    assert runtime.items == 0


async def test_request_without_an_image(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes
) -> None:
    """Admitted by what it says it is large; there is nothing to decode."""
    async with started(runtime, pool) as requests:
        with requests.admit(None, CallContext(5.0), pixels=1234) as work:
            assert requests.batcher._inflight_pixels == 1234
            assert await work.finish(sorted, [2, 1]) == [1, 2]
            item = np.full((2, 2, 3), 9, dtype=np.uint8)
            assert await work.run(requests.batcher, item, bucket=0, pixels=4) == 9
        assert requests.batcher._inflight_pixels == requests.batcher._on_their_way == 0
    assert counted.all() == {"ok": 1}


async def test_several_results_of_one_image_count_as_often(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor
) -> None:
    async with started(runtime, pool) as requests:
        with requests.admit(CONTENT, CallContext(), times=3, pixels=7):
            assert requests.batcher._inflight_pixels == 3 * 64
            requests.batcher.limits = BatchLimits(max_inflight_pixels=3 * 64 + 100)
            with (
                pytest.raises(Overloaded, match="limit of 292 pixels"),
                requests.admit(CONTENT, CallContext(), times=2),
            ):
                pass
        assert requests.batcher._inflight_pixels == 0


async def test_what_another_batcher_runs_disturbs_neither_s_count(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor
) -> None:
    """Admission is with one batcher; a request may run on others of the server alone."""
    async with started(runtime, pool) as requests, started(BrightnessRuntime(), pool) as others:
        for _ in range(3):
            with requests.admit(CONTENT, CallContext()) as work:
                assert requests.batcher._on_their_way == 1
                image = await work.decode()
                assert await work.run(others.batcher, image, bucket=0, pixels=1) == 50
        assert requests.batcher._on_their_way == others.batcher._on_their_way == 0


async def test_no_room(runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes) -> None:
    async with started(runtime, pool, max_inflight=1) as requests:
        with requests.admit(CONTENT, CallContext()):
            with pytest.raises(Overloaded):
                await whole(requests)
            with pytest.raises(UnsupportedMedia):  # what is bad anyway is told so, full or not
                await whole(requests, b"text")
        await whole(requests)
    assert counted.all() == {"rejected": 1, "invalid": 1, "ok": 2}


async def test_deadline_passed_before_decoding(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes
) -> None:
    async with started(runtime, pool) as requests:
        with pytest.raises(DeadlineExceeded):
            await whole(requests, remaining_s=-1.0)
    assert counted.all() == {"deadline": 1}
    assert runtime.items == 0


async def test_failing_model(runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes) -> None:
    def act(batch: object) -> None:
        raise ValueError("no")

    runtime.act = act
    async with started(runtime, pool) as requests:
        with pytest.raises(ModelFailed):
            await whole(requests)
        with pytest.raises(ModelFailed), requests.admit(CONTENT, CallContext()) as work:
            image = await work.decode()
            await work.run_all(requests.batcher, [(image, 0, 1)] * 3)
    assert counted.all() == {"error": 2}


async def test_bug_in_the_servicer(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes
) -> None:
    async with started(runtime, pool) as requests:
        with pytest.raises(ZeroDivisionError), requests.admit(CONTENT, CallContext()):
            raise ZeroDivisionError
        assert requests.batcher._inflight == 0
    assert counted.all() == {"error": 1}


async def test_cancelled_request_frees_its_room(
    runtime: BrightnessRuntime, pool: ThreadPoolExecutor, counted: Outcomes
) -> None:
    async with started(runtime, pool) as requests:
        runtime.gate.clear()
        running = asyncio.create_task(whole(requests))
        assert await asyncio.to_thread(runtime.running.wait, 20)
        assert requests.batcher._inflight == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert requests.batcher._inflight == 0
        runtime.gate.set()
        assert await whole(requests) == 50  # the owner thread took no harm
    assert counted.all() == {"cancelled": 1, "ok": 1}


def test_timings_on_the_wire() -> None:
    message = timings_message(
        StageTimings(
            queue_s=1e-9,
            decode_s=0.5,
            preprocess_s=0.25,
            infer_s=2,
            postprocess_s=0,
            batch_size=3,
            batch_id=9,
        )
    )
    assert (message.queue_ns, message.decode_ns, message.preprocess_ns) == (1, 500_000_000, 250_000_000)
    assert (message.infer_ns, message.postprocess_ns, message.batch_size) == (2_000_000_000, 0, 3)
