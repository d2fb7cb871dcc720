"""Is the worker of this container alive? ``python -m services.worker.liveness`` exits 0 or 1.

The file is touched by each sweep that went well, so a worker that hangs, cannot reach its job
table or has gone deaf to its broker is found out, where a check of the process alone would not.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pydantic import Field

from interplay.settings import ProcessSettings, load_settings

MAX_AGE_S = 60.0


class LivenessSettings(ProcessSettings):
    """What the check needs; small, for it runs often."""

    liveness_file: Path | None = Field(
        None, description="Touched while all is well; checked by `python -m services.worker.liveness`."
    )


def is_alive(file: Path, *, max_age_s: float = MAX_AGE_S) -> bool:
    """Whether the file was touched lately."""
    try:
        return time.time() - file.stat().st_mtime <= max_age_s
    except OSError:
        return False


def main() -> int:
    """Check the file that the settings name."""
    file = load_settings(LivenessSettings).liveness_file
    return 0 if file is not None and is_alive(file) else 1


if __name__ == "__main__":
    sys.exit(main())
