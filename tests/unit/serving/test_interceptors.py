"""The edge: every call is counted and logged once, bugs stay inside, payloads stay out of logs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from interplay import errors
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.serving.interceptors import ActiveCalls
from interplay.telemetry.context import get_request_id, set_request_id
from tests.scripted_service import CAPABILITY, Act, ScriptedService, answer_at_once, scripted_server

SERVICE = CAPABILITY.grpc_service


class Edge:
    """What one call left behind in metrics and logs."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def count(self, method: str, code: str) -> float:
        labels = {"service": SERVICE, "method": method, "code": code}
        return REGISTRY.get_sample_value("interplay_grpc_server_handled_total", labels) or 0

    def durations(self, method: str) -> float:
        labels = {"service": SERVICE, "method": method}
        return REGISTRY.get_sample_value("interplay_grpc_server_handling_seconds_count", labels) or 0

    def calls(self) -> list[dict[str, Any]]:
        return [line for line in self.logs if line["event"] == "call"]


@pytest.fixture
def edge() -> Iterator[Edge]:
    found = Edge()
    with capture_logs() as found.logs:
        yield found


async def call(act: Act = answer_at_once, content: bytes = b"") -> ScriptedService:
    request = pb.PresenceRequest()
    request.image.content = content
    async with scripted_server(act) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        try:
            await client.call(client.stub.Presence, request)
        finally:
            await client.close()
    return service


async def test_good_call_is_counted_and_logged_once(edge: Edge) -> None:
    before = edge.count("Presence", "OK"), edge.durations("Presence")
    await call()
    assert (edge.count("Presence", "OK"), edge.durations("Presence")) == (before[0] + 1, before[1] + 1)
    (line,) = edge.calls()
    assert (line["method"], line["code"], line["log_level"]) == ("Presence", "OK", "info")
    assert line["seconds"] >= 0


async def test_expected_error_keeps_its_code_and_is_no_incident(edge: Edge) -> None:
    async def act(request: Any, context: Any) -> None:
        raise errors.PayloadTooLarge("too many pixels")

    before = edge.count("Presence", "INVALID_ARGUMENT")
    with pytest.raises(errors.PayloadTooLarge):
        await call(act)
    assert edge.count("Presence", "INVALID_ARGUMENT") == before + 1
    assert [line["code"] for line in edge.calls()] == ["INVALID_ARGUMENT"]
    assert not [line for line in edge.logs if line["log_level"] == "error"]


async def test_bug_becomes_an_internal_error_that_tells_nothing(edge: Edge) -> None:
    async def act(request: Any, context: Any) -> None:
        raise ZeroDivisionError("the password is 1234")

    before = edge.count("Presence", "INTERNAL")
    with pytest.raises(errors.InternalError) as caught:
        await call(act)
    assert type(caught.value) is errors.InternalError
    assert not re.search("1234|Zero|Traceback|line [0-9]", caught.value.message)
    assert edge.count("Presence", "INTERNAL") == before + 1
    (incident,) = [line for line in edge.logs if line["log_level"] == "error"]
    assert incident["event"] == "unexpected_error"
    assert incident["exc_info"]  # the log has the stack


async def test_payload_is_never_logged(edge: Edge) -> None:
    async def act(request: Any, context: Any) -> None:
        raise RuntimeError("bug")

    await call(content=b"private-picture")
    with pytest.raises(errors.InternalError):
        await call(act, content=b"private-picture")
    assert "private" not in str([{k: v for k, v in line.items() if k != "exc_info"} for line in edge.logs])


async def test_cancelled_call(edge: Edge) -> None:
    arrived = asyncio.Event()

    async def act(request: Any, context: Any) -> None:
        arrived.set()
        await asyncio.Event().wait()

    before = edge.count("Presence", "CANCELLED")
    async with scripted_server(act) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        running = client.stub.Presence(pb.PresenceRequest(), timeout=30)
        await arrived.wait()
        running.cancel()
        async with asyncio.timeout(20):
            while edge.count("Presence", "CANCELLED") == before:
                await asyncio.sleep(0.01)
        await client.close()
    assert [line["code"] for line in edge.calls()] == ["CANCELLED"]


async def test_stream_is_one_call(edge: Edge) -> None:
    before = edge.count("ProcessBulk", "OK")
    async with scripted_server() as service:
        client = ModelServerClient(CAPABILITY, service.address)
        stream = client.stub.ProcessBulk(timeout=30)
        for number in range(3):
            await stream.write(pb.ProcessBulkRequest(id=str(number)))
        await stream.done_writing()
        assert len([answer async for answer in stream]) == 3
        await client.close()
    assert edge.count("ProcessBulk", "OK") == before + 1
    assert len(edge.calls()) == 1


async def test_bug_in_a_stream(edge: Edge) -> None:
    async def act(request: Any, context: Any) -> None:
        raise ZeroDivisionError("the password is 1234")

    async with scripted_server(act) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        stream = client.stub.ProcessBulk(timeout=30)
        await stream.write(pb.ProcessBulkRequest(id="a"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        await client.close()
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("sent, kept", [("request-1", True), ("", False), ("x" * 65, False), ("a b", False)])
async def test_request_id_is_the_callers_if_harmless(edge: Edge, sent: str, kept: bool) -> None:
    seen: list[str] = []

    async def act(request: Any, context: Any) -> None:
        seen.append(get_request_id())

    set_request_id(sent)
    await call(act)
    assert (seen[0] == sent) == kept
    assert seen[0]


async def test_probes_are_neither_logged_nor_counted(edge: Edge) -> None:
    async with scripted_server() as service:
        client = ModelServerClient(CAPABILITY, service.address)
        assert await client.is_serving()
        await client.close()
    assert edge.calls() == []


async def test_unknown_method_is_unimplemented() -> None:
    async with scripted_server() as service, grpc.aio.insecure_channel(service.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_active_calls_are_idle_when_all_left() -> None:
    active = ActiveCalls()
    assert await active.wait_idle(0.01)
    active.enter()
    active.enter()
    active.leave()
    assert not await active.wait_idle(0.01)
    waiting = asyncio.create_task(active.wait_idle(30))
    await asyncio.sleep(0)
    active.leave()
    assert await waiting


async def test_a_stream_that_is_broken_off_ends_quietly(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    before = edge.durations("ProcessBulk")
    async with scripted_server() as service:
        client = ModelServerClient(CAPABILITY, service.address)
        for _ in range(20):  # some are broken off while an answer is on its way
            stream = client.stub.ProcessBulk(timeout=30)
            for number in range(50):
                await stream.write(pb.ProcessBulkRequest(id=str(number)))
            await stream.read()
            stream.cancel()
        async with asyncio.timeout(20):
            while edge.durations("ProcessBulk") < before + 20:
                await asyncio.sleep(0.01)
        await client.close()
    # One whose requests had all been read when it was broken off may have ended by itself.
    codes = [line["code"] for line in edge.calls()]
    assert set(codes) <= {"CANCELLED", "OK"} and "CANCELLED" in codes
    assert not [line for line in edge.logs if line["log_level"] == "error"]
    assert "Failed to detach context" not in caplog.text
