"""``EmbeddingService``: translation between the contract, the batchers and what is searched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.errors import InternalError, InterplayError, InvalidParameter
from interplay.predictors.embedding.text import TextVector
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2_grpc as pb_grpc
from interplay.rpc.status import item_error
from interplay.serving.bulk import process_stream
from interplay.serving.checks import check_count
from interplay.serving.indexes.indexes import Indexes
from interplay.serving.indexes.options import entry_message, filter_of, vector_message, vector_of
from interplay.serving.indexes.paging import (
    Group,
    cut_page,
    hits_to_fetch,
    limit_of,
    page_offset,
    page_token,
)
from interplay.serving.model_service import model_info
from interplay.serving.requests import timings_message
from interplay.telemetry.logging import get_logger
from interplay.types import StageTimings
from services.embedding import options as opt
from services.embedding.vectors import Vectors

log = get_logger(__name__)


class EmbeddingServicer(pb_grpc.EmbeddingServiceServicer):
    """See ``protos/interplay/embedding/v1/embedding.proto``.

    Args:
        vectors: The models.
        indexes: What is searched.
    """

    def __init__(self, vectors: Vectors, indexes: Indexes) -> None:
        self._vectors = vectors
        self._indexes = indexes

    async def EmbedText(
        self, request: pb.EmbedTextRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedTextResponse:
        """Vectors of texts."""
        check_count("texts", len(request.texts), opt.MAX_TEXTS)
        items = [self._vectors.text_item(text, f"texts[{i}]") for i, text in enumerate(request.texts)]
        with self._vectors.requests.admit(None, context) as work:
            found = await work.run_all(self._vectors.texts, [(item, None, 1) for item in items])
        return pb.EmbedTextResponse(
            vectors=[vector_message(text.vector) for text in found],
            understood=[opt.understood_message(text) for text in found],
            model=model_info(self._vectors.texts.runtime.manifest),
        )

    async def EmbedImage(
        self, request: pb.EmbedImageRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedImageResponse:
        """Vectors of images."""
        check_count("images", len(request.images), opt.MAX_IMAGES)
        timings = StageTimings()
        contents = [image.content for image in request.images]
        results = []
        for found in await self._vectors.of_images(contents, context, timings):
            if isinstance(found, InterplayError):
                if len(contents) == 1:
                    raise found
                results.append(pb.ImageResult(error=item_error(found)))
            else:
                results.append(pb.ImageResult(vector=vector_message(found.vector)))
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
                    image = await self._vectors.of_image_patiently(
                        item.image.content, context, StageTimings()
                    )
                    response.vector.CopyFrom(vector_message(image.vector))
                elif kind == "text":
                    text = await self._vectors.of_text(self._vectors.text_item(item.text, "text"), context)
                    response.vector.CopyFrom(vector_message(text.vector))
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
        check_count("query", len(request.query), opt.MAX_PARTS)
        limit, offset = limit_of(request), page_offset(request)
        wanted = filter_of(request.filter)
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
        group = request.group_duplicates
        fetched = hits_to_fetch(limit, group=group)
        with self._vectors.requests.admit(None, context) as work:
            found = await self._indexes.read(
                lambda: self._indexes.search(request.index, direction, fetched, offset, wanted)
            )
            timings.add(work.timings)
        shown, further = cut_page(found.hits, limit, group=group)
        words_alone = all(part.WhichOneof("content") == "text" for part in request.query)
        response = pb.SearchResponse(
            understood=[opt.understood_message(text) if text else pb.Understood() for _, text in parts],
            candidates=found.candidates,
            exact=found.exact,
            model=model_info(self._vectors.texts.runtime.manifest),
            timings=timings_message(timings),
        )
        for best in shown:
            hit = self._hit_message(best, words_alone)
            if (
                request.relevant_only
                and hit.HasField("probability")
                and hit.probability < self._vectors.calibration.cut_off
            ):
                further = 0  # all that follow are worse
                break
            response.hits.append(hit)
        if further:
            response.next_page_token = page_token(request, offset + further)
        return response

    async def ListLanguages(
        self, request: pb.ListLanguagesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListLanguagesResponse:
        """Languages of words."""
        return pb.ListLanguagesResponse(languages=sorted(self._vectors.languages))

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
            image = await self._vectors.of_image(part.image.content, context, timings)
            return image.vector, None
        if kind == "entry":
            vector = await self._indexes.read(lambda: self._indexes.entry_vector(index, part.entry, field))
            return vector, None
        if kind == "vector":
            return vector_of(part.vector, self._vectors.dimension, f"{field}.vector"), None
        raise InvalidParameter(f"{field} has neither text, image, entry nor vector", field=field)

    def _hit_message(self, group: Group, words_alone: bool) -> pb.Hit:
        hit = group.best
        message = pb.Hit(entry=entry_message(hit.entry), score=hit.score, duplicates=group.duplicates)
        if words_alone:
            message.probability = self._vectors.calibration.probability(hit.score)
        return message
