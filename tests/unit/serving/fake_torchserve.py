"""A TorchServe without Java: its gRPC service around a function that the test gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from interplay.launcher.ports import free_port
from interplay.rpc.torchserve.v1 import torchserve_pb2 as pb
from interplay.rpc.torchserve.v1 import torchserve_pb2_grpc as pb_grpc

Answer = Callable[[dict[str, bytes]], bytes]


class FakeTorchServe(pb_grpc.InferenceAPIsServiceServicer):
    """Answers by ``answer``; refuses calls without the token of its key file.

    Args:
        folder: Of the key file.

    Attributes:
        models: What answers, by model and version.
        healthy: What Ping says.
        failures: (code, details) of the next calls that fail, first come first.
        calls: How many predictions were asked for.
        deadlines: Seconds that each had.
    """

    def __init__(self, folder: Path) -> None:
        self.key_file = folder / "key_file.json"
        self.port = free_port()
        self.models: dict[tuple[str, str], Answer] = {}
        self.healthy = True
        self.failures: list[tuple[grpc.StatusCode, str]] = []
        self.calls = 0
        self.deadlines: list[float] = []
        self._token = ""
        self._server: grpc.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, token: str = "first") -> None:
        self._token = token
        self.key_file.write_text(json.dumps({"inference": {"key": token}}))
        options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        pb_grpc.add_InferenceAPIsServiceServicer_to_server(self, self._server)
        assert self._server.add_insecure_port(self.target) == self.port
        self._server.start()

    def stop(self) -> None:
        if self._server:
            self._server.stop(0).wait()
            self._server = None

    def Ping(self, request: Any, context: grpc.ServicerContext) -> pb.TorchServeHealthResponse:
        self._check(context)
        return pb.TorchServeHealthResponse(
            health=json.dumps({"status": "Healthy" if self.healthy else "Unhealthy"})
        )

    def Predictions(
        self, request: pb.PredictionsRequest, context: grpc.ServicerContext
    ) -> pb.PredictionResponse:
        self._check(context)
        self.calls += 1
        self.deadlines.append(context.time_remaining())
        if self.failures:
            context.abort(*self.failures.pop(0))
        answer = self.models.get((request.model_name, request.model_version))
        if answer is None:
            context.abort(grpc.StatusCode.INTERNAL, f"Model not found: {request.model_name}")
        return pb.PredictionResponse(prediction=answer(dict(request.input)))

    def _check(self, context: grpc.ServicerContext) -> None:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {self._token}":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "Token Authorization failed.")
