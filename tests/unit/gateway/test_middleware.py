"""Request ids, body limits while bytes arrive, answers of last resort."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tests.conftest import wait_until
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter

KIB = 1024


class RawConnection:
    """A client that sends exactly the bytes it is told to."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_some(self) -> bytes:
        """Everything until the end of a JSON answer."""
        received = b""
        while not received.endswith(b"}"):
            received += self._socket.recv(65536)
        return received

    def read_all(self) -> bytes:
        """Everything until the server closes the connection."""
        received = b""
        while piece := self._socket.recv(65536):
            received += piece
        return received


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are refused in mid-upload close sooner than in production."""
    monkeypatch.setattr("gateway.middleware._LINGER_S", 0.3)


def test_a_request_id_is_made_echoed_and_passed_on(
    gateway: RunningGateway, model_server: FakeTextServer
) -> None:
    response = gateway.post_image("/v1/text:presence", headers={"X-Request-Id": "mine-42"})
    assert response.headers["x-request-id"] == model_server.request_id == "mine-42"
    first, second = (gateway.client.get("/livez").headers["x-request-id"] for _ in range(2))
    assert len(first) == 32 and first != second


@pytest.mark.parametrize("bad", ["with space", "x" * 65, 'quote"', "semi;colon"])
def test_a_harmful_request_id_is_replaced(gateway: RunningGateway, bad: str) -> None:
    response = gateway.client.get("/nothing", headers={"X-Request-Id": bad})
    assert response.headers["x-request-id"] != bad
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json"])
def test_a_body_without_a_length_is_counted_and_stopped(start_gateway: Starter, content_type: str) -> None:
    running = start_gateway(max_image_bytes=100 * KIB)
    offered, sent = 4096 * KIB * KIB, 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while sent < offered:  # without a Content-Length: httpx sends iterators in chunks
            sent += 64 * KIB
            yield b"x" * (64 * KIB)

    response = running.client.post("/v1/text:read", content=body(), headers={"Content-Type": content_type})
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "the request body has more than " in problem["detail"]
    assert sent < offered  # the connection was closed, not read to the end


def test_a_declared_length_over_the_limit_is_refused_before_the_body(start_gateway: Starter) -> None:
    running = start_gateway(max_image_bytes=100 * KIB)
    with RawConnection(running) as connection:
        connection.send(
            b"POST /v1/text:read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        answer = connection.read_all()
    assert answer.startswith(b"HTTP/1.1 413")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "has 99,999,999,999 bytes" in problem["detail"]


def test_a_client_that_sends_on_still_reads_the_refusal(start_gateway: Starter) -> None:
    running = start_gateway(max_image_bytes=10 * KIB)
    body = b"x" * (8 * KIB * KIB)
    with RawConnection(running) as connection:
        connection.send(
            b"POST /v1/text:read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = connection.read_all()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_a_body_that_does_not_come_times_out(start_gateway: Starter) -> None:
    running = start_gateway(upload_timeout_s=0.2)
    with RawConnection(running) as connection:
        connection.send(
            b"POST /v1/text:read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"image"'
        )
        answer = connection.read_all()
    assert answer.startswith(b"HTTP/1.1 408")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["reason"] == "UPLOAD_TIMEOUT"
    assert "within 0.2 s; 8 bytes came" in problem["detail"]


def test_a_client_that_leaves_in_mid_upload_frees_its_memory(start_gateway: Starter) -> None:
    running = start_gateway(max_body_bytes=64 * KIB * KIB)
    admission = running.state.admission
    with ExitStack() as connections:
        for number in range(4):  # each may hold 20 MiB; three fit
            wait_until(
                lambda n=number: admission._body_bytes >= n * 20 * KIB * KIB, what="the one before arrived"
            )
            connection = connections.enter_context(RawConnection(running))
            connection.send(
                b"POST /v1/text:read HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n1\r\n-\r\n"
            )
        answer = connection.read_some()
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"the limit is 67,108,864" in answer
        assert running.client.get("/v1/models").status_code == 200  # no body, no memory
    wait_until(lambda: admission._body_bytes == 0, what="the memory is free")


def test_an_unexpected_fault_tells_nothing_of_its_inside(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail of the inside")

    logged = []
    monkeypatch.setattr(
        "gateway.problems.log",
        SimpleNamespace(error=lambda event, exc_info: logged.append((event, str(exc_info)))),
    )
    monkeypatch.setattr("gateway.routes.text.call_server", broken)
    response = gateway.post_image("/v1/text:read")
    assert response.status_code == 500
    assert response.json()["reason"] == "INTERNAL"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert logged == [("unhandled_exception", "secret detail of the inside")]
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_jobs_validation_speaks_the_same_language(gateway: RunningGateway) -> None:
    for content, expected in (
        (b"{", "not valid JSON"),
        (b"{}", "kind"),
        (b'{"kind": "x", "colour": 1}', "colour"),
    ):
        response = gateway.client.post(
            "/v1/jobs", content=content, headers={"Content-Type": "application/json"}
        )
        assert response.headers["content-type"] == "application/problem+json"
        assert 400 <= response.status_code < 500
        assert expected in response.text
