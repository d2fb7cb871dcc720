"""Messages of ``IndexService`` to domain values and back, with limits checked and clear errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.index.catalogue import IndexInfo
from interplay.index.entries import Box, Circle, Entry, Filter, Place
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.common.v1 import index_pb2 as pb
from interplay.serving.checks import check_length

MAX_ENTRIES = 64
MAX_IDS = 1000
MAX_ID_CHARACTERS = 512
MAX_URI_CHARACTERS = 2000
MAX_CAPTION_CHARACTERS = 4000
MAX_FILTER_CHARACTERS = 2000
MAX_TAGS = 64
MAX_TAG_CHARACTERS = 100
MAX_EXTRA_BYTES = 16 * 1024
THUMBNAIL_SIDES = (32, 512)


def vector_of(message: pb.Vector, dimension: int, field: str) -> NDArray[np.float32]:
    """A vector brought to length one.

    Raises:
        InvalidParameter: Another dimension, not finite, or zero.
    """
    if len(message.values) != 4 * dimension:
        raise InvalidParameter(
            f"{field} has {len(message.values)} bytes; {dimension} 32-bit floats have {4 * dimension}",
            field=field,
        )
    vector = np.frombuffer(message.values, dtype="<f4").astype(np.float32)
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length == 0:
        raise InvalidParameter(f"{field} has length {length:g}; it must be finite and not 0", field=field)
    return vector / np.float32(length)


def vector_message(vector: NDArray[np.float32]) -> pb.Vector:
    """A vector for the wire."""
    return pb.Vector(values=vector.astype("<f4").tobytes())


def filter_of(message: pb.Filter) -> Filter:
    """A filter.

    Raises:
        InvalidParameter: A value outside its limits; see ``interplay.index.entries``.
    """
    _check_tags(message.tags, "filter.tags")
    _check_tags(message.any_tags, "filter.any_tags")
    check_length(message.text, MAX_FILTER_CHARACTERS, "filter.text")
    circle = box = None
    if message.HasField("circle"):
        circle = Circle(place_of(message.circle.centre), message.circle.radius_m)
    if message.HasField("box"):
        edges = message.box
        box = Box(edges.south, edges.west, edges.north, edges.east)
    return Filter(
        tags=tuple(message.tags),
        any_tags=tuple(message.any_tags),
        text=message.text or None,
        after=_time_of(message, "after"),
        before=_time_of(message, "before"),
        circle=circle,
        box=box,
        equals=_equals(message.equals_json),
    )


def thumbnail_side(request: pb.UpsertRequest) -> int:
    """Longer side of thumbnails; 0 for none.

    Raises:
        InvalidParameter: Neither 0 nor 32 to 512.
    """
    least, most = THUMBNAIL_SIDES
    if request.thumbnail_px and not least <= request.thumbnail_px <= most:
        raise InvalidParameter(
            f"thumbnail_px is {request.thumbnail_px}; it must be 0, or {least} to {most}",
            field="thumbnail_px",
        )
    return request.thumbnail_px


def place_of(message: common_pb2.LatLng) -> Place:
    """A place.

    Raises:
        InvalidParameter: None on earth.
    """
    return Place(message.latitude, message.longitude)


def check_entry(message: pb.Entry, field: str) -> None:
    """Limits of an entry.

    Raises:
        InvalidParameter: One is passed.
    """
    if not 1 <= len(message.id) <= MAX_ID_CHARACTERS:
        raise InvalidParameter(
            f"id has {len(message.id)} characters; it must have 1 to {MAX_ID_CHARACTERS}", field=f"{field}.id"
        )
    check_length(message.uri, MAX_URI_CHARACTERS, f"{field}.uri")
    check_length(message.thumbnail, MAX_URI_CHARACTERS, f"{field}.thumbnail")
    check_length(message.caption, MAX_CAPTION_CHARACTERS, f"{field}.caption")
    _check_tags(message.tags, f"{field}.tags")


def entry_of(
    message: pb.Entry, vector: NDArray[np.float32], fingerprint: int | None, *, online: bool, field: str
) -> Entry:
    """An entry for the index.

    Raises:
        InvalidParameter: A limit is passed, or a place is none on earth.
    """
    check_entry(message, field)
    return Entry(
        id=message.id,
        vector=vector,
        uri=message.uri,
        caption=message.caption,
        tags=tuple(message.tags),
        place=place_of(message.place) if message.HasField("place") else None,
        time=_time_of(message, "time"),
        extra=_json_object(message.extra_json, f"{field}.extra_json"),
        fingerprint=fingerprint,
        thumbnail=message.thumbnail,
        origin="online" if online else "build",
    )


def entry_message(entry: Entry) -> pb.Entry:
    """An entry for the wire."""
    message = pb.Entry(
        id=entry.id, uri=entry.uri, caption=entry.caption, tags=entry.tags, thumbnail=entry.thumbnail
    )
    if entry.place is not None:
        message.place.latitude = entry.place.latitude
        message.place.longitude = entry.place.longitude
    if entry.time is not None:
        message.time.FromDatetime(entry.time)
    if entry.extra:
        message.extra_json = json.dumps(entry.extra, ensure_ascii=False)
    return message


def index_message(info: IndexInfo) -> pb.Index:
    """An index for the wire."""
    created = Timestamp()
    created.FromDatetime(datetime.fromisoformat(info.spec.created))
    return pb.Index(
        name=info.spec.name,
        generation=info.spec.generation,
        entries=info.entries,
        dimension=info.spec.dimension,
        space=info.spec.space,
        created=created,
        building=info.building,
    )


def _check_tags(tags: Sequence[str], field: str) -> None:
    if len(tags) > MAX_TAGS:
        raise InvalidParameter(f"{field} has {len(tags)} items; at most {MAX_TAGS} are taken", field=field)
    for tag in tags:
        if not 1 <= len(tag) <= MAX_TAG_CHARACTERS:
            raise InvalidParameter(
                f"a tag has {len(tag)} characters; it must have 1 to {MAX_TAG_CHARACTERS}", field=field
            )


def _time_of(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    try:
        return getattr(message, field).ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidParameter(f"{field} is no time: {error}", field=field) from error


def _equals(text: str) -> Mapping[str, str | int | bool]:
    found = _json_object(text, "filter.equals_json")
    for key, value in found.items():
        if not isinstance(value, str | int | bool):
            raise InvalidParameter(
                f"filter.equals_json: {key!r} is neither text, a whole number nor a boolean",
                field="filter.equals_json",
            )
    return found


def _json_object(text: str, field: str) -> dict[str, Any]:
    if not text:
        return {}
    size = len(text.encode())
    if size > MAX_EXTRA_BYTES:
        raise InvalidParameter(f"{field} has {size} bytes; at most {MAX_EXTRA_BYTES} are taken", field=field)
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"{field} is no JSON: {error}", field=field) from error
    if not isinstance(found, dict):
        raise InvalidParameter(f"{field} is no JSON object", field=field)
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
