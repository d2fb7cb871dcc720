"""The map of photos: what is in the file, the geometry, and how it behaves in a real browser."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from interplay.media.geo_map import (
    EARTH_RADIUS_M,
    MapHit,
    circle_rings,
    distance_text,
    place_text,
    render_map,
    unwrapped,
)
from tests.browser import Page, open_browser

BARCELONA = (41.38, 2.17)
HOSTILE = """</script><script>document.title='no'</script>"'><img src=x onerror="document.title='no'">&amp;"""


def thumbnail(colour: str = "teal", kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, format=kind)
    return buffer.getvalue()


def hit(number: int, place: tuple[float, float] | None, **more: Any) -> MapHit:
    fields = {"id": f"{number}.jpg", "score": 5 - number / 10, "caption": f"Photo {number}", **more}
    return MapHit(place=place, **fields)


class Elements(HTMLParser):
    """Every start tag of a document with its attributes, and the text of cards."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of one kind."""
        return [attributes for name, attributes in self.found if name == tag]


def data_of(document: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', document, re.DOTALL)
    return json.loads(text)


# The file


def test_cards_have_what_is_known_of_each_photo() -> None:
    hits = [
        hit(1, BARCELONA, tags=("bridge", "night"), distance_m=1234.0, thumbnail=thumbnail()),
        hit(2, None, thumbnail=thumbnail(kind="PNG")),
        hit(3, (-33.9, 151.2), caption="", thumbnail=b"no picture"),
    ]
    document = render_map(hits, title="bridge", note="3 of 90 photos", place=BARCELONA, radius_m=5000)
    elements = Elements(document)
    cards = [attributes for attributes in elements.of("li") if attributes.get("class") == "card"]
    assert [card["data-hit"] for card in cards] == ["1", "3", "2"], "those without a place come last"
    for text in (
        "Photo 1",
        "score 4.900",
        "1.2 km",
        "41.3800° N, 2.1700° E",
        "3.jpg",
        "33.9000° S",
        "3 of 90",
    ):
        assert text in elements.text
    assert "Without a place" in elements.text and "bridge" in elements.text
    sources = [str(image["src"]).partition(",")[0] for image in elements.of("img")]
    assert sources == ["data:image/jpeg;base64", "data:image/png;base64"]
    data = data_of(document)
    assert data["place"] == [41.38, 2.17] and len(data["circle"]) == 1
    assert data["hits"] == [[1, 41.38, 2.17], [3, -33.9, pytest.approx(151.2)]]


def test_nothing_is_asked_of_a_network() -> None:
    document = render_map([hit(1, BARCELONA, thumbnail=thumbnail())], title="x", place=BARCELONA)
    for tag, attributes in Elements(document).found:
        for name, value in attributes.items():
            assert name not in ("src", "href") or str(value).startswith("data:"), (tag, name, value)
            assert not name.startswith("on") and name != "style", (tag, name)
    assert not re.search(r"https?://|url\(|@import|\bfetch\(|XMLHttp|WebSocket", document)
    (policy,) = [meta["content"] for meta in Elements(document).of("meta") if "http-equiv" in meta]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")


def test_what_photos_say_is_text() -> None:
    hostile = hit(1, BARCELONA, id=HOSTILE, caption=HOSTILE, tags=(HOSTILE,))
    document = render_map([hostile, hit(2, None, caption=HOSTILE)], title=HOSTILE, note=HOSTILE)
    plain = render_map([hit(1, BARCELONA, tags=("a",)), hit(2, None)], title="a", note="a")
    assert Elements(document).found == [(tag, attributes) for tag, attributes in Elements(plain).found], (
        "no element and no attribute comes from a caption"
    )
    assert "{{note}}" not in document and "{{data}}" in render_map([], title="{{data}}")


def test_a_map_of_nothing() -> None:
    elements = Elements(render_map([], title="nothing here"))
    assert "Nothing was found." in elements.text and elements.of("li") == []


def test_the_land_is_small_and_where_land_is() -> None:
    document = render_map([], title="x")
    (text,) = re.findall(r'id="land">(.*?)</script>', document, re.DOTALL)
    assert len(text) < 120_000
    land = json.loads(text)
    rings = []
    for steps in land["rings"]:
        east = north = 0
        ring = []
        for right, up in zip(steps[::2], steps[1::2], strict=True):
            east, north = east + right, north + up
            ring.append((east / land["steps"], north / land["steps"]))
        rings.append(ring)

    def is_land(latitude: float, longitude: float) -> bool:
        crossed = 0
        for ring in rings:
            for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
                if (y1 > latitude) != (y2 > latitude):
                    crossed += longitude < x1 + (latitude - y1) / (y2 - y1) * (x2 - x1)
        return crossed % 2 == 1

    on_land = [(48.85, 2.35), (-33.0, 146.0), (35.9, 14.42), (-17.8, 178.0), (72, -40), (66, -175), (-80, 0)]
    at_sea = [(40.0, 5.0), (0, -30), (-40, 160), (44.0, 34.0), (-17.8, 176.0), (80, 180)]
    assert all(is_land(*place) for place in on_land) and not any(is_land(*place) for place in at_sea)


# Geometry


@pytest.mark.parametrize(
    ("longitudes", "centre", "expected"),
    [
        ([], None, []),
        ([2.0], None, [2.0]),
        ([2.0, -74.0], None, [2.0, -74.0]),
        ([178.0, -179.0, 174.0], None, [178.0, 181.0, 174.0]),
        ([-179.0, 10.0, 179.0], None, [181.0, 10.0, 179.0]),
        ([178.0, -171.0], 178.0, [178.0, 189.0]),
        ([178.0, -171.0], -175.0, [-182.0, -171.0]),
        ([0.0], 181.0, [360.0]),
    ],
)
def test_longitudes_on_both_sides_of_the_date_line(
    longitudes: list[float], centre: float | None, expected: list[float]
) -> None:
    assert unwrapped(longitudes, centre) == pytest.approx(expected)


def ground_distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres, by the haversine formula."""
    (phi1, lambda1), (phi2, lambda2) = (map(math.radians, place) for place in (a, b))
    h = math.sin((phi2 - phi1) / 2) ** 2
    h += math.cos(phi1) * math.cos(phi2) * math.sin((lambda2 - lambda1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1, math.sqrt(h)))


@pytest.mark.parametrize("centre", [BARCELONA, (-17.8, 178.0), (66.0, -179.5), (0.0, 0.0)])
@pytest.mark.parametrize("radius_m", [50.0, 5_000.0, 1_500_000.0])
def test_circles_are_as_far_everywhere(centre: tuple[float, float], radius_m: float) -> None:
    (ring,) = circle_rings(centre, radius_m)
    assert all(ground_distance(centre, point) == pytest.approx(radius_m, rel=1e-4) for point in ring)
    assert all(abs(a[1] - b[1]) < 30 for a, b in zip(ring, ring[1:], strict=False)), (
        "no jump at the date line"
    )


def inside(rings: list[list[tuple[float, float]]], latitude: float, longitude: float) -> bool:
    """By the even-odd rule, on all copies of the world."""
    crossed = 0
    for turn in range(-3, 4):
        for ring in rings:
            for (y1, x1), (y2, x2) in zip(ring, [*ring[1:], ring[0]], strict=True):
                if (y1 > latitude) != (y2 > latitude):
                    crossed += longitude + 360 * turn < x1 + (latitude - y1) / (y2 - y1) * (x2 - x1)
    return crossed % 2 == 1


@pytest.mark.parametrize(
    ("centre", "radius_m"),
    [
        ((60.0, 10.0), 6e6),
        ((-80.0, 170.0), 3e6),
        ((10.0, 10.0), 15e6),
        ((-45.0, -170.0), 1.8e7),
        (BARCELONA, 1e6),
    ],
)
def test_what_is_near_is_inside_also_around_poles(centre: tuple[float, float], radius_m: float) -> None:
    rings = circle_rings(centre, radius_m)
    for latitude in range(-85, 86, 10):
        for longitude in range(-175, 180, 10):
            distance = ground_distance(centre, (latitude, longitude))
            if abs(distance - radius_m) > 20_000:
                assert inside(rings, latitude, longitude) == (distance < radius_m), (latitude, longitude)


def test_a_circle_of_the_whole_earth() -> None:
    assert circle_rings((10.0, 20.0), 20_037_508) == [[(90, 20), (90, 380), (-90, 380), (-90, 20)]]


def test_distances_and_places_as_text() -> None:
    shown = [distance_text(metres) for metres in (0, 340.4, 949, 1234, 99_400, 99_600, 5_310_000)]
    assert shown == ["0 m", "340 m", "949 m", "1.2 km", "99.4 km", "100 km", "5,310 km"]
    assert place_text((-33.9, -151.2)) == "33.9000° S, 151.2000° W"


# In a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def show(page: Page, folder: Path, document: str, **window: Any) -> None:
    """Open a map and expect that it complains of nothing and asks for nothing but itself."""
    file = folder / "map.html"
    file.write_text(document, encoding="utf-8")
    page.requests.clear()
    page.complaints.clear()
    page.open(file.as_uri(), **window)
    assert page.requests == [file.as_uri()] and page.complaints == []


def view(page: Page) -> tuple[float, float, float]:
    """Latitude, longitude and zoom of the map's middle."""
    found = page.evaluate("(d => [d.latitude, d.longitude, d.zoom])(document.getElementById('map').dataset)")
    return float(found[0]), float(found[1]), float(found[2])


def markers(page: Page) -> dict[str, tuple[float, float]]:
    """Where the markers that are seen are, by their text, in pixels of the map."""
    rows = page.evaluate(
        "[...document.querySelectorAll('.marker:not([hidden])')].map(m => "
        "(b => [m.textContent, b.x + b.width / 2, b.y + b.height / 2])(m.getBoundingClientRect()))"
    )
    return {text: (x, y) for text, x, y in rows}


def colour_at(page: Page, x: float, y: float) -> tuple[int, ...]:
    pixel = Image.open(io.BytesIO(page.screenshot())).convert("RGB").getpixel((round(x), round(y)))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


@pytest.mark.slow
def test_the_view_is_centred_on_the_place_and_shows_all(page: Page, tmp_path: Path) -> None:
    hits = [hit(1, (41.40, 2.20)), hit(2, (41.36, 2.15)), hit(3, None), hit(4, (41.3801, 2.1702))]
    show(page, tmp_path, render_map(hits, title="x", place=BARCELONA, radius_m=5000))
    latitude, longitude, zoom = view(page)
    assert (latitude, longitude) == pytest.approx(BARCELONA, abs=1e-3) and zoom > 11
    width = page.evaluate("document.getElementById('map').clientWidth")
    seen = markers(page)
    assert set(seen) == {"1", "2", "4"}
    assert all(0 < x < width and 0 < y < 800 for x, y in seen.values())
    assert seen["1"][0] > width / 2 > seen["2"][0] and seen["1"][1] < 400 < seen["2"][1]
    assert seen["4"] == pytest.approx((width / 2, 400), abs=4)


@pytest.mark.slow
def test_hits_across_the_date_line_are_side_by_side(page: Page, tmp_path: Path) -> None:
    places = [(-17.8, 178.0), (-13.8, -171.8), (-36.85, 174.76), (-21.1, -175.2)]
    show(page, tmp_path, render_map([hit(i + 1, place) for i, place in enumerate(places)], title="x"))
    seen = markers(page)
    assert seen["3"][0] < seen["1"][0] < seen["4"][0] < seen["2"][0]
    assert view(page)[2] > 3, "not a view of the whole world"
    sea, land = colour_at(page, *pixel_of(page, -26.0, 177.0)), colour_at(page, *pixel_of(page, -38.0, 176.0))
    assert sea == (207, 224, 234) and land == (246, 244, 238)


def pixel_of(page: Page, latitude: float, longitude: float) -> tuple[float, float]:
    """Pixel of a place, computed anew from the view."""
    middle_latitude, middle_longitude, zoom = view(page)

    def down(degrees: float) -> float:
        return (1 - math.log(math.tan(math.pi / 4 + math.radians(degrees) / 2)) / math.pi) / 2

    scale = 256 * 2**zoom
    width = page.evaluate("document.getElementById('map').clientWidth")
    east = (longitude - middle_longitude + 180) % 360 - 180
    return width / 2 + east / 360 * scale, 400 + (down(latitude) - down(middle_latitude)) * scale


@pytest.mark.slow
def test_mouse_keys_buttons_and_touch_move_the_map(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_map([hit(1, BARCELONA), hit(2, (51.5, -0.12))], title="x"))
    start = view(page)
    page.mouse("mouseWheel", 600, 400, deltaX=0, deltaY=-240)
    assert view(page)[2] == pytest.approx(start[2] + 1, abs=0.01)
    page.click("#out")
    assert view(page)[2] == pytest.approx(start[2], abs=0.01)
    page.evaluate("document.getElementById('map').focus()")
    page.key("+")
    assert view(page)[2] == pytest.approx(start[2] + 1, abs=0.01)
    page.key("ArrowRight")
    page.key("ArrowUp")
    assert view(page)[1] > start[1] and view(page)[0] > start[0]
    page.key("0")
    assert view(page) == pytest.approx(start, abs=0.01)
    page.mouse("mousePressed", 300, 300, button="left", clickCount=1)
    page.mouse("mouseMoved", 400, 300, button="left", buttons=1)
    page.mouse("mouseReleased", 400, 300, button="left", clickCount=1)
    dragged = view(page)
    assert start[1] - dragged[1] == pytest.approx(100 / (256 * 2 ** start[2]) * 360, rel=0.01)
    page.mouse("mouseMoved", 500, 300)
    assert view(page) == dragged, "the button is up"
    page.click("#all")
    page.touch("touchStart", (300, 400), (500, 400))
    page.touch("touchMove", (200, 400), (600, 400))
    page.touch("touchEnd")
    assert view(page)[2] == pytest.approx(start[2] + 1, abs=0.1)


@pytest.mark.slow
def test_markers_and_cards_belong_together(page: Page, tmp_path: Path) -> None:
    places = [(41.38, 2.17), (51.5, -0.12), (41.381, 2.171), None]
    hits = [hit(number, place) for number, place in enumerate(places, start=1)]
    show(page, tmp_path, render_map(hits, title="x"))
    assert set(markers(page)) == {"1+1", "2"}, "what would cover each other stands together"
    lit = "[...document.querySelectorAll('.lit')].map(e => e.dataset.hit || 'marker ' + e.textContent)"
    page.mouse("mouseMoved", *markers(page)["2"])
    assert page.evaluate(lit) == ["marker 2", "2"]
    page.mouse("mouseMoved", 30, 600)
    assert page.evaluate(lit) == []
    page.click("#hit-3")
    assert set(markers(page)) != {"1+1", "2"} or view(page)[2] > 6
    assert "3" in page.evaluate(lit) and view(page)[:2] == pytest.approx((41.38, 2.17), abs=0.01)
    for _ in range(8):
        page.click("#in")
    assert set(markers(page)) >= {"1", "3"}, "near enough, they part"


@pytest.mark.slow
def test_hostile_captions_do_nothing(page: Page, tmp_path: Path) -> None:
    hostile = hit(1, BARCELONA, id=HOSTILE, caption=HOSTILE, tags=(HOSTILE,))
    show(page, tmp_path, render_map([hostile], title=HOSTILE, note=HOSTILE))
    assert page.evaluate("document.title") == HOSTILE
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    # Even a script that had come in would not run.
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.ran=1\">')"
    )
    page.settle()
    assert page.evaluate("window.ran === undefined")


@pytest.mark.slow
def test_dark_where_that_is_preferred_and_nothing_found(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, render_map([], title="x"), dark=True)
    sea = colour_at(page, *pixel_of(page, 10.0, -35.0))
    assert sea == (22, 34, 43) and markers(page) == {}
    show(page, tmp_path, render_map([], title="x", place=BARCELONA, radius_m=6e6), width=400)
    below = "document.querySelector('main').getBoundingClientRect().top"
    assert page.evaluate(f"{below} >= document.getElementById('map').clientHeight"), "in a narrow window"
