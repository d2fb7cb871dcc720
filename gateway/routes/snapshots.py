"""``/v1/indexes/{name}/snapshots`` and ``…/restore``: indexes as files, passed through in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway.deps import StateDep, require_scope
from gateway.image_input import parse_body
from gateway.negotiation import JSON
from gateway.openapi_parts import problem_responses
from gateway.problems import RefusedBody
from gateway.routes.indexes import IndexName, WhoseIndexes
from gateway.schemas.indexes import IndexBody
from gateway.schemas.snapshots import EXAMPLE_ID, RestoreBody, SnapshotBody, SnapshotList
from gateway.upstream import call_indexes, receive_from_server, send_to_server
from interplay.capabilities import DEFAULT_INDEX_CAPABILITY
from interplay.errors import (
    Conflict,
    DeadlineExceeded,
    InterplayError,
    InvalidInput,
    InvalidParameter,
    NoRoom,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMedia,
    UploadTimeout,
)
from interplay.rpc.common.v1 import index_pb2 as pb

BINARY = "application/octet-stream"
# After so much of a file the server says whether it wants the rest.
_HEAD_BYTES = 64 * 1024

router = APIRouter(
    prefix="/v1/indexes/{name}",
    tags=["indexes"],
    dependencies=[Depends(require_scope("infer")), Depends(require_scope("jobs"))],
)

SnapshotId = Annotated[
    str, Path(min_length=1, max_length=63, description="Id of the snapshot.", examples=[EXAMPLE_ID])
]
_UPLOAD = (InvalidInput, PayloadTooLarge, UnsupportedMedia, UploadTimeout, NoRoom)
_UPSTREAM = (InvalidParameter, NotFound, Overloaded, Unavailable, DeadlineExceeded)


def _answers(
    status: int, example: dict[str, Any] | None, *errors: type[InterplayError]
) -> dict[int | str, Any]:
    content = {} if example is None else {"content": {JSON: {"example": example}}}
    return {status: content, **problem_responses(*errors, *_UPSTREAM)}


@router.post(
    "/snapshots",
    status_code=201,
    response_model=SnapshotBody,
    responses=_answers(201, SnapshotBody.EXAMPLE, Conflict, NoRoom),
)
async def create_snapshot(
    name: IndexName, request: Request, state: StateDep, capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY
) -> SnapshotBody:
    """Write an index into a file that the server keeps. Searches go on; changes of an embedded index wait."""
    message = pb.CreateSnapshotRequest(index=name)
    timeout_s = state.settings.snapshot_timeout_s
    response = await call_indexes(request, state, capability, "CreateSnapshot", message, timeout_s)
    return SnapshotBody.from_proto(response.snapshot)


@router.get("/snapshots", response_model=SnapshotList, responses=_answers(200, SnapshotList.EXAMPLE))
async def list_snapshots(
    name: IndexName, request: Request, state: StateDep, capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY
) -> SnapshotList:
    """Snapshots of an index, newest first. They outlive it."""
    message = pb.ListSnapshotsRequest(index=name)
    timeout_s = state.settings.request_timeout_s
    response = await call_indexes(request, state, capability, "ListSnapshots", message, timeout_s)
    return SnapshotList(snapshots=[SnapshotBody.from_proto(found) for found in response.snapshots])


@router.get(
    "/snapshots/{snapshot}",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file",
            "content": {
                BINARY: {
                    "schema": {"type": "string", "format": "binary"},
                    "example": "interplay-index-snapshot 1\n…",
                }
            },
        },
        **problem_responses(*_UPSTREAM),
    },
)
async def download_snapshot(
    name: IndexName,
    snapshot: SnapshotId,
    state: StateDep,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> StreamingResponse:
    """A snapshot's file."""
    message = pb.DownloadSnapshotRequest(index=name, id=snapshot)
    timeout_s = state.settings.snapshot_timeout_s
    parts = receive_from_server(state, capability, "DownloadSnapshot", message, timeout_s, service="indexes")
    described: pb.Snapshot = (await anext(parts)).snapshot

    async def pieces() -> AsyncIterator[bytes]:
        async for part in parts:
            yield part.chunk

    headers = {
        "Content-Length": str(described.bytes),
        "Content-Disposition": f'attachment; filename="{described.index}-{described.id}.index"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(pieces(), media_type=BINARY, headers=headers)


@router.delete("/snapshots/{snapshot}", status_code=204, responses=problem_responses(*_UPSTREAM))
async def delete_snapshot(
    name: IndexName,
    snapshot: SnapshotId,
    request: Request,
    state: StateDep,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> Response:
    """Remove a snapshot."""
    message = pb.DeleteSnapshotRequest(index=name, id=snapshot)
    timeout_s = state.settings.request_timeout_s
    await call_indexes(request, state, capability, "DeleteSnapshot", message, timeout_s)
    return Response(status_code=204)


@router.post(
    "/restore",
    response_model=IndexBody,
    responses=_answers(200, IndexBody.EXAMPLE, Conflict, *_UPLOAD),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"$ref": "#/components/schemas/RestoreBody"},
                    "example": RestoreBody.EXAMPLE,
                },
                BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def restore_index(
    name: IndexName,
    request: Request,
    state: StateDep,
    replace: Annotated[bool, Query(description="Whether an index of that name may be replaced.")] = False,
    capability: WhoseIndexes = DEFAULT_INDEX_CAPABILITY,
) -> IndexBody:
    """Make an index of a snapshot that the server keeps (JSON), or of a snapshot's file (the body).

    The file is checked in full first. An index of that name answers until the new one is whole; what was
    added to it or removed since the snapshot is gone then.
    """
    target = pb.Restore(index=name, replace=replace)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == JSON:
        body = await parse_body(request, state, capability, RestoreBody)
        target.id, target.of = body.snapshot, body.of
    elif media_type == BINARY:
        target.bytes = int(request.headers.get("content-length", 0))
    else:
        raise UnsupportedMedia(
            f"Content-Type {media_type[:80]!r} is not accepted; send {JSON} or {BINARY}", field="Content-Type"
        )
    head, rest = pb.RestoreIndexRequest(restore=target), None
    if not target.id:
        pieces = aiter(request.stream())
        rest = _chunks(pieces)
        while len(head.chunk) < _HEAD_BYTES:
            piece = await anext(pieces, None)
            if piece is None:
                rest = None
                break
            head.chunk += piece
    timeout_s = state.settings.snapshot_timeout_s
    try:
        response = await send_to_server(
            request, state, capability, "RestoreIndex", head, rest, timeout_s, service="indexes"
        )
    except InterplayError as error:
        raise RefusedBody(error) from error  # some of the body may still be on its way
    return IndexBody.from_proto(response.index)


async def _chunks(pieces: AsyncIterator[bytes]) -> AsyncIterator[pb.RestoreIndexRequest]:
    async for piece in pieces:
        yield pb.RestoreIndexRequest(chunk=piece)
