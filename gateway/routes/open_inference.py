"""``/v2``: the Open Inference Protocol over HTTP, for the models of all capabilities.

A model's name leads to its server, whose gRPC form of the same protocol answers. Errors have the protocol's
form, ``{"error": "…"}``, with the statuses of ``interplay.errors``.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Request
from google.protobuf.message import Message
from starlette.responses import JSONResponse, Response

from gateway.deps import AppState, StateDep, require_scope
from gateway.negotiation import JSON
from gateway.openapi_parts import UPSTREAM_ERRORS, open_error_responses
from gateway.routes.health import check_readiness
from gateway.schemas.open_inference import (
    InferAnswer,
    InferBody,
    ModelBody,
    ModelReadyBody,
    ServerBody,
    ServerLiveBody,
    ServerReadyBody,
    TensorBody,
)
from gateway.tensor_json import LENGTH_HEADER, infer_answer, infer_request
from gateway.upstream import Deadline, call_server
from interplay import __version__
from interplay.capabilities import CAPABILITIES
from interplay.errors import (
    InterplayError,
    InvalidInput,
    InvalidParameter,
    ModelFailed,
    NotFound,
    PayloadTooLarge,
    UnreadableImage,
    UnsupportedMedia,
    UploadTimeout,
)
from interplay.rpc.common.v1 import models_pb2
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb

health = APIRouter(prefix="/v2", tags=["open inference"])
models = APIRouter(prefix="/v2", tags=["open inference"], dependencies=[Depends(require_scope("infer"))])

OCTETS = "application/octet-stream"
_LOOK_TIMEOUT_S = 2.0
_MODEL = {
    "name": "embedding-image",
    "versions": ["2"],
    "platform": "pytorch_safetensors",
    "inputs": [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
    ],
    "outputs": [{"name": "vector", "datatype": "FP32", "shape": [-1, 300]}],
    "properties": {"capability": "embedding", "optional_inputs": "image,pixels"},
}


def _shown(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {JSON: {"example": example}}}}


@health.get(
    "/health/live",
    response_model=ServerLiveBody,
    responses={**_shown({"live": True}), **open_error_responses(authenticated=False)},
)
async def open_live() -> ServerLiveBody:
    """The process runs."""
    return ServerLiveBody(live=True)


@health.get(
    "/health/ready",
    response_model=ServerReadyBody,
    responses={
        **_shown({"ready": True}),
        **open_error_responses(authenticated=False),
        503: {
            "model": ServerReadyBody,
            "description": "Some part is down",
            "content": {JSON: {"example": {"ready": False}}},
        },
    },
)
async def open_ready(state: StateDep) -> Response:
    """Whether every part that requests need can be reached; `/readyz` says which is not."""
    ready = (await check_readiness(state)).status == "ready"
    return JSONResponse({"ready": ready}, status_code=200 if ready else 503)


@models.get(
    "",
    response_model=ServerBody,
    responses={
        **_shown({"name": "interplay", "version": __version__, "extensions": ["binary_tensor_data"]}),
        **open_error_responses(),
    },
)
async def open_server() -> ServerBody:
    """What answers here."""
    return ServerBody(name="interplay", version=__version__, extensions=["binary_tensor_data"])


_MODEL_ERRORS = (NotFound, *UPSTREAM_ERRORS)


@models.get(
    "/models/{model}",
    response_model=ModelBody,
    responses={**_shown(_MODEL), **open_error_responses(*_MODEL_ERRORS)},
)
async def open_model(model: str, request: Request, state: StateDep, timeout_s: Deadline) -> ModelBody:
    """Tensors that a model takes and gives."""
    return await _metadata(request, state, model, "", timeout_s)


@models.get(
    "/models/{model}/versions/{version}",
    response_model=ModelBody,
    responses={**_shown(_MODEL), **open_error_responses(*_MODEL_ERRORS)},
)
async def open_model_version(
    model: str, version: str, request: Request, state: StateDep, timeout_s: Deadline
) -> ModelBody:
    """As without a version, if it is the served one."""
    return await _metadata(request, state, model, version, timeout_s)


@models.get(
    "/models/{model}/ready",
    response_model=ModelReadyBody,
    responses={**_shown({"name": "embedding-image", "ready": True}), **open_error_responses(*_MODEL_ERRORS)},
)
async def open_model_ready(
    model: str, request: Request, state: StateDep, timeout_s: Deadline
) -> ModelReadyBody:
    """Whether a model is ready."""
    return await _ready(request, state, model, "", timeout_s)


@models.get(
    "/models/{model}/versions/{version}/ready",
    response_model=ModelReadyBody,
    responses={**_shown({"name": "embedding-image", "ready": True}), **open_error_responses(*_MODEL_ERRORS)},
)
async def open_model_version_ready(
    model: str, version: str, request: Request, state: StateDep, timeout_s: Deadline
) -> ModelReadyBody:
    """Whether a version is ready."""
    return await _ready(request, state, model, version, timeout_s)


_INFER: dict[str, Any] = {
    "response_model": InferAnswer,
    "responses": {
        200: {
            "description": f"JSON; {OCTETS} (JSON, then bytes) where outputs are wanted as bytes",
            "content": {
                JSON: {"example": InferAnswer.EXAMPLE},
                OCTETS: {"schema": {"type": "string", "contentMediaType": OCTETS}},
            },
        },
        **open_error_responses(
            InvalidInput,
            InvalidParameter,
            PayloadTooLarge,
            UnsupportedMedia,
            UnreadableImage,
            UploadTimeout,
            ModelFailed,
            *_MODEL_ERRORS,
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"$ref": f"#/components/schemas/{InferBody.__name__}"},
                    "example": InferBody.EXAMPLE,
                }
            },
        }
    },
}


@models.post("/models/{model}/infer", **_INFER)
async def open_infer(model: str, request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Run a model. `docs/serving.md` names its tensors, and so does `GET /v2/models/{model}`."""
    return await _infer(request, state, model, "", timeout_s)


