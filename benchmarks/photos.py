"""The photos that benchmarks send."""

from __future__ import annotations

import sys

from training.text_detection.split import load_part


def held_out_photos(count: int) -> list[bytes]:
    """The first ``count`` held-out ICDAR 2015 photos, encoded as they are (1280×720 JPEG)."""
    try:
        samples = load_part("held_out")
    except FileNotFoundError as error:
        sys.exit(f"the ICDAR 2015 photos are missing ({error}); set INTERPLAY_DATA_DIR")
    return [sample.image.read_bytes() for sample in samples[:count]]
