"""``ModelService``: what a server has loaded, with limits; the same for every capability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interplay.rpc.common.v1 import common_pb2, models_pb2, models_pb2_grpc
from interplay.serving.batcher import Batcher
from interplay.serving.settings import ModelServerSettings
from interplay.settings import MAX_MESSAGE_BYTES
from interplay.store import Manifest


def model_info(manifest: Manifest) -> common_pb2.ModelInfo:
    """The ``ModelInfo`` of a manifest."""
    return common_pb2.ModelInfo(name=manifest.name, version=str(manifest.version), digest=manifest.digest)


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """Lists the models behind a server's batchers."""

    def __init__(
        self, capability: str, batchers: Sequence[Batcher[Any, Any]], settings: ModelServerSettings
    ) -> None:
        self._capability = capability
        self._batchers = batchers
        self._settings = settings

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, context: Any
    ) -> models_pb2.ListModelsResponse:
        """See the proto."""
        return models_pb2.ListModelsResponse(models=[self._served(batcher) for batcher in self._batchers])

    def _served(self, batcher: Batcher[Any, Any]) -> models_pb2.ServedModel:
        runtime, limits, settings = batcher.runtime, batcher.limits, self._settings
        manifest = runtime.manifest
        return models_pb2.ServedModel(
            info=model_info(manifest),
            capability=self._capability,
            description=manifest.description,
            license=manifest.license,
            device=runtime.device,
            dtype=runtime.dtype,
            runtime=runtime.kind,
            limits=models_pb2.Limits(
                max_image_bytes=settings.max_image_bytes,
                max_image_pixels=settings.max_image_pixels,
                max_batch_items=limits.max_batch_items,
                max_batch_pixels=batcher.batch_pixels,
                max_inflight=limits.max_inflight,
                max_deadline_s=settings.max_deadline_s,
                max_message_bytes=MAX_MESSAGE_BYTES,
            ),
            thresholds=manifest.thresholds,
            labels=manifest.labels,
        )
