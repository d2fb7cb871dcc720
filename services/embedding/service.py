"""What the embedding server is made of: batchers, indexes and servicers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

from interplay.errors import InternalError
from interplay.rpc.clients import INDEX_SERVICE
from interplay.rpc.common.v1.index_pb2_grpc import add_IndexServiceServicer_to_server
from interplay.rpc.embedding.v1 import embedding_pb2_grpc as pb_grpc
from interplay.rpc.embedding.v1.analysis_pb2_grpc import add_EmbeddingAnalysisServiceServicer_to_server
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.indexes.indexes import open_indexes
from interplay.serving.indexes.servicer import IndexServicer
from interplay.serving.indexes.snapshots import open_snapshots
from interplay.serving.requests import Requests
from interplay.serving.runtimes import runtime_for
from interplay.serving.server import Service
from interplay.store import resolve
from services.embedding.analysis import SERVICE_NAME as ANALYSIS_SERVICE
from services.embedding.analysis import EmbeddingAnalysisServicer
from services.embedding.open_inference import open_models
from services.embedding.servicer import EmbeddingServicer
from services.embedding.settings import CAPABILITY, EmbeddingSettings
from services.embedding.vectors import Images, Texts, Vectors

IMAGE_MODEL, WORD_MODEL = CAPABILITY.models


def build_service(
    settings: EmbeddingSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batchers, indexes and servicers of this capability."""
    image = resolve(settings.model_store, IMAGE_MODEL, settings.model_version)
    words = resolve(settings.model_store, WORD_MODEL, settings.model_version)
    if image.manifest.details["words_sha256"] != words.manifest.weights_sha256:
        raise InternalError(f"{image.directory} was not trained for the words of {words.directory}")

    images: Images = Batcher(
        IMAGE_MODEL,
        runtime_for(settings, IMAGE_MODEL, settings.model_version),
        settings.batch_limits,
        on_death=on_death,
    )
    texts: Texts = Batcher(
        WORD_MODEL,
        runtime_for(settings, WORD_MODEL, settings.model_version),
        BatchLimits(max_batch_items=256, max_delay_s=0.0, max_inflight=256),
        on_death=on_death,
    )
    requests = Requests(images, pool, settings.image_limits, settings.max_deadline_s)
    side = int(image.manifest.details["side"])
    vectors = Vectors(images, texts, requests, pixels=side * side)
    indexes = open_indexes(settings, vectors)
    snapshots = open_snapshots(settings, indexes)
    servicer = EmbeddingServicer(vectors, indexes)
    index_servicer = IndexServicer(indexes, snapshots)
    analysis = EmbeddingAnalysisServicer(images, texts, requests, side=side)

    def register(server: grpc.aio.Server) -> None:
        pb_grpc.add_EmbeddingServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        add_IndexServiceServicer_to_server(index_servicer, server)  # type: ignore[no-untyped-call]
        add_EmbeddingAnalysisServiceServicer_to_server(analysis, server)  # type: ignore[no-untyped-call]

    async def close() -> None:
        await asyncio.to_thread(snapshots.close)
        await asyncio.to_thread(indexes.close)

    further = (INDEX_SERVICE, ANALYSIS_SERVICE)
    return Service(
        batchers=(images, texts),
        register=register,
        close=close,
        further=further,
        tensors=open_models(vectors, int(words.manifest.config["dimension"])),
    )
