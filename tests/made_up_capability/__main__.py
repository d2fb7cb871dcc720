"""Server of the capability that ``tests/e2e/test_a_new_capability.py`` adds, as ``services/scene_mood``."""

from __future__ import annotations

import sys
from typing import Any

from interplay.rpc.scene_mood.v1 import scene_mood_pb2 as pb  # type: ignore[import-not-found]
from interplay.rpc.scene_mood.v1 import scene_mood_pb2_grpc as pb_grpc
from pydantic import Field

from interplay.capabilities import get_capability
from interplay.serving.server import Service, serve
from interplay.serving.settings import ModelServerSettings
from interplay.settings import load_settings

CAPABILITY = get_capability("scene_mood")


class SceneMoodSettings(ModelServerSettings):
    """Nothing of its own."""

    port: int = Field(CAPABILITY.grpc_port)
    metrics_port: int = Field(CAPABILITY.metrics_port)


class SceneMood(pb_grpc.SceneMoodServiceServicer):  # type: ignore[misc]
    """Bright is merry."""

    async def Judge(self, request: Any, context: Any) -> Any:
        return pb.JudgeResponse(mood="merry" if request.brightness > 0.5 else "calm")


def build_service(settings: Any, pool: Any, on_death: Any) -> Service:
    """Without a model."""
    return Service((), lambda server: pb_grpc.add_SceneMoodServiceServicer_to_server(SceneMood(), server))


if __name__ == "__main__":
    sys.exit(serve(CAPABILITY, load_settings(SceneMoodSettings), build_service))
