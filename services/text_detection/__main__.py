"""Start the text detection server; see ``services.text_detection.settings`` for its configuration."""

from __future__ import annotations

import sys

from interplay.serving.server import serve
from interplay.settings import load_settings
from services.text_detection.servicer import build_service
from services.text_detection.settings import CAPABILITY, TextDetectionSettings

if __name__ == "__main__":
    sys.exit(serve(CAPABILITY, load_settings(TextDetectionSettings), build_service))
