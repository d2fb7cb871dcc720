"""Blocking client of TorchServe's gRPC inference API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

from interplay.errors import (
    DeadlineExceeded,
    InternalError,
    InterplayError,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unavailable,
)
from interplay.rpc.torchserve.v1 import torchserve_pb2 as pb
from interplay.rpc.torchserve.v1 import torchserve_pb2_grpc as pb_grpc

_SERVICE: str = pb.DESCRIPTOR.services_by_name["InferenceAPIsService"].full_name
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": _SERVICE}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class TorchServeClient:
    """Calls one TorchServe; safe to share between threads.

    Args:
        target: Its gRPC inference address.
        key_file: ``key_file.json`` that it wrote; None where it wants no token.
    """

    def __init__(self, target: str, key_file: Path | None) -> None:
        self.target = target
        self._key_file = key_file
        self._token: str | None = None
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 1),
            ("grpc.service_config", json.dumps(_RETRIES)),
        ]
        self._channel = grpc.insecure_channel(target, options=options)
        self._stub = pb_grpc.InferenceAPIsServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def predict(self, model: str, version: str, key: str, content: bytes, *, timeout_s: float) -> bytes:
        """What a model's handler answers to one input.

        Args:
            model: Name under which TorchServe has it.
            version: Its version.
            key: Of the input.
            content: The input.
            timeout_s: Deadline.

        Raises:
            NotFound: It has no such model.
            Unavailable: It is down, or the model's worker is.
            Overloaded: Its queue is full.
            DeadlineExceeded: No answer in time.
            PermissionDenied: It does not take the token.
            InternalError: Anything else.
        """
        request = pb.PredictionsRequest(model_name=model, model_version=version, input={key: content})
        answer: pb.PredictionResponse = self._call(self._stub.Predictions, request, timeout_s)
        return answer.prediction

    def is_healthy(self, timeout_s: float) -> bool:
        """Whether it says it is well; False where it cannot be asked."""
        try:
            answer = self._call(self._stub.Ping, empty_pb2.Empty(), timeout_s)
            return json.loads(answer.health).get("status") == "Healthy"
        except (InterplayError, ValueError, AttributeError):
            return False

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        if timeout_s <= 0:
            raise DeadlineExceeded("the deadline passed before TorchServe was asked")
        try:
            return method(request, timeout=timeout_s, metadata=self._metadata())
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.PERMISSION_DENIED or not self._read_token():
                raise _translated(error, self.target) from error
        # It was started anew, or its token was renewed: the file has the new one.
        try:
            return method(request, timeout=timeout_s, metadata=self._metadata())
        except grpc.RpcError as error:
            raise _translated(error, self.target) from error

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._token is None:
            self._read_token()
        return (("authorization", f"Bearer {self._token}"),) if self._token else ()

    def _read_token(self) -> bool:
        """Read the file again; whether it has another token than before."""
        token = read_token(self._key_file)
        changed = token is not None and token != self._token
        self._token = token
        return changed


def read_token(key_file: Path | None) -> str | None:
    """The inference token in TorchServe's key file; None where there is none (yet)."""
    if key_file is None:
        return None
    try:
        return str(json.loads(key_file.read_text())["inference"]["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _translated(error: grpc.RpcError, target: str) -> InterplayError:
    code, details = error.code(), (error.details() or "").splitlines()
    said = details[0] if details else code.name
    # TorchServe's codes say little: a dead worker is RESOURCE_EXHAUSTED, a missing model INTERNAL.
    if "no worker" in said.lower() or "worker died" in said.lower():
        return Unavailable("TorchServe restarts this model's worker", retry_after_s=1.0)
    if code == grpc.StatusCode.UNAVAILABLE:
        return Unavailable("TorchServe cannot be reached, or restarts this model", retry_after_s=1.0)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("TorchServe did not answer before the deadline")
    if code == grpc.StatusCode.PERMISSION_DENIED:
        return PermissionDenied(f"the TorchServe at {target} does not take this token: torchserve.key_file")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded("TorchServe has too much to do", retry_after_s=1.0)
    if "not found" in said:
        return NotFound(f"the TorchServe at {target}: {said}")
    if "queue" in said.lower() or "overloaded" in said.lower():
        return Overloaded("TorchServe has too much to do", retry_after_s=1.0)
    return InternalError(f"TorchServe failed: {said}")
