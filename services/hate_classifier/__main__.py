"""Start the hate classifier server; see ``services.hate_classifier.settings`` for its configuration."""

from __future__ import annotations

import sys

from interplay.serving.server import serve
from interplay.settings import load_settings
from services.hate_classifier.service import build_service
from services.hate_classifier.settings import CAPABILITY, HateClassifierSettings

if __name__ == "__main__":
    sys.exit(serve(CAPABILITY, load_settings(HateClassifierSettings), build_service))
