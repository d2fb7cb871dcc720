"""What runs the models of a server under test: the server itself, or a real TorchServe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service.torchserve_process import TorchServeProcess

RUNTIMES = ("in_process", "torchserve")


@contextmanager
def running(runtime: str, store: Path, folder: Path, *capabilities: str) -> Iterator[dict[str, Any]]:
    """Settings of model servers for a runtime, which is there until the end.

    Args:
        runtime: One of ``RUNTIMES``.
        store: Model store of the server.
        folder: For what TorchServe writes; made if it is not there.
        capabilities: Whose models TorchServe gets; all if none is given.
    """
    if runtime == "in_process":
        yield {}
        return
    process = TorchServeProcess(folder, store, *capabilities)
    try:
        process.wait_until_healthy()
        yield process.server_settings
    finally:
        process.end()
