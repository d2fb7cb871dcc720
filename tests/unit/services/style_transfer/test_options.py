"""Request fields to parameters: defaults, and limits with texts that name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from services.style_transfer import options
from services.style_transfer.options import MAX_MIXES, MAX_PARTS, MAX_POINTS, MAX_POLYGONS

KNOWN = ["gold", "neon", "chalk", "writer-1"] + [f"filler-{n}" for n in range(9)]
NAN, INFINITY = float("nan"), float("inf")


def mix(*parts: tuple[str, float | None] | str) -> pb.StyleMix:
    pairs = [(part, None) if isinstance(part, str) else part for part in parts]
    return pb.StyleMix(
        parts=[
            pb.StyleWeight(style=name) if weight is None else pb.StyleWeight(style=name, weight=weight)
            for name, weight in pairs
        ]
    )


def polygon(*points: tuple[float, float]) -> common_pb2.Polygon:
    return common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in points])


TRIANGLE = polygon((1, 2), (30, 2), (30, 12))
SQUARE = ((0, 0), (9, 0), (9, 9), (0, 9))


@contextmanager
def refused(field: str, text: str) -> Iterator[None]:
    """Expects ``InvalidParameter`` with this text and field."""
    with pytest.raises(InvalidParameter, match=text) as caught:
        yield
    assert caught.value.field == field


# How pictures are written


@pytest.mark.parametrize(
    "value, expected",
    [
        (0, pb.PICTURE_FORMAT_PNG),
        (pb.PICTURE_FORMAT_PNG, pb.PICTURE_FORMAT_PNG),
        (pb.PICTURE_FORMAT_JPEG, pb.PICTURE_FORMAT_JPEG),
        (pb.PICTURE_FORMAT_WEBP, pb.PICTURE_FORMAT_WEBP),
    ],
)
def test_picture_format(value: int, expected: int) -> None:
    assert options.picture_format(value) == expected


@pytest.mark.parametrize("value", [4, -1, 2**31 - 1])
def test_unknown_picture_format(value: int) -> None:
    known = "PICTURE_FORMAT_PNG, PICTURE_FORMAT_JPEG, PICTURE_FORMAT_WEBP$"
    with refused("format", f"unknown format {value}; known: {known}"):
        options.picture_format(value)


@pytest.mark.parametrize("kind", [pb.StylizeRequest, pb.RenderTextRequest])
def test_picture_quality(kind: Any) -> None:
    assert options.picture_quality(kind()) == 92
    assert [options.picture_quality(kind(quality=value)) for value in (1, 100)] == [1, 100]
    for value in (0, 101, -5):
        with refused("quality", f"quality is {value}; it must be 1 to 100"):
            options.picture_quality(kind(quality=value))


# Which pixels


def test_modes() -> None:
    assert options.style_mode(pb.StylizeRequest()) == pb.STYLE_MODE_SELECTIVE
    assert options.style_mode(pb.StylizeRequest(heat_floor=0.5)) == pb.STYLE_MODE_SELECTIVE
    for mode in (pb.STYLE_MODE_WHOLE, pb.STYLE_MODE_SELECTIVE, pb.STYLE_MODE_END_TO_END):
        assert options.style_mode(pb.StylizeRequest(mode=mode)) == mode
    request = pb.StylizeRequest(mode=pb.STYLE_MODE_POLYGONS, polygons=[TRIANGLE])
    assert options.style_mode(request) == pb.STYLE_MODE_POLYGONS


MODES = [
    ({"mode": 5}, "mode", "unknown mode 5; known: STYLE_MODE_WHOLE, .*STYLE_MODE_POLYGONS$"),
    ({"mode": -1}, "mode", "unknown mode -1"),
    ({"polygons": [TRIANGLE]}, "polygons", "polygons are for the mode POLYGONS alone"),
    ({"mode": pb.STYLE_MODE_WHOLE, "polygons": [TRIANGLE]}, "polygons", "for the mode POLYGONS alone"),
    ({"mode": pb.STYLE_MODE_POLYGONS}, "polygons", "needs at least one polygon"),
    ({"mode": pb.STYLE_MODE_WHOLE, "heat_floor": 0.0}, "heat_floor", "for the mode SELECTIVE alone"),
    ({"mode": pb.STYLE_MODE_END_TO_END, "heat_floor": 0.5}, "heat_floor", "for the mode SELECTIVE alone"),
]


@pytest.mark.parametrize("fields, field, text", MODES)
def test_fields_of_other_modes_are_refused(fields: dict[str, Any], field: str, text: str) -> None:
    with refused(field, text):
        options.style_mode(pb.StylizeRequest(**fields))


def test_heat_floor() -> None:
    assert options.heat_floor(pb.StylizeRequest(), 0.3) == 0.3
    assert options.heat_floor(pb.StylizeRequest(heat_floor=0.0), 0.3) == 0.0
    assert options.heat_floor(pb.StylizeRequest(heat_floor=0.99), 0.3) == pytest.approx(0.99)
    for value, shown in ((1.0, "1"), (-0.5, "-0.5"), (1.5, "1.5"), (NAN, "nan"), (INFINITY, "inf")):
        with refused("heat_floor", f"heat_floor is {shown}; it must be at least 0 and below 1"):
            options.heat_floor(pb.StylizeRequest(heat_floor=value), 0.3)


# Mixes


def test_mixes() -> None:
    mixes = [mix("gold"), mix(("neon", 0.25), ("gold", 4.0), ("chalk", 0.0))]
    expected = [{"gold": 1.0}, {"neon": 0.25, "gold": 4.0, "chalk": 0.0}]
    assert options.style_mixes(mixes, KNOWN) == expected
    assert len(options.style_mixes([mix("gold")] * MAX_MIXES, KNOWN)) == MAX_MIXES
    most = mix(*[f"filler-{n}" for n in range(MAX_PARTS)])
    assert len(options.style_mix(most, KNOWN, "mix")) == MAX_PARTS


@pytest.mark.parametrize("count", [0, MAX_MIXES + 1])
def test_number_of_mixes_is_limited(count: int) -> None:
    with refused("mixes", f"there are {count} mixes; there must be 1 to 16"):
        options.style_mixes([mix("gold")] * count, KNOWN)


BAD_MIXES = [
    (mix(), "mixes[1]", r"mixes\[1\] has 0 parts; it must have 1 to 8"),
    (mix(*[f"filler-{n}" for n in range(MAX_PARTS + 1)]), "mixes[1]", "has 9 parts"),
    (
        mix("gold", "gold"),
        "mixes[1].parts[1]",
        r"mixes\[1\].parts\[1\]: the style 'gold' is there more than once",
    ),
    (mix("gold", ("neon", 4.5)), "mixes[1].parts[1]", "the weight is 4.5; it must be 0 to 4"),
    (mix(("gold", -0.1)), "mixes[1].parts[0]", "the weight is -0.1;"),
    (mix(("gold", NAN)), "mixes[1].parts[0]", "the weight is nan;"),
    (mix(("gold", INFINITY)), "mixes[1].parts[0]", "the weight is inf;"),
    (mix("golden"), "mixes[1].parts[0]", "no style 'golden'; do you mean gold\\? ListStyles has all 13"),
    (mix("filler-11"), "mixes[1].parts[0]", "do you mean filler-\\d or filler-\\d or filler-\\d\\?"),
    (mix("zzz"), "mixes[1].parts[0]", "no style 'zzz'; known are chalk, filler-0, .* and others; ListStyles"),
    (mix(""), "mixes[1].parts[0]", "no style ''; known are"),
]


@pytest.mark.parametrize("bad, field, text", BAD_MIXES)
def test_bad_mix_is_named(bad: pb.StyleMix, field: str, text: str) -> None:
    with refused(field, text):
        options.style_mixes([mix("gold"), bad], KNOWN)


def test_a_long_name_is_not_repeated_at_length() -> None:
    with pytest.raises(InvalidParameter) as caught:
        options.style_mix(mix("x" * 100_000), KNOWN, "mix")
    assert len(caught.value.message) < 300


# Polygons


def test_polygons_keep_their_points() -> None:
    found = options.polygons([TRIANGLE, polygon((-20, -20), (10, -20), (10, 10), (-20, 10))], 100, 50)
    assert [shape.dtype for shape in found] == [np.float32] * 2
    np.testing.assert_array_equal(found[0], [[1, 2], [30, 2], [30, 12]])
    assert len(options.polygons([TRIANGLE] * MAX_POLYGONS, 100, 50)) == MAX_POLYGONS
    with refused("polygons", "more than 200 polygons"):
        options.polygons([TRIANGLE] * (MAX_POLYGONS + 1), 100, 50)


BAD_POLYGONS = [
    (polygon(), r"polygons\[1\] has 0 points; it must have 3 to 64"),
    (polygon((0, 0), (9, 9)), "has 2 points"),
    (polygon(*[(n, n % 7) for n in range(MAX_POINTS + 1)]), "has 65 points"),
    (polygon((0, 0), (9, 0), (9, NAN)), "not a finite number"),
    (polygon((0, 0), (-INFINITY, 0), (9, 9)), "not a finite number"),
    (polygon((100, 0), (120, 0), (120, 9)), "outside the photo of 100x50 pixels"),
    (polygon((0, 50), (9, 50), (9, 60)), "outside the photo"),
    (polygon((-9, 0), (0, 0), (0, 9)), "outside the photo"),
    (polygon((0, -9), (9, -9), (9, 0)), "outside the photo"),
    (polygon((0, 0), (401, 0), (401, 9)), "far outside the photo"),
    (polygon((0, 0), (9, -1e30), (9, 9)), "far outside the photo"),
]


@pytest.mark.parametrize("bad, text", BAD_POLYGONS)
def test_bad_polygon_is_named(bad: common_pb2.Polygon, text: str) -> None:
    with refused("polygons[1]", text):
        options.polygons([TRIANGLE, bad], 100, 50)


def test_quadrilaterals_turn_clockwise() -> None:
    for start in range(4):
        corners = SQUARE[start:] + SQUARE[:start]
        np.testing.assert_array_equal(options.quadrilateral(polygon(*corners), 100, 50, "region"), corners)
        with refused("region", "in order, clockwise"):  # the words would be mirrored
            options.quadrilateral(polygon(*corners[::-1]), 100, 50, "region")


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (9, 9), (9, 0), (0, 9)],  # crossed
        [(0, 0), (9, 0), (3, 3), (0, 9)],  # with a dent
        [(0, 0), (5, 0), (9, 0), (9, 9)],  # a triangle
        [(0, 3), (3, 3), (6, 3), (9, 3)],  # a line
        [(5, 5)] * 4,
    ],
)
def test_quadrilaterals_must_be_convex(corners: list[tuple[float, float]]) -> None:
    with refused("region", "region must be four corners of a convex shape, in order, clockwise"):
        options.quadrilateral(polygon(*corners), 100, 50, "region")


def test_quadrilaterals_have_four_corners_in_the_photo() -> None:
    for corners in (SQUARE[:3], [*SQUARE, (0, 5)]):
        with refused("region", f"region has {len(corners)} points; it must have 4$"):
            options.quadrilateral(polygon(*corners), 100, 50, "region")
    with refused("region", "lies outside the photo"):
        options.quadrilateral(polygon(*[(x + 200, y) for x, y in SQUARE]), 100, 50, "region")


# Text


@pytest.mark.parametrize("text", ["a", "Zürich 24h!", "one\ntwo\n\nfour", "x" * 80, " a "])
def test_words(text: str) -> None:
    assert options.words(text) == text


BAD_WORDS = [
    ("", "text is empty"),
    (" \n ", "text is empty"),
    ("x" * 81, "text has 81 characters; the limit is 80"),
    ("a\nb\nc\nd\ne", "text has 5 lines; the limit is 4"),
    ("a\tb", r"control character U\+0009"),
    ("a\r\nb", r"control character U\+000D"),
    ("a\x00", r"control character U\+0000"),
    ("a\u200db", r"control character U\+200D"),
    ("a\ufffe", r"control character U\+FFFE"),
    ("a\u2028b", r"control character U\+2028"),  # further lines that no newline announces
    ("a\u2029b", r"control character U\+2029"),
    ("a\x85b", r"control character U\+0085"),
]


@pytest.mark.parametrize("text, told", BAD_WORDS)
def test_bad_words(text: str, told: str) -> None:
    with refused("text", told):
        options.words(text)


def test_words_into_a_photo_are_one_line() -> None:
    assert options.words("a b", lines=1) == "a b"
    with refused("text", "text has 2 lines; the limit is 1"):
        options.words("a\nb", lines=1)


def test_line_height() -> None:
    assert options.line_height(pb.RenderTextRequest()) == 64
    heights = [options.line_height(pb.RenderTextRequest(line_height=value)) for value in (16, 256)]
    assert heights == [16, 256]
    for value in (15, 257, 0, -1):
        with refused("line_height", f"line_height is {value}; it must be 16 to 256"):
            options.line_height(pb.RenderTextRequest(line_height=value))
