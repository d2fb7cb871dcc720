"""Both clients against real servers: deadlines, retries, balancing, health, sizes, request id, bulk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
from opentelemetry import trace

from interplay import errors
from interplay.rpc.clients import ModelServerClient, SyncModelServerClient, call_metadata
from interplay.rpc.common.v1 import index_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.settings import MAX_MESSAGE_BYTES
from interplay.telemetry.context import set_request_id
from tests.scripted_service import CAPABILITY, ScriptedService, scripted_server


@asynccontextmanager
async def client_of(*services: ScriptedService, target: str = "") -> AsyncIterator[ModelServerClient]:
    if services:
        target = "ipv4:" + ",".join(service.address for service in services)
    client = ModelServerClient(CAPABILITY, target, default_timeout_s=20)
    try:
        yield client
    finally:
        await client.close()


async def presence(client: ModelServerClient, size: int = 3, **kwargs: float) -> pb.PresenceResponse:
    request = pb.PresenceRequest()
    request.image.content = b"x" * size
    return await client.call(client.stub.Presence, request, **kwargs)


async def wait_forever(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
    await asyncio.Event().wait()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_answers() -> None:
    async with scripted_server() as service, client_of(service) as client:
        assert (await presence(client, 5)).width == 5


async def test_deadline_ends_a_call() -> None:
    async with scripted_server(wait_forever) as service, client_of(service) as client:
        with pytest.raises(errors.DeadlineExceeded):
            await presence(client, timeout_s=0.3)


async def test_no_time_left_is_a_deadline_and_not_the_default() -> None:
    async with scripted_server() as service, client_of(service) as client:
        with pytest.raises(errors.DeadlineExceeded):
            await presence(client, timeout_s=0)
    assert service.calls == []


async def test_default_deadline_reaches_the_server() -> None:
    remaining: list[float | None] = []

    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        remaining.append(context.time_remaining())

    async with scripted_server(act) as service, client_of(service) as client:
        await presence(client)
    assert remaining[0] is not None
    assert 0 < remaining[0] <= 20


async def test_down_server_is_unavailable_with_a_retry_hint(free_port: int) -> None:
    async with client_of(target=f"127.0.0.1:{free_port}") as client:
        assert not await client.is_serving()
        with pytest.raises(errors.Unavailable) as caught:
            await presence(client)
    assert caught.value.retry_after_s
    assert str(free_port) not in caught.value.message  # clients need no map of the inside


async def test_comes_back_by_itself_after_a_restart(free_port: int) -> None:
    async with client_of(target=f"127.0.0.1:{free_port}") as client:
        async with scripted_server(port=free_port):
            await presence(client)
        with pytest.raises(errors.Unavailable):
            await presence(client)
        async with scripted_server(port=free_port), asyncio.timeout(30):
            while True:
                try:
                    await presence(client)
                    break
                except errors.Unavailable:
                    await asyncio.sleep(0.1)


async def test_request_id_and_trace_context_arrive_as_metadata() -> None:
    context = trace.SpanContext(
        trace_id=0xABC, span_id=0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    async with scripted_server() as service, client_of(service) as client:
        set_request_id("request-7")
        with trace.use_span(trace.NonRecordingSpan(context)):
            await presence(client)
        set_request_id("")
        await presence(client)
    first, second = service.calls
    assert first["x-request-id"] == "request-7"
    assert first["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"
    assert "x-request-id" not in second
    assert "traceparent" not in second


def test_no_metadata_outside_a_request() -> None:
    assert call_metadata() == ()


async def test_calls_are_spread_over_servers() -> None:
    async with scripted_server() as one, scripted_server() as two, client_of(one, two) as client:
        await until_both_called(client, one, two)
        before = len(one.calls), len(two.calls)
        for _ in range(10):
            await presence(client)
        assert (len(one.calls) - before[0], len(two.calls) - before[1]) == (5, 5)


async def until_both_called(client: ModelServerClient, *services: ScriptedService) -> None:
    async with asyncio.timeout(20):
        while not all(service.calls for service in services):
            await presence(client)
            await asyncio.sleep(0.02)


async def test_server_that_stops_serving_is_left_out_and_taken_back() -> None:
    async with scripted_server() as one, scripted_server() as two, client_of(one, two) as client:
        await until_both_called(client, one, two)
        await two.set_serving(False)
        async with asyncio.timeout(20):  # health is pushed, so it takes a moment
            while True:
                before = len(two.calls)
                for _ in range(6):
                    await presence(client)
                if len(two.calls) == before:
                    break
        two.calls.clear()
        await two.set_serving(True)
        await until_both_called(client, one, two)


async def test_no_serving_server_is_unavailable() -> None:
    async with scripted_server(serving=False) as service, client_of(service) as client:
        assert not await client.is_serving()
        with pytest.raises(errors.Unavailable):
            await presence(client)
        assert service.calls == []
        await service.set_serving(True)
        assert await client.is_serving()


async def test_unavailable_is_tried_again() -> None:
    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        if len(service.calls) < 3:
            raise errors.Unavailable("a moment")

    async with scripted_server(act) as service, client_of(service) as client:
        await presence(client)
        assert len(service.calls) == 3
        service.calls.clear()
        await client.call(client.indexes.DropIndex, index_pb2.DropIndexRequest(name="photos"))
    assert len(service.calls) == 3


@pytest.mark.parametrize("error", [errors.Overloaded, errors.InternalError, errors.Conflict])
async def test_nothing_else_is_tried_again(error: type[errors.InterplayError]) -> None:
    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        raise error("no")

    async with scripted_server(act) as service, client_of(service) as client:
        with pytest.raises(error):
            await presence(client)
    assert len(service.calls) == 1


async def test_largest_image_passes_and_a_larger_message_is_refused() -> None:
    async with scripted_server() as service, client_of(service) as client:
        assert (await presence(client, MAX_MESSAGE_BYTES - 1024)).width == MAX_MESSAGE_BYTES - 1024
        with pytest.raises(errors.PayloadTooLarge, match="too large"):
            await presence(client, MAX_MESSAGE_BYTES)
    assert len(service.calls) == 1


async def test_call_in_flight_ends_when_the_client_closes() -> None:
    async with scripted_server(wait_forever) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        call = asyncio.create_task(presence(client))
        await until(lambda: service.calls)
        await client.close()
        with pytest.raises((errors.InterplayError, asyncio.CancelledError)):
            await call


async def test_blocking_client() -> None:
    """Everything once; the rest is the channel's, which both clients configure alike."""

    def use(client: SyncModelServerClient) -> None:
        set_request_id("request-8")
        assert client.is_serving()
        assert client.call(client.stub.Presence, pb.PresenceRequest()).mean_probability == 0.5
        with pytest.raises(errors.DeadlineExceeded):
            client.call(client.stub.Presence, pb.PresenceRequest(), timeout_s=0)
        with pytest.raises(errors.PayloadTooLarge):
            request = pb.PresenceRequest()
            request.image.content = b"x" * MAX_MESSAGE_BYTES
            client.call(client.stub.Presence, request)

    async with scripted_server() as service:
        client = SyncModelServerClient(CAPABILITY, service.address)
        await asyncio.to_thread(use, client)
        assert service.calls[0]["x-request-id"] == "request-8"
        await service.set_serving(False)
        assert not await asyncio.to_thread(client.is_serving)
        client.close()


