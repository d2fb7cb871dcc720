"""``python -m gateway`` as a process: start, logs, traces, metrics, bad configuration, shutdown."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.conftest import REPOSITORY_ROOT, wait_until
from tests.unit.gateway.harness import BackgroundLoop, FakeTextServer, picture

pytestmark = pytest.mark.slow


@pytest.fixture
def model_server() -> Iterator[FakeTextServer]:
    background = BackgroundLoop()
    server = FakeTextServer(background)
    background.run(server.start())
    yield server
    server.gate.set()
    background.run(server.stop())
    background.close()


class GatewayProcess:
    """A gateway in a process of its own; its standard error goes to a file."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.port = int(environment["INTERPLAY_PORT"])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False)
        self._log = directory / "gateway.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                cwd=REPOSITORY_ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def answers(self, path: str = "/livez") -> bool:
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def post_photo(self, **headers: str) -> httpx.Response:
        return self.client.post("/v1/text:read", files={"image": ("p.jpg", picture())}, headers=headers)

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]

    def log_text(self) -> str:
        return self._log.read_text()

    def end(self) -> int:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


Start = Callable[..., GatewayProcess]


@pytest.fixture
def start(
    tmp_path: Path, free_port_factory: Callable[[], int], redis_url: str, model_server: FakeTextServer
) -> Iterator[Start]:
    started: list[GatewayProcess] = []

    def run(**environment: str) -> GatewayProcess:
        values = {
            "INTERPLAY_PORT": str(free_port_factory()),
            "INTERPLAY_METRICS_PORT": str(free_port_factory()),
            "INTERPLAY_REDIS_URL": redis_url,
            "INTERPLAY_STATE_DIR": str(tmp_path / "state"),
            "INTERPLAY_CAPABILITY_ADDRESSES": json.dumps(
                {"text_detection": f"127.0.0.1:{model_server.port}"}
            ),
        }
        gateway = GatewayProcess(tmp_path, {**values, **environment})
        started.append(gateway)
        wait_until(
            lambda: gateway.answers() or gateway.process.poll() is not None, what="the gateway answers"
        )
        assert gateway.process.poll() is None, gateway.log_text()
        return gateway

    yield run
    for gateway in started:
        gateway.end()


def test_it_serves_logs_and_counts(start: Start, free_port: int) -> None:
    gateway = start(INTERPLAY_METRICS_PORT=str(free_port))
    wait_until(lambda: gateway.answers("/readyz"), what="ready")
    assert gateway.post_photo(**{"X-Request-Id": "log-1"}).json()["text"] == "EXIT"
    metrics = httpx.get(f"http://127.0.0.1:{free_port}/metrics", trust_env=False).text
    assert 'interplay_http_requests_total{code="2xx",method="POST",route="/v1/text:read"} 1.0' in metrics
    (line,) = [line for line in gateway.log_lines() if line.get("request_id") == "log-1"]
    assert (line["event"], line["service"]) == ("http_request", "gateway")
    assert (line["route"], line["status"], line["infer_ms"]) == ("/v1/text:read", 200, 4)
    assert "EXIT" not in gateway.log_text()  # no payloads


def test_sigterm_ends_it_with_nothing_lost(start: Start, model_server: FakeTextServer) -> None:
    gateway = start()
    model_server.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(gateway.post_photo) for _ in range(4)]
        wait_until(lambda: len(model_server.requests) == 4, what="four requests are in progress")
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(gateway.port), what="no new connections")
        model_server.gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 4
    gateway.client.close()
    assert gateway.process.wait(20) == 0


def test_it_turns_not_ready_before_it_stops_accepting(start: Start) -> None:
    gateway = start(INTERPLAY_SHUTDOWN_DELAY_S="1.5")
    gateway.process.send_signal(signal.SIGINT)
    wait_until(lambda: gateway.client.get("/readyz").status_code == 503, what="not ready")
    assert gateway.post_photo().status_code == 200
    gateway.client.close()
    assert gateway.process.wait(20) == 0
    assert "Traceback" not in gateway.log_text()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"INTERPLAY_HOST": "0.0.0.0"}, "INTERPLAY_API_KEYS_FILE"),
        ({"INTERPLAY_PORT": "http"}, "INTERPLAY_PORT"),
        ({"INTERPLAY_CAPABILITY_ADDRESSES": "nonsense"}, "capability_addresses"),
    ],
)
def test_bad_configuration_is_one_line(environment: dict[str, str], expected: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert expected in result.stderr


def test_a_metrics_port_in_use_is_said(free_port: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        result = subprocess.run(
            [sys.executable, "-m", "gateway"],
            cwd=REPOSITORY_ROOT,
            env={
                **os.environ,
                "INTERPLAY_METRICS_PORT": str(free_port),
                "INTERPLAY_STATE_DIR": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert result.returncode != 0
    assert f"INTERPLAY_METRICS_PORT: {free_port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_never_imports_torch() -> None:
    code = "import gateway.main, gateway.__main__, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY_ROOT, timeout=60).returncode == 0


def test_traces_cross_the_gateway(start: Start, model_server: FakeTextServer, free_port: int) -> None:
    collector = Collector(free_port)
    try:
        gateway = start(INTERPLAY_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port}")
        trace_id = "0af7651916cd43dd8448eb211c80319c"
        assert gateway.post_photo(traceparent=f"00-{trace_id}-b7ad6b7169203331-01").status_code == 200
        assert model_server.metadata["traceparent"].split("-")[1] == trace_id
        (line,) = [line for line in gateway.log_lines() if line.get("route") == "/v1/text:read"]
        assert line["trace_id"] == trace_id
        assert gateway.end() == 0
        assert collector.arrived.wait(20)
        assert trace_id in {span.trace_id.hex() for span in collector.spans}
        assert collector.services == {"interplay-gateway"}
    finally:
        collector.stop()


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP collector that keeps what it gets."""

    def __init__(self, port: int) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.arrived = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:
        for resource_spans in request.resource_spans:
            for attribute in resource_spans.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            for scope_spans in resource_spans.scope_spans:
                self.spans.extend(scope_spans.spans)
        self.arrived.set()
        return trace_service_pb2.ExportTraceServiceResponse()

    def stop(self) -> None:
        self._server.stop(None).wait(10)


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
