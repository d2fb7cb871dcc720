"""The one filter language: ``Filter`` to Qdrant's conditions, embedded or server.

Both libraries have the same conditions under nearly the same names; ``Names`` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from interplay.index.entries import Box, Filter, Place, fact, point_id


@dataclass(frozen=True)
class Names:
    """Constructors of one library.

    Attributes:
        filter, field, value, any_of, text, circle, box, point: Its classes.
        times: Makes a range of times from ``gte`` and ``lt``, RFC 3339 or None.
        ids: Makes a condition from point ids.
    """

    filter: Callable[..., Any]
    field: Callable[..., Any]
    value: Callable[..., Any]
    any_of: Callable[..., Any]
    text: Callable[..., Any]
    circle: Callable[..., Any]
    box: Callable[..., Any]
    point: Callable[..., Any]
    times: Callable[..., Any]
    ids: Callable[[list[str]], Any]


def conditions(wanted: Filter, names: Names, points: Sequence[str] = ()) -> Any | None:
    """A library's filter; None if every entry passes.

    Args:
        wanted: Which entries pass.
        names: The library's constructors.
        points: Pass only these points of the library; all if empty.
    """
    if wanted.empty and not points:
        return None

    def field(key: str, **condition: Any) -> Any:
        return names.field(key=key, **condition)

    def point(place: Place) -> Any:
        return names.point(lat=place.latitude, lon=place.longitude)

    must = [field("tags", match=names.value(value=tag)) for tag in wanted.tags]
    if wanted.any_tags:
        must.append(field("tags", match=names.any_of(any=list(wanted.any_tags))))
    if wanted.text:
        must.append(field("caption", match=names.text(text=wanted.text)))
    if wanted.after or wanted.before:
        after, before = (moment and moment.isoformat() for moment in (wanted.after, wanted.before))
        must.append(field("time", range=names.times(gte=after, lt=before)))
    if wanted.circle:
        circle = names.circle(center=point(wanted.circle.centre), radius=wanted.circle.radius_m)
        must.append(field("place", geo_radius=circle))
    if wanted.box:
        parts = [
            field(
                "place",
                geo_bounding_box=names.box(
                    top_left=point(Place(part.north, part.west)),
                    bottom_right=point(Place(part.south, part.east)),
                ),
            )
            for part in _parts(wanted.box)
        ]
        must.append(parts[0] if len(parts) == 1 else names.filter(should=parts))
    for key, value in wanted.equals.items():
        must.append(field("facts", match=names.value(value=fact(key, value))))
    if wanted.origin:
        must.append(field("origin", match=names.value(value=wanted.origin)))
    if wanted.ids:
        must.append(names.ids([point_id(entry_id) for entry_id in wanted.ids]))
    if points:
        must.append(names.ids(list(points)))
    return names.filter(must=must)


def _parts(box: Box) -> list[Box]:
    """The box, or its two halves where it crosses the date line."""
    if box.west <= box.east:
        return [box]
    return [Box(box.south, box.west, box.north, 180.0), Box(box.south, -180.0, box.north, box.east)]
