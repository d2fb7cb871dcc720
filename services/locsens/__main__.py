"""Start the LocSens server; see ``services.locsens.settings`` for its configuration."""

from __future__ import annotations

import sys

from interplay.serving.server import serve
from interplay.settings import load_settings
from services.locsens.service import build_service
from services.locsens.settings import CAPABILITY, LocSensSettings

if __name__ == "__main__":
    sys.exit(serve(CAPABILITY, load_settings(LocSensSettings), build_service))
