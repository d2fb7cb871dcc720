"""``/v1/text:…``: where text is in a photo and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.answers import json_answer, picture_answer, timings_of
from gateway.deps import AppState, StateDep, require_scope
from gateway.image_input import receive_image
from gateway.negotiation import JSON, PNG, best_media_type
from gateway.openapi_parts import image_operation
from gateway.schemas.text import (
    DetectAnswer,
    DetectOptions,
    PresenceAnswer,
    PresenceOptions,
    ReadAnswer,
    ReadOptions,
    SegmentAnswer,
    SegmentOptions,
)
from gateway.upstream import Deadline, call_server
from interplay.errors import InvalidParameter
from interplay.media.draw import draw_regions
from interplay.media.images import decode, encode_png

CAPABILITY = "text_detection"

router = APIRouter(prefix="/v1", tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])


@router.post("/text:segment", **image_operation(SegmentOptions, SegmentAnswer, (PNG, JSON)))
async def segment_text(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Text probability of every pixel, as a grey PNG or in JSON."""
    media_type = best_media_type(request.headers.get("accept"), (PNG, JSON))
    content, options = await receive_image(request, state, CAPABILITY, SegmentOptions)
    if media_type == PNG and options.format != "png":
        raise InvalidParameter(f"format {options.format} needs Accept: {JSON}", field="format")
    response = await call_server(
        request, state, CAPABILITY, "Segment", options.to_request(content), timeout_s
    )
    timings = timings_of(request, response.timings)
    if media_type == PNG:
        return picture_answer(response.heatmap, timings)
    return json_answer(SegmentAnswer.from_proto(response, timings), timings)


@router.post("/text:detect", **image_operation(DetectOptions, DetectAnswer, (JSON, PNG)))
async def detect_text(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Word regions as rotated rectangles with scores, as JSON or drawn on the photo."""
    media_type = best_media_type(request.headers.get("accept"), (JSON, PNG))
    content, options = await receive_image(request, state, CAPABILITY, DetectOptions)
    response = await call_server(request, state, CAPABILITY, "Detect", options.to_request(content), timeout_s)
    if media_type == PNG:
        labels = [f"{region.score:.2f}" for region in response.regions]
        picture = await _drawn(state, content, [region.polygon for region in response.regions], labels)
        return picture_answer(picture, timings_of(request, response.timings))
    timings = timings_of(request, response.timings)
    return json_answer(DetectAnswer.from_proto(response, timings), timings)


@router.post("/text:read", **image_operation(ReadOptions, ReadAnswer, (JSON, PNG)))
async def read_text(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Word regions with the recognised words, as JSON or drawn on the photo."""
    media_type = best_media_type(request.headers.get("accept"), (JSON, PNG))
    content, options = await receive_image(request, state, CAPABILITY, ReadOptions)
    response = await call_server(request, state, CAPABILITY, "Read", options.to_request(content), timeout_s)
    if media_type == PNG:
        polygons = [word.region.polygon for word in response.words]
        picture = await _drawn(state, content, polygons, [word.text for word in response.words])
        return picture_answer(picture, timings_of(request, response.timings))
    timings = timings_of(request, response.timings)
    return json_answer(ReadAnswer.from_proto(response, timings), timings)


@router.post("/text:presence", **image_operation(PresenceOptions, PresenceAnswer, (JSON,)))
async def measure_text_presence(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """How much text an image holds: what filtering a dataset needs."""
    best_media_type(request.headers.get("accept"), (JSON,))
    content, options = await receive_image(request, state, CAPABILITY, PresenceOptions)
    response = await call_server(
        request, state, CAPABILITY, "Presence", options.to_request(content), timeout_s
    )
    timings = timings_of(request, response.timings)
    return json_answer(PresenceAnswer.from_proto(response, timings), timings)


async def _drawn(state: AppState, content: bytes, polygons: Sequence[Any], labels: Sequence[str]) -> bytes:
    """The photo with polygons and labels drawn on it, as PNG; in a thread, for it takes a while."""
    corners = [[(point.x, point.y) for point in polygon.points] for polygon in polygons]
    async with state.drawing:
        return await asyncio.to_thread(lambda: encode_png(draw_regions(decode(content), corners, labels)))