@models.post("/models/{model}/versions/{version}/infer", **_INFER)
async def open_infer_version(
    model: str, version: str, request: Request, state: StateDep, timeout_s: Deadline
) -> Response:
    """As without a version, if it is the served one."""
    return await _infer(request, state, model, version, timeout_s)


router = APIRouter()
router.include_router(health)
router.include_router(models)


async def _metadata(
    request: Request, state: AppState, model: str, version: str, timeout_s: float
) -> ModelBody:
    message = pb.ModelMetadataRequest(name=model, version=version)
    found = await _asked(request, state, model, "ModelMetadata", message, timeout_s)

    def tensors(described: Any) -> list[TensorBody]:
        return [TensorBody(name=t.name, datatype=t.datatype, shape=list(t.shape)) for t in described]

    return ModelBody(
        name=found.name,
        versions=list(found.versions),
        platform=found.platform,
        inputs=tensors(found.inputs),
        outputs=tensors(found.outputs),
        properties=dict(found.properties),
    )


async def _ready(
    request: Request, state: AppState, model: str, version: str, timeout_s: float
) -> ModelReadyBody:
    message = pb.ModelReadyRequest(name=model, version=version)
    found = await _asked(request, state, model, "ModelReady", message, timeout_s)
    return ModelReadyBody(name=model, ready=found.ready)


async def _infer(request: Request, state: AppState, model: str, version: str, timeout_s: float) -> Response:
    capability = await _capability_of(state, model)
    state.admission.check(capability)  # a busy one is not worth reading the body
    content = await request.body()
    length = request.headers.get(LENGTH_HEADER)
    message, binary = await asyncio.to_thread(infer_request, model, version, content, length)
    response = await call_server(
        request, state, capability, "ModelInfer", message, timeout_s, service="open_inference"
    )
    body, head = await asyncio.to_thread(infer_answer, response, binary)
    if head is None:
        return Response(body, media_type=JSON)
    return Response(body, media_type=OCTETS, headers={LENGTH_HEADER: str(head)})


async def _asked(
    request: Request, state: AppState, model: str, method: str, message: Message, timeout_s: float
) -> Any:
    capability = await _capability_of(state, model)
    await request.body()
    return await call_server(request, state, capability, method, message, timeout_s, service="open_inference")


async def _capability_of(state: AppState, model: str) -> str:
    """Whose server has a model: by the table, or, for one that is not in it, by asking all servers.

    Raises:
        NotFound: None has it.
    """
    for capability in CAPABILITIES:
        if model in capability.models:
            return capability.name
    names = list(state.clients)
    for name, found in zip(names, await asyncio.gather(*(_served(state, n) for n in names)), strict=True):
        if model in found:
            return name
    raise NotFound(f"no model {model!r} is served; GET /v1/models lists those that are")


async def _served(state: AppState, capability: str) -> frozenset[str]:
    client = state.client(capability)
    try:
        reply = await client.call(
            client.models.ListModels, models_pb2.ListModelsRequest(), timeout_s=_LOOK_TIMEOUT_S
        )
    except InterplayError:
        return frozenset()
    return frozenset(served.info.name for served in reply.models)
