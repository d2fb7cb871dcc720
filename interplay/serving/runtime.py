"""What runs a model: the seam between the batcher and whatever does the inference.

``InProcessRuntime`` calls a predictor in this process; ``torchserve.runtime.TorchServeRuntime`` sends the
batch to a TorchServe. Nothing above them changes. ``load`` and ``run`` are called on one thread, the
model's owner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from interplay.predictors.batch import BatchOutput, Predictor
from interplay.serving import gpu
from interplay.store import Manifest

In = TypeVar("In")
Out = TypeVar("Out")
InContra = TypeVar("InContra", contravariant=True)


class Runtime(Protocol[InContra, Out]):
    """Runs batches of one model. The attributes are valid after ``load``.

    Attributes:
        kind: Name of the runtime, for people: ``in_process``.
        manifest: The model's manifest.
        device: Where it runs: ``cpu`` or ``cuda:N``.
        dtype: Number type of inference.
        load_s: Seconds that loading and warming up took.
    """

    kind: str
    manifest: Manifest
    device: str
    dtype: str
    load_s: float

    def load(self) -> None:
        """Load and verify the model and run it once, so that the first request is not the slow one."""

    def run(self, batch: Sequence[InContra], *, deadline: float) -> BatchOutput[Out]:
        """Run one batch.

        Args:
            batch: Items of one bucket.
            deadline: ``time.monotonic()`` value after which no item's result is of use.

        Raises:
            Unavailable, DeadlineExceeded, Overloaded: The runtime itself cannot work now; every item gets
                this error.
            Exception: Anything else; the batcher then tries the items one by one.
        """


class InProcessRuntime(Generic[In, Out]):
    """Runs a predictor in this process.

    Args:
        build: Makes the predictor; called once, in ``load``.
    """

    kind = "in_process"

    def __init__(self, build: Callable[[], Predictor[In, Out]]) -> None:
        self._build = build
        self._predictor: Predictor[In, Out] | None = None
        self.load_s = 0.0

    def load(self) -> None:
        """See ``Runtime``."""
        started = perf_counter()
        self._predictor = self._build()
        self.manifest = self._predictor.manifest
        self.device = self._predictor.device
        self.dtype = self._predictor.dtype
        if self.device.startswith("cuda"):
            gpu.publish_memory(self.device)
        self._predictor.warm_up()
        self.load_s = perf_counter() - started

    def run(self, batch: Sequence[In], *, deadline: float) -> BatchOutput[Out]:
        """See ``Runtime``."""
        if self._predictor is None:
            raise RuntimeError("run() before load()")
        with gpu.counting_out_of_memory(self.device):
            return self._predictor.predict_batch(batch)
