"""``/v1/embeddings`` and ``/v1/search``: vectors, and searching with sums of them."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.answers import json_answer, picture_answer, timings_of
from gateway.deps import StateDep, require_scope
from gateway.image_input import image_contents, parse_body, receive_image
from gateway.negotiation import HTML, JSON, PNG, best_media_type
from gateway.openapi_parts import IMAGE_ERRORS, image_operation, json_operation
from gateway.schemas.embedding import EmbeddingBody, EmbeddingsAnswer, EmbeddingsBody, UsageBody, encoded
from gateway.schemas.search import SearchAnswer, SearchOptions
from gateway.thumbnails import draw_hits, map_hits
from gateway.upstream import Deadline, call_server
from interplay.errors import Conflict, InvalidParameter, NotFound
from interplay.rpc.common.v1 import common_pb2, index_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.status import error_from_item

CAPABILITY = "embedding"
SEARCH_TYPES = (JSON, PNG, HTML)

router = APIRouter(prefix="/v1", tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])


@router.post("/embeddings", **json_operation(EmbeddingsAnswer, *IMAGE_ERRORS, body=EmbeddingsBody))
async def create_embeddings(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Vectors of texts and images, in the shape of OpenAI's embeddings."""
    body = await parse_body(request, state, CAPABILITY, EmbeddingsBody)
    contents = await image_contents(state, body.images)
    data: list[EmbeddingBody] = []
    tokens, models = 0, []
    if body.texts:
        texts = [pb.Text(content=text, language=body.language) for text in body.texts]
        message = pb.EmbedTextRequest(texts=texts)
        response = await call_server(request, state, CAPABILITY, "EmbedText", message, timeout_s)
        models.append(response.model.name)
        for vector, understood in zip(response.vectors, response.understood, strict=True):
            tokens += len(understood.words) + len(understood.read_as)
            data.append(_row(len(data), vector, body.encoding_format, "text", list(understood.unknown)))
    if contents:
        images = [common_pb2.Image(content=content) for content in contents]
        message = pb.EmbedImageRequest(images=images)
        response = await call_server(request, state, CAPABILITY, "EmbedImage", message, timeout_s)
        models.append(response.model.name)
        for number, result in enumerate(response.results):
            if result.HasField("error"):
                error = error_from_item(result.error)
                error.field = f"images[{number}]"
                raise error
            data.append(_row(len(data), result.vector, body.encoding_format, "image", []))
    dimension = _dimension(response, bool(contents))
    if body.dimensions not in (None, dimension):
        raise InvalidParameter(
            f"dimensions is {body.dimensions}; the model has {dimension}", field="dimensions"
        )
    answer = EmbeddingsAnswer.model_construct(
        data=data,
        model=models[0],
        usage=UsageBody(prompt_tokens=tokens, total_tokens=tokens),
    )
    return Response(answer.model_dump_json(), media_type=JSON)


@router.post(
    "/search",
    **image_operation(SearchOptions, SearchAnswer, SEARCH_TYPES, NotFound, Conflict, image_required=False),
)
async def search_images(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Images of an index nearest to a weighted sum of words, an image, and images of the index.

    As a picture the answer is a contact sheet of the hits' thumbnails, with their scores; as HTML it is a
    map, in one file.
    """
    media_type = best_media_type(request.headers.get("accept"), SEARCH_TYPES)
    content, options = await receive_image(request, state, CAPABILITY, SearchOptions, required=False)
    message = options.to_request(content)
    response = await call_server(request, state, CAPABILITY, "Search", message, timeout_s)
    timings = timings_of(request, response.timings)
    if media_type == JSON:
        return json_answer(SearchAnswer.from_proto(response, options.index, timings), timings)
    if media_type == HTML:
        near = options.filter.near if options.filter else None
        async with state.drawing:
            page = await asyncio.to_thread(
                map_hits,
                state.datasets,
                response.hits,
                title=options.query or "photos alike",
                place=(near.latitude, near.longitude) if near else None,
                radius_m=near.radius_m if near else None,
                note=f"{len(response.hits)} photos of the index {options.index}",
            )
        return picture_answer(page, timings, HTML)
    if not response.hits:
        raise NotFound("nothing was found that could be drawn")
    async with state.drawing:
        sheet = await asyncio.to_thread(draw_hits, state.datasets, response.hits)
    return picture_answer(sheet, timings, PNG)


def _row(
    number: int,
    vector: index_pb2.Vector,
    encoding_format: str,
    modality: Literal["text", "image"],
    unknown: list[str],
) -> EmbeddingBody:
    return EmbeddingBody.model_construct(
        index=number, embedding=encoded(vector, encoding_format), modality=modality, unknown=unknown
    )


def _dimension(response: Any, images: bool) -> int:
    vector = response.results[0].vector if images else response.vectors[0]
    return len(vector.values) // 4
