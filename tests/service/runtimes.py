"""What runs the models of a server under test: the server itself, or a real TorchServe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service.torchserve_process import TorchServeProcess

RUNTIMES = ("in_process", "torchserve")


@contextmanager
def running(runtime: str, store: Path, folder: Path, capability: str) -> Iterator[dict[str, Any]]:
    """Settings of a model server for a runtime, which is there until the end.

    Args:
        runtime: One of ``RUNTIMES``.
        store: Model store of the server.
        folder: For what TorchServe writes; made if it is not there.
        capability: Whose models TorchServe gets.
    """
    if runtime == "in_process":
        yield {}
        return
    process = TorchServeProcess(folder, store, capability)
    try:
        process.wait_until_healthy()
        yield process.server_settings
    finally:
        process.end()
