"""``EmbeddingAnalysisService``: translation between the contract and the network's inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np

from interplay.errors import InterplayError, InvalidParameter
from interplay.media.images import decode, encode_png
from interplay.predictors.embedding.dream import DreamPlan, Picture
from interplay.predictors.embedding.inside import (
    LAYERS,
    UNITS,
    Aim,
    DreamGradient,
    DreamItem,
    LookItem,
    UnitAnswers,
)
from interplay.predictors.embedding.text import TextItem, TextVector
from interplay.rpc.embedding.v1 import analysis_pb2 as pb
from interplay.rpc.embedding.v1 import analysis_pb2_grpc as pb_grpc
from interplay.rpc.status import item_error
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import time_left, with_patience
from interplay.serving.checks import check_count
from interplay.serving.model_service import model_info
from interplay.serving.requests import Requests, Work, timings_message
from interplay.types import Image, StageTimings
from services.embedding.options import MAX_IMAGES, check_text

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["EmbeddingAnalysisService"].full_name

MAX_UNITS = 64
SIDES = (64, 1024)
DEFAULT_SIDE = 640

# Field of the request → field of the plan, least and most.
_DREAM_RANGES: dict[str, tuple[str, float, float]] = {
    "octaves": ("octaves", 1, 8),
    "octave_scale": ("scale", 1.1, 2.0),
    "steps": ("steps", 1, 100),
    "rate": ("rate", 0.01, 20.0),
    "jitter": ("jitter", 0, 64),
}


class EmbeddingAnalysisServicer(pb_grpc.EmbeddingAnalysisServiceServicer):
    """See ``protos/interplay/embedding/v1/analysis.proto``.

    Args:
        network: Batcher of the image network.
        texts: Batcher of the words.
        requests: Admission.
        side: Of the network's input, in pixels.
    """

    def __init__(
        self,
        network: Batcher[Any, Any],
        texts: Batcher[TextItem, TextVector],
        requests: Requests,
        *,
        side: int,
    ) -> None:
        self._network = network
        self._texts = texts
        self._requests = requests
        self._pixels = side * side

    async def Activations(
        self, request: pb.ActivationsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ActivationsResponse:
        """What units answer."""
        check_count("images", len(request.images), MAX_IMAGES)
        units = units_of(request)
        timings = StageTimings()

        async def one(content: bytes) -> UnitAnswers | InterplayError:
            try:
                return await with_patience(
                    lambda: self._look(content, units, context, timings), time_left(context)
                )
            except InterplayError as error:
                return error

        found = await asyncio.gather(*(one(image.content) for image in request.images))
        if len(found) == 1 and isinstance(found[0], InterplayError):
            raise found[0]
        return pb.ActivationsResponse(
            results=[
                pb.ActivationsResult(error=item_error(result))
                if isinstance(result, InterplayError)
                else pb.ActivationsResult(activations=activations_message(result, units))
                for result in found
            ],
            model=model_info(self._network.runtime.manifest),
            timings=timings_message(timings),
        )

    async def Dream(
        self, request: pb.DreamRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.DreamResponse]:
        """A picture, step by step; other requests get their turn between the steps."""
        plan_fields, side = dream_options(request)
        with self._requests.admit(request.image.content, context) as work:
            aim = await self._aim(request, work)
            image = await work.decode()
            height, width = image.shape[:2]
            plan = DreamPlan.for_image(height, width, side, **plan_fields)
            done, until = stretch(request, plan)
            picture: Image | Picture | None = None
            if done:
                picture = await work.finish(decode, request.picture.content, self._requests.image_limits)
            while done < until:
                picture = await work.finish(plan.start, image, done, picture)
                score, picture = await self._step(work, plan, done, picture, aim)
                done += 1
                answer = pb.DreamResponse(done=done, total=plan.total, score=score)
                if done == until or plan.ends_octave(done):
                    answer.picture = await work.finish(_png, picture)
                if done == until:
                    answer.model.CopyFrom(model_info(self._network.runtime.manifest))
                yield answer

    async def _look(
        self,
        content: bytes,
        units: tuple[int, ...],
        context: grpc.aio.ServicerContext,
        timings: StageTimings,
    ) -> UnitAnswers:
        with self._requests.admit(content, context) as work:
            image = await work.decode()
            found: UnitAnswers = await work.run(
                self._network, LookItem(image, units), bucket="look", pixels=self._pixels
            )
        timings.add(work.timings)
        return found

    async def _aim(self, request: pb.DreamRequest, work: Work) -> Aim:
        aim = request.WhichOneof("aim")
        if aim == "layer":
            _check("layer", request.layer, 1, LAYERS)
            return Aim(layer=request.layer)
        if aim == "unit":
            _check("unit", request.unit, 0, UNITS - 1)
            return Aim(unit=request.unit)
        if aim is None:
            raise InvalidParameter("the request has neither layer, unit nor text", field="aim")
        languages = tuple(self._texts.runtime.manifest.details.get("translations", {}))
        item = TextItem(*check_text(request.text, languages, "text"))
        text = await work.run(self._texts, item, bucket=None, pixels=1)
        if not text.vector.any():
            raise InvalidParameter(
                f"the model knows nothing of {request.text.content!r}", field="text.content"
            )
        return Aim(vector=text.vector)

    async def _step(
        self, work: Work, plan: DreamPlan, done: int, picture: Picture, aim: Aim
    ) -> tuple[float, Picture]:
        down, right = plan.shift(done)
        moved = np.ascontiguousarray(np.roll(picture, (down, right), (0, 1)))
        pixels = moved.shape[0] * moved.shape[1]
        # A bucket of its own: pictures of a dream share no batch, whatever else is waiting.
        found: DreamGradient = await work.run(
            self._network, DreamItem(moved, aim), bucket=object(), pixels=pixels
        )
        gradient = np.roll(found.gradient, (-down, -right), (0, 1))
        return found.score, await work.finish(plan.climb, picture, gradient)


def units_of(request: pb.ActivationsRequest) -> tuple[int, ...]:
    """Units whose maps are wanted.

    Raises:
        InvalidParameter: Too many, or one that is not there.
    """
    if len(request.units) > MAX_UNITS:
        raise InvalidParameter(
            f"units has {len(request.units)} items; at most {MAX_UNITS} are taken", field="units"
        )
    for number, unit in enumerate(request.units):
        _check(f"units[{number}]", unit, 0, UNITS - 1)
    return tuple(request.units)


def dream_options(request: pb.DreamRequest) -> tuple[dict[str, Any], int]:
    """Fields of the plan, and the longer side of the result.

    Raises:
        InvalidParameter: One is out of its range.
    """
    side = request.side if request.HasField("side") else DEFAULT_SIDE
    _check("side", side, *SIDES)
    fields: dict[str, Any] = {"seed": request.seed}
    _check("seed", request.seed, 0, 2**31 - 1)
    for name, (field, least, most) in _DREAM_RANGES.items():
        if request.HasField(name):
            value = getattr(request, name)
            _check(name, value, least, most)
            fields[field] = value
    return fields, side


def stretch(request: pb.DreamRequest, plan: DreamPlan) -> tuple[int, int]:
    """First and last step of a call.

    Raises:
        InvalidParameter: They are none of the plan, or the picture to go on with is missing.
    """
    until = request.until if request.HasField("until") else plan.total
    _check("until", until, 1, plan.total)
    _check("done", request.done, 0, until - 1)
    if request.done and not request.picture.content:
        raise InvalidParameter(
            f"done is {request.done}, and there is no picture to go on with", field="picture"
        )
    return request.done, until


def activations_message(found: UnitAnswers, units: tuple[int, ...]) -> pb.Activations:
    """Activations for the wire."""
    message = pb.Activations(pooled=found.pooled.astype("<f4").tobytes())
    for unit, values in zip(units, found.maps, strict=True):
        height, width = values.shape
        message.maps.add(unit=unit, height=height, width=width, values=values.astype("<f4").tobytes())
    return message


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # also true for NaN
        raise InvalidParameter(f"{name} is {value:g}; it must be {least:g} to {most:g}", field=name)


def _png(picture: Any) -> bytes:
    return encode_png(np.rint(picture).astype(np.uint8))
