"""``/v1/embeddings``, ``/v1/indexes`` and ``/v1/search``: vectors, what is searched, and searching."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from gateway.answers import json_answer, picture_answer, timings_of
from gateway.deps import StateDep, require_scope
from gateway.image_input import image_contents, parse_body, receive_image
from gateway.negotiation import HTML, JPEG, JSON, PNG, best_media_type
from gateway.openapi_parts import (
    IMAGE_ERRORS,
    UPSTREAM_ERRORS,
    image_operation,
    json_operation,
    problem_responses,
)
from gateway.schemas.embedding import EmbeddingBody, EmbeddingsAnswer, EmbeddingsBody, UsageBody, encoded
from gateway.schemas.indexes import (
    DeleteAnswer,
    DeleteBody,
    EntryError,
    IndexBody,
    IndexList,
    NewIndex,
    UpsertAnswer,
    UpsertBody,
    vector_message,
)
from gateway.schemas.search import SearchAnswer, SearchOptions
from gateway.thumbnails import draw_hits, map_hits, read_thumbnail
from gateway.upstream import Deadline, call_server
from interplay.errors import (
    Conflict,
    InvalidInput,
    InvalidParameter,
    NotFound,
)
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.status import error_from_item

CAPABILITY = "embedding"
SEARCH_TYPES = (JSON, PNG, HTML)

router = APIRouter(prefix="/v1", tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])

IndexName = Annotated[
    str, Path(min_length=1, max_length=63, description="Name of the index.", examples=["photos"])
]


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


@router.get("/indexes", **json_operation(IndexList, *UPSTREAM_ERRORS))
async def list_indexes(request: Request, state: StateDep, timeout_s: Deadline) -> IndexList:
    """The indexes that can be searched."""
    response = await call_server(
        request, state, CAPABILITY, "ListIndexes", pb.ListIndexesRequest(), timeout_s
    )
    return IndexList(
        indexes=[IndexBody.from_proto(index) for index in response.indexes],
        languages=list(response.languages),
    )


@router.post(
    "/indexes",
    status_code=201,
    dependencies=[Depends(require_scope("jobs"))],
    response_model=IndexBody,
    responses={
        201: {"content": {JSON: {"example": IndexBody.EXAMPLE}}},
        **problem_responses(InvalidInput, InvalidParameter, Conflict, *UPSTREAM_ERRORS),
    },
)
async def create_index(body: NewIndex, request: Request, state: StateDep, timeout_s: Deadline) -> IndexBody:
    """An empty index, to be filled by `POST /v1/indexes/{name}/entries`."""
    message = pb.CreateIndexRequest(name=body.name)
    response = await call_server(request, state, CAPABILITY, "CreateIndex", message, timeout_s)
    return IndexBody.from_proto(response.index)


@router.get("/indexes/{name}", **json_operation(IndexBody, NotFound, InvalidParameter, *UPSTREAM_ERRORS))
async def get_index(name: IndexName, request: Request, state: StateDep, timeout_s: Deadline) -> IndexBody:
    """One index."""
    indexes = (await list_indexes(request, state, timeout_s)).indexes
    for index in indexes:
        if index.name == name:
            return index
    known = ", ".join(index.name for index in indexes) or "none"
    raise NotFound(f"no index {name!r}; there are: {known}")


@router.get(
    "/indexes/{name}/thumbnails/{entry:path}",
    response_class=Response,
    responses={
        200: {"content": {JPEG: {"schema": {"type": "string", "contentMediaType": JPEG}}}},
        **problem_responses(NotFound, InvalidParameter, *UPSTREAM_ERRORS),
    },
)
async def get_thumbnail(
    name: IndexName,
    entry: Annotated[str, Path(min_length=1, max_length=512, description="Id of the image.")],
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
) -> Response:
    """A small JPEG of an image of the index, where the build made one."""
    message = pb.GetEntriesRequest(index=name, ids=[entry])
    response = await call_server(request, state, CAPABILITY, "GetEntries", message, timeout_s)
    if not response.entries or not response.entries[0].thumbnail:
        raise NotFound(f"index {name!r} has no thumbnail of {entry!r}")
    content = await asyncio.to_thread(read_thumbnail, state.datasets, response.entries[0].thumbnail)
    return Response(content, media_type=JPEG, headers={"Cache-Control": "private, max-age=3600"})


@router.delete(
    "/indexes/{name}",
    status_code=204,
    dependencies=[Depends(require_scope("jobs"))],
    responses=problem_responses(NotFound, InvalidParameter, *UPSTREAM_ERRORS),
)
async def drop_index(name: IndexName, request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Remove an index with everything in it."""
    await call_server(request, state, CAPABILITY, "DropIndex", pb.DropIndexRequest(name=name), timeout_s)
    return Response(status_code=204)


@router.post(
    "/indexes/{name}/entries",
    dependencies=[Depends(require_scope("jobs"))],
    **json_operation(UpsertAnswer, NotFound, Conflict, *IMAGE_ERRORS, body=UpsertBody),
)
async def add_entries(name: IndexName, request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Add images to an index at once, or replace those with the same id; bad ones cost the others nothing."""
    body = await parse_body(request, state, CAPABILITY, UpsertBody)
    sources = [entry.image for entry in body.entries]
    contents = iter(await image_contents(state, [source for source in sources if source is not None]))
    message = pb.UpsertRequest(index=name)
    for entry in body.entries:
        new = message.entries.add(entry=entry.to_proto())
        if entry.vector is not None:
            new.vector.CopyFrom(vector_message(entry.vector))
        else:
            new.image.content = next(contents)
    response = await call_server(request, state, CAPABILITY, "Upsert", message, timeout_s)
    errors = [
        EntryError.model_construct(id=result.id, reason=result.error.reason, message=result.error.message)
        for result in response.results
        if result.HasField("error")
    ]
    timings = timings_of(request, response.timings)
    answer = UpsertAnswer.model_construct(
        added=len(response.results) - len(errors), errors=errors, timings=timings
    )
    return json_answer(answer, timings)


@router.post(
    "/indexes/{name}/entries:delete",
    dependencies=[Depends(require_scope("jobs"))],
    **json_operation(DeleteAnswer, InvalidInput, InvalidParameter, NotFound, *UPSTREAM_ERRORS),
)
async def delete_entries(
    name: IndexName, body: DeleteBody, request: Request, state: StateDep, timeout_s: Deadline
) -> DeleteAnswer:
    """Remove images from an index; ids that are not there are no error."""
    message = pb.DeleteRequest(index=name, ids=body.ids)
    response = await call_server(request, state, CAPABILITY, "Delete", message, timeout_s)
    return DeleteAnswer(deleted=response.deleted)


def _row(
    number: int,
    vector: pb.Vector,
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
