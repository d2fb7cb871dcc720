"""Sends a batcher's batches to a TorchServe.

The manifest, and with it all that a model server says of the model, is the one that TorchServe has loaded;
it must be the one of this server's own store, so that both sides mean the same model. Errors of single
items come back in their places. A TorchServe that is away or overloaded makes the batch's items fail with
UNAVAILABLE or RESOURCE_EXHAUSTED; it is asked again four times before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, perf_counter, sleep
from typing import Any, Generic, TypeVar

from interplay.errors import (
    InternalError,
    InterplayError,
    ModelFailed,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from interplay.predictors.batch import BatchOutput
from interplay.rpc.torchserve_client import TorchServeClient
from interplay.serving.torchserve.messages import BATCH, DESCRIBE, Description, codec_of, description_codec
from interplay.serving.torchserve.settings import TorchServeSettings
from interplay.store import Manifest, StoredModel
from interplay.telemetry.logging import get_logger

log = get_logger(__name__)

In = TypeVar("In")
Out = TypeVar("Out")

_RETRY_S = 0.5
_QUESTION_S = 10.0


class TorchServeRuntime(Generic[In, Out]):
    """Runs one model's batches in a TorchServe; see ``Runtime``.

    Args:
        stored: The model as this server's store has it.
        settings: Where the TorchServe is.
    """

    kind = "torchserve"

    def __init__(self, stored: StoredModel, settings: TorchServeSettings) -> None:
        self._stored = stored
        self._settings = settings
        self._codec = codec_of(stored.manifest)
        self._client = TorchServeClient(settings.target, settings.key_file)
        self.manifest = stored.manifest
        self.load_s = 0.0
        self.device, self.dtype = "cpu", ""

    def load(self) -> None:
        """Wait until TorchServe has the model, and see that it is the one of the store.

        Raises:
            InternalError: It has another version or other weights.
            Unavailable: It had not loaded it in time.
        """
        started = perf_counter()
        description = self._described()
        loaded = Manifest.model_validate_json(description.manifest)
        if loaded.digest != self.manifest.digest:
            raise InternalError(
                f"TorchServe has {loaded.name} {loaded.version} ({loaded.digest[:19]}…), the store "
                f"{self.manifest.version} ({self.manifest.digest[:19]}…): package it again"
            )
        self.device, self.dtype = description.device, description.dtype
        self.load_s = perf_counter() - started

    def run(self, batch: Sequence[In], *, deadline: float) -> BatchOutput[Out]:
        """See ``Runtime``. A batch too large for one message is sent item by item."""
        content = self._codec.encode(list(batch))
        if len(content) <= self._settings.max_batch_bytes:
            return self._sent(content, deadline)
        if len(batch) == 1:
            limit = self._settings.max_batch_bytes
            error = PayloadTooLarge(
                f"the input takes {len(content):,} bytes on its way to TorchServe; the limit is {limit:,}",
                metadata={"limit": str(limit), "value": str(len(content))},
            )
            return BatchOutput(results=[error])
        return _joined([self.run([item], deadline=deadline) for item in batch])

    def is_healthy(self) -> bool:
        """Whether TorchServe says it is well and answers for this model; may be called on any thread."""
        if not self._client.is_healthy(_QUESTION_S):
            return False
        try:
            return isinstance(self._asked(_QUESTION_S), Description)
        except InterplayError:
            return False

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _sent(self, content: bytes, deadline: float) -> BatchOutput[Out]:
        started = perf_counter()
        timeout_s = min(deadline - monotonic(), self._settings.timeout_s)
        answer = self._codec.decode(self._predicted(BATCH, content, timeout_s))
        if isinstance(answer, ModelFailed):
            raise answer  # the batcher tries the items one by one
        if not isinstance(answer, BatchOutput):
            raise InternalError(f"TorchServe's handler of {self.manifest.name} answered something else")
        # What TorchServe and the way to it take counts as inference: to this server it is a part of it.
        own_s = answer.preprocess_s + answer.infer_s + answer.postprocess_s
        way_s = max(0.0, perf_counter() - started - own_s)
        return BatchOutput(
            results=answer.results,
            preprocess_s=answer.preprocess_s,
            infer_s=answer.infer_s + way_s,
            postprocess_s=answer.postprocess_s,
            padding_ratio=answer.padding_ratio,
        )

    def _described(self) -> Description:
        until = monotonic() + self._settings.startup_timeout_s
        while True:
            try:
                return self._asked(min(_QUESTION_S, max(0.1, until - monotonic())))
            except InterplayError as error:
                # Its port is open long before its workers are, and a model that is not there yet may come.
                if monotonic() > until:
                    name = self.manifest.name
                    raise Unavailable(
                        f"the TorchServe at {self._settings.target} has not loaded {name} within "
                        f"{self._settings.startup_timeout_s:.0f} s: {error.message}"
                    ) from error
                if not isinstance(error, Unavailable | NotFound):
                    log.info("torchserve_not_ready", model=self.manifest.name, reason=error.message)
            sleep(_RETRY_S)

    def _asked(self, timeout_s: float) -> Description:
        answer = description_codec().decode(self._predicted(DESCRIBE, b"?", timeout_s))
        if isinstance(answer, InterplayError):
            raise answer
        if not isinstance(answer, Description):
            raise InternalError(f"TorchServe's {self.manifest.name} is no archive of Interplay's")
        return answer

    def _predicted(self, key: str, content: bytes, timeout_s: float) -> bytes:
        name, version = self.manifest.name, str(self.manifest.version)
        return self._client.predict(name, version, key, content, timeout_s=timeout_s)


def _joined(outputs: Sequence[BatchOutput[Any]]) -> BatchOutput[Any]:
    """One output of several."""
    return BatchOutput(
        results=[result for output in outputs for result in output.results],
        preprocess_s=sum(output.preprocess_s for output in outputs),
        infer_s=sum(output.infer_s for output in outputs),
        postprocess_s=sum(output.postprocess_s for output in outputs),
        padding_ratio=max(output.padding_ratio for output in outputs),
    )
