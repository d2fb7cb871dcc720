"""Where the data lies: the environment or the project's default, in one place."""

import os
from pathlib import Path


def data_dir() -> Path:
    """The data folder: `INTERPLAY_DATA_DIR`, or `../shared/data` beside the project."""
    return Path(os.environ.get("INTERPLAY_DATA_DIR", "../shared/data"))


def photos_dir() -> Path:
    """Photos for backgrounds: `INTERPLAY_EXTRA_PHOTOS`, or the small set of the data folder."""
    extra = os.environ.get("INTERPLAY_EXTRA_PHOTOS")
    return Path(extra) if extra else data_dir() / "coco_captions" / "images"
