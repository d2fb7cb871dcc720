"""Tensors of text detection's models in the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interplay.predictors.text_detection.reader import HEIGHT, width_bucket
from interplay.predictors.text_detection.segmenter import input_size
from interplay.rpc.tensors import Array, Tensor, bytes_array
from interplay.serving.batcher import Batcher
from interplay.serving.open_inference.models import Inputs, OpenModel, Placed, picture_model, stacked
from interplay.serving.requests import Requests
from interplay.types import Heatmap, Image


def open_models(
    segmenter: Batcher[Image, Heatmap], reader: Batcher[Image, tuple[str, float]], requests: Requests
) -> tuple[OpenModel, ...]:
    """The segmenter: photos to probabilities; the reader: crops to texts."""

    def whole(image: Image, number: int, inputs: Inputs) -> Placed:
        size = input_size(image.shape[0], image.shape[1], segmenter.runtime.manifest.preprocessing)
        return Placed(image, size, size[0] * size[1])

    def crop(image: Image, number: int, inputs: Inputs) -> Placed:
        width = width_bucket(image)
        return Placed(image, width, width * HEIGHT)

    planes = (-1, -1, -1)
    return (
        picture_model(
            requests,
            segmenter,
            whole,
            _heatmaps,
            (Tensor("text", "FP32", planes), Tensor("core", "FP32", planes)),
        ),
        picture_model(
            requests,
            reader,
            crop,
            _readings,
            (Tensor("text", "BYTES", (-1,)), Tensor("confidence", "FP32", (-1,))),
        ),
    )


def _heatmaps(results: Sequence[Heatmap]) -> dict[str, Array]:
    outputs = {"text": stacked([heatmap.text for heatmap in results])}
    cores: list[Any] = [heatmap.core for heatmap in results]
    return outputs if cores[0] is None else outputs | {"core": stacked(cores)}


def _readings(results: Sequence[tuple[str, float]]) -> dict[str, Array]:
    return {
        "text": bytes_array([text.encode() for text, _ in results]),
        "confidence": np.array([confidence for _, confidence in results], np.float32),
    }
