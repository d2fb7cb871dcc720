"""Tensors of the hate classifier in the Open Inference Protocol. Words in images are the caller's to give."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import grpc
import numpy as np

from interplay.errors import InvalidParameter
from interplay.predictors.hate_classifier.answers import CATEGORIES, INPUTS, PostAnswer, PostItem
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.rpc.tensors import Array, Tensor
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import time_left, with_patience
from interplay.serving.open_inference.models import MAX_ITEMS, Inputs, OpenModel
from interplay.serving.requests import Requests
from services.hate_classifier.servicer import check_post, judge

_INPUTS = tuple(Tensor(name, "BYTES", (-1,), optional=True) for name in INPUTS)
_OUTPUTS = (
    Tensor("probability", "FP32", (-1,)),
    Tensor("interval", "FP32", (-1, 2)),
    Tensor("categories", "FP32", (-1, len(CATEGORIES))),
    Tensor("contributions", "FP32", (-1, len(INPUTS))),
)


def open_models(classifier: Batcher[PostItem, PostAnswer], requests: Requests) -> tuple[OpenModel, ...]:
    """Posts to probabilities; each has an element in every input that is given, an empty one for none."""

    async def infer(inputs: Inputs, context: grpc.aio.ServicerContext) -> dict[str, Array]:
        posts = _posts(inputs)

        async def one(post: pb.Post) -> PostAnswer:
            content = post.image.content if post.HasField("image") else None
            with requests.admit(content, context) as work:
                image = await work.decode() if content is not None else None
                item = PostItem(text=post.text, image_text=post.image_text, image=image)
                return await judge(classifier, item, work)

        if len(posts) == 1:
            return _packed([await one(posts[0])])
        patient = (with_patience(partial(one, post), time_left(context)) for post in posts)
        return _packed(await asyncio.gather(*patient))

    return (OpenModel(classifier, _INPUTS, _OUTPUTS, infer),)


def _posts(inputs: Inputs) -> list[pb.Post]:
    counts = {name: len(values) for name, values in inputs.items()}
    count = max(counts.values(), default=0)
    if not 1 <= count <= MAX_ITEMS or any(each != count for each in counts.values()):
        told = ", ".join(f"{name} has {each}" for name, each in counts.items()) or "there are none"
        raise InvalidParameter(
            f"give text, image_text and image, or some of them, with 1 to {MAX_ITEMS} elements, each with as "
            f"many: {told}",
            field="inputs",
        )
    posts = []
    for number in range(count):
        post = pb.Post(text=_text(inputs, "text", number), image_text=_text(inputs, "image_text", number))
        if "image" in inputs and inputs["image"][number]:
            post.image.content = inputs["image"][number]
        check_post(post)
        posts.append(post)
    return posts


def _text(inputs: Inputs, name: str, number: int) -> str:
    try:
        return str(inputs[name][number].decode()) if name in inputs else ""
    except UnicodeDecodeError as error:
        raise InvalidParameter(f"the elements of {name} must be UTF-8", field=name) from error


def _packed(answers: Sequence[PostAnswer]) -> dict[str, Array]:
    return {
        "probability": np.array([answer.probability for answer in answers], np.float32),
        "interval": np.array([(answer.low, answer.high) for answer in answers], np.float32),
        "categories": np.array(
            [[answer.categories[name] for name in CATEGORIES] for answer in answers], np.float32
        ),
        "contributions": np.array(
            [[answer.contributions.get(name, 0.0) for name in INPUTS] for answer in answers], np.float32
        ),
    }
