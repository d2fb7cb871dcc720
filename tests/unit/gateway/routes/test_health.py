"""Probes and metrics."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ValkeyProcess, wait_until
from tests.unit.gateway.harness import BackgroundLoop, FakeTextServer, RunningGateway, Starter

PARTS = ("text_detection", "style_transfer", "embedding", "locsens", "hate_classifier", "redis", "jobs")


def test_alive_and_ready(gateway: RunningGateway) -> None:
    assert gateway.client.get("/livez").json() == {"status": "alive"}
    response = gateway.client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "parts": {name: {"state": "serving"} for name in PARTS},
    }


def test_not_ready_while_the_model_server_is_not_serving(
    gateway: RunningGateway, model_server: FakeTextServer, background: BackgroundLoop
) -> None:
    background.run(model_server.set_serving(False))
    try:
        response = gateway.client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        parts = response.json()["parts"]
        assert parts["text_detection"]["state"] == "down"
        assert f"127.0.0.1:{model_server.port}" in parts["text_detection"]["detail"]
        assert parts["redis"] == parts["jobs"] == {"state": "serving"}
        # The other capabilities are there, so a balancer must not take the gateway away.
        own = gateway.client.get("/readyz?own=true")
        assert own.status_code == 200
        assert own.json() == {"status": "ready", "parts": {"gateway": {"state": "serving"}}}
        assert gateway.client.get("/livez").status_code == 200
    finally:
        background.run(model_server.set_serving(True))
    wait_until(lambda: gateway.client.get("/readyz").status_code == 200, what="ready again")


def test_not_ready_without_valkey_and_ready_when_it_is_back(
    start_gateway: Starter, own_valkey: ValkeyProcess
) -> None:
    running = start_gateway(redis_url=own_valkey.url)
    assert running.client.get("/readyz").status_code == 200
    own_valkey.stop(kill=True)
    response = running.client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["redis"]["state"] == "down"
    own_valkey.start()
    wait_until(lambda: running.client.get("/readyz").status_code == 200, what="ready again")


def test_not_ready_without_the_job_table(start_gateway: Starter, tmp_path: Path) -> None:
    running = start_gateway(state_dir=tmp_path / "own")

    async def unreachable() -> None:
        raise OSError("disk is gone")

    running.state.jobs.ping = unreachable
    response = running.client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["jobs"] == {"state": "down", "detail": "OSError"}


def test_not_ready_while_draining(start_gateway: Starter) -> None:
    running = start_gateway()
    running.state.draining = True
    response = running.client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["gateway"]["state"] == "draining"
    assert running.client.get("/readyz?own=true").json() == {
        "status": "not_ready",
        "parts": {"gateway": {"state": "draining", "detail": "shutting down"}},
    }
    assert running.client.get("/readyz?own=true").status_code == 503
    assert running.post_image("/v1/text:read").status_code == 200


def test_metrics_count_requests_by_route_template(gateway: RunningGateway) -> None:
    def count(route: str, code: str) -> float:
        text = gateway.client.get("/metrics").text
        pattern = (
            rf'^interplay_http_requests_total{{code="{code}",method="\w+",route="{re.escape(route)}"}} (\S+)'
        )
        return sum(float(value) for value in re.findall(pattern, text, re.M))

    before = count("/v1/text:presence", "2xx"), count("unmatched", "4xx"), count("/v1/jobs/{job_id}", "4xx")
    gateway.post_image("/v1/text:presence")
    gateway.client.get("/no/such/path")
    gateway.client.get("/v1/jobs/nothing")
    after = count("/v1/text:presence", "2xx"), count("unmatched", "4xx"), count("/v1/jobs/{job_id}", "4xx")
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
    assert "/no/such/path" not in gateway.client.get("/metrics").text
