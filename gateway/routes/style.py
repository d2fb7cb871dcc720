"""``/v1/styles`` and ``/v1/style:…``: what styles there are, and text with the looks of one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gateway.answers import json_answer, multipart_answer, picture_answer, timings_of
from gateway.deps import AppState, StateDep, require_scope
from gateway.image_input import receive_image
from gateway.negotiation import JPEG, JSON, MULTIPART, PICTURES, PNG, best_media_type
from gateway.openapi_parts import image_operation, problem_responses
from gateway.schemas.style import (
    RenderAnswer,
    RenderOptions,
    StyleList,
    TransferAnswer,
    TransferOptions,
    mix_from_proto,
)
from gateway.upstream import Deadline, call_server
from interplay.errors import (
    DeadlineExceeded,
    InvalidParameter,
    NotAcceptable,
    NotFound,
    Overloaded,
    Unavailable,
)
from interplay.media.draw import contact_sheet
from interplay.media.images import decode, encode_picture
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb

CAPABILITY = "style_transfer"
TRANSFER_TYPES = (*PICTURES, JSON, MULTIPART)
RENDER_TYPES = (*PICTURES, JSON)

# Results on a contact sheet are photos, which want more room than the words of the thumbnails.
_RESULT_CELL, _RESULT_COLUMNS = 320, 4
_QUALITY = 92

router = APIRouter(prefix="/v1", tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])


@router.get(
    "/styles",
    response_model=StyleList,
    responses={
        200: {
            "description": f"Default: {JSON}; {PNG} is a contact sheet of the thumbnails",
            "content": {
                JSON: {"example": StyleList.EXAMPLE},
                PNG: {"schema": {"type": "string", "contentMediaType": PNG}},
            },
        },
        **problem_responses(
            InvalidParameter, NotFound, NotAcceptable, Overloaded, Unavailable, DeadlineExceeded
        ),
    },
)
async def list_styles(
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    thumbnails: Annotated[bool, Query(description="Whether to make thumbnails.")] = True,
) -> Response:
    """The styles that there are, as JSON or as a contact sheet."""
    media_type = best_media_type(request.headers.get("accept"), (JSON, PNG))
    if media_type == PNG and not thumbnails:
        raise InvalidParameter(f"thumbnails=false needs Accept: {JSON}", field="thumbnails")
    message = pb.ListStylesRequest(without_thumbnails=not thumbnails)
    response = await call_server(request, state, CAPABILITY, "ListStyles", message, timeout_s)
    headers = {"Vary": "Accept"}
    if media_type == JSON:
        answer = StyleList.from_proto(response)
        return Response(answer.model_dump_json(), media_type=JSON, headers=headers)
    if not response.styles:
        raise NotFound("the server has no styles to show")
    names = [style.name for style in response.styles]
    sheet = await _sheet(state, [style.thumbnail for style in response.styles], names, PNG)
    return Response(sheet, media_type=PNG, headers=headers)


@router.post("/style:transfer", **image_operation(TransferOptions, TransferAnswer, TRANSFER_TYPES))
async def transfer_style(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """A photo, or only its text, in another style, or in several.

    Several results come as `multipart/mixed` by default: a part for each, with its mix in `Interplay-Style`.
    As a picture they are one contact sheet.
    """
    accept = request.headers.get("accept")
    best_media_type(accept, TRANSFER_TYPES)  # what is refused anyhow is not worth reading the body
    content, options = await receive_image(request, state, CAPABILITY, TransferOptions)
    several = len(options.mixes) > 1
    pictures = options.picture_types
    media_type = best_media_type(
        accept, (MULTIPART, *pictures, JSON) if several else (*pictures, JSON, MULTIPART)
    )
    picture_type = options.picture_type(media_type)
    as_sheet = several and media_type in PICTURES
    # What is shrunk for a sheet need not come without loss.
    message = options.to_request(content, JPEG if as_sheet else picture_type)
    response = await call_server(request, state, CAPABILITY, "Stylize", message, timeout_s)
    styles = [mix_from_proto(mix) for mix in message.mixes]
    if as_sheet:
        sheet = await _sheet(
            state,
            response.images,
            styles,
            picture_type,
            options.quality,
            columns=_RESULT_COLUMNS,
            cell=_RESULT_CELL,
        )
        return picture_answer(sheet, timings_of(request, response.timings), picture_type)
    timings = timings_of(request, response.timings)
    if media_type == JSON:
        return json_answer(TransferAnswer.from_proto(response, styles, timings), timings)
    if media_type == MULTIPART:
        return multipart_answer(_parts(response.images, styles, picture_type), timings)
    return picture_answer(response.images[0], timings, picture_type)


@router.post(
    "/style:render", **image_operation(RenderOptions, RenderAnswer, RENDER_TYPES, image_required=False)
)
async def render_text(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Words drawn in a style: alone, with transparency around them, or into a photo."""
    accept = request.headers.get("accept")
    best_media_type(accept, RENDER_TYPES)
    content, options = await receive_image(request, state, CAPABILITY, RenderOptions, required=False)
    media_type = best_media_type(accept, (*options.picture_types, JSON))
    picture_type = options.picture_type(media_type)
    message = options.to_request(content, picture_type)
    response = await call_server(request, state, CAPABILITY, "RenderText", message, timeout_s)
    timings = timings_of(request, response.timings)
    if media_type == JSON:
        return json_answer(RenderAnswer.from_proto(response, timings), timings)
    return picture_answer(response.image, timings, picture_type)


def _parts(
    images: Sequence[bytes], styles: Sequence[str], picture_type: str
) -> Iterator[tuple[dict[str, str], bytes]]:
    suffix = picture_type.removeprefix("image/")
    for number, (image, style) in enumerate(zip(images, styles, strict=True), start=1):
        # A name of a style may hold anything; a header and a file name may not.
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", style)
        yield (
            {
                "Content-Type": picture_type,
                "Content-Disposition": f'attachment; filename="{number}-{name}.{suffix}"',
                "Interplay-Style": quote(style, safe=" ,:"),
            },
            image,
        )


async def _sheet(
    state: AppState,
    pictures: Sequence[bytes],
    captions: Sequence[str],
    media_type: str,
    quality: int | None = None,
    *,
    columns: int = 6,
    cell: int = 200,
) -> bytes:
    """A contact sheet of encoded pictures; in a thread, for it takes a while."""

    def draw() -> bytes:
        sheet = contact_sheet([decode(picture) for picture in pictures], captions, columns, cell=cell)
        kind = media_type.removeprefix("image/").upper()
        return encode_picture(sheet, kind, _QUALITY if quality is None else quality)

    async with state.drawing:
        return await asyncio.to_thread(draw)
