"""Thumbnails, made where images are embedded: of the picture that is decoded already.

Apart from `images` because OpenCV is with the model servers only.
"""

from __future__ import annotations

import cv2

from interplay.errors import InternalError
from interplay.types import Image


def encode_thumbnail(image: Image, side: int) -> bytes:
    """A small JPEG of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: Longer side in pixels; a smaller picture stays as it is.
    """
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # OpenCV does both in half of Pillow's time, which indexing a million photos feels. Averaging takes twice
    # as long as interpolation, and only matters where pixels would be passed over.
    method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR_EXACT
    small = image if scale == 1 else cv2.resize(image, size, interpolation=method)
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )
    if not done:
        raise InternalError("the thumbnail could not be encoded")
    return encoded.tobytes()
