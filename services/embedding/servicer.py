"""``EmbeddingService``: translation between the contract, the batchers and the indexes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.errors import InternalError, InterplayError, InvalidParameter
from interplay.predictors.embedding.text import TextVector
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2_grpc as pb_grpc
from interplay.rpc.status import item_error
from interplay.serving.bulk import process_stream
from interplay.serving.model_service import model_info
from interplay.serving.requests import timings_message
from interplay.telemetry.logging import get_logger
from interplay.types import StageTimings
from services.embedding import options as opt
from services.embedding.indexes import Indexes
from services.embedding.search import Group, group_duplicates
from services.embedding.snapshots import Snapshots, snapshot_message
from services.embedding.vectors import Vectors

log = get_logger(__name__)

# More hits are fetched than asked for where near-duplicates are grouped.
_GROUPED_FACTOR = 3


class EmbeddingServicer(pb_grpc.EmbeddingServiceServicer):
    """See ``protos/interplay/embedding/v1/embedding.proto``.

    Args:
        vectors: The models.
        indexes: The indexes.
        snapshots: Their snapshots.
    """

    def __init__(self, vectors: Vectors, indexes: Indexes, snapshots: Snapshots) -> None:
        self._vectors = vectors
        self._indexes = indexes
        self._snapshots = snapshots

    async def EmbedText(
        self, request: pb.EmbedTextRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedTextResponse:
        """Vectors of texts."""
        opt.check_count("texts", len(request.texts), opt.MAX_TEXTS)
        items = [self._vectors.text_item(text, f"texts[{i}]") for i, text in enumerate(request.texts)]
        with self._vectors.requests.admit(None, context) as work:
            found = await work.run_all(self._vectors.texts, [(item, None, 1) for item in items])
        return pb.EmbedTextResponse(
            vectors=[opt.vector_message(text.vector) for text in found],
            understood=[opt.understood_message(text) for text in found],
            model=model_info(self._vectors.texts.runtime.manifest),
        )

    async def EmbedImage(
        self, request: pb.EmbedImageRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedImageResponse:
        """Vectors of images."""
        opt.check_count("images", len(request.images), opt.MAX_IMAGES)
        timings = StageTimings()
        contents = [image.content for image in request.images]
        results = []
        for found in await self._vectors.of_images(contents, context, timings):
            if isinstance(found, InterplayError):
                if len(contents) == 1:
                    raise found
                results.append(pb.ImageResult(error=item_error(found)))
            else:
                results.append(pb.ImageResult(vector=opt.vector_message(found[0].vector)))
        return pb.EmbedImageResponse(
            results=results,
            model=model_info(self._vectors.images.runtime.manifest),
            timings=timings_message(timings),
        )

    async def EmbedBulk(
        self, requests: AsyncIterator[pb.EmbedBulkRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.EmbedBulkResponse]:
        """Texts and images over one stream. Half of the server's room is left to single calls."""

        async def handle(item: pb.EmbedBulkRequest) -> pb.EmbedBulkResponse:
            response = pb.EmbedBulkResponse(id=item.id)
            try:
                if not 1 <= len(item.id) <= 128:
                    raise InvalidParameter(
                        f"id has {len(item.id)} characters; it must have 1 to 128", field="id"
                    )
                kind = item.WhichOneof("item")
                if kind == "image":
                    image, *_ = await self._vectors.of_image_patiently(
                        item.image.content, context, StageTimings()
                    )
                    response.vector.CopyFrom(opt.vector_message(image.vector))
                elif kind == "text":
                    text = await self._vectors.of_text(self._vectors.text_item(item.text, "text"), context)
                    response.vector.CopyFrom(opt.vector_message(text.vector))
                    response.understood.CopyFrom(opt.understood_message(text))
                else:
                    raise InvalidParameter("the item has neither image nor text", field="item")
            except InterplayError as error:
                response.error.CopyFrom(item_error(error))
            except Exception:
                log.exception("bulk_item_failed")
                response.error.CopyFrom(item_error(InternalError("the server failed on this item")))
            return response

        concurrency = max(1, self._vectors.images.limits.max_inflight // 2)
        async for response in process_stream(requests, handle, concurrency=concurrency):
            yield response

    async def Search(self, request: pb.SearchRequest, context: grpc.aio.ServicerContext) -> pb.SearchResponse:
        """Entries nearest to a weighted sum."""
        opt.check_count("query", len(request.query), opt.MAX_PARTS)
        limit, offset = opt.limit_of(request), opt.page_offset(request)
        wanted = opt.filter_of(request.filter)
        weights = [opt.weight_of(part, f"query[{i}]") for i, part in enumerate(request.query)]
        timings = StageTimings()
        parts = [
            await self._part_vector(request.index, part, f"query[{i}]", context, timings)
            for i, part in enumerate(request.query)
        ]
        query = np.sum([w * v for w, (v, _) in zip(weights, parts, strict=True)], axis=0, dtype=np.float32)
        length = float(np.linalg.norm(query))
        if length < 1e-6:
            unknown = [word for _, text in parts if text is not None for word in text.unknown]
            reason = f"the model knows none of: {', '.join(unknown)}" if unknown else "its parts cancel out"
            raise InvalidParameter(f"the query has no direction; {reason}", field="query")
        direction = np.asarray(query / length, dtype=np.float32)
        # One more than asked for tells whether there is another page.
        fetched = limit * (_GROUPED_FACTOR if request.group_duplicates else 1) + 1
        with self._vectors.requests.admit(None, context) as work:
            found = await self._indexes.read(
                lambda: self._indexes.search(request.index, direction, fetched, offset, wanted)
            )
            timings.add(work.timings)
        groups = group_duplicates(found.hits, near=request.group_duplicates)
        shown, more = groups[:limit], len(found.hits) == fetched or len(groups) > limit
        words_alone = all(part.WhichOneof("content") == "text" for part in request.query)
        response = pb.SearchResponse(
            understood=[opt.understood_message(text) if text else pb.Understood() for _, text in parts],
            candidates=found.candidates,
            exact=found.exact,
            model=model_info(self._vectors.texts.runtime.manifest),
            timings=timings_message(timings),
        )
        for group in shown:
            hit = self._hit_message(group, words_alone)
            if (
                request.relevant_only
                and hit.HasField("probability")
                and hit.probability < self._vectors.calibration.cut_off
            ):
                more = False  # all that follow are worse
                break
            response.hits.append(hit)
        if more:
            next_raw = groups[limit].raw - 1 if len(groups) > limit else fetched - 1
            response.next_page_token = opt.page_token(request, offset + next_raw)
        return response

    async def Upsert(self, request: pb.UpsertRequest, context: grpc.aio.ServicerContext) -> pb.UpsertResponse:
        """Adds entries."""
        opt.check_count("entries", len(request.entries), opt.MAX_ENTRIES)
        timings = StageTimings()
        dimension, side = self._vectors.dimension, opt.thumbnail_side(request)
        thumbnails: dict[str, bytes] = {}
        await self._indexes.change(lambda: self._indexes.check_target(request.index, request.generation))

        async def prepare(new: pb.NewEntry, field: str) -> Any:
            try:
                opt.check_entry(new.entry, f"{field}.entry")
                kind, mark = new.WhichOneof("content"), None
                if kind == "image":
                    image, mark, small = await self._vectors.of_image_patiently(
                        new.image.content, context, timings, thumbnail_px=side
                    )
                    vector = image.vector
                    thumbnails[field] = small
                elif kind == "vector":
                    vector = opt.vector_of(new.vector, dimension, f"{field}.vector")
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
        opt.check_count("ids", len(request.ids), opt.MAX_IDS)
        entries = await self._indexes.read(lambda: self._indexes.get(request.index, request.ids))
        return pb.GetEntriesResponse(entries=[opt.entry_message(entry) for entry in entries])

    async def Delete(self, request: pb.DeleteRequest, context: grpc.aio.ServicerContext) -> pb.DeleteResponse:
        """Removes entries."""
        opt.check_count("ids", len(request.ids), opt.MAX_IDS)
        deleted = await self._indexes.change(lambda: self._indexes.delete(request.index, request.ids))
        return pb.DeleteResponse(deleted=deleted)

    async def ListIndexes(
        self, request: pb.ListIndexesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListIndexesResponse:
        """The indexes."""
        infos = await self._indexes.read(self._indexes.catalogue.all)
        return pb.ListIndexesResponse(
            indexes=[opt.index_message(info) for info in infos], languages=sorted(self._vectors.languages)
        )

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
        await self._indexes.change(lambda: self._indexes.catalogue.drop(request.name))
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
        catalogue = self._indexes.catalogue
        info = await self._indexes.change(lambda: catalogue.publish(request.index, request.generation))
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

    async def _part_vector(
        self,
        index: str,
        part: pb.QueryPart,
        field: str,
        context: grpc.aio.ServicerContext,
        timings: StageTimings,
    ) -> tuple[NDArray[np.float32], TextVector | None]:
        kind = part.WhichOneof("content")
        if kind == "text":
            text = await self._vectors.of_text(self._vectors.text_item(part.text, f"{field}.text"), context)
            return text.vector, text
        if kind == "image":
            image, *_ = await self._vectors.of_image(part.image.content, context, timings)
            return image.vector, None
        if kind == "entry":
            vector = await self._indexes.read(lambda: self._indexes.entry_vector(index, part.entry, field))
            return vector, None
        if kind == "vector":
            return opt.vector_of(part.vector, self._vectors.dimension, f"{field}.vector"), None
        raise InvalidParameter(f"{field} has neither text, image, entry nor vector", field=field)

    def _hit_message(self, group: Group, words_alone: bool) -> pb.Hit:
        hit = group.best
        message = pb.Hit(entry=opt.entry_message(hit.entry), score=hit.score, duplicates=group.duplicates)
        if words_alone:
            message.probability = self._vectors.calibration.probability(hit.score)
        return message
