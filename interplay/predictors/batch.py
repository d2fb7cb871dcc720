"""What a predictor returns for a batch, and what serving expects of a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from interplay.errors import InterplayError
from interplay.store import Manifest

In = TypeVar("In")
Out = TypeVar("Out")
InContra = TypeVar("InContra", contravariant=True)


@dataclass(frozen=True)
class BatchOutput(Generic[Out]):
    """Results of one batch.

    Attributes:
        results: One per input, in order: the value or the error of that input alone.
        preprocess_s: Seconds until the model's input was ready.
        infer_s: Seconds in the model.
        postprocess_s: Seconds from the model's output to results.
        padding_ratio: Part of the model's input that is padding, in [0, 1).
    """

    results: Sequence[Out | InterplayError]
    preprocess_s: float = 0.0
    infer_s: float = 0.0
    postprocess_s: float = 0.0
    padding_ratio: float = 0.0


class Predictor(Protocol[InContra, Out]):
    """A loaded model: evaluation and serving call the same one.

    Attributes:
        manifest: Its manifest.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of inference.
    """

    manifest: Manifest
    device: str
    dtype: str

    def predict_batch(self, batch: Sequence[InContra]) -> BatchOutput[Out]:
        """One result per input, with stage times. Stateless between calls."""

    def warm_up(self) -> None:
        """Run representative input through the whole path."""
