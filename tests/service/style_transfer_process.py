"""A real style transfer server process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interplay.capabilities import get_capability
from tests.service.server_process import ServerProcess

CAPABILITY = get_capability("style_transfer")


class StyleTransferProcess(ServerProcess):
    """``python -m services.style_transfer``; ``detection`` is the text detection server's gRPC target."""

    def __init__(self, folder: Path, store: Path, detection: str, **settings: Any) -> None:
        addresses = json.dumps({"text_detection": detection})
        super().__init__(CAPABILITY, folder, store, 100, capability_addresses=addresses, **settings)
