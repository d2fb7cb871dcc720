"""Thumbnails of an index's images: files within the data set roots, one by one, on a sheet, or on a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interplay.datasets import Datasets
from interplay.errors import NotFound, PayloadTooLarge, PermissionDenied, UnreadableImage, UnsupportedMedia
from interplay.media.draw import contact_sheet
from interplay.media.geo_map import MapHit, Place, render_map
from interplay.media.images import decode, encode_png

_MAX_THUMBNAIL_BYTES = 1024 * 1024
# Of all thumbnails on one map; they are some 10 KiB each.
_MAX_MAP_BYTES = 16 * 1024 * 1024


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


def map_hits(
    datasets: Datasets,
    hits: Sequence[Any],
    *,
    title: str,
    place: Place | None = None,
    radius_m: float | None = None,
    note: str = "",
) -> bytes:
    """A map (HTML); hits without a thumbnail, or for whose there is no room, have a grey plate.

    Args:
        datasets: Where the thumbnails are.
        hits: Messages with ``entry`` and ``score``, and ``distance_m`` where they have such a field.
        title: As for ``render_map``, like the others.
        place: Latitude and longitude asked for.
        radius_m: Around it.
        note: Below the title.
    """
    shown, room = [], _MAX_MAP_BYTES
    for hit in hits:
        entry, thumbnail = hit.entry, b""
        if entry.thumbnail:
            try:
                thumbnail = read_thumbnail(datasets, entry.thumbnail)
            except NotFound:
                thumbnail = b""
        if len(thumbnail) > room:
            thumbnail = b""
        room -= len(thumbnail)
        measured = "distance_m" in hit.DESCRIPTOR.fields_by_name and hit.HasField("distance_m")
        shown.append(
            MapHit(
                id=entry.id,
                score=hit.score,
                caption=entry.caption,
                tags=list(entry.tags),
                place=(entry.place.latitude, entry.place.longitude) if entry.HasField("place") else None,
                distance_m=hit.distance_m if measured else None,
                thumbnail=thumbnail,
            )
        )
    return render_map(shown, title=title, place=place, radius_m=radius_m, note=note).encode()
