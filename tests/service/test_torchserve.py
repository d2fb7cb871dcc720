"""Both runtimes: every capability answers the same from its own process and from a real TorchServe."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from interplay.capabilities import CAPABILITIES
from interplay.errors import Unavailable
from interplay.launcher.torchserve.archive import servable
from interplay.rpc.common.v1 import models_pb2
from interplay.rpc.embedding.v1 import embedding_pb2
from interplay.rpc.locsens.v1 import locsens_pb2
from interplay.rpc.torchserve.v1 import torchserve_pb2, torchserve_pb2_grpc
from tests.conftest import wait_until
from tests.service.all_servers import STORE, AllServers, answers
from tests.service.torchserve_process import TorchServeProcess

# Java, eleven workers and eight servers, each of which loads torch.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = [capability.name for capability in CAPABILITIES]


@pytest.fixture(scope="module")
def torchserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchServeProcess]:
    process = TorchServeProcess(tmp_path_factory.mktemp("ts"), STORE)
    process.wait_until_healthy()
    yield process
    process.end()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Answers of servers that run their models themselves; they are gone before the others start."""
    servers = AllServers(tmp_path_factory.mktemp("own"))
    try:
        servers.wait_until_serving()
        found = {name: answers(servers, name) for name in NAMES}
    finally:
        ends = servers.end()
    assert set(ends) == {0}
    return found


@pytest.fixture(scope="module")
def servers(
    expected: dict[str, list[Any]], torchserve: TorchServeProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AllServers]:
    servers = AllServers(
        tmp_path_factory.mktemp("sent"), **torchserve.server_settings, torchserve__health_interval_s=0.2
    )
    servers.wait_until_serving()
    yield servers
    assert set(servers.end()) == {0}


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_equal(servers: AllServers, expected: dict[str, list[Any]], name: str) -> None:
    found = answers(servers, name)
    assert len(found) == len(expected[name])
    for one, other in zip(found, expected[name], strict=True):
        if isinstance(one, locsens_pb2.RetrieveResponse):  # what an index gives has no fixed order
            assert _scores(one) == pytest.approx(_scores(other), abs=1e-4)
            one.ClearField("hits")
            other.ClearField("hits")
        assert one == other, type(one).__name__


def _scores(response: locsens_pb2.RetrieveResponse) -> dict[str, float]:
    return {hit.entry.id: hit.score for hit in response.hits}


@pytest.mark.parametrize("name", NAMES)
def test_a_server_says_what_runs_its_models(servers: AllServers, name: str) -> None:
    client = servers[name].client
    listed = client.call(client.models.ListModels, models_pb2.ListModelsRequest()).models
    # The word recogniser comes with a package and not from the store: it is not packaged.
    runtimes = {model.info.name: model.runtime for model in listed if model.info.name != "ppocrv4-rec"}
    assert set(runtimes) >= {m.name for m in servable(STORE, (name,))}
    assert set(runtimes.values()) == {"torchserve"}


def test_it_answers_only_with_its_token_and_registers_nothing(torchserve: TorchServeProcess) -> None:
    channel = grpc.insecure_channel(f"127.0.0.1:{torchserve.port}")
    stub = torchserve_pb2_grpc.InferenceAPIsServiceStub(channel)
    request = torchserve_pb2.PredictionsRequest(model_name="embedding-words", input={"describe": b"?"})
    for metadata in ((), (("authorization", "Bearer guess"),)):
        with pytest.raises(grpc.RpcError) as refused:
            stub.Predictions(request, timeout=20, metadata=metadata)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    channel.close()
    assert torchserve.key_file.stat().st_mode & 0o077 == 0
    config = dict(
        line.split("=", 1) for line in (torchserve.folder / "config.properties").read_text().splitlines()
    )
    with pytest.raises(urllib.error.HTTPError) as no_token:
        urllib.request.urlopen(f"{config['management_address']}/models", timeout=20)
    assert no_token.value.code in (400, 401, 403)
    no_token.value.close()
    register = urllib.request.Request(
        f"{config['management_address']}/models?url=http://example.invalid/x.mar", method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as no_api:
        urllib.request.urlopen(register, timeout=20)
    no_api.value.close()


def test_it_listens_on_the_loopback_alone(torchserve: TorchServeProcess) -> None:
    done = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True)
    others = [line.split()[3].split("/")[0] for line in done.stdout.splitlines() if " lo " not in line]
    for address in others:
        with pytest.raises(OSError):
            socket.create_connection((address, torchserve.port), timeout=2)


def test_a_dead_worker_is_a_moment_of_unavailability(
    servers: AllServers, torchserve: TorchServeProcess
) -> None:
    server = servers["embedding"]
    request = embedding_pb2.EmbedTextRequest(texts=[embedding_pb2.Text(content="red sky")])

    def vector() -> Any:
        return server.client.call(server.client.stub.EmbedText, request).vectors[0]

    before = vector()
    workers = psutil.Process(torchserve.process.pid).children()
    assert len(workers) == len(servable(STORE))
    for worker in workers:
        worker.kill()

    def answered() -> bool:
        try:
            return np.array_equal(np.frombuffer(vector().values), np.frombuffer(before.values))
        except Unavailable:
            return False

    wait_until(answered, timeout_s=200, what="TorchServe has started its workers again")
    wait_until(server.client.is_serving, timeout_s=200, what="the server is serving")
    assert server.process.poll() is None


def test_without_torchserve_a_server_is_not_serving(
    servers: AllServers, torchserve: TorchServeProcess
) -> None:
    server = servers["locsens"]
    wait_until(server.client.is_serving, timeout_s=200, what="the server is serving")
    torchserve.end()  # the last test: it stays away
    wait_until(lambda: not server.client.is_serving(), timeout_s=30, what="the server says so")


def test_a_store_without_the_capability_is_said(tmp_path: Path) -> None:
    process = TorchServeProcess(tmp_path / "ts", STORE, "no_such_capability")
    assert process.process.wait(60) == 2
    assert "no model in" in process.log.read_text()
    process.end()
