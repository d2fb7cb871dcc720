"""``EmbeddingService``: translation between the contract, the batchers and the indexes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.errors import Conflict, InternalError, InterplayError, InvalidParameter
from interplay.index.catalogue import Catalogue, Spec
from interplay.index.entries import Entry, Filter, Hits
from interplay.media.fingerprint import fingerprint
from interplay.media.images import encode_thumbnail
from interplay.predictors.embedding.image import ImageEmbedder, ImageVector
from interplay.predictors.embedding.inside import ImageNetwork
from interplay.predictors.embedding.text import TextEmbedder, TextItem, TextVector
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2_grpc as pb_grpc
from interplay.rpc.embedding.v1.analysis_pb2_grpc import add_EmbeddingAnalysisServiceServicer_to_server
from interplay.rpc.status import item_error
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.bulk import process_stream, with_patience
from interplay.serving.model_service import model_info
from interplay.serving.requests import Requests, timings_message
from interplay.serving.runtime import InProcessRuntime
from interplay.serving.server import Service
from interplay.settings import available_cores
from interplay.store import resolve
from interplay.telemetry.logging import get_logger
from interplay.types import Image, StageTimings
from services.embedding import options as opt
from services.embedding.analysis import SERVICE_NAME, EmbeddingAnalysisServicer
from services.embedding.indexes import open_catalogue
from services.embedding.search import Calibration, Group, group_duplicates
from services.embedding.settings import CAPABILITY, EmbeddingSettings

log = get_logger(__name__)

Images = Batcher[Image, ImageVector]
Texts = Batcher[TextItem, TextVector]
T = TypeVar("T")

# An image's vector, its difference hash, and its thumbnail if one was asked for.
Embedded = tuple[ImageVector, int, bytes]

IMAGE_MODEL, WORD_MODEL = CAPABILITY.models
# More hits are fetched than asked for where near-duplicates are grouped.
_GROUPED_FACTOR = 3


def build_service(
    settings: EmbeddingSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batchers, indexes and servicer of this capability."""
    threads = settings.threads or available_cores()
    image = resolve(settings.model_store, IMAGE_MODEL, settings.model_version)
    words = resolve(settings.model_store, WORD_MODEL, settings.model_version)
    if image.manifest.details["words_sha256"] != words.manifest.weights_sha256:
        raise InternalError(f"{image.directory} was not trained for the words of {words.directory}")

    def load_image() -> ImageNetwork:
        backbone = resolve(settings.model_store, image.manifest.details["backbone"])
        return ImageNetwork(ImageEmbedder.load(image, backbone, device=settings.device, threads=threads))

    side = int(image.manifest.details["side"])
    images: Images = Batcher(
        IMAGE_MODEL, InProcessRuntime(load_image), settings.batch_limits, on_death=on_death
    )
    texts: Texts = Batcher(
        WORD_MODEL,
        InProcessRuntime(lambda: TextEmbedder.load(words)),
        BatchLimits(max_batch_items=256, max_delay_s=0.0, max_inflight=256),
        on_death=on_death,
    )
    catalogue = open_catalogue(settings)
    requests = Requests(images, pool, settings.image_limits, settings.max_deadline_s)
    servicer = EmbeddingServicer(images, texts, requests, catalogue, side=side)
    analysis = EmbeddingAnalysisServicer(images, texts, requests, side=side)

    def register(server: grpc.aio.Server) -> None:
        pb_grpc.add_EmbeddingServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        add_EmbeddingAnalysisServiceServicer_to_server(analysis, server)  # type: ignore[no-untyped-call]

    async def close() -> None:
        await asyncio.to_thread(servicer.close)

    return Service(
        batchers=(images, texts),
        register=register,
        further=(SERVICE_NAME,),
        close=close,
    )


