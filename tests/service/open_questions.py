"""One question of the Open Inference Protocol for every model of a server, with what the model takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from interplay.rpc.common.v1 import models_pb2
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb
from interplay.rpc.open_inference.v1.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.service.server_process import ServerProcess


def ask_every_model(server: ServerProcess, picture: np.ndarray) -> Iterator[Any]:
    """Answers of all models of a server, in the order of their names.

    Args:
        server: The model server.
        picture: (H, W, 3) uint8, for models that take images.
    """
    stub = GRPCInferenceServiceStub(server.client.channel)
    listed = server.client.call(server.client.models.ListModels, models_pb2.ListModelsRequest()).models
    for name in sorted(model.info.name for model in listed):
        described = server.client.call(stub.ModelMetadata, pb.ModelMetadataRequest(name=name))
        request = pb.ModelInferRequest(model_name=name, id=name)
        for tensor in described.inputs:
            if (array := _example(tensor, picture)) is not None:
                request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
                request.raw_input_contents.append(_raw(array))
        yield server.client.call(stub.ModelInfer, request)


def _example(tensor: Any, picture: np.ndarray) -> np.ndarray | None:
    """One item's value of an input; None for one that is left out."""
    match tensor.name:
        case "pixels":
            return picture[None]
        case "weights":
            weights = np.zeros((1, tensor.shape[1]), np.float32)
            weights[0, 1] = 1.0
            return weights
        case "vector":
            return np.full((1, tensor.shape[1]), tensor.shape[1] ** -0.5, np.float32)
        case "tag":
            return np.array([3])
        case "place":
            return np.array([[41.38, 2.17]])
        case "text":
            return np.array([b"red sky over the sea"], dtype=object)
    return None  # a file besides pixels, a language, what a post need not have


def _raw(array: np.ndarray) -> bytes:
    """As the protocol wants it: little-endian, texts with their lengths before them."""
    if array.dtype != object:
        return array.tobytes()
    return b"".join(len(item).to_bytes(4, "little") + item for item in array.ravel())
