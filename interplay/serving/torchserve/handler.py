"""TorchServe's side: the handler that an archive of ``interplay models package`` names.

TorchServe starts one worker process a model, calls ``handle(None, context)`` once to load it and then
``handle(data, context)`` with the requests of one of its own batches. A request is a whole batch of a model
server, so items of different sizes never meet; the answer is that batch's output. The predictor is the one
that the model server would run itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import Field

from interplay.errors import InternalError, InterplayError, InvalidInput, ModelFailed
from interplay.served import Source, open_predictor
from interplay.serving.torchserve.messages import BATCH, DESCRIBE, Description, codec_of
from interplay.settings import ProcessSettings, available_cores, load_settings
from interplay.telemetry.logging import get_logger

log = get_logger(__name__)


class HandlerSettings(ProcessSettings):
    """What a worker of TorchServe reads from its environment."""

    device: str = Field("auto", description="auto, cpu or cuda.")
    threads: int | None = Field(None, ge=1, description="Threads of one inference; usable cores if unset.")


class ModelHandler:
    """A loaded model that answers requests.

    Args:
        store: The model store that was packed into the archive.
        name: Of the model.
        device: ``auto``, ``cpu``, ``cuda``.
        threads: Threads of one inference.
    """

    def __init__(self, store: Path, name: str, *, device: str, threads: int) -> None:
        started = perf_counter()
        self._predictor = open_predictor(Source(store, name, device=device, threads=threads))
        self._predictor.warm_up()
        self._codec = codec_of(self._predictor.manifest)
        self._name = name
        self._description = Description(
            manifest=self._predictor.manifest.model_dump_json(),
            device=self._predictor.device,
            dtype=self._predictor.dtype,
            load_s=perf_counter() - started,
        )

    def answer(self, request: dict[str, Any]) -> bytes:
        """The answer to one request: an output, a description, or an error; never an exception."""
        try:
            return self._codec.encode(self._answer(request))
        except InterplayError as error:
            return self._codec.encode(error)
        except Exception:
            log.exception("batch_failed", model=self._name)
            return self._codec.encode(ModelFailed(f"{self._name} failed on this input"))

    def _answer(self, request: dict[str, Any]) -> Any:
        if DESCRIBE in request:
            return self._description
        if BATCH not in request:
            raise InvalidInput(f"the request has neither {BATCH!r} nor {DESCRIBE!r}")
        batch = self._codec.decode(request[BATCH])
        if not isinstance(batch, list) or not batch:
            raise InternalError("a batch is a list of items")
        return self._predictor.predict_batch(batch)


_handler: ModelHandler | None = None


def handle(data: Sequence[dict[str, Any]] | None, context: Any) -> list[bytes] | None:
    """TorchServe's entry point: loads the model when there is no data, else answers each request."""
    global _handler
    if data is None:
        properties = context.system_properties
        settings = load_settings(HandlerSettings)
        logging.getLogger().setLevel(logging.WARNING)  # TorchServe's worker writes a line a request
        name = context.manifest["model"]["modelName"]
        _handler = ModelHandler(
            Path(properties["model_dir"]),
            name,
            device=settings.device,
            threads=settings.threads or available_cores(),
        )
        return None
    if _handler is None:
        raise RuntimeError("a request before the model was loaded")
    return [_handler.answer(request) for request in data]