class EmbeddingServicer(pb_grpc.EmbeddingServiceServicer):
    """See ``protos/interplay/embedding/v1/embedding.proto``.

    Args:
        images: Batcher of the image model.
        texts: Batcher of the words.
        requests: Admission.
        catalogue: The indexes.
        side: Of the image model's input, in pixels.
    """

    def __init__(
        self, images: Images, texts: Texts, requests: Requests, catalogue: Catalogue, *, side: int
    ) -> None:
        self._images = images
        self._texts = texts
        self._requests = requests
        self._catalogue = catalogue
        self._pixels = side * side
        # Searches are short; a build's publishing is not, and must not keep them waiting.
        self._searching = ThreadPoolExecutor(available_cores(), thread_name_prefix="search")
        self._changing = ThreadPoolExecutor(4, thread_name_prefix="index")

    def close(self) -> None:
        """Finish what is being done to the indexes and let go of them."""
        self._searching.shutdown(wait=True)
        self._changing.shutdown(wait=True)
        self._catalogue.close()

    async def EmbedText(
        self, request: pb.EmbedTextRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedTextResponse:
        """Vectors of texts."""
        opt.check_count("texts", len(request.texts), opt.MAX_TEXTS)
        items = [self._text_item(text, f"texts[{i}]") for i, text in enumerate(request.texts)]
        with self._requests.admit(None, context) as work:
            found = await work.run_all(self._texts, [(item, None, 1) for item in items])
        return pb.EmbedTextResponse(
            vectors=[opt.vector_message(text.vector) for text in found],
            understood=[opt.understood_message(text) for text in found],
            model=model_info(self._texts.runtime.manifest),
        )

    async def EmbedImage(
        self, request: pb.EmbedImageRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedImageResponse:
        """Vectors of images."""
        opt.check_count("images", len(request.images), opt.MAX_IMAGES)
        timings = StageTimings()
        contents = [image.content for image in request.images]
        results = []
        for found in await self._embed_all(contents, context, timings):
            if isinstance(found, InterplayError):
                if len(contents) == 1:
                    raise found
                results.append(pb.ImageResult(error=item_error(found)))
            else:
                results.append(pb.ImageResult(vector=opt.vector_message(found[0].vector)))
        return pb.EmbedImageResponse(
            results=results,
            model=model_info(self._images.runtime.manifest),
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
                    image, *_ = await self._embed_patiently(item.image.content, context, StageTimings())
                    response.vector.CopyFrom(opt.vector_message(image.vector))
                elif kind == "text":
                    text = await self._embed_text(self._text_item(item.text, "text"), context)
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

        concurrency = max(1, self._images.limits.max_inflight // 2)
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
        # One more than asked for tells whether there is another page.
        fetched = limit * (_GROUPED_FACTOR if request.group_duplicates else 1) + 1
        with self._requests.admit(None, context) as work:
            found = await self._in(
                self._searching, self._search, request.index, query / length, fetched, offset, wanted
            )
            timings.add(work.timings)
        groups = group_duplicates(found.hits, near=request.group_duplicates)
        shown, more = groups[:limit], len(found.hits) == fetched or len(groups) > limit
        words_alone = all(part.WhichOneof("content") == "text" for part in request.query)
        response = pb.SearchResponse(
            understood=[opt.understood_message(text) if text else pb.Understood() for _, text in parts],
            candidates=found.candidates,
            exact=found.exact,
            model=model_info(self._texts.runtime.manifest),
            timings=timings_message(timings),
        )
        for group in shown:
            hit = self._hit_message(group, words_alone)
            if (
                request.relevant_only
                and hit.HasField("probability")
                and hit.probability < self._calibration.cut_off
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
        dimension, side = self._dimension, opt.thumbnail_side(request)
        thumbnails: dict[str, bytes] = {}
        await self._in(self._changing, self._check_target, request.index, request.generation)

        async def prepare(new: pb.NewEntry, field: str) -> Any:
            try:
                opt.check_entry(new.entry, f"{field}.entry")
                kind, mark = new.WhichOneof("content"), None
                if kind == "image":
                    image, mark, small = await self._embed_patiently(
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
            await self._in(self._changing, self._write, request.index, request.generation, kept)
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

        def get() -> list[Entry]:
            with self._catalogue.reading(request.index) as index:
                return index.get(list(request.ids))

        entries = await self._in(self._searching, get)
        return pb.GetEntriesResponse(entries=[opt.entry_message(entry) for entry in entries])

    async def Delete(self, request: pb.DeleteRequest, context: grpc.aio.ServicerContext) -> pb.DeleteResponse:
        """Removes entries."""
        opt.check_count("ids", len(request.ids), opt.MAX_IDS)

        def delete() -> int:
            with self._catalogue.writing(request.index) as index:
                return index.delete(list(request.ids))

        return pb.DeleteResponse(deleted=await self._in(self._changing, delete))

    async def ListIndexes(
        self, request: pb.ListIndexesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListIndexesResponse:
        """The indexes."""
        infos = await self._in(self._searching, self._catalogue.all)
        return pb.ListIndexesResponse(
            indexes=[opt.index_message(info) for info in infos], languages=sorted(self._languages)
        )

    async def CreateIndex(
        self, request: pb.CreateIndexRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateIndexResponse:
        """An empty index."""

        def create() -> pb.Index:
            if any(info.spec.name == request.name for info in self._catalogue.all()):
                raise Conflict(f"there is an index {request.name!r} already")
            spec = self._spec(request.name, "empty")
            self._catalogue.begin(spec)
            return opt.index_message(self._catalogue.publish(request.name, spec.generation))

        return pb.CreateIndexResponse(index=await self._in(self._changing, create))

    async def DropIndex(
        self, request: pb.DropIndexRequest, context: grpc.aio.ServicerContext
    ) -> pb.DropIndexResponse:
        """Removes an index."""
        await self._in(self._changing, self._catalogue.drop, request.name)
        return pb.DropIndexResponse()

    async def BeginBuild(
        self, request: pb.BeginBuildRequest, context: grpc.aio.ServicerContext
    ) -> pb.BeginBuildResponse:
        """Begins a generation."""

        def begin() -> int:
            self._catalogue.begin(self._spec(request.index, request.generation))
            with self._catalogue.building(request.index, request.generation) as index:
                return index.count()

        return pb.BeginBuildResponse(entries=await self._in(self._changing, begin))

    async def PublishBuild(
        self, request: pb.PublishBuildRequest, context: grpc.aio.ServicerContext
    ) -> pb.PublishBuildResponse:
        """Lets a generation answer."""
        info = await self._in(self._changing, self._catalogue.publish, request.index, request.generation)
        return pb.PublishBuildResponse(index=opt.index_message(info))

    async def AbortBuild(
        self, request: pb.AbortBuildRequest, context: grpc.aio.ServicerContext
    ) -> pb.AbortBuildResponse:
        """Removes a generation."""
        await self._in(self._changing, self._catalogue.abort, request.index, request.generation)
        return pb.AbortBuildResponse()

    @property
    def _dimension(self) -> int:
        return int(self._texts.runtime.manifest.config["dimension"])

    @property
    def _space(self) -> str:
        return self._texts.runtime.manifest.digest

    @property
    def _languages(self) -> tuple[str, ...]:
        return tuple(self._texts.runtime.manifest.details.get("translations", {}))

    @property
    def _calibration(self) -> Calibration:
        return Calibration.from_thresholds(self._texts.runtime.manifest.thresholds)

    def _spec(self, name: str, generation: str) -> Spec:
        return Spec.new(name, generation, self._dimension, self._space)

    def _text_item(self, text: pb.Text, field: str) -> TextItem:
        return TextItem(*opt.check_text(text, self._languages, field))

    async def _embed_text(self, item: TextItem, context: grpc.aio.ServicerContext) -> TextVector:
        with self._requests.admit(None, context) as work:
            return await work.run(self._texts, item, bucket=None, pixels=1)

    async def _embed_image(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> Embedded:
        with self._requests.admit(content, context) as work:
            image = await work.decode()
            vector = await work.run(self._images, image, bucket=None, pixels=self._pixels)
            mark, small = await work.finish(_marks, image, thumbnail_px)
        timings.add(work.timings)
        return vector, mark, small

    async def _embed_patiently(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> Embedded:
        """Of a call with many images: wait for room instead of refusing."""

        def time_left_s() -> float:
            remaining = context.time_remaining()
            return float("inf") if remaining is None else remaining

        return await with_patience(
            lambda: self._embed_image(content, context, timings, thumbnail_px), time_left_s
        )

    async def _embed_all(
        self, contents: list[bytes], context: grpc.aio.ServicerContext, timings: StageTimings
    ) -> list[Embedded | InterplayError]:
        if len(contents) == 1:
            return [await self._embed_image(contents[0], context, timings)]

        async def one(content: bytes) -> Embedded | InterplayError:
            try:
                return await self._embed_patiently(content, context, timings)
            except InterplayError as error:
                return error

        return list(await asyncio.gather(*map(one, contents)))

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
            text = await self._embed_text(self._text_item(part.text, f"{field}.text"), context)
            return text.vector, text
        if kind == "image":
            image, *_ = await self._embed_image(part.image.content, context, timings)
            return image.vector, None
        if kind == "entry":
            return await self._in(self._searching, self._entry_vector, index, part.entry, field), None
        if kind == "vector":
            return opt.vector_of(part.vector, self._dimension, f"{field}.vector"), None
        raise InvalidParameter(f"{field} has neither text, image, entry nor vector", field=field)

    def _entry_vector(self, name: str, entry: str, field: str) -> NDArray[np.float32]:
        with self._searchable(name) as index:
            found = index.get([entry])
        if not found:
            raise InvalidParameter(f"index {name!r} has no entry {entry!r}", field=f"{field}.entry")
        return found[0].vector

    def _search(self, name: str, query: NDArray[np.float32], limit: int, offset: int, wanted: Filter) -> Hits:
        with self._searchable(name) as index:
            return index.search(query, limit, offset=offset, wanted=wanted)

    @contextmanager
    def _searchable(self, name: str) -> Iterator[Any]:
        """An index whose vectors are of this server's space.

        Raises:
            Conflict: They are of another model.
        """
        self._check_space(self._catalogue.spec(name))
        with self._catalogue.reading(name) as index:
            yield index

    def _check_space(self, spec: Spec) -> None:
        if (spec.dimension, spec.space) != (self._dimension, self._space):
            raise Conflict(
                f"index {spec.name!r} was built with the word model {spec.space}, and this server has "
                f"{self._space}; build it again"
            )

    def _check_target(self, name: str, generation: str) -> None:
        """Whether an index, or a generation of it, can be written to, before any image is embedded."""
        if generation:
            with self._catalogue.building(name, generation):
                return
        self._check_space(self._catalogue.spec(name))

    def _write(self, name: str, generation: str, entries: list[Any]) -> None:
        if generation:
            with self._catalogue.building(name, generation) as index:
                index.upsert(entries)
            return
        self._check_space(self._catalogue.spec(name))
        with self._catalogue.writing(name) as index:
            index.upsert(entries)

    def _hit_message(self, group: Group, words_alone: bool) -> pb.Hit:
        hit = group.best
        message = pb.Hit(entry=opt.entry_message(hit.entry), score=hit.score, duplicates=group.duplicates)
        if words_alone:
            message.probability = self._calibration.probability(hit.score)
        return message

    async def _in(self, pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        done: Awaitable[T] = loop.run_in_executor(pool, lambda: function(*args))
        return await done


def _marks(image: Image, thumbnail_px: int) -> tuple[int, bytes]:
    return fingerprint(image), encode_thumbnail(image, thumbnail_px) if thumbnail_px else b""
