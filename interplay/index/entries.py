"""What an index holds, and what is asked of it.

Places are WGS 84 degrees; distances along the ground in metres; times are RFC 3339 with an offset.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidParameter

_POINT_NAMESPACE = uuid.UUID("6f1c7a52-6a0e-4a53-9d9e-6d5a3a1d6d10")
# Half of the equator: no two places are farther apart.
LARGEST_RADIUS_M = 20_037_508.0
Origin = Literal["build", "online"]


@dataclass(frozen=True)
class Place:
    """A point on the earth.

    Raises:
        InvalidParameter: Not a number, or outside -90 to 90 and -180 to 180 degrees.
    """

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        for name, value, limit in (("latitude", self.latitude, 90), ("longitude", self.longitude, 180)):
            if not -limit <= value <= limit:  # also true for NaN
                hint = ""
                if name == "latitude" and abs(value) <= 180 and abs(self.longitude) <= 90:
                    hint = "; latitude comes first, are the two swapped?"
                raise InvalidParameter(
                    f"{name} is {value:g}; it must be between -{limit} and {limit}{hint}", field=name
                )


@dataclass(frozen=True)
class Circle:
    """All places within a distance.

    Raises:
        InvalidParameter: The radius is not a number, not positive, or beyond half of the equator.
    """

    centre: Place
    radius_m: float

    def __post_init__(self) -> None:
        if not 0 < self.radius_m <= LARGEST_RADIUS_M:
            raise InvalidParameter(
                f"radius is {self.radius_m:g} m; it must be above 0 and at most {LARGEST_RADIUS_M:.0f}",
                field="radius_m",
            )


@dataclass(frozen=True)
class Box:
    """Places between two parallels and two meridians; west beyond east crosses the date line.

    Raises:
        InvalidParameter: A corner is no place, or south is not below north.
    """

    south: float
    west: float
    north: float
    east: float

    def __post_init__(self) -> None:
        Place(self.south, self.west)
        Place(self.north, self.east)
        if self.south > self.north:
            raise InvalidParameter(f"south is {self.south:g}, above north {self.north:g}", field="south")


@dataclass(frozen=True)
class Filter:
    """Which entries count; all conditions that are given must hold.

    Attributes:
        tags: Each of these is among the entry's tags.
        any_tags: At least one of these is.
        text: All of these words stand in the caption.
        after: The entry's time is at or after this.
        before: The entry's time is before this.
        circle: The entry's place is inside.
        box: The entry's place is inside.
        equals: Top-level fields of the entry's ``extra`` with these values.
        ids: The entry's id is one of these.
        origin: How the entry came.

    Raises:
        InvalidParameter: A time has no offset, or the range is empty.
    """

    tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    text: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    circle: Circle | None = None
    box: Box | None = None
    equals: Mapping[str, str | int | bool] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    origin: Origin | None = None

    def __post_init__(self) -> None:
        for name, moment in (("after", self.after), ("before", self.before)):
            if moment is not None and moment.tzinfo is None:
                raise InvalidParameter(f"{name} {moment.isoformat()} has no offset from UTC", field=name)
        if self.after and self.before and self.after >= self.before:
            raise InvalidParameter(
                f"after {self.after.isoformat()} is not before {self.before.isoformat()}", field="after"
            )

    @property
    def empty(self) -> bool:
        """Whether every entry passes."""
        return self == Filter()


@dataclass(frozen=True)
class Entry:
    """One image of an index.

    Attributes:
        id: Unique in the index.
        vector: (D,) float32.
        uri: Where the image is, for people and programs; may be empty.
        caption: May be empty.
        tags: Labels.
        place: Where it was taken.
        time: When, with an offset.
        extra: Any further JSON object.
        fingerprint: 64-bit difference hash; near-duplicates have near ones.
        thumbnail: Where its thumbnail is; may be empty.
        origin: Whether a build or an online call brought it.
    """

    id: str
    vector: NDArray[np.float32]
    uri: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    place: Place | None = None
    time: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: int | None = None
    thumbnail: str = ""
    origin: Origin = "build"

    def payload(self) -> dict[str, Any]:
        """The entry as JSON, without its vector."""
        payload: dict[str, Any] = {
            "id": self.id,
            "uri": self.uri,
            "caption": self.caption,
            "tags": list(self.tags),
            "extra": dict(self.extra),
            "facts": [fact(key, value) for key, value in self.extra.items() if isinstance(value, str | int)],
            "origin": self.origin,
        }
        if self.place is not None:
            payload["place"] = {"lat": self.place.latitude, "lon": self.place.longitude}
        if self.time is not None:
            payload["time"] = self.time.isoformat()
        if self.fingerprint is not None:
            payload["fingerprint"] = f"{self.fingerprint:016x}"
        if self.thumbnail:
            payload["thumbnail"] = self.thumbnail
        return payload

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], vector: Sequence[float] = ()) -> Entry:
        """The entry of a payload."""
        place, time, fingerprint = (payload.get(name) for name in ("place", "time", "fingerprint"))
        return cls(
            id=payload["id"],
            vector=np.asarray(vector, dtype=np.float32),
            uri=payload["uri"],
            caption=payload["caption"],
            tags=tuple(payload["tags"]),
            place=None if place is None else Place(place["lat"], place["lon"]),
            time=None if time is None else datetime.fromisoformat(time),
            extra=payload["extra"],
            fingerprint=None if fingerprint is None else int(fingerprint, 16),
            thumbnail=payload.get("thumbnail", ""),
            origin=payload["origin"],
        )


@dataclass(frozen=True)
class Hit:
    """An entry that was found; its vector is empty.

    Attributes:
        entry: The entry.
        score: Cosine of its vector and the query's, in [-1, 1].
    """

    entry: Entry
    score: float


@dataclass(frozen=True)
class Hits:
    """Answer of a search.

    Attributes:
        hits: Best first.
        exact: Whether every entry that passes the filter was compared.
        candidates: Entries that pass the filter; None where counting them would take longer than the search.
    """

    hits: tuple[Hit, ...]
    exact: bool
    candidates: int | None


def fact(key: str, value: str | int | bool) -> str:
    """How a field of ``extra`` is indexed: as one keyword, so that any field can be asked for.

    (Qdrant Edge takes a boolean for a number when it matches values themselves.)
    """
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def point_id(entry_id: str) -> str:
    """UUID under which an entry is stored: the same id is the same point."""
    return str(uuid.uuid5(_POINT_NAMESPACE, entry_id))


def distance_m(one: Place, other: Place) -> float:
    """Distance along a sphere of the earth's mean radius (haversine), as Qdrant measures it."""
    latitude = math.radians(other.latitude - one.latitude)
    longitude = math.radians(other.longitude - one.longitude)
    a = (
        math.sin(latitude / 2) ** 2
        + math.cos(math.radians(one.latitude))
        * math.cos(math.radians(other.latitude))
        * math.sin(longitude / 2) ** 2
    )
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(a)))
