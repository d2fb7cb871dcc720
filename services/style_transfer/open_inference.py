"""Tensors of style transfer's models in the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interplay.errors import InvalidParameter
from interplay.predictors.style_transfer.stylist import StyleItem
from interplay.rpc.tensors import Array, Tensor
from interplay.serving.batcher import Batcher
from interplay.serving.open_inference.models import Inputs, OpenModel, Placed, picture_model, stacked
from interplay.serving.requests import Requests
from interplay.types import Image
from services.style_transfer.catalogue import Styling


def open_models(
    styling: Mapping[str, Styling],
    styles: Mapping[str, int],
    describing: Batcher[Any, Any],
    requests: Requests,
) -> tuple[OpenModel, ...]:
    """The style models: photos and weights to photos; the perceptual network: photos to vectors.

    Args:
        styling: Batchers of the style models by name.
        styles: How many styles each has.
        describing: Batcher of the perceptual network.
        requests: Admission.
    """

    def described(image: Image, number: int, inputs: Inputs) -> Placed:
        return Placed(image, None, image.shape[0] * image.shape[1])

    return (
        *(
            picture_model(
                requests,
                batcher,
                _styled,
                lambda results: {"pixels": stacked(results)},
                (Tensor("pixels", "UINT8", (-1, -1, -1, 3)),),
                further=(Tensor("weights", "FP32", (-1, styles[name])),),
            )
            for name, batcher in styling.items()
        ),
        picture_model(requests, describing, described, _vectors, (Tensor("vector", "FP32", (-1, -1)),)),
    )


def _styled(image: Image, number: int, inputs: Inputs) -> Placed:
    given = inputs["weights"]
    count = len(inputs["image"] if "image" in inputs else inputs["pixels"])
    if len(given) not in (1, count):
        raise InvalidParameter(
            f"weights has {len(given)} rows for {count} images; it must have 1 or one an image",
            field="weights",
        )
    weights = np.array(given[0 if len(given) == 1 else number], np.float32)
    if not np.isfinite(weights).all() or (weights < 0).any() or not 0.99 < weights.sum() < 1.01:
        raise InvalidParameter("the weights of an image must be 0 or more and sum to 1", field="weights")
    height, width = image.shape[:2]
    return Placed(StyleItem(np.ascontiguousarray(image), weights), (height, width), height * width)


def _vectors(results: Sequence[Array]) -> dict[str, Array]:
    return {"vector": np.stack(results)}
