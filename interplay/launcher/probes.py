"""Whether a part is up: one short question over the wire, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from interplay.capabilities import Capability
from interplay.launcher import valkey

Probe = Callable[[], Coroutine[Any, Any, bool]]

TIMEOUT_S = 2.0


def http_ok(host: str, port: int, path: str) -> Probe:
    """A probe that wants status 200 from ``GET path``."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                    writer.write(request.encode())
                    status_line = await reader.readline()
                    return status_line.split(b" ")[1:2] == [b"200"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    return probe


def grpc_serving(capability: Capability, target: str) -> Probe:
    """A probe that wants SERVING from the standard health service."""

    async def probe() -> bool:
        from interplay.rpc.clients import ModelServerClient  # gRPC is slow to import; not for --help

        client = ModelServerClient(capability, target)
        try:
            return await client.is_serving(TIMEOUT_S)
        finally:
            await client.close()

    return probe


def torchserve_answers(target: str, key_file: Path) -> Probe:
    """A probe that wants a healthy TorchServe, one whose workers have loaded their models."""

    async def probe() -> bool:
        from interplay.rpc.torchserve_client import TorchServeClient  # gRPC, as above

        client = TorchServeClient(target, key_file)
        try:
            return await asyncio.to_thread(client.is_healthy, TIMEOUT_S)
        finally:
            client.close()

    return probe


def valkey_answers(port: int, password: str) -> Probe:
    """A probe that wants PONG."""

    async def probe() -> bool:
        return await valkey.answers_ping(port, password, timeout_s=TIMEOUT_S)

    return probe
