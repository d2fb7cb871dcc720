"""``IndexService``: translation between the contract, the indexes and their snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from interplay.errors import InterplayError, InvalidParameter
from interplay.index.entries import Entry
from interplay.rpc.common.v1 import index_pb2 as pb
from interplay.rpc.common.v1 import index_pb2_grpc as pb_grpc
from interplay.rpc.status import item_error
from interplay.serving.checks import check_count
from interplay.serving.indexes import options as opt
from interplay.serving.indexes.indexes import Indexes
from interplay.serving.indexes.snapshots import Snapshots, snapshot_message
from interplay.serving.requests import timings_message
from interplay.types import StageTimings


class IndexServicer(pb_grpc.IndexServiceServicer):
    """See ``protos/interplay/common/v1/index.proto``.

    Args:
        indexes: The indexes.
        snapshots: Their snapshots.
    """

    def __init__(self, indexes: Indexes, snapshots: Snapshots) -> None:
        self._indexes = indexes
        self._snapshots = snapshots

    async def Upsert(self, request: pb.UpsertRequest, context: grpc.aio.ServicerContext) -> pb.UpsertResponse:
        """Adds entries."""
        check_count("entries", len(request.entries), opt.MAX_ENTRIES)
        timings = StageTimings()
        model, side = self._indexes.model, opt.thumbnail_side(request)
        thumbnails: dict[str, bytes] = {}
        await self._indexes.change(lambda: self._indexes.check_target(request.index, request.generation))

        async def prepare(new: pb.NewEntry, field: str) -> Entry | InterplayError:
            try:
                opt.check_entry(new.entry, f"{field}.entry")
                kind, mark = new.WhichOneof("content"), None
                if kind == "image":
                    image = await model.of_image_patiently(new.image.content, context, timings, side)
                    vector, mark = image.vector, image.fingerprint
                    thumbnails[field] = image.thumbnail
                elif kind == "vector":
                    vector = opt.vector_of(new.vector, model.dimension, f"{field}.vector")
                else:
                    raise InvalidParameter("the entry has neither image nor vector", field=field)
                return opt.entry_of(
                    new.entry, vector, mark, online=not request.generation, field=f"{field}.entry"
                )
            except InterplayError as error:
                return error

        prepared = await asyncio.gather(
            *(prepare(new, f"entries[{i}]") for i, new in enumerate(request.entries))
        )
        kept = [entry for entry in prepared if not isinstance(entry, InterplayError)]
        if kept:
            await self._indexes.change(lambda: self._indexes.write(request.index, request.generation, kept))
        return pb.UpsertResponse(
            results=[
                pb.UpsertResult(id=new.entry.id, error=item_error(entry))
                if isinstance(entry, InterplayError)
                else pb.UpsertResult(id=new.entry.id, thumbnail=thumbnails.get(f"entries[{i}]"))
                for i, (new, entry) in enumerate(zip(request.entries, prepared, strict=True))
            ],
            timings=timings_message(timings),
        )

    async def GetEntries(
        self, request: pb.GetEntriesRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetEntriesResponse:
        """Entries by id."""
        check_count("ids", len(request.ids), opt.MAX_IDS)
        entries = await self._indexes.read(lambda: self._indexes.get(request.index, request.ids))
        return pb.GetEntriesResponse(entries=[opt.entry_message(entry) for entry in entries])

    async def Delete(self, request: pb.DeleteRequest, context: grpc.aio.ServicerContext) -> pb.DeleteResponse:
        """Removes entries."""
        check_count("ids", len(request.ids), opt.MAX_IDS)
        deleted = await self._indexes.change(lambda: self._indexes.delete(request.index, request.ids))
        return pb.DeleteResponse(deleted=deleted)

    async def ListIndexes(
        self, request: pb.ListIndexesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListIndexesResponse:
        """The indexes."""
        infos = await self._indexes.read(self._indexes.catalogue.all)
        return pb.ListIndexesResponse(indexes=[opt.index_message(info) for info in infos])

    async def CreateIndex(
        self, request: pb.CreateIndexRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateIndexResponse:
        """An empty index."""
        info = await self._indexes.change(lambda: self._indexes.create(request.name))
        return pb.CreateIndexResponse(index=opt.index_message(info))

    async def DropIndex(
        self, request: pb.DropIndexRequest, context: grpc.aio.ServicerContext
    ) -> pb.DropIndexResponse:
        """Removes an index."""
        await self._indexes.change(lambda: self._indexes.drop(request.name))
        return pb.DropIndexResponse()

    async def BeginBuild(
        self, request: pb.BeginBuildRequest, context: grpc.aio.ServicerContext
    ) -> pb.BeginBuildResponse:
        """Begins a generation."""
        entries = await self._indexes.change(lambda: self._indexes.begin(request.index, request.generation))
        return pb.BeginBuildResponse(entries=entries)

    async def PublishBuild(
        self, request: pb.PublishBuildRequest, context: grpc.aio.ServicerContext
    ) -> pb.PublishBuildResponse:
        """Lets a generation answer."""
        indexes = self._indexes
        info = await indexes.change(lambda: indexes.publish(request.index, request.generation))
        return pb.PublishBuildResponse(index=opt.index_message(info))

    async def AbortBuild(
        self, request: pb.AbortBuildRequest, context: grpc.aio.ServicerContext
    ) -> pb.AbortBuildResponse:
        """Removes a generation."""
        catalogue = self._indexes.catalogue
        await self._indexes.change(lambda: catalogue.abort(request.index, request.generation))
        return pb.AbortBuildResponse()

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateSnapshotResponse:
        """Writes an index into a file."""
        return pb.CreateSnapshotResponse(
            snapshot=snapshot_message(await self._snapshots.create(request.index))
        )

    async def ListSnapshots(
        self, request: pb.ListSnapshotsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListSnapshotsResponse:
        """Snapshots of an index."""
        kept = await self._snapshots.all(request.index)
        return pb.ListSnapshotsResponse(snapshots=map(snapshot_message, kept))

    async def DownloadSnapshot(
        self, request: pb.DownloadSnapshotRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.DownloadSnapshotResponse]:
        """A snapshot's file."""
        kept = await self._snapshots.find(request.index, request.id)
        yield pb.DownloadSnapshotResponse(snapshot=snapshot_message(kept))
        async for piece in self._snapshots.content(kept):
            yield pb.DownloadSnapshotResponse(chunk=piece)

    async def DeleteSnapshot(
        self, request: pb.DeleteSnapshotRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteSnapshotResponse:
        """Removes a snapshot."""
        await self._snapshots.delete(request.index, request.id)
        return pb.DeleteSnapshotResponse()

    async def RestoreIndex(
        self, requests: AsyncIterator[pb.RestoreIndexRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.RestoreIndexResponse]:
        """Makes an index of a snapshot."""
        first = await anext(aiter(requests), pb.RestoreIndexRequest())
        if not first.HasField("restore"):
            raise InvalidParameter("the first part must say what to restore", field="restore")

        async def pieces() -> AsyncIterator[bytes]:
            yield first.chunk
            async for request in requests:
                yield request.chunk

        async for info in self._snapshots.restore(first.restore, pieces()):
            if info is None:
                yield pb.RestoreIndexResponse(accepted=pb.RestoreAccepted())
            else:
                yield pb.RestoreIndexResponse(index=opt.index_message(info))
