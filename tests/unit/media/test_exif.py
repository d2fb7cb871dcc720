"""The place in a photo's EXIF: read where it is whole, None whatever else comes."""

from __future__ import annotations

import io
import random
import struct
import time
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from interplay.media.exif import MAX_BLOCK_BYTES, photo_place
from interplay.media.images import decode

Rationals = Sequence[tuple[int, int]]
BARCELONA = {1: "N", 2: ((41, 1), (22, 1), (4800, 100)), 3: "E", 4: ((2, 1), (10, 1), (1200, 100))}


def gps_block(tags: dict[int, Any], *, order: str = "<") -> bytes:
    """An EXIF block with nothing but a GPS part: text, rationals, or a raw (type, count, bytes)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    ifd0 = struct.pack(order + "HHHII", 1, 0x8825, 4, 1, 26) + b"\0" * 4
    values, entries = b"", b""
    start = 26 + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        if isinstance(value, str):
            kind, count, raw = 2, len(value) + 1, value.encode() + b"\0"
        elif isinstance(value[0], tuple):
            kind, count = 5, len(value)
            raw = b"".join(struct.pack(order + "II", *pair) for pair in value)
        else:
            kind, count, raw = value
        if len(raw) <= 4:
            shown = raw.ljust(4, b"\0")
        else:
            shown = struct.pack(order + "I", start + len(values))
            values += raw
        entries += struct.pack(order + "HHI", tag, kind, count) + shown
    return b"Exif\0\0" + head + ifd0 + struct.pack(order + "H", len(tags)) + entries + b"\0" * 4 + values


def photo(block: bytes | None, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), "teal").save(buffer, format=kind, **({"exif": block} if block else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_photo_says_where_it_was_taken(kind: str, order: str) -> None:
    content = photo(gps_block(BARCELONA, order=order), kind)
    assert photo_place(content) == pytest.approx((41.38, 2.17))
    assert decode(content).shape == (12, 16, 3)


def test_a_block_behind_the_pixels_is_found() -> None:
    """Where ExifTool puts it in PNG."""
    content = photo(None, "PNG")
    block = gps_block(BARCELONA)[6:]
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + b"\0" * 4
    assert photo_place(content[:-12] + chunk + content[-12:]) == pytest.approx((41.38, 2.17))


def test_other_segments_come_first() -> None:
    content = photo(gps_block(BARCELONA))
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    segment = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    assert photo_place(content[:2] + segment + b"\xff" + content[2:]) == pytest.approx((41.38, 2.17))


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({1: "S", 3: "W"}, (-41.38, -2.17)),
        ({1: "s", 3: "w"}, (-41.38, -2.17)),
        ({2: ((4138, 100),), 4: ((217, 100), (0, 1))}, (41.38, 2.17)),
        ({2: ((0, 1), (0, 1), (0, 1))}, (0.0, 2.17)),
        ({2: ((90, 1), (0, 1), (0, 1)), 4: ((180, 1), (0, 1), (0, 1)), 3: "W"}, (90, -180)),
        ({9: "A"}, (41.38, 2.17)),
    ],
)
def test_hemispheres_and_forms(changed: dict[int, Any], place: tuple[float, float]) -> None:
    assert photo_place(photo(gps_block(BARCELONA | changed))) == pytest.approx(place)


@pytest.mark.parametrize(
    "changed",
    [
        {1: None},
        {2: None},
        {3: None},
        {4: None},
        {1: "E"},
        {3: "N"},
        {1: "?"},
        {1: ""},
        {1: (1, 2, b"\0\0")},
        {2: ((41, 0), (22, 1), (48, 1))},
        {2: ((41, 1), (22, 1), (48, 0))},
        {2: ((0, 0), (0, 0), (0, 0))},
        {2: ((91, 1), (0, 1), (0, 1))},
        {2: ((90, 1), (0, 1), (1, 1))},
        {4: ((180, 1), (1, 1), (0, 1))},
        {2: ((41, 1), (61, 1), (0, 1))},
        {2: ((41, 1), (0, 1), (0, 1), (0, 1))},
        {2: (10, 3, struct.pack("<iiiiii", -41, 1, 22, 1, 48, 1))},
        {2: (2, 6, b"41.38\0")},
        {2: (1, 3, b"\x29\x16\x30")},
        {2: (5, 4_000_000, b"")},
        {2: ((0, 1),), 4: ((0, 1),)},
        {9: "V"},
    ],
)
def test_what_is_no_place(changed: dict[int, Any]) -> None:
    tags = {tag: value for tag, value in (BARCELONA | changed).items() if value is not None}
    assert photo_place(photo(gps_block(tags))) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1\xff\xff",
        b"\xff\xd8\xff\xe1\0\0Exif\0\0",
        b"\xff\xd8\xff\xe1\0\x08Exif\0\0",
        b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf",
        b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff",
        photo(None),
        photo(b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
        photo(b"Exif\0\0nonsense"),
    ],
)
def test_files_without_a_place(content: bytes) -> None:
    assert photo_place(content) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damage_raises_nothing(kind: str) -> None:
    rng = random.Random(0)
    whole = photo(gps_block(BARCELONA), kind)
    for _ in range(600):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        place = photo_place(bytes(content[: rng.randint(1, len(content))] if rng.random() < 0.3 else content))
        assert place is None or (-90 <= place[0] <= 90 and -180 <= place[1] <= 180)


def many_numbers(count: int) -> bytes:
    """A photo whose latitude is a list of so many numbers."""
    latitude = (5, count, b"\1\0\0\0" * 2 * count)
    return photo(gps_block({**BARCELONA, 2: latitude}), "PNG")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x89PNG\r\n\x1a\n" + (b"\0" * 4 + b"tEXt" + b"\0" * 4) * 1_500_000, id="empty chunks"),
        pytest.param(b"\xff\xd8" + b"\xff" * 18_000_000, id="padding"),
        pytest.param(many_numbers(MAX_BLOCK_BYTES // 8 - 100), id="thousands of numbers"),
        pytest.param(many_numbers(2_000_000), id="too long a block"),
    ],
)
def test_the_work_is_bounded(content: bytes) -> None:
    started = time.perf_counter()
    assert photo_place(content) is None
    assert time.perf_counter() - started < 1
