"""What a capability says of a model to offer it by the Open Inference Protocol.

An ``OpenModel`` is a batcher, the tensors that its model takes and gives, and a function between them. Models
that take images are made by ``picture_model``: images come encoded (``image``, BYTES) or as pixels
(``pixels``, UINT8, RGB), and are admitted, decoded and queued as those of the typed service are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from interplay.errors import InvalidParameter, PayloadTooLarge
from interplay.rpc.tensors import Array, Tensor
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import time_left, with_patience
from interplay.serving.requests import Requests
from interplay.types import Image

MAX_ITEMS = 64
IMAGE = Tensor("image", "BYTES", (-1,), optional=True)
PIXELS = Tensor("pixels", "UINT8", (-1, -1, -1, 3), optional=True)

Inputs = Mapping[str, Array]


@dataclass(frozen=True)
class OpenModel:
    """A model with named tensors.

    Attributes:
        batcher: What runs it.
        inputs, outputs: Its tensors.
        infer: Checked inputs by name, and the call; gives outputs by name.
    """

    batcher: Batcher[Any, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    infer: Callable[[Inputs, grpc.aio.ServicerContext], Awaitable[dict[str, Array]]]


@dataclass(frozen=True)
class Placed:
    """An item on its way into a batcher: what it is, with what it may share a batch, and its size."""

    item: Any
    bucket: Hashable
    pixels: int


def picture_model(
    requests: Requests,
    batcher: Batcher[Any, Any],
    place: Callable[[Image, int, Inputs], Placed],
    pack: Callable[[Sequence[Any]], dict[str, Array]],
    outputs: tuple[Tensor, ...],
    *,
    further: tuple[Tensor, ...] = (),
) -> OpenModel:
    """A model with one result an image.

    Args:
        requests: Admission and decoding.
        batcher: What runs the model.
        place: Makes the item of an image, given its number among the images and all inputs.
        pack: Makes outputs of all results.
        outputs: What it gives.
        further: Inputs beside the images.
    """

    async def infer(inputs: Inputs, context: grpc.aio.ServicerContext) -> dict[str, Array]:
        pictures = _pictures(inputs)

        async def one(number: int) -> Any:
            picture = pictures[number]
            encoded = picture if isinstance(picture, bytes) else None
            size = 0 if isinstance(picture, bytes) else _checked_size(picture, requests)
            with requests.admit(encoded, context, pixels=size) as work:
                image = await work.decode() if isinstance(picture, bytes) else picture
                placed = place(image, number, inputs)
                return await work.run(batcher, placed.item, bucket=placed.bucket, pixels=placed.pixels)

        if len(pictures) == 1:
            return pack([await one(0)])
        patient = (_patiently(one, number, context) for number in range(len(pictures)))
        return pack(await asyncio.gather(*patient))

    return OpenModel(batcher, (IMAGE, PIXELS, *further), outputs, infer)


def stacked(arrays: Sequence[Array]) -> Array:
    """(N, …) of N arrays of one shape.

    Raises:
        InvalidParameter: The shapes differ, because the images' do.
    """
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise InvalidParameter(
            "the images of one call must have one size, because each output is one tensor", field="image"
        )
    return np.stack(arrays)


async def _patiently(
    one: Callable[[int], Awaitable[Any]], number: int, context: grpc.aio.ServicerContext
) -> Any:
    return await with_patience(lambda: one(number), time_left(context))


def _pictures(inputs: Inputs) -> list[bytes | Image]:
    given = [name for name in (IMAGE.name, PIXELS.name) if name in inputs]
    if len(given) != 1:
        raise InvalidParameter(
            "give the images as image (encoded, BYTES) or as pixels (UINT8): one of the two", field="inputs"
        )
    pictures = list(inputs[given[0]])
    if len(pictures) > MAX_ITEMS:
        raise InvalidParameter(f"{given[0]} has {len(pictures)} images; at most {MAX_ITEMS} are taken")
    return pictures


def _checked_size(pixels: Image, requests: Requests) -> int:
    height, width = pixels.shape[:2]
    limit = requests.image_limits.max_pixels
    if height * width > limit:
        raise PayloadTooLarge(
            f"the image has {height * width:,} pixels; the limit is {limit:,}",
            field=PIXELS.name,
            metadata={"limit": str(limit), "value": str(height * width)},
        )
    return height * width
