"""What the LocSens server is made of: batchers, indexes and servicers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from interplay.predictors.locsens.image import ImageTagger
from interplay.rpc.clients import INDEX_SERVICE
from interplay.rpc.common.v1.index_pb2_grpc import add_IndexServiceServicer_to_server
from interplay.rpc.locsens.v1 import locsens_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.indexes.indexes import open_indexes
from interplay.serving.indexes.servicer import IndexServicer
from interplay.serving.indexes.snapshots import open_snapshots
from interplay.serving.requests import Requests
from interplay.serving.runtimes import runtime_for
from interplay.serving.server import Service
from interplay.store import resolve
from services.locsens.images import Images
from services.locsens.open_inference import open_models
from services.locsens.retrieval import Retrieval
from services.locsens.servicer import LocSensServicer, Models, PlaceTags
from services.locsens.settings import CAPABILITY, LocSensSettings
from services.locsens.tables import Ranker
from services.locsens.vocabulary import Vocabulary

IMAGE_MODEL, RETRIEVAL_MODEL, TAGGING_MODEL = CAPABILITY.models
# Of the scorers; an item is a call, its pixels are what it scores.
_SCORER_LIMITS = BatchLimits(
    max_batch_items=64, max_batch_pixels=32_768, max_delay_s=0.0, max_inflight=256,
    max_inflight_pixels=8_000_000,
)  # fmt: skip


def build_service(
    settings: LocSensSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batchers, indexes and servicers of this capability."""
    store, version = settings.model_store, settings.model_version
    image = resolve(store, IMAGE_MODEL, version).manifest
    vectors = ImageTagger.open_tag_vectors(store, version)

    def batcher(model: str, limits: BatchLimits) -> Batcher[Any, Any]:
        return Batcher(model, runtime_for(settings, model, version), limits, on_death=on_death)

    tagger = batcher(IMAGE_MODEL, settings.batch_limits)
    ranker: Ranker = batcher(RETRIEVAL_MODEL, _SCORER_LIMITS)
    place_tags: PlaceTags = batcher(TAGGING_MODEL, _SCORER_LIMITS)
    requests = Requests(tagger, pool, settings.image_limits, settings.max_deadline_s)
    images = Images(tagger, requests, image)
    indexes = open_indexes(settings, images, CAPABILITY.name)
    snapshots = open_snapshots(settings, indexes, CAPABILITY.name)
    retrieval = Retrieval(
        indexes,
        ranker,
        shared=settings.qdrant_url is not None,
        max_exact_entries=settings.max_exact_entries,
        max_kept_entries=settings.max_kept_entries,
    )
    vocabulary = Vocabulary(image.labels, image.details["photos"])
    servicer = LocSensServicer(Models(images, ranker, place_tags), indexes, retrieval, vocabulary, vectors)
    index_servicer = IndexServicer(indexes, snapshots)

    def register(server: grpc.aio.Server) -> None:
        pb_grpc.add_LocSensServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        add_IndexServiceServicer_to_server(index_servicer, server)  # type: ignore[no-untyped-call]

    async def close() -> None:
        await retrieval.tables.close()
        await asyncio.to_thread(snapshots.close)
        await asyncio.to_thread(indexes.close)

    return Service(
        batchers=(tagger, ranker, place_tags),
        register=register,
        close=close,
        further=(INDEX_SERVICE,),
        tensors=open_models(images, ranker, place_tags),
    )
