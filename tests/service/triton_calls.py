"""Calls by NVIDIA's ``tritonclient``, an independent client of the Open Inference Protocol.

They run in a process of their own: two copies of the protocol's messages cannot live in one.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def triton() -> Iterator[Callable[..., Any]]:
    """A function that runs one of the functions below in that process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *args, **kwargs: pool.submit(function, *args, **kwargs).result(120)


def infer(
    protocol: str,
    target: str,
    model: str,
    inputs: dict[str, tuple[str, np.ndarray]],
    *,
    outputs: tuple[str, ...] = (),
    binary: bool = True,
    version: str = "",
    request_id: str = "",
) -> dict[str, np.ndarray] | str:
    """Outputs by name, or the error's status and message."""
    module = _module(protocol)
    tensors = []
    for name, (datatype, array) in inputs.items():
        tensor = module.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, **({} if protocol == "grpc" else {"binary_data": binary}))
        tensors.append(tensor)
    options = {} if protocol == "grpc" else {"binary_data": binary}
    wanted = [module.InferRequestedOutput(name, **options) for name in outputs] or None
    with _client(protocol, target) as client:
        try:
            result = client.infer(
                model, tensors, outputs=wanted, model_version=version, request_id=request_id
            )
        except Exception as error:
            return f"{error.status()}: {error.message()}"  # type: ignore[attr-defined]
    response = result.get_response()
    if protocol == "grpc":
        assert response.id == request_id
        names = [output.name for output in response.outputs]
    else:
        assert response.get("id", "") == request_id
        names = [output["name"] for output in response["outputs"]]
    return {name: result.as_numpy(name) for name in names}


def describe(protocol: str, target: str, model: str) -> dict[str, Any]:
    """Life, readiness and metadata."""
    with _client(protocol, target) as client:
        found: dict[str, Any] = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready(model),
        }
        options = {"as_json": True} if protocol == "grpc" else {}
        found["server"] = client.get_server_metadata(**options)
        found["model"] = client.get_model_metadata(model, **options)
        try:
            found["other_ready"] = client.is_model_ready("no-such-model")
        except Exception as error:
            found["other_ready"] = f"{error.status()}: {error.message()}"  # type: ignore[attr-defined]
        return found


def _module(protocol: str) -> Any:
    import importlib

    return importlib.import_module(f"tritonclient.{protocol}")


@contextmanager
def _client(protocol: str, target: str) -> Iterator[Any]:
    client = _module(protocol).InferenceServerClient(target)
    try:
        yield client
    finally:
        client.close()
