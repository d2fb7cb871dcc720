"""Package the store's models and become a TorchServe that serves them.

    python -m interplay.launcher.torchserve

Model servers with ``INTERPLAY_RUNTIME=torchserve`` send their batches there; ``interplay up --runtime
torchserve`` starts both. SIGTERM ends it; its log is its standard output.
Settings: ``interplay.launcher.torchserve.settings``.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from interplay.errors import InterplayError
from interplay.launcher.torchserve.process import prepare
from interplay.launcher.torchserve.settings import TorchServeProcessSettings
from interplay.settings import load_settings
from interplay.telemetry.logging import configure_logging, get_logger

log = get_logger("interplay.launcher.torchserve")


def main() -> NoReturn:
    """Prepare, and let Java take this process's place."""
    settings = load_settings(TorchServeProcessSettings)
    configure_logging("torchserve", level=settings.log_level, log_format=settings.log_format)
    settings.torchserve_dir.mkdir(parents=True, exist_ok=True)
    settings.torchserve_dir.chmod(0o700)
    try:
        command, environment = prepare(settings)
    except InterplayError as error:
        log.error("torchserve_cannot_start", error=error.message)
        sys.exit(2)
    log.info("torchserve_starting", port=settings.torchserve_port, folder=str(settings.torchserve_dir))
    os.chdir(settings.torchserve_dir)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main()
