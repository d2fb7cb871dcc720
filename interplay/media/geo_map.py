"""A map of photos as one HTML file: land, a place with its circle, numbered markers, a card for each photo.

The file asks nothing of any network: style, program, outlines and thumbnails are in it, and its own content
policy forbids the rest. Whatever a photo says of itself is shown as text. The land is ``land.json``, made by
``training/locsens/land.py`` of the GLOBE land mask (NOAA, public domain); its coasts are off by a few
kilometres.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib.resources import files

from interplay.errors import UnsupportedMedia
from interplay.media.images import MEDIA_TYPES, sniff

EARTH_RADIUS_M = 6_371_008.8
_CIRCLE_POINTS = 180
_MAX_TAGS = 12

Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class MapHit:
    """A photo to show.

    Attributes:
        id: Shown where there is no caption.
        score: Higher is better.
        caption: What it shows.
        tags: The first twelve are shown.
        place: Latitude and longitude, degrees.
        distance_m: From the place that was asked for.
        thumbnail: A small JPEG, PNG or WebP; a plate in its stead if there is none.
    """

    id: str
    score: float
    caption: str = ""
    tags: Sequence[str] = ()
    place: Place | None = None
    distance_m: float | None = None
    thumbnail: bytes = b""


def render_map(
    hits: Sequence[MapHit],
    *,
    title: str,
    place: Place | None = None,
    radius_m: float | None = None,
    note: str = "",
) -> str:
    """Draw photos on a map.

    Args:
        hits: Best first; they are numbered in this order. There may be none.
        title: What was asked for.
        place: Latitude and longitude of the place asked for, degrees. The map is centred on it and shows all
            hits.
        radius_m: Of the circle around it, along the ground, in metres.
        note: A sentence below the title.

    Returns:
        An HTML document of its own.
    """
    circle = circle_rings(place, radius_m) if place is not None and radius_m is not None else []
    placed = [(number, hit.place) for number, hit in enumerate(hits, start=1) if hit.place is not None]
    longitudes = unwrapped([where[1] for _, where in placed], None if place is None else place[1])
    data = {
        "place": place,
        "circle": circle,
        "hits": [
            [number, where[0], longitude]
            for (number, where), longitude in zip(placed, longitudes, strict=True)
        ],
    }
    located = [_card(number, hit) for number, hit in enumerate(hits, start=1) if hit.place is not None]
    others = [_card(number, hit) for number, hit in enumerate(hits, start=1) if hit.place is None]
    style, program = _part("geo_map.css"), _part("geo_map.js")
    parts = {
        "policy": escape(_policy(style, program)),
        "title": escape(title),
        "note": escape(note),
        "style": style,
        "program": program,
        "cards": f'<ol class="cards">{"".join(located)}</ol>' if located else "",
        "nothing": "" if hits else '<p class="nothing">Nothing was found.</p>',
        "others": f'<h2>Without a place</h2><ol class="cards">{"".join(others)}</ol>' if others else "",
        "data": json.dumps(data),  # numbers alone: no text of others
        "land": _part("land.json"),
    }
    # In one pass: what was filled in is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: parts[slot[1]], _part("geo_map.html"))


def unwrapped(longitudes: Sequence[float], centre: float | None = None) -> list[float]:
    """Longitudes beside each other, also where they lie on both sides of the date line.

    Args:
        longitudes: Degrees east, -180 to 180.
        centre: All come to within 180 degrees of it. By default they begin behind the widest gap among them.

    Returns:
        The same meridians, possibly beyond 180 or -180.
    """
    if not longitudes:
        return []
    if centre is not None:
        return [longitude + 360 * round((centre - longitude) / 360) for longitude in longitudes]
    ordered = sorted(longitudes)
    following = [*ordered[1:], ordered[0] + 360]
    _, start = max(zip((b - a for a, b in zip(ordered, following, strict=True)), following, strict=True))
    if start > 180:  # the widest gap is at the date line
        return list(longitudes)
    return [longitude if longitude >= start else longitude + 360 for longitude in longitudes]


def circle_rings(centre: Place, radius_m: float) -> list[list[Place]]:
    """Outline of all places within a distance along the ground.

    Args:
        centre: Latitude and longitude, degrees.
        radius_m: Metres.

    Returns:
        Rings of latitudes and longitudes, to be filled by the even-odd rule. Longitudes do not jump at the
        date line but go beyond 180. A ring around a pole goes along the map's upper or lower edge.
    """
    angle = radius_m / EARTH_RADIUS_M
    latitude, longitude = map(math.radians, centre)
    edge = centre[1]
    world = [(90.0, edge), (90.0, edge + 360), (-90.0, edge + 360), (-90.0, edge)]
    if angle >= math.pi:
        return [world]
    ring: list[Place] = []
    for step in range(_CIRCLE_POINTS + 1):
        bearing = 2 * math.pi * step / _CIRCLE_POINTS
        sine = math.sin(latitude) * math.cos(angle)
        sine += math.cos(latitude) * math.sin(angle) * math.cos(bearing)
        east = math.atan2(
            math.sin(bearing) * math.sin(angle) * math.cos(latitude),
            math.cos(angle) - math.sin(latitude) * sine,
        )
        near = ring[-1][1] if ring else centre[1]
        (beside,) = unwrapped([math.degrees(longitude + east)], near)
        ring.append((math.degrees(math.asin(max(-1.0, min(1.0, sine)))), beside))
    north, south = angle > math.pi / 2 - latitude, angle > math.pi / 2 + latitude
    if north and south:  # all but a circle around the other side of the Earth
        (start,) = unwrapped([ring[0][1]], edge + 180)
        return [world, [(at, beside + start - ring[0][1]) for at, beside in ring]]
    if north or south:
        pole = 90.0 if north else -90.0
        ring += [(pole, ring[-1][1]), (pole, ring[0][1])]
    return [ring]


def distance_text(metres: float) -> str:
    """A distance as people write it: ``340 m``, ``1.2 km``, ``5,310 km``."""
    if metres < 950:
        return f"{metres:.0f} m"
    return f"{metres / 1000:.1f} km" if metres < 99_500 else f"{metres / 1000:,.0f} km"


def place_text(place: Place) -> str:
    """A place as people write it: ``41.3784° N, 2.1925° E``."""
    latitude, longitude = place
    return (
        f"{abs(latitude):.4f}° {'S' if latitude < 0 else 'N'}, "
        f"{abs(longitude):.4f}° {'W' if longitude < 0 else 'E'}"
    )


def _card(number: int, hit: MapHit) -> str:
    facts = [f"score {hit.score:.3f}"]
    if hit.distance_m is not None:
        facts.append(distance_text(hit.distance_m))
    if hit.place is not None:
        facts.append(place_text(hit.place))
    shown = f'<b class="number">{number}</b>'
    if hit.place is not None:
        shown = f'<button class="number" aria-label="Show {number} on the map">{number}</button>'
    tags = "".join(f"<span>{escape(tag)}</span>" for tag in list(hit.tags)[:_MAX_TAGS])
    return (
        f'<li class="card" id="hit-{number}" data-hit="{number}">{_picture(hit.thumbnail)}<div>'
        f'<p class="caption">{shown} {escape(hit.caption or hit.id)}</p>'
        f'<p class="facts">{" · ".join(f"<span>{fact}</span>" for fact in facts)}</p>'
        + (f'<p class="tags">{tags}</p>' if tags else "")
        + "</div></li>"
    )


def _picture(thumbnail: bytes) -> str:
    try:
        media_type = MEDIA_TYPES[sniff(thumbnail)]
    except UnsupportedMedia:
        return '<span class="plate"></span>'
    return f'<img alt="" src="data:{media_type};base64,{base64.b64encode(thumbnail).decode("ascii")}">'


def _policy(style: str, program: str) -> str:
    """Content security policy: these two texts and pictures within the file, and nothing else."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(program)}; "
        "base-uri 'none'; form-action 'none'"
    )


@lru_cache
def _part(name: str) -> str:
    return files("interplay.media").joinpath(name).read_text(encoding="utf-8").strip()
