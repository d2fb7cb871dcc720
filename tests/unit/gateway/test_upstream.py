"""Deadlines, cancellation, overload and outages of the model server."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from interplay.errors import (
    DeadlineExceeded,
    InvalidParameter,
    ModelFailed,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
    UnreadableImage,
)
from tests.conftest import wait_until
from tests.unit.gateway.harness import BackgroundLoop, FakeTextServer, RunningGateway, Starter, picture


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Overloaded("the queue is full", retry_after_s=2.5), 429, "3"),
        (UnreadableImage("the pixels are broken", field="image"), 422, None),
        (InvalidParameter("max_regions is 0", field="options.max_regions"), 422, None),
        (PayloadTooLarge("too many pixels"), 413, None),
        (ModelFailed("inference failed"), 500, None),
        (DeadlineExceeded("expired in the queue"), 504, None),
    ],
)
def test_errors_of_the_server_keep_reason_and_text(
    gateway: RunningGateway,
    model_server: FakeTextServer,
    error: Exception,
    status: int,
    retry_after: str | None,
) -> None:
    model_server.error = error  # type: ignore[assignment]
    response = gateway.post_image("/v1/text:read")
    assert response.status_code == status
    problem = response.json()
    assert problem["detail"] == error.message  # type: ignore[attr-defined]
    assert problem["reason"] == error.row.reason  # type: ignore[attr-defined]
    assert response.headers.get("retry-after") == retry_after
    if error.field:  # type: ignore[attr-defined]
        assert problem["errors"][0]["field"] == error.field  # type: ignore[attr-defined]
    model_server.error = None
    wait_until(lambda: gateway.post_image("/v1/text:read").status_code == 200)  # full only for a moment


def test_every_call_carries_a_deadline(gateway: RunningGateway, model_server: FakeTextServer) -> None:
    gateway.post_image("/v1/text:read")
    assert 50 < model_server.remaining_s < 61
    gateway.post_image("/v1/text:read", headers={"X-Request-Timeout-Ms": "5000"})
    assert 3 < model_server.remaining_s < 6


def test_a_server_that_is_too_slow_gives_504(gateway: RunningGateway, model_server: FakeTextServer) -> None:
    model_server.gate.clear()
    response = gateway.post_image("/v1/text:read", headers={"X-Request-Timeout-Ms": "100"})
    assert response.status_code == 504
    assert response.json()["reason"] == "DEADLINE_EXCEEDED"
    assert "before the deadline" in response.json()["detail"]
    assert model_server.cancelled.wait(10)


def test_a_client_that_goes_away_cancels_the_call(
    gateway: RunningGateway, model_server: FakeTextServer
) -> None:
    model_server.gate.clear()
    content = picture()
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    form = head + content + b"\r\n--x--\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/text:read HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n"
            + f"Content-Length: {len(form)}\r\n\r\n".encode()
            + form
        )
        assert model_server.entered.wait(10)
    assert model_server.cancelled.wait(10)
    model_server.gate.set()
    assert gateway.post_image("/v1/text:read").status_code == 200


def test_the_surplus_is_refused_at_once_and_before_its_body(
    start_gateway: Starter, model_server: FakeTextServer
) -> None:
    running = start_gateway(max_inflight=2)
    model_server.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(running.post_image, "/v1/text:read") for _ in range(2)]
        wait_until(lambda: len(model_server.requests) == 2, what="both calls run")
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(
                b"POST /v1/text:read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000000\r\n\r\n"
            )
            answer = b""
            while not answer.endswith(b"}"):  # though not one byte of the body was sent
                answer += connection.recv(65536)
        model_server.gate.set()
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"retry-after: 1" in answer.lower()
        assert b"the limit is 2" in answer
        assert [future.result().status_code for future in waiting] == [200, 200]
    assert running.post_image("/v1/text:read").status_code == 200
    assert len(model_server.requests) == 3


def test_an_outage_gives_503_with_retry_after_and_ends_by_itself(
    gateway: RunningGateway, model_server: FakeTextServer, background: BackgroundLoop
) -> None:
    background.run(model_server.stop())
    try:
        response = gateway.post_image("/v1/text:read")
        assert response.status_code == 503
        assert response.json()["reason"] == "UNAVAILABLE"
        assert int(response.headers["retry-after"]) >= 1
    finally:
        background.run(model_server.start())
    wait_until(lambda: gateway.post_image("/v1/text:read").status_code == 200, what="served again")


def test_the_server_saying_unavailable_gives_503(
    gateway: RunningGateway, model_server: FakeTextServer
) -> None:
    model_server.error = Unavailable("draining", retry_after_s=4)
    response = gateway.post_image("/v1/text:read")
    assert (response.status_code, response.headers["retry-after"]) == (503, "4")


def test_a_capability_that_is_not_installed_gives_503(start_gateway: Starter) -> None:
    running = start_gateway()
    running.state.clients.clear()
    response = running.post_image("/v1/text:read")
    assert response.status_code == 503
    assert "not part of this installation" in response.json()["detail"]


def test_many_requests_at_once_do_not_mix(gateway: RunningGateway, model_server: FakeTextServer) -> None:
    def one(number: int) -> tuple[str, str]:
        response = gateway.post_image("/v1/text:presence", headers={"X-Request-Id": f"r-{number}"})
        return response.headers["x-request-id"], f"r-{number}"

    with ThreadPoolExecutor(8) as pool:
        for got, expected in pool.map(one, range(64)):
            assert got == expected
    assert len(model_server.requests) == 64
