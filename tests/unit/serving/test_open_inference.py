"""Life and readiness of the Open Inference Protocol at a model server; real calls are in tests/service."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from interplay import __version__
from interplay.errors import NotFound
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb
from interplay.serving.open_inference.servicer import OpenInferenceService


def service(ready: bool) -> OpenInferenceService:
    """One that knows version 3 of the model ``red``."""
    runtime = SimpleNamespace(manifest=SimpleNamespace(version=3))
    model: Any = SimpleNamespace(batcher=SimpleNamespace(name="red", runtime=runtime))
    return OpenInferenceService([model], lambda: ready)


def model_ready(own: OpenInferenceService, name: str, version: str = "") -> bool:
    request = pb.ModelReadyRequest(name=name, version=version)
    return asyncio.run(own.ModelReady(request, None)).ready


@pytest.mark.parametrize("ready", [True, False])
def test_alive_is_not_ready_and_models_are_ready_with_their_server(ready: bool) -> None:
    own = service(ready)
    assert asyncio.run(own.ServerLive(pb.ServerLiveRequest(), None)).live is True
    assert asyncio.run(own.ServerReady(pb.ServerReadyRequest(), None)).ready is ready
    assert model_ready(own, "red") is ready
    metadata = asyncio.run(own.ServerMetadata(pb.ServerMetadataRequest(), None))
    assert (metadata.name, metadata.version) == ("interplay", __version__)


@pytest.mark.parametrize("ready", [True, False])
def test_a_model_that_is_not_here_is_not_found_whether_ready_or_not(ready: bool) -> None:
    with pytest.raises(NotFound, match="no model 'blue' on this server; there are: red"):
        model_ready(service(ready), "blue")


def test_another_version_is_not_found() -> None:
    own = service(True)
    assert model_ready(own, "red", "3") is True
    with pytest.raises(NotFound, match="version 4 of red is not served; 3 is"):
        model_ready(own, "red", "4")
