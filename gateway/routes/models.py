"""``/v1/models``: what is served, with limits and defaults."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends

from gateway.deps import AppState, CallerDep, StateDep, require_scope
from gateway.openapi_parts import problem_responses
from gateway.schemas.common import EXAMPLE_MODEL
from gateway.schemas.models import CapabilityBody, GatewayLimits, ModelsAnswer, ServedModelBody
from interplay.capabilities import CAPABILITIES, Capability
from interplay.errors import InterplayError
from interplay.media.images import MEDIA_TYPES
from interplay.rpc.common.v1 import models_pb2

router = APIRouter(prefix="/v1", tags=["models"], dependencies=[Depends(require_scope("infer"))])

_TIMEOUT_S = 2.0
_EXAMPLE = {
    "capabilities": [
        {
            "name": "text_detection",
            "summary": "Where text is and what it says",
            "available": True,
            "models": [
                {
                    **EXAMPLE_MODEL,
                    "description": "Text probability of every pixel",
                    "license": "Apache-2.0",
                    "device": "cpu",
                    "dtype": "float32",
                    "runtime": "in_process",
                    "limits": {
                        "max_image_bytes": 20971520,
                        "max_image_pixels": 40000000,
                        "max_batch_items": 8,
                        "max_batch_pixels": 1000000,
                        "max_inflight": 32,
                        "max_deadline_s": 60.0,
                        "max_message_bytes": 33554432,
                    },
                    "thresholds": {"pixel": 0.5, "score": 0.5},
                    "labels": ["background", "text border", "word core"],
                }
            ],
        }
    ],
    "limits": {
        "max_image_bytes": 20971520,
        "max_image_pixels": 40000000,
        "max_json_bytes": 1048576,
        "max_inflight": 128,
        "request_timeout_s": 60.0,
        "rate_limit_per_s": 100.0,
        "image_media_types": ["image/jpeg", "image/png", "image/webp"],
        "image_urls": False,
    },
}


@router.get(
    "/models",
    response_model=ModelsAnswer,
    response_model_exclude_none=True,
    responses={
        200: {"content": {"application/json": {"example": _EXAMPLE}}},
        **problem_responses(),
    },
)
async def list_models(state: StateDep, caller: CallerDep) -> ModelsAnswer:
    """Models of all capabilities; one that is down is listed as not available."""
    settings = state.settings
    capabilities = await asyncio.gather(*(_describe(state, capability) for capability in CAPABILITIES))
    limits = GatewayLimits(
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
        max_json_bytes=settings.max_json_bytes,
        max_inflight=settings.max_inflight,
        request_timeout_s=settings.request_timeout_s,
        rate_limit_per_s=settings.effective_rate_limit if caller.rate is None else caller.rate,
        image_media_types=list(MEDIA_TYPES.values()),
        image_urls=bool(settings.url_allowlist),
    )
    return ModelsAnswer(capabilities=list(capabilities), limits=limits)


async def _describe(state: AppState, capability: Capability) -> CapabilityBody:
    described = CapabilityBody(name=capability.name, summary=capability.summary, available=True, models=[])
    try:
        client = state.client(capability.name)
        reply = await client.call(
            client.models.ListModels, models_pb2.ListModelsRequest(), timeout_s=_TIMEOUT_S
        )
    except InterplayError as error:
        return described.model_copy(update={"available": False, "detail": error.message})
    return described.model_copy(
        update={"models": [ServedModelBody.from_proto(model) for model in reply.models]}
    )
