"""Start the style transfer server; see ``services.style_transfer.settings`` for its configuration."""

from __future__ import annotations

import sys

from interplay.serving.memory import keep_freed_memory
from interplay.serving.server import serve
from interplay.settings import load_settings
from services.style_transfer.servicer import build_service
from services.style_transfer.settings import CAPABILITY, StyleTransferSettings

if __name__ == "__main__":
    keep_freed_memory()
    sys.exit(serve(CAPABILITY, load_settings(StyleTransferSettings), build_service))
