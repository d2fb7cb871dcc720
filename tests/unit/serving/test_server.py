"""A model server's life, over real gRPC, around a runtime without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from interplay import errors
from interplay.rpc.clients import ModelServerClient, channel_options, connection_options
from interplay.rpc.common.v1 import models_pb2
from interplay.rpc.status import error_from_rpc
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2_grpc as pb_grpc
from interplay.serving.server import MODEL_SERVICE, ModelServer, Service, _serve, server_options
from interplay.settings import MAX_MESSAGE_BYTES
from tests.unit.serving.echo_capability import (
    CAPABILITY,
    MANIFEST,
    BrightnessRuntime,
    ThreadDeath,
    make_server,
    photo_request,
    running_server,
    server_settings,
)

SERVICES = ("", CAPABILITY.grpc_service, MODEL_SERVICE)


@pytest.fixture
def runtime() -> BrightnessRuntime:
    return BrightnessRuntime()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def health(client: ModelServerClient, service: str) -> str:
    reply = await client.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)


async def presence(client: ModelServerClient, value: int = 100) -> pb.PresenceResponse:
    return await client.call(client.stub.Presence, photo_request(value))


def plain_channel(server: ModelServer) -> grpc.aio.Channel:
    """A channel that heeds neither health nor size limits."""
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{server.port}", options=[("grpc.max_send_message_length", -1)]
    )


async def raw_presence(client: ModelServerClient) -> pb.PresenceResponse:
    """One attempt, without the client's patience."""
    try:
        return await client.stub.Presence(photo_request(), timeout=20)
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error) from error


async def call_in_flight(
    client: ModelServerClient, runtime: BrightnessRuntime
) -> asyncio.Task[pb.PresenceResponse]:
    """A call that the runtime holds until ``runtime.gate`` is set."""
    runtime.gate.clear()
    call = asyncio.create_task(raw_presence(client))
    await until(runtime.running.is_set)
    return call


