"""Fixtures of the gateway tests: fake model servers, a gateway for most, own ones for special settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import GatewaySettings
from tests.conftest import ValkeyProcess
from tests.fake_embedding import FakeEmbedding
from tests.fake_hate import FakeHate, running_fake
from tests.fake_locsens import FakeLocSens
from tests.fake_style_transfer import FakeStyleTransfer
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


@pytest.fixture(scope="session")
def _fake_style_server() -> Iterator[FakeStyleTransfer]:
    server = FakeStyleTransfer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def style_server(_fake_style_server: FakeStyleTransfer) -> FakeStyleTransfer:
    """The style transfer server, as new."""
    _fake_style_server.reset()
    return _fake_style_server


@pytest.fixture(scope="session")
def _fake_embedding_server() -> Iterator[FakeEmbedding]:
    server = FakeEmbedding()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def embedding_server(_fake_embedding_server: FakeEmbedding) -> FakeEmbedding:
    """The embedding server, as new."""
    _fake_embedding_server.reset()
    return _fake_embedding_server


@pytest.fixture(scope="session")
def _fake_locsens_server() -> Iterator[FakeLocSens]:
    server = FakeLocSens()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def locsens_server(_fake_locsens_server: FakeLocSens) -> FakeLocSens:
    """The LocSens server, as new."""
    _fake_locsens_server.reset()
    return _fake_locsens_server


@pytest.fixture(scope="session")
def _fake_hate_server(_fake_server: FakeTextServer) -> Iterator[FakeHate]:
    yield from running_fake(capability_addresses={"text_detection": f"127.0.0.1:{_fake_server.port}"})


@pytest.fixture
def hate_server(_fake_hate_server: FakeHate) -> FakeHate:
    """The hate classifier server, as new."""
    _fake_hate_server.reset()
    return _fake_hate_server


def _settings(
    server: FakeTextServer,
    style_server: FakeStyleTransfer,
    embedding_server: FakeEmbedding,
    locsens_server: FakeLocSens,
    hate_server: FakeHate,
    redis_url: str,
    state: Path,
    overrides: dict[str, Any],
) -> GatewaySettings:
    values: dict[str, Any] = {
        "capability_addresses": {
            "text_detection": f"127.0.0.1:{server.port}",
            "style_transfer": f"127.0.0.1:{style_server.port}",
            "embedding": f"127.0.0.1:{embedding_server.port}",
            "locsens": f"127.0.0.1:{locsens_server.port}",
            "hate_classifier": f"127.0.0.1:{hate_server.port}",
        },
        "redis_url": redis_url,
        "state_dir": state,
    }
    return GatewaySettings(**(values | overrides))


@pytest.fixture(scope="session")
def _shared_gateway(
    background: BackgroundLoop,
    _fake_server: FakeTextServer,
    _fake_style_server: FakeStyleTransfer,
    _fake_embedding_server: FakeEmbedding,
    _fake_locsens_server: FakeLocSens,
    _fake_hate_server: FakeHate,
    shared_valkey: ValkeyProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    state = tmp_path_factory.mktemp("gateway-state")
    servers = (
        _fake_server,
        _fake_style_server,
        _fake_embedding_server,
        _fake_locsens_server,
        _fake_hate_server,
    )
    settings = _settings(*servers, shared_valkey.url, state, {})
    gateway = RunningGateway(background, settings)
    yield gateway
    gateway.close()


@pytest.fixture
def gateway(
    _shared_gateway: RunningGateway,
    model_server: FakeTextServer,
    style_server: FakeStyleTransfer,
    embedding_server: FakeEmbedding,
    locsens_server: FakeLocSens,
    hate_server: FakeHate,
) -> RunningGateway:
    """A gateway with default settings: loopback, no keys, no rate limit."""
    return _shared_gateway


@pytest.fixture
def start_gateway(
    background: BackgroundLoop,
    model_server: FakeTextServer,
    style_server: FakeStyleTransfer,
    embedding_server: FakeEmbedding,
    locsens_server: FakeLocSens,
    hate_server: FakeHate,
    redis_url: str,
    tmp_path: Path,
) -> Iterator[Starter]:
    """Function that starts a gateway with settings of one's own."""
    started: list[RunningGateway] = []

    def start(**overrides: Any) -> RunningGateway:
        servers = (model_server, style_server, embedding_server, locsens_server, hate_server)
        settings = _settings(*servers, redis_url, tmp_path / "state", overrides)
        started.append(RunningGateway(background, settings))
        return started[-1]

    yield start
    for running in started:
        running.close()
