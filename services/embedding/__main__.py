"""Start the embedding server; see ``services.embedding.settings`` for its configuration."""

from __future__ import annotations

import sys

from interplay.serving.server import serve
from interplay.settings import load_settings
from services.embedding.service import build_service
from services.embedding.settings import CAPABILITY, EmbeddingSettings

if __name__ == "__main__":
    sys.exit(serve(CAPABILITY, load_settings(EmbeddingSettings), build_service))
