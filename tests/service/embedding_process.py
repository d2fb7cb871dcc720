"""A real embedding server process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interplay.capabilities import get_capability
from tests.service.server_process import ServerProcess

CAPABILITY = get_capability("embedding")


class EmbeddingProcess(ServerProcess):
    """``python -m services.embedding``; its indexes are in ``folder`` too."""

    def __init__(self, folder: Path, store: Path, **settings: Any) -> None:
        super().__init__(CAPABILITY, folder, store, 60, state_dir=folder, **settings)
