"""One running system for the tests that only need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interplay.launcher.ports import free_port
from tests.e2e.system import System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The whole system, ready."""
    folder = tmp_path_factory.mktemp("system")
    photos = folder / "photos"
    photos.mkdir()
    running = System(folder / "state", free_port(), "--root", str(photos))
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()
