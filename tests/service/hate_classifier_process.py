"""A real hate classifier server process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interplay.capabilities import get_capability
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from tests.service.server_process import ServerProcess

CAPABILITY = get_capability("hate_classifier")


class HateClassifierProcess(ServerProcess):
    """``python -m services.hate_classifier``, which asks a text detection server at ``detection``."""

    def __init__(self, folder: Path, store: Path, detection: str, **settings: Any) -> None:
        addresses = json.dumps({"text_detection": detection})
        super().__init__(CAPABILITY, folder, store, 60, capability_addresses=addresses, **settings)

    def classify(self, *posts: pb.Post, **fields: Any) -> pb.ClassifyResponse:
        """Classify posts."""
        return self.client.call(self.client.stub.Classify, pb.ClassifyRequest(posts=posts, **fields))
