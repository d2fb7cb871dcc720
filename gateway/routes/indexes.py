"""``/v1/indexes``: what is searched; every capability that keeps indexes has its own."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from gateway.answers import json_answer, timings_of
from gateway.deps import AppState, StateDep, require_scope
from gateway.image_input import image_contents, parse_body
from gateway.negotiation import JPEG, JSON
from gateway.openapi_parts import IMAGE_ERRORS, UPSTREAM_ERRORS, json_operation, problem_responses
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
from gateway.thumbnails import read_thumbnail
from gateway.upstream import Deadline, call_indexes, call_server
from interplay.capabilities import DEFAULT_INDEX_CAPABILITY, check_keeps_indexes, index_capabilities
from interplay.errors import Conflict, InvalidInput, InvalidParameter, NotFound
from interplay.rpc.common.v1 import index_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2

router = APIRouter(prefix="/v1/indexes", tags=["indexes"], dependencies=[Depends(require_scope("infer"))])

IndexName = Annotated[
    str, Path(min_length=1, max_length=63, description="Name of the index.", examples=["photos"])
]
WhoseIndexes = Annotated[
    str,
    AfterValidator(check_keeps_indexes),
    Query(
        alias="capability",
        description="Whose indexes are meant.",
        json_schema_extra={"enum": list(index_capabilities())},
    ),
]


@router.get("", **json_operation(IndexList, *UPSTREAM_ERRORS))
async def list_indexes(
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> IndexList:
    """The indexes that can be searched."""
    indexes, languages = await _indexes(request, state, capability, timeout_s), []
    if capability == "embedding":  # the only one whose queries are words of a language
        message = embedding_pb2.ListLanguagesRequest()
        response = await call_server(request, state, capability, "ListLanguages", message, timeout_s)
        languages = list(response.languages)
    return IndexList(indexes=indexes, languages=languages)


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_scope("jobs"))],
    response_model=IndexBody,
    responses={
        201: {"content": {JSON: {"example": IndexBody.EXAMPLE}}},
        **problem_responses(InvalidInput, InvalidParameter, Conflict, *UPSTREAM_ERRORS),
    },
)
async def create_index(
    body: NewIndex,
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> IndexBody:
    """An empty index, to be filled by `POST /v1/indexes/{name}/entries`."""
    message = pb.CreateIndexRequest(name=body.name)
    response = await call_indexes(request, state, capability, "CreateIndex", message, timeout_s)
    return IndexBody.from_proto(response.index)


@router.get("/{name}", **json_operation(IndexBody, NotFound, InvalidParameter, *UPSTREAM_ERRORS))
async def get_index(
    name: IndexName,
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> IndexBody:
    """One index."""
    indexes = await _indexes(request, state, capability, timeout_s)
    for index in indexes:
        if index.name == name:
            return index
    known = ", ".join(index.name for index in indexes) or "none"
    raise NotFound(f"no index {name!r}; there are: {known}")


@router.get(
    "/{name}/thumbnails/{entry:path}",
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
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> Response:
    """A small JPEG of an image of the index, where the build made one."""
    message = pb.GetEntriesRequest(index=name, ids=[entry])
    response = await call_indexes(request, state, capability, "GetEntries", message, timeout_s)
    if not response.entries or not response.entries[0].thumbnail:
        raise NotFound(f"index {name!r} has no thumbnail of {entry!r}")
    content = await asyncio.to_thread(read_thumbnail, state.datasets, response.entries[0].thumbnail)
    return Response(content, media_type=JPEG, headers={"Cache-Control": "private, max-age=3600"})


@router.delete(
    "/{name}",
    status_code=204,
    dependencies=[Depends(require_scope("jobs"))],
    responses=problem_responses(NotFound, InvalidParameter, *UPSTREAM_ERRORS),
)
async def drop_index(
    name: IndexName,
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> Response:
    """Remove an index with everything in it."""
    await call_indexes(request, state, capability, "DropIndex", pb.DropIndexRequest(name=name), timeout_s)
    return Response(status_code=204)


@router.post(
    "/{name}/entries",
    dependencies=[Depends(require_scope("jobs"))],
    **json_operation(UpsertAnswer, NotFound, Conflict, *IMAGE_ERRORS, body=UpsertBody),
)
async def add_entries(
    name: IndexName,
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> Response:
    """Add images to an index at once, or replace those with the same id; bad ones cost the others nothing."""
    body = await parse_body(request, state, capability, UpsertBody)
    sources = [entry.image for entry in body.entries]
    contents = iter(await image_contents(state, [source for source in sources if source is not None]))
    message = pb.UpsertRequest(index=name)
    for entry in body.entries:
        new = message.entries.add(entry=entry.to_proto())
        if entry.vector is not None:
            new.vector.CopyFrom(vector_message(entry.vector))
        else:
            new.image.content = next(contents)
    response = await call_indexes(request, state, capability, "Upsert", message, timeout_s)
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
    "/{name}/entries:delete",
    dependencies=[Depends(require_scope("jobs"))],
    **json_operation(DeleteAnswer, InvalidInput, InvalidParameter, NotFound, *UPSTREAM_ERRORS),
)
async def delete_entries(
    name: IndexName,
    body: DeleteBody,
    request: Request,
    state: StateDep,
    timeout_s: Deadline,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> DeleteAnswer:
    """Remove images from an index; ids that are not there are no error."""
    message = pb.DeleteRequest(index=name, ids=body.ids)
    response = await call_indexes(request, state, capability, "Delete", message, timeout_s)
    return DeleteAnswer(deleted=response.deleted)


async def _indexes(request: Request, state: AppState, capability: str, timeout_s: float) -> list[IndexBody]:
    message = pb.ListIndexesRequest()
    response = await call_indexes(request, state, capability, "ListIndexes", message, timeout_s)
    return [IndexBody.from_proto(index) for index in response.indexes]
