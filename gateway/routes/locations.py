"""``/v1/locations…``: tags of a photo at a place, photos for a tag near a place, and how well they fit."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gateway.answers import json_answer, picture_answer, timings_of
from gateway.deps import StateDep, require_scope
from gateway.image_input import image_contents, parse_body, receive_image
from gateway.negotiation import HTML, JSON, PNG, best_media_type
from gateway.openapi_parts import IMAGE_ERRORS, UPSTREAM_ERRORS, image_operation, json_operation
from gateway.schemas.locations import (
    KnownTags,
    LocationSearchAnswer,
    LocationSearchBody,
    ScoreAnswer,
    ScoreBody,
    TagAnswer,
    TagOptions,
)
from gateway.thumbnails import draw_hits, map_hits
from gateway.upstream import Deadline, call_server
from interplay.errors import InvalidInput, InvalidParameter, NotFound, UnsupportedMedia, UploadTimeout
from interplay.media.geo_map import place_text
from interplay.rpc.locsens.v1 import locsens_pb2 as pb

CAPABILITY = "locsens"
SEARCH_TYPES = (JSON, PNG, HTML)

router = APIRouter(prefix="/v1/locations", tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])


@router.post(":tag", **image_operation(TagOptions, TagAnswer, (JSON,)))
async def tag_image(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Tags of a photo: with the place where it was taken, and without, to see what the place changes."""
    best_media_type(request.headers.get("accept"), (JSON,))
    content, options = await receive_image(request, state, CAPABILITY, TagOptions)
    response = await call_server(request, state, CAPABILITY, "Tag", options.to_request(content), timeout_s)
    timings = timings_of(request, response.timings)
    return json_answer(TagAnswer.from_proto(response, timings), timings)


@router.post(
    ":search",
    **json_operation(
        LocationSearchAnswer,
        InvalidInput,
        InvalidParameter,
        UnsupportedMedia,
        UploadTimeout,
        NotFound,
        *UPSTREAM_ERRORS,
        body=LocationSearchBody,
        also=(PNG, HTML),
    ),
)
async def search_locations(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Images of an index for a tag at a place.

    As a picture the answer is a contact sheet of the hits' thumbnails, with their scores; as HTML it is a
    map, in one file.
    """
    media_type = best_media_type(request.headers.get("accept"), SEARCH_TYPES)
    body = await parse_body(request, state, CAPABILITY, LocationSearchBody)
    response = await call_server(request, state, CAPABILITY, "Retrieve", body.to_request(), timeout_s)
    timings = timings_of(request, response.timings)
    if media_type == JSON:
        return json_answer(LocationSearchAnswer.from_proto(response, body.index, timings), timings)
    if media_type == PNG:
        if not response.hits:
            raise NotFound("nothing was found that could be drawn")
        async with state.drawing:
            sheet = await asyncio.to_thread(draw_hits, state.datasets, response.hits)
        return picture_answer(sheet, timings, PNG)
    place = (body.place.latitude, body.place.longitude) if body.place else None
    async with state.drawing:
        page = await asyncio.to_thread(
            map_hits,
            state.datasets,
            response.hits,
            title=", ".join(body.tags) + (f" near {place_text(place)}" if place else ""),
            place=place,
            radius_m=body.radius_m,
            note=f"{len(response.hits)} photos of the index {body.index}; {response.scored:,} were scored",
        )
    return picture_answer(page, timings, HTML)


@router.post(":score", **json_operation(ScoreAnswer, *IMAGE_ERRORS, body=ScoreBody))
async def score_triplets(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """How well triplets of image, tag and place go together."""
    body = await parse_body(request, state, CAPABILITY, ScoreBody)
    message = body.to_request(await image_contents(state, body.images))
    response = await call_server(request, state, CAPABILITY, "Score", message, timeout_s)
    timings = timings_of(request, response.timings)
    return json_answer(ScoreAnswer.from_proto(response, timings), timings)


@router.get("/tags", **json_operation(KnownTags, InvalidParameter, *UPSTREAM_ERRORS))
async def list_tags(
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    prefix: Annotated[
        str, Query(max_length=100, description="Only tags that begin so.", examples=["bea"])
    ] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="How many.")] = 100,
) -> KnownTags:
    """The vocabulary: tags that the models know, the most frequent first."""
    message = pb.ListTagsRequest(prefix=prefix, limit=limit)
    response = await call_server(request, state, CAPABILITY, "ListTags", message, timeout_s)
    return KnownTags.from_proto(response)
