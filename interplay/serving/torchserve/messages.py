"""What a model server and the handler in an archive say to each other: two questions, one codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interplay.predictors.batch import BatchOutput
from interplay.served import wire_types
from interplay.serving.torchserve.codec import Codec
from interplay.store import Manifest

# Keys of a request's input: a batch to run, or a question for the model itself.
BATCH, DESCRIBE = "batch", "describe"


@dataclass(frozen=True)
class Description:
    """What a handler has loaded.

    Attributes:
        manifest: JSON of the manifest.
        device, dtype: Of the predictor.
        load_s: Seconds that loading and warming up took.
    """

    manifest: str
    device: str
    dtype: str
    load_s: float


def codec_of(manifest: Manifest) -> Codec:
    """The codec of a model's batches."""
    return Codec((*_COMMON, *wire_types(manifest)))


def description_codec() -> Codec:
    """The codec of a description alone: what is asked before the model is known."""
    return Codec(_COMMON)


_COMMON: Sequence[type] = (BatchOutput, Description)
