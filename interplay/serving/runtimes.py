"""Chooses what runs a stored model: this process or a TorchServe, as the settings say."""

from __future__ import annotations

from typing import Any

from interplay.served import Source, open_predictor
from interplay.serving.runtime import InProcessRuntime, Runtime
from interplay.serving.settings import ModelServerSettings
from interplay.serving.torchserve.runtime import TorchServeRuntime
from interplay.settings import available_cores
from interplay.store import resolve


def runtime_for(settings: ModelServerSettings, name: str, version: int | None = None) -> Runtime[Any, Any]:
    """The runtime of a model of the store; it loads later, on its batcher's thread.

    Args:
        settings: Of the model server.
        name: Of the model.
        version: The newest if None.

    Raises:
        NotFound: The store has no such model.
    """
    if settings.runtime == "torchserve":
        return TorchServeRuntime(resolve(settings.model_store, name, version), settings.torchserve)
    source = Source(
        settings.model_store,
        name,
        version,
        device=settings.device,
        threads=settings.threads or available_cores(),
    )
    return InProcessRuntime(lambda: open_predictor(source))
