"""Fixtures of the gateway tests: a fake model server, a gateway for most, own ones for special settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import GatewaySettings
from tests.conftest import ValkeyProcess
from tests.unit.gateway.harness import BackgroundLoop, FakeTextServer, RunningGateway, Starter


@pytest.fixture(scope="session")
def background() -> Iterator[BackgroundLoop]:
    """Event loop that all servers of these tests share."""
    loop = BackgroundLoop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def _fake_server(background: BackgroundLoop) -> Iterator[FakeTextServer]:
    server = FakeTextServer(background)
    background.run(server.start())
    yield server
    background.run(server.stop())


@pytest.fixture
def model_server(_fake_server: FakeTextServer) -> Iterator[FakeTextServer]:
    """The model server, as new."""
    _fake_server.reset()
    yield _fake_server
    _fake_server.gate.set()


def _settings(
    server: FakeTextServer, redis_url: str, state: Path, overrides: dict[str, Any]
) -> GatewaySettings:
    values: dict[str, Any] = {
        "capability_addresses": {"text_detection": f"127.0.0.1:{server.port}"},
        "redis_url": redis_url,
        "state_dir": state,
    }
    return GatewaySettings(**(values | overrides))


@pytest.fixture(scope="session")
def _shared_gateway(
    background: BackgroundLoop,
    _fake_server: FakeTextServer,
    shared_valkey: ValkeyProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    gateway = RunningGateway(
        background, _settings(_fake_server, shared_valkey.url, tmp_path_factory.mktemp("gateway-state"), {})
    )
    yield gateway
    gateway.close()


@pytest.fixture
def gateway(_shared_gateway: RunningGateway, model_server: FakeTextServer) -> RunningGateway:
    """A gateway with default settings: loopback, no keys, no rate limit."""
    return _shared_gateway


@pytest.fixture
def start_gateway(
    background: BackgroundLoop, model_server: FakeTextServer, redis_url: str, tmp_path: Path
) -> Iterator[Starter]:
    """Function that starts a gateway with settings of one's own."""
    started: list[RunningGateway] = []

    def start(**overrides: Any) -> RunningGateway:
        started.append(
            RunningGateway(background, _settings(model_server, redis_url, tmp_path / "state", overrides))
        )
        return started[-1]

    yield start
    for running in started:
        running.close()
