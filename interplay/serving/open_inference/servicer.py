"""``inference.GRPCInferenceService``: the Open Inference Protocol's questions and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from interplay import __version__
from interplay.errors import NotFound
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb
from interplay.rpc.open_inference.v1 import open_inference_pb2_grpc as pb_grpc
from interplay.rpc.tensors import Tensor, read_inputs, write_outputs
from interplay.serving.open_inference.models import OpenModel


class OpenInferenceService(pb_grpc.GRPCInferenceServiceServicer):
    """Answers for a server's models; see ``protos/interplay/open_inference/v1``.

    Args:
        models: The models.
        ready: Whether the server is serving.
    """

    def __init__(self, models: Sequence[OpenModel], ready: Callable[[], bool]) -> None:
        self._models = {model.batcher.name: model for model in models}
        self._ready = ready

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Any) -> pb.ServerLiveResponse:
        """True: it answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Any) -> pb.ServerReadyResponse:
        """As the standard health service says."""
        return pb.ServerReadyResponse(ready=self._ready())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Any) -> pb.ModelReadyResponse:
        """All models of a server become ready together."""
        if not self._ready():
            self._known(request.name)
            return pb.ModelReadyResponse(ready=False)
        self._model(request.name, request.version)
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Any
    ) -> pb.ServerMetadataResponse:
        """Name and version."""
        return pb.ServerMetadataResponse(name="interplay", version=__version__)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:
        """Tensors, and what a person would ask first."""
        model = self._model(request.name, request.version)
        manifest = model.batcher.runtime.manifest
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[str(manifest.version)],
            platform="onnx_onnxv1" if manifest.architecture == "onnx" else "pytorch_safetensors",
            inputs=[_described(tensor) for tensor in model.inputs],
            outputs=[_described(tensor) for tensor in model.outputs],
            properties={
                "description": manifest.description,
                "license": manifest.license,
                "digest": manifest.digest,
                "capability": manifest.capability,
                "optional_inputs": ",".join(tensor.name for tensor in model.inputs if tensor.optional),
            },
        )

    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelInferResponse:
        """One answer for all items of the request; an item's error is the request's."""
        model = self._model(request.model_name, request.model_version)
        wanted = [output.name for output in request.outputs]
        known = {tensor.name for tensor in model.outputs}
        if unknown := [name for name in wanted if name not in known]:
            write_outputs(pb.ModelInferResponse(), {}, model.outputs, unknown)  # says what there is
        arrays = await model.infer(read_inputs(request, model.inputs), context)
        response = pb.ModelInferResponse(
            model_name=request.model_name,
            model_version=str(model.batcher.runtime.manifest.version),
            id=request.id,
        )
        write_outputs(response, arrays, model.outputs, wanted)
        return response

    def _known(self, name: str) -> OpenModel:
        model = self._models.get(name)
        if model is None:
            raise NotFound(f"no model {name!r} on this server; there are: {', '.join(sorted(self._models))}")
        return model

    def _model(self, name: str, version: str) -> OpenModel:
        model = self._known(name)
        served = str(model.batcher.runtime.manifest.version)
        if version not in ("", served):
            raise NotFound(f"version {version} of {name} is not served; {served} is")
        return model


def _described(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
    )
