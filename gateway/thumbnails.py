"""Thumbnails of an index's images: files within the data set roots, one by one or on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interplay.datasets import Datasets
from interplay.errors import NotFound, PayloadTooLarge, PermissionDenied, UnreadableImage, UnsupportedMedia
from interplay.media.draw import contact_sheet
from interplay.media.images import decode, encode_png

_MAX_THUMBNAIL_BYTES = 1024 * 1024


def read_thumbnail(datasets: Datasets, url: str) -> bytes:
    """Content of a thumbnail's file.

    Raises:
        NotFound: It is not there any more, or outside the data set roots of this gateway.
    """
    try:
        return datasets.read_bytes(url, max_bytes=_MAX_THUMBNAIL_BYTES)
    except (NotFound, PermissionDenied, PayloadTooLarge) as error:
        raise NotFound("the thumbnail cannot be read here any more") from error


def draw_hits(datasets: Datasets, hits: Sequence[Any]) -> bytes:
    """A contact sheet (PNG); a hit without a thumbnail is a grey plate.

    Args:
        datasets: Where the thumbnails are.
        hits: Messages with ``entry`` and ``score``.
    """
    pictures = []
    for hit in hits:
        try:
            pictures.append(decode(read_thumbnail(datasets, hit.entry.thumbnail)))
        except (NotFound, UnreadableImage, UnsupportedMedia):
            pictures.append(np.full((96, 128, 3), 200, dtype=np.uint8))
    captions = [f"{hit.score:.2f} {hit.entry.caption or hit.entry.id}" for hit in hits]
    return encode_png(contact_sheet(pictures, captions))
