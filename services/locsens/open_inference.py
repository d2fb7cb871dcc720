"""Tensors of LocSens's models in the Open Inference Protocol. Indexes are searched by the typed service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np

from interplay.errors import InvalidParameter
from interplay.predictors.locsens.image import TaggedImage
from interplay.predictors.locsens.scorer import TripletItem
from interplay.rpc.tensors import Array, Tensor
from interplay.serving.batcher import Batcher
from interplay.serving.open_inference.models import Inputs, OpenModel, Placed, picture_model
from interplay.serving.requests import Requests
from interplay.types import Image
from services.locsens.images import Images
from services.locsens.servicer import MAX_TRIPLETS, PlaceTags
from services.locsens.tables import Ranker


def open_models(images: Images, ranker: Ranker, place_tags: PlaceTags) -> tuple[OpenModel, ...]:
    """The image model: images to vectors and chances of tags; the scorers: triplets to scores."""
    side = int(images.manifest.details["side"])
    tags = len(images.manifest.labels)

    def placed(image: Image, number: int, inputs: Inputs) -> Placed:
        return Placed(image, None, side * side)

    outputs = (
        Tensor("vector", "FP32", (-1, images.dimension)),
        Tensor("chances", "FP32", (-1, tags)),
    )
    return (
        picture_model(images.requests, images.tagger, placed, _packed, outputs),
        *(_scorer(batcher, images.requests, images.dimension, tags) for batcher in (ranker, place_tags)),
    )


def _packed(results: Sequence[TaggedImage]) -> dict[str, Array]:
    return {
        "vector": np.stack([image.vector for image in results]),
        "chances": np.stack([image.chances for image in results]),
    }


def _scorer(batcher: Batcher[Any, Any], requests: Requests, dimension: int, tags: int) -> OpenModel:
    """Scores of image vectors, numbers of tags, and places in degrees, row by row."""

    async def infer(inputs: Inputs, context: grpc.aio.ServicerContext) -> dict[str, Array]:
        item = _triplets(inputs, tags)
        with requests.admit(None, context) as work:
            scores = await work.run(batcher, item, bucket="triplets", pixels=len(item.tags))
        return {"score": np.asarray(scores, np.float32)}

    inputs = (
        Tensor("vector", "FP32", (-1, dimension)),
        Tensor("tag", "INT64", (-1,)),
        Tensor("place", "FP64", (-1, 2)),
    )
    return OpenModel(batcher, inputs, (Tensor("score", "FP32", (-1,)),), infer)


def _triplets(inputs: Inputs, vocabulary: int) -> TripletItem:
    vectors, tags, places = inputs["vector"], inputs["tag"], inputs["place"]
    if not len(vectors) == len(tags) == len(places) <= MAX_TRIPLETS:
        raise InvalidParameter(
            f"vector, tag and place have {len(vectors)}, {len(tags)} and {len(places)} rows; they must have "
            f"equally many, at most {MAX_TRIPLETS}",
            field="tag",
        )
    if tags.min() < 0 or tags.max() >= vocabulary:
        raise InvalidParameter(f"tag has a number outside 0 to {vocabulary - 1}", field="tag")
    if not (np.abs(places) <= (90.0, 180.0)).all():
        raise InvalidParameter(
            "place has a latitude outside -90 to 90 or a longitude outside -180 to 180", field="place"
        )
    if not np.isfinite(vectors).all():
        raise InvalidParameter("vector holds a number that is not finite", field="vector")
    return TripletItem(np.array(vectors, np.float32), np.array(tags), np.array(places))
