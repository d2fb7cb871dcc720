"""The runtime that sends batches to a TorchServe, against its gRPC service in Python and the real handler."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from interplay.errors import (
    DeadlineExceeded,
    InternalError,
    InterplayError,
    ModelFailed,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
    Unavailable,
)
from interplay.predictors.batch import BatchOutput
from interplay.predictors.embedding.text import TextItem
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.runtimes import runtime_for
from interplay.serving.server import ModelServer, Service
from interplay.serving.torchserve.handler import ModelHandler
from interplay.serving.torchserve.runtime import TorchServeRuntime
from interplay.serving.torchserve.settings import TorchServeSettings
from interplay.store import StoredModel, resolve
from tests.conftest import wait_until
from tests.embedding_models import make_embedding_store
from tests.unit.serving.echo_capability import CAPABILITY, server_settings
from tests.unit.serving.fake_torchserve import FakeTorchServe

NAME = "embedding-words"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def stored(store: Path) -> StoredModel:
    return resolve(store, NAME)


@pytest.fixture
def torchserve(tmp_path: Path, store: Path) -> Iterator[FakeTorchServe]:
    """It has the words, behind the handler that archives name."""
    fake = FakeTorchServe(tmp_path)
    handler = ModelHandler(store, NAME, device="cpu", threads=1)
    fake.models[NAME, "1"] = handler.answer
    fake.start()
    yield fake
    fake.stop()


def settings_of(fake: FakeTorchServe, **changes: Any) -> TorchServeSettings:
    return TorchServeSettings(target=fake.target, key_file=fake.key_file, startup_timeout_s=20, **changes)


@pytest.fixture
def runtime(torchserve: FakeTorchServe, stored: StoredModel) -> Iterator[TorchServeRuntime[Any, Any]]:
    runtime: TorchServeRuntime[Any, Any] = TorchServeRuntime(stored, settings_of(torchserve))
    runtime.load()
    yield runtime
    runtime.close()


def soon(seconds: float = 30.0) -> float:
    return monotonic() + seconds


ITEMS = [TextItem("red sky"), TextItem("rojo", "es"), TextItem("zzzz")]


def test_a_batch_gives_what_the_predictor_gives(runtime: TorchServeRuntime[Any, Any], store: Path) -> None:
    here = runtime_for(server_settings(model_store=store), NAME)
    here.load()
    wanted, found = (r.run(ITEMS, deadline=soon()) for r in (here, runtime))
    for a, b in zip(wanted.results, found.results, strict=True):
        np.testing.assert_array_equal(a.vector, b.vector)
        assert (a.words, a.read_as, a.unknown) == (b.words, b.read_as, b.unknown)
    assert found.infer_s > 0
    assert (runtime.kind, runtime.device, runtime.dtype) == ("torchserve", "cpu", "float32")
    assert runtime.manifest == here.manifest and runtime.load_s > 0


def test_the_settings_choose_it(torchserve: FakeTorchServe, store: Path) -> None:
    settings = server_settings(
        model_store=store, runtime="torchserve", torchserve=settings_of(torchserve).model_dump()
    )
    runtime = runtime_for(settings, NAME)
    assert isinstance(runtime, TorchServeRuntime)
    runtime.load()
    runtime.close()


def test_loading_waits_until_torchserve_has_the_model(
    torchserve: FakeTorchServe, stored: StoredModel
) -> None:
    answer = torchserve.models.pop((NAME, "1"))
    runtime: TorchServeRuntime[Any, Any] = TorchServeRuntime(
        stored, settings_of(torchserve).model_copy(update={"startup_timeout_s": 0.2})
    )
    with pytest.raises(Unavailable, match=r"has not loaded embedding-words within 0 s.*Model not found"):
        runtime.load()
    torchserve.failures = [(grpc.StatusCode.INTERNAL, "Model has no worker to serve inference")]
    torchserve.models[NAME, "1"] = answer
    patient: TorchServeRuntime[Any, Any] = TorchServeRuntime(stored, settings_of(torchserve))
    patient.load()
    assert torchserve.calls >= 3


def test_other_weights_are_refused(torchserve: FakeTorchServe, stored: StoredModel) -> None:
    other = stored.manifest.model_copy(update={"weights_sha256": "0" * 64})
    runtime: TorchServeRuntime[Any, Any] = TorchServeRuntime(
        StoredModel(other, stored.directory), settings_of(torchserve)
    )
    with pytest.raises(InternalError, match="package it again"):
        runtime.load()


def test_a_deadline_travels_and_ends_the_call(
    torchserve: FakeTorchServe, runtime: TorchServeRuntime[Any, Any]
) -> None:
    runtime.run(ITEMS, deadline=soon(7))
    assert 5 < torchserve.deadlines[-1] < 7.5
    calls = torchserve.calls
    with pytest.raises(DeadlineExceeded):
        runtime.run(ITEMS, deadline=soon(-1))
    assert torchserve.calls == calls


def test_a_moment_of_absence_costs_nothing_and_a_longer_one_is_unavailable(
    torchserve: FakeTorchServe, runtime: TorchServeRuntime[Any, Any]
) -> None:
    torchserve.failures = [(grpc.StatusCode.UNAVAILABLE, "Worker died.")] * 2
    assert len(runtime.run(ITEMS, deadline=soon()).results) == 3
    torchserve.stop()
    with pytest.raises(Unavailable, match="cannot be reached"):
        runtime.run(ITEMS, deadline=soon())
    assert not runtime.is_healthy()
    torchserve.start(token="second")  # and with another key, as after a restart
    wait_until(runtime.is_healthy, timeout_s=20, what="it is healthy again")
    assert len(runtime.run(ITEMS, deadline=soon()).results) == 3


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (grpc.StatusCode.INTERNAL, "Model X has no worker to serve inference request", Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Worker died.\norg.pytorch.serve", Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Job queue is full", Overloaded),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, "Something else\njava.lang.Secret", InternalError),
    ],
)
def test_its_failures_are_errors_of_ours(
    torchserve: FakeTorchServe,
    runtime: TorchServeRuntime[Any, Any],
    code: grpc.StatusCode,
    details: str,
    error: type[InterplayError],
) -> None:
    torchserve.failures = [(code, details)]
    with pytest.raises(error) as raised:
        runtime.run(ITEMS, deadline=soon())
    assert type(raised.value) is error and "java" not in raised.value.message


def test_a_wrong_token_is_said(torchserve: FakeTorchServe, stored: StoredModel, tmp_path: Path) -> None:
    settings = settings_of(torchserve).model_copy(update={"key_file": tmp_path / "none.json"})
    runtime: TorchServeRuntime[Any, Any] = TorchServeRuntime(stored, settings)
    with pytest.raises(PermissionDenied, match=r"does not take this token: torchserve\.key_file"):
        runtime.run(ITEMS, deadline=soon())
    assert not runtime.is_healthy()


def test_a_batch_too_large_for_a_message_goes_item_by_item(
    torchserve: FakeTorchServe, stored: StoredModel
) -> None:
    runtime: TorchServeRuntime[Any, Any] = TorchServeRuntime(
        stored, settings_of(torchserve, max_batch_bytes=256)
    )
    output = runtime.run([TextItem("red"), TextItem("red " * 100), TextItem("sky")], deadline=soon())
    assert output.results[0].words == ("red",) and output.results[2].words == ("sky",)
    assert isinstance(output.results[1], PayloadTooLarge)
    assert output.results[1].metadata["limit"] == "256"


async def test_a_batch_that_the_handler_fails_on_is_tried_item_by_item(
    torchserve: FakeTorchServe, runtime: TorchServeRuntime[Any, Any]
) -> None:
    batcher: Batcher[Any, Any] = Batcher(NAME, runtime, BatchLimits(max_delay_s=0.2))
    await batcher.start()
    items = [TextItem("red"), TextItem("sky", "xx"), TextItem("sky")]  # there is no language xx

    async def one(item: TextItem) -> Any:
        with batcher.admit(1) as ticket:
            return (await batcher.submit(item, bucket=0, pixels=1, deadline=soon(), ticket=ticket))[0]

    good, bad, other = await asyncio.gather(*map(one, items), return_exceptions=True)
    assert good.words == ("red",) and other.words == ("sky",)
    assert isinstance(bad, ModelFailed)
    torchserve.stop()
    calls = torchserve.calls
    for error in await asyncio.gather(*map(one, items), return_exceptions=True):
        assert isinstance(error, Unavailable)
    assert torchserve.calls == calls
    await batcher.close()


async def test_a_server_is_not_serving_while_its_torchserve_is_away(
    torchserve: FakeTorchServe, store: Path
) -> None:
    settings = server_settings(
        model_store=store,
        runtime="torchserve",
        torchserve={**settings_of(torchserve).model_dump(), "health_interval_s": 0.05},
    )

    def build(settings: Any, pool: Any, on_death: Any) -> Service:
        batcher: Batcher[Any, Any] = Batcher(NAME, runtime_for(settings, NAME), BatchLimits())
        return Service(batchers=[batcher], register=lambda server: None)

    server = ModelServer(CAPABILITY, settings, build)
    await server.start()
    serving = health_pb2.HealthCheckResponse.SERVING
    request = health_pb2.HealthCheckRequest(service=CAPABILITY.grpc_service)

    async def until(wanted: bool) -> None:
        async with asyncio.timeout(20):
            while ((await server._health.Check(request, SimpleNamespace())).status == serving) != wanted:
                await asyncio.sleep(0.05)

    await until(True)
    torchserve.healthy = False
    await until(False)
    torchserve.healthy = True
    await until(True)
    await server.stop(drain=False)


def test_the_handler_answers_questions_it_does_not_know(store: Path) -> None:
    handler = ModelHandler(store, NAME, device="cpu", threads=1)
    runtime: TorchServeRuntime[Any, Any] = TorchServeRuntime(resolve(store, NAME), TorchServeSettings())
    for request in ({}, {"batch": b"nonsense"}, {"batch": runtime._codec.encode([])}):
        answer = runtime._codec.decode(handler.answer(request))
        assert isinstance(answer, InterplayError), request
    assert isinstance(
        runtime._codec.decode(handler.answer({"batch": runtime._codec.encode(ITEMS)})), BatchOutput
    )
