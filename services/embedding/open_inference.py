"""Tensors of the embedding's models in the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import numpy as np

from interplay.errors import InvalidParameter
from interplay.predictors.embedding.image import ImageVector
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.tensors import Array, Tensor
from interplay.serving.open_inference.models import MAX_ITEMS, Inputs, OpenModel, Placed, picture_model
from interplay.types import Image
from services.embedding.vectors import Vectors


def open_models(vectors: Vectors, dimension: int) -> tuple[OpenModel, ...]:
    """The image model: images to vectors; the words: texts to vectors of the same space."""

    def placed(image: Image, number: int, inputs: Inputs) -> Placed:
        return Placed(image, None, vectors.pixels)

    async def of_texts(inputs: Inputs, context: grpc.aio.ServicerContext) -> dict[str, Array]:
        items = [vectors.text_item(text, f"text[{number}]") for number, text in enumerate(_texts(inputs))]
        with vectors.requests.admit(None, context) as work:
            found = await work.run_all(vectors.texts, [(item, None, 1) for item in items])
        return {"vector": np.stack([text.vector for text in found])}

    output = (Tensor("vector", "FP32", (-1, dimension)),)
    words = (Tensor("text", "BYTES", (-1,)), Tensor("language", "BYTES", (-1,), optional=True))
    return (
        picture_model(vectors.requests, vectors.images, placed, _packed, output),
        OpenModel(vectors.texts, words, output, of_texts),
    )


def _packed(results: Sequence[ImageVector]) -> dict[str, Array]:
    return {"vector": np.stack([image.vector for image in results])}


def _texts(inputs: Inputs) -> list[pb.Text]:
    texts, languages = list(inputs["text"]), list(inputs.get("language", [b""] * len(inputs["text"])))
    if len(texts) > MAX_ITEMS or len(languages) != len(texts):
        raise InvalidParameter(
            f"text has {len(texts)} and language {len(languages)} elements; at most {MAX_ITEMS} are taken, "
            "and one language for each, empty for the model's own",
            field="text",
        )
    try:
        return [
            pb.Text(content=text.decode(), language=language.decode())
            for text, language in zip(texts, languages, strict=True)
        ]
    except UnicodeDecodeError as error:
        raise InvalidParameter("the elements of text and language must be UTF-8", field="text") from error
