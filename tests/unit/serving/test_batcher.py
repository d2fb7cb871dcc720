"""The batcher resolves every future, whatever happens. Runs on a real thread, without torch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from time import monotonic

import pytest

from interplay.errors import DeadlineExceeded, InvalidInput, ModelFailed, Overloaded, Unavailable
from interplay.predictors.batch import BatchOutput
from interplay.serving.batcher import CPU_BATCH_PIXELS, GPU_BATCH_PIXELS, Batcher, BatchLimits
from interplay.store import Manifest

MANIFEST = Manifest(
    name="echo",
    version=1,
    capability="test",
    architecture="echo",
    description="",
    license="MIT",
    parameters=0,
)


class EchoRuntime:
    """Returns its items doubled; ``gate`` holds it back, ``act`` may raise."""

    kind = "in_process"
    manifest = MANIFEST
    device = "cpu"
    dtype = "float32"
    load_s = 0.0

    def __init__(self, act: Callable[[Sequence[int]], None] = lambda batch: None) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.act = act
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.running = threading.Event()

    def load(self) -> None:
        self.threads.add(threading.get_ident())

    def run(self, batch: Sequence[int], *, deadline: float = 0.0) -> BatchOutput[int]:
        self.threads.add(threading.get_ident())
        self.running.set()
        assert self.gate.wait(10)
        self.batches.append(list(batch))
        self.act(batch)
        return BatchOutput(results=[item * 2 for item in batch], infer_s=0.001)


def limits(**changes: float) -> BatchLimits:
    return BatchLimits(**{"max_batch_items": 4, "max_batch_pixels": 100, "max_inflight": 8, **changes})  # type: ignore[arg-type]


def later(seconds: float = 10.0) -> float:
    return monotonic() + seconds


async def submit(
    batcher: Batcher[int, int], item: int, *, bucket: str = "a", pixels: int = 1, s: float = 10
) -> int:
    result, _ = await batcher.submit(item, bucket=bucket, pixels=pixels, deadline=later(s))
    return result


async def hold(batcher: Batcher[int, int], runtime: EchoRuntime) -> asyncio.Task[int]:
    """Occupy the owner thread with item 0, so that what follows has to queue."""
    runtime.gate.clear()
    task = asyncio.create_task(submit(batcher, 0))
    await asyncio.to_thread(runtime.running.wait, 5)
    return task


async def test_groups_by_bucket_within_item_and_pixel_limits() -> None:
    runtime = EchoRuntime()
    batcher = Batcher("echo", runtime, limits())
    await batcher.start()
    first = await hold(batcher, runtime)
    tasks = [asyncio.create_task(submit(batcher, i, bucket="a" if i % 2 else "b")) for i in range(1, 11)]
    tasks += [asyncio.create_task(submit(batcher, i, bucket="large", pixels=60)) for i in (20, 21)]
    await asyncio.sleep(0)
    runtime.gate.set()
    assert await first == 0
    assert await asyncio.gather(*tasks) == [i * 2 for i in range(1, 11)] + [40, 42]
    assert runtime.batches == [[0], [1, 3, 5, 7], [2, 4, 6, 8], [9], [10], [20], [21]]
    assert len(runtime.threads) == 1 and threading.get_ident() not in runtime.threads
    await batcher.close()


async def test_an_item_above_the_pixel_limit_runs_alone() -> None:
    runtime = EchoRuntime()
    batcher = Batcher("echo", runtime, limits())
    await batcher.start()
    assert await submit(batcher, 5, pixels=10_000) == 10
    await batcher.close()


async def test_expired_and_cancelled_items_are_dropped_before_inference() -> None:
    runtime = EchoRuntime()
    batcher = Batcher("echo", runtime, limits())
    await batcher.start()
    first = await hold(batcher, runtime)
    expired = asyncio.create_task(submit(batcher, 1, s=-1))
    cancelled = asyncio.create_task(submit(batcher, 2))
    kept = asyncio.create_task(submit(batcher, 3))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    await asyncio.sleep(0)
    runtime.gate.set()
    assert await kept == 6 and await first == 0
    with pytest.raises(DeadlineExceeded, match="past the deadline"):
        await expired
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        await cancelled
    assert runtime.batches == [[0], [3]]
    await batcher.close()


async def test_a_cancel_storm_leaves_a_working_batcher() -> None:
    runtime = EchoRuntime()
    batcher = Batcher("echo", runtime, limits(max_inflight=1000))
    await batcher.start()
    first = await hold(batcher, runtime)
    tasks = [asyncio.create_task(submit(batcher, i)) for i in range(1, 200)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(0.05)
    runtime.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await first == 0
    assert await submit(batcher, 7) == 14
    assert sum(map(len, runtime.batches)) == 2
    await batcher.close()


async def test_a_bad_item_fails_alone() -> None:
    def act(batch: Sequence[int]) -> None:
        if 3 in batch:
            raise ValueError("three")

    runtime = EchoRuntime(act)
    batcher = Batcher("echo", runtime, limits())
    await batcher.start()
    first = await hold(batcher, runtime)
    tasks = [asyncio.create_task(submit(batcher, i)) for i in (1, 2, 3, 4)]
    await asyncio.sleep(0.01)
    runtime.gate.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert results[:3] == [0, 2, 4] and results[4] == 8
    assert isinstance(results[3], ModelFailed) and "three" not in results[3].message
    assert batcher.alive
    await batcher.close()


async def test_per_item_errors_of_the_runtime_reach_their_item_only() -> None:
    class Picky(EchoRuntime):
        def run(self, batch: Sequence[int], *, deadline: float = 0.0) -> BatchOutput[int]:
            return BatchOutput(results=[InvalidInput("odd") if item % 2 else item for item in batch])

    batcher = Batcher("echo", Picky(), limits())
    await batcher.start()
    assert await submit(batcher, 2) == 2
    with pytest.raises(InvalidInput, match="odd"):
        await submit(batcher, 3)
    await batcher.close()


async def test_a_runtime_that_cannot_work_fails_the_batch_at_once_and_knows_its_deadline() -> None:
    deadlines = []

    class Away(EchoRuntime):
        def run(self, batch: Sequence[int], *, deadline: float = 0.0) -> BatchOutput[int]:
            deadlines.append(deadline)
            if 0 not in batch:
                raise Unavailable("the other machine is away", retry_after_s=1.0)
            return super().run(batch)

    runtime = Away()
    batcher = Batcher("echo", runtime, limits())
    await batcher.start()
    first = await hold(batcher, runtime)
    tasks = [asyncio.create_task(submit(batcher, i, s=10 * i)) for i in (1, 2, 3)]
    await asyncio.sleep(0.01)
    runtime.gate.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert results[0] == 0
    assert all(isinstance(r, Unavailable) and "is away" in r.message for r in results[1:])
    assert len(deadlines) == 2  # nobody asked for single items
    assert 25 < deadlines[1] - monotonic() < 30  # of the item that has the longest
    assert batcher.alive
    await batcher.close()


async def test_a_wrong_number_of_results_fails_the_batch_not_the_thread() -> None:
    class Short(EchoRuntime):
        def run(self, batch: Sequence[int], *, deadline: float = 0.0) -> BatchOutput[int]:
            return BatchOutput(results=[])

    batcher = Batcher("echo", Short(), limits())
    await batcher.start()
    with pytest.raises(ModelFailed):
        await submit(batcher, 1)
    assert batcher.alive
    await batcher.close()


async def test_admission_refuses_at_once_with_a_retry_hint_and_gives_room_back() -> None:
    batcher = Batcher("echo", EchoRuntime(), limits(max_inflight=2, max_inflight_pixels=100))
    await batcher.start()
    with batcher.admit(10), batcher.admit(10):
        with pytest.raises(Overloaded, match="limit of 2 requests") as caught, batcher.admit(10):
            pass
        assert caught.value.retry_after_s is not None and caught.value.retry_after_s > 0
    with batcher.admit(60), pytest.raises(Overloaded, match="100 pixels"), batcher.admit(60):
        pass
    with batcher.admit(5000):
        pass
    assert await submit(batcher, 1) == 2
    await batcher.close()


async def test_a_batch_waits_only_for_admitted_requests_on_their_way() -> None:
    runtime = EchoRuntime()
    batcher = Batcher("echo", runtime, limits(max_delay_s=5.0))
    await batcher.start()
    with batcher.admit(1) as one:  # nobody else is on the way: no delay although 5 s are allowed
        await batcher.submit(1, bucket="a", pixels=1, deadline=later(1), ticket=one)
    with batcher.admit(1) as one, batcher.admit(1) as two:
        first = asyncio.create_task(batcher.submit(1, bucket="a", pixels=1, deadline=later(), ticket=one))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batcher.submit(2, bucket="a", pixels=1, deadline=later(), ticket=two))
        (_, timings), _ = await asyncio.gather(first, second)
    assert runtime.batches == [[1], [1, 2]] and timings.batch_size == 2
    await batcher.close()


async def test_close_finishes_the_queue_and_refuses_what_comes_later() -> None:
    runtime = EchoRuntime()
    batcher = Batcher("echo", runtime, limits())
    await batcher.start()
    first = await hold(batcher, runtime)
    queued = asyncio.create_task(submit(batcher, 1))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable), batcher.admit(1):
        pass
    with pytest.raises(Unavailable):
        await submit(batcher, 2)
    runtime.gate.set()
    await closing
    assert (await first, await queued) == (0, 2)


async def test_death_of_the_owner_thread_is_reported_and_resolves_everything() -> None:
    class Killer(EchoRuntime):
        def run(self, batch: Sequence[int], *, deadline: float = 0.0) -> BatchOutput[int]:
            self.running.set()
            assert self.gate.wait(10)
            raise SystemExit("the thread dies")

    deaths: list[BaseException] = []
    runtime = Killer()
    batcher = Batcher("echo", runtime, limits(), on_death=deaths.append)
    await batcher.start()
    running = await hold(batcher, runtime)
    queued = asyncio.create_task(submit(batcher, 1))
    await asyncio.sleep(0.01)
    runtime.gate.set()
    with pytest.raises(ModelFailed):
        await running
    with pytest.raises(Unavailable):
        await queued
    await batcher.close()
    assert len(deaths) == 1 and not batcher.alive
    with pytest.raises(Unavailable):
        await submit(batcher, 2)


async def test_a_failing_load_is_raised_by_start() -> None:
    class Broken(EchoRuntime):
        def load(self) -> None:
            raise FileNotFoundError("no weights")

    with pytest.raises(FileNotFoundError, match="no weights"):
        await Batcher("echo", Broken(), limits()).start()


@pytest.mark.parametrize(
    ("device", "configured", "expected"),
    [
        ("cpu", None, CPU_BATCH_PIXELS),
        ("cuda:0", None, GPU_BATCH_PIXELS),
        ("cuda:0", 70, 70),
        ("cpu", 70, 70),
    ],
)
async def test_the_pixel_budget_suits_the_device_unless_it_is_configured(
    device: str, configured: int | None, expected: int
) -> None:
    runtime = EchoRuntime()
    runtime.device = device
    runtime.gate.clear()
    batcher: Batcher[int, int] = Batcher("echo", runtime, BatchLimits(max_batch_pixels=configured))
    await batcher.start()
    assert batcher.batch_pixels == expected
    deadline = monotonic() + 20
    pixels = expected // 2 + 1  # two of them are over the budget

    async def submit(item: int) -> int:
        return (await batcher.submit(item, bucket="a", pixels=pixels, deadline=deadline))[0]

    tasks = [asyncio.create_task(submit(item)) for item in range(3)]
    while not runtime.running.is_set():
        await asyncio.sleep(0.01)
    runtime.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4]
    assert runtime.batches == [[0], [1], [2]]
    await batcher.close()