async def test_blocking_client_of_a_down_server(free_port: int) -> None:
    client = SyncModelServerClient(CAPABILITY, f"127.0.0.1:{free_port}")
    assert not client.is_serving()
    with pytest.raises(errors.Unavailable) as caught:
        client.call(client.stub.Presence, pb.PresenceRequest())
    assert caught.value.retry_after_s
    with pytest.raises(errors.Unavailable):
        list(client.bulk([pb.ProcessBulkRequest(id="a")]))
    client.close()


async def test_bulk_yields_an_answer_per_item() -> None:
    async with scripted_server() as service:
        client = SyncModelServerClient(CAPABILITY, service.address)
        requests = [pb.ProcessBulkRequest(id=str(i), presence=pb.PresenceRequest()) for i in range(50)]
        answers = await asyncio.to_thread(lambda: list(client.bulk(requests)))
        client.close()
    assert [answer.id for answer in answers] == [str(i) for i in range(50)]
    assert service.bulk_ended == 1


async def test_bulk_raises_what_broke_the_stream() -> None:
    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        raise errors.PermissionDenied("not you")

    async with scripted_server(act) as service:
        client = SyncModelServerClient(CAPABILITY, service.address)
        with pytest.raises(errors.PermissionDenied, match="not you"):
            await asyncio.to_thread(lambda: list(client.bulk([pb.ProcessBulkRequest(id="a")])))
        client.close()


async def test_bulk_that_is_left_early_ends_on_the_server() -> None:
    stop = threading.Event()

    def endless() -> Iterator[pb.ProcessBulkRequest]:
        while not stop.is_set():
            yield pb.ProcessBulkRequest(id="a")

    def take_one() -> None:
        answers = client.bulk(endless())
        next(answers)
        answers.close()  # type: ignore[attr-defined]

    async with scripted_server() as service:
        client = SyncModelServerClient(CAPABILITY, service.address)
        await asyncio.to_thread(take_one)
        await until(lambda: service.bulk_ended)
        stop.set()
        client.close()