async def test_answers_with_timings(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (_, client):
        answer = await presence(client, 77)
    assert (answer.mean_brightness, answer.width, answer.height) == (77, 8, 8)
    assert answer.model.name == MANIFEST.name
    assert answer.timings.infer_ns == 1_000_000
    assert answer.timings.decode_ns > 0
    assert answer.timings.batch_size == 1


async def test_serving_only_after_loading(runtime: BrightnessRuntime) -> None:
    runtime.load_gate.clear()
    server = make_server(runtime)
    starting = asyncio.create_task(server.start())
    await until(lambda: server.port)
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{server.port}")
    for service in SERVICES:
        assert await health(client, service) == "NOT_SERVING"
    assert not starting.done()
    runtime.load_gate.set()
    await starting
    for service in SERVICES:
        assert await health(client, service) == "SERVING"
    await client.close()
    await server.stop(drain=False)


async def test_failed_loading_is_raised(runtime: BrightnessRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise errors.InternalError("the weights do not match")

    monkeypatch.setattr(runtime, "load", load)
    server = make_server(runtime)
    with pytest.raises(errors.InternalError, match="weights"):
        await server.start()
    await server.stop(drain=False)


async def test_unknown_health_service_is_not_found(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (_, client):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(client, "unknown.Service")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def serve(server: ModelServer, stop: asyncio.Event) -> int:
    await server.start()
    return await server.run_until(stop)


async def test_stop_finishes_calls_in_flight(runtime: BrightnessRuntime) -> None:
    server, stop = make_server(runtime, max_inflight=8), asyncio.Event()
    serving = asyncio.create_task(serve(server, stop))
    await until(lambda: server.port)
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{server.port}")
    await until_serving(client)
    calls = [await call_in_flight(client, runtime)]
    calls += [asyncio.create_task(presence(client, value)) for value in (1, 2, 3)]
    await until(lambda: server._service.batchers[0]._inflight == 4)
    stop.set()
    await asyncio.sleep(1.0)  # draining, with the four still held
    assert not serving.done()
    runtime.gate.set()
    assert sorted([(await call).mean_brightness for call in calls]) == [1, 2, 3, 100]
    assert await asyncio.wait_for(serving, 30) == 0
    assert runtime.items == 4
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.stub.Presence(photo_request(), timeout=5)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    await client.close()


async def test_what_the_servicer_holds_open_is_closed_last(runtime: BrightnessRuntime) -> None:
    """Once, after the calls in flight and after the models, which both may need it."""
    seen: list[tuple[bool, int]] = []

    async def close() -> None:
        seen.append((server._service.batchers[0].alive, runtime.items))

    server = make_server(runtime, close=close)
    await server.start()
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{server.port}")
    call = await call_in_flight(client, runtime)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.5)
    assert seen == []
    runtime.gate.set()
    assert (await call).mean_brightness == 100
    await stopping
    assert seen == [(False, 1)]
    await client.close()


async def test_a_service_that_cannot_be_built_ends_the_process_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def build(*_: object) -> Service:
        raise errors.NotFound("no model 'brightness' in the store")

    assert await _serve(CAPABILITY, server_settings(), build) == 1
    (record,) = [record for record in caplog.records if record.message == "start_failed"]
    assert record.__dict__["reason"] == "no model 'brightness' in the store"


async def until_serving(client: ModelServerClient) -> None:
    async with asyncio.timeout(30):
        while not await client.is_serving():
            await asyncio.sleep(0.02)


async def test_drain_delay_serves_on_as_not_serving(runtime: BrightnessRuntime) -> None:
    async with (
        running_server(runtime, drain_delay_s=1.0) as (server, client),
        plain_channel(server) as channel,
    ):
        stopping = asyncio.create_task(server.stop())
        async with asyncio.timeout(10):
            while await client.is_serving():
                await asyncio.sleep(0.01)
        stub = pb_grpc.TextDetectionServiceStub(channel)
        assert (await stub.Presence(photo_request(9), timeout=10)).mean_brightness == 9
        await stopping


async def test_grace_ends_calls_that_take_too_long(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime, drain_grace_s=0.2) as (server, client):
        call = await call_in_flight(client, runtime)
        stopping = asyncio.create_task(server.stop())
        with pytest.raises(errors.InterplayError):
            await asyncio.wait_for(call, 30)
        runtime.gate.set()
        await asyncio.wait_for(stopping, 30)


async def test_replacement_in_good_order_loses_no_call(free_port: int) -> None:
    """The next server takes over the port; callers notice nothing."""
    runtime = BrightnessRuntime()
    server = make_server(runtime, port=free_port)
    await server.start()
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{free_port}")
    done = asyncio.Event()

    async def caller(value: int) -> int:
        calls = 0
        while not done.is_set():
            assert (await presence(client, value)).mean_brightness == value
            calls += 1
        return calls

    callers = [asyncio.create_task(caller(value)) for value in range(3)]
    await until(lambda: runtime.items > 10)
    await server.stop()
    successor_runtime = BrightnessRuntime()
    successor = make_server(successor_runtime, port=free_port)
    await successor.start()
    await until(lambda: successor_runtime.items > 10 or any(c.done() for c in callers))
    done.set()
    calls = await asyncio.gather(*callers)
    assert sum(calls) == runtime.items + successor_runtime.items
    await client.close()
    await successor.stop(drain=False)


async def test_server_that_vanished_is_reported_at_once(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (server, client):
        await presence(client)
        await server._server.stop(0)  # as a kill: no NOT_SERVING
        with pytest.raises(errors.Unavailable) as caught:
            await presence(client)
        assert caught.value.retry_after_s


async def test_dead_owner_thread_ends_the_server(runtime: BrightnessRuntime) -> None:
    server, stop = make_server(runtime), asyncio.Event()
    serving = asyncio.create_task(serve(server, stop))
    await until(lambda: server.port)
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{server.port}")
    await until_serving(client)

    def die(batch: object) -> None:
        raise ThreadDeath

    runtime.act = die
    with pytest.raises(errors.InterplayError):
        await raw_presence(client)
    assert await asyncio.wait_for(serving, 30) == 1
    assert not await client.is_serving()
    await client.close()


async def test_not_serving_once_the_owner_thread_is_dead(
    runtime: BrightnessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks between the thread's death and the process's end is told so."""
    server = make_server(runtime)
    await server.start()
    asked: list[str] = []
    client = ModelServerClient(CAPABILITY, f"127.0.0.1:{server.port}")
    stop_grpc = server._server.stop

    async def ask_and_stop(grace: float | None) -> None:
        asked.extend([await health(client, service) for service in SERVICES])
        await stop_grpc(grace)

    monkeypatch.setattr(server._server, "stop", ask_and_stop)

    def die(batch: object) -> None:
        raise ThreadDeath

    runtime.act = die
    running = asyncio.create_task(server.run_until(asyncio.Event()))
    with pytest.raises(errors.InterplayError):
        await raw_presence(client)
    assert await asyncio.wait_for(running, 30) == 1
    assert asked == ["NOT_SERVING"] * 3
    await client.close()


async def test_surplus_is_refused_at_once_with_a_retry_hint(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime, max_inflight=2) as (server, client):
        first = await call_in_flight(client, runtime)
        second = asyncio.create_task(presence(client))
        await until(lambda: server._service.batchers[0]._inflight == 2)
        with pytest.raises(errors.Overloaded) as caught:  # although nothing moves
            await presence(client)
        refusal = caught.value
        assert refusal.retry_after_s
        assert refusal.metadata["limit"] == "2 requests"
        runtime.gate.set()
        await asyncio.gather(first, second)
        assert (await presence(client, 5)).mean_brightness == 5


async def test_expired_work_is_never_run(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (server, client):
        first = await call_in_flight(client, runtime)
        with pytest.raises(errors.DeadlineExceeded):
            await client.call(client.stub.Presence, photo_request(), timeout_s=0.2)
        await until(lambda: server._service.batchers[0]._inflight == 1)
        runtime.gate.set()
        await first
        await presence(client)
        assert runtime.items == 2


async def test_long_deadlines_are_cut(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime, max_deadline_s=0.2) as (_, client):
        first = await call_in_flight(client, runtime)
        second = asyncio.create_task(client.call(client.stub.Presence, photo_request(), timeout_s=3600))
        await asyncio.sleep(0.4)
        runtime.gate.set()
        with pytest.raises(errors.DeadlineExceeded):
            await second
        with pytest.raises(errors.DeadlineExceeded):
            await first  # its answer making came after the time, too


async def test_bad_image_does_not_reach_the_model(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (_, client):
        request = pb.PresenceRequest()
        request.image.content = b"GIF89a"
        with pytest.raises(errors.UnsupportedMedia):
            await client.call(client.stub.Presence, request)
        truncated = photo_request(size=(64, 64))
        truncated.image.content = truncated.image.content[:60]
        with pytest.raises(errors.UnreadableImage):
            await client.call(client.stub.Presence, truncated)
    assert runtime.items == 0


async def test_bulk_over_the_wire(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (_, client):

        async def requests() -> object:
            for number in range(20):
                yield pb.ProcessBulkRequest(id=str(number), presence=photo_request(number))
            yield pb.ProcessBulkRequest(id="bad", presence=pb.PresenceRequest())

        answers = {answer.id: answer async for answer in client.stub.ProcessBulk(requests(), timeout=30)}
    assert answers.pop("bad").error.reason == "UNSUPPORTED_MEDIA"
    assert {id: a.presence.mean_brightness for id, a in answers.items()} == {str(i): i for i in range(20)}


async def test_abandoned_bulk_stream_leaves_no_work(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (server, client):
        runtime.gate.clear()
        stream = client.stub.ProcessBulk(timeout=30)
        for number in range(3):
            await stream.write(pb.ProcessBulkRequest(id=str(number), presence=photo_request(number)))
        batcher = server._service.batchers[0]
        await until(lambda: batcher._inflight == 3)
        stream.cancel()
        await until(lambda: batcher._inflight == 0)
        runtime.gate.set()
        assert (await presence(client, 8)).mean_brightness == 8


async def test_reflection_lists_the_services(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (server, _), plain_channel(server) as channel:
        stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=10)
        await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        reply = await stream.read()
        stream.cancel()
    names = {service.name for service in reply.list_services_response.service}
    assert {CAPABILITY.grpc_service, MODEL_SERVICE, "grpc.health.v1.Health"} <= names


async def test_reflection_can_be_off(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime, reflection=False) as (server, _), plain_channel(server) as channel:
        stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_models_are_listed_with_their_limits(runtime: BrightnessRuntime) -> None:
    limits = {
        "max_image_bytes": 1_000_000,
        "max_image_pixels": 2_000_000,
        "max_batch_items": 3,
        "max_batch_pixels": 4_000_000,
        "max_inflight": 5,
        "max_deadline_s": 6.5,
    }
    async with running_server(runtime, **limits) as (_, client):
        reply = await client.call(client.models.ListModels, models_pb2.ListModelsRequest())
    (model,) = reply.models
    assert (model.info.name, model.info.version) == ("brightness", "3")
    assert model.info.digest == f"sha256:{'ab' * 32}"
    assert (model.capability, model.device, model.dtype, model.runtime) == (
        "text_detection",
        "cpu",
        "float32",
        "in_process",
    )
    assert (model.description, model.license) == ("Mean of the pixels", "MIT")
    assert dict(model.thresholds) == {"pixel": 0.5}
    assert list(model.labels) == ["dark", "bright"]
    assert {name: getattr(model.limits, name) for name in limits} == limits
    assert model.limits.max_message_bytes == MAX_MESSAGE_BYTES


async def test_server_refuses_larger_messages_itself(runtime: BrightnessRuntime) -> None:
    """Whatever limit the client has."""
    request = pb.PresenceRequest()
    request.image.content = bytes(MAX_MESSAGE_BYTES)
    async with running_server(runtime) as (server, _), plain_channel(server) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.TextDetectionServiceStub(channel).Presence(request, timeout=30)
    error = error_from_rpc(caught.value)
    assert isinstance(error, errors.PayloadTooLarge)
    assert "message" in error.message


async def test_second_server_on_the_same_port_is_an_error(runtime: BrightnessRuntime) -> None:
    async with running_server(runtime) as (server, _):
        other = make_server(BrightnessRuntime(), port=server.port)
        with pytest.raises(RuntimeError, match="bind"):
            await other.start()


def test_grpc_knows_every_option() -> None:
    """gRPC says nothing of an argument whose name it does not know."""
    library = Path(cygrpc.__file__).read_bytes()
    options = (*server_options(server_settings()), *connection_options(), *channel_options(CAPABILITY))
    for name, _ in options:
        assert name.encode() in library, name
