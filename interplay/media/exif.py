"""Where a photo says it was taken: the GPS part of its EXIF.

The EXIF block is cut out of the file by its container's lengths, so that nothing is decoded, and read by
Pillow. Blocks beyond ``MAX_BLOCK_BYTES`` are left alone: in JPEG there can be none.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import ExifTags
from PIL import Image as PillowImage
from PIL.TiffImagePlugin import IFDRational

from interplay.errors import UnsupportedMedia
from interplay.media.images import sniff

MAX_BLOCK_BYTES = 256 * 1024
# A file of nothing but empty chunks must not keep a thread busy.
_MAX_CHUNKS = 20_000
_HEMISPHERES = {"N": 1.0, "S": -1.0, "E": 1.0, "W": -1.0}


def photo_place(content: bytes) -> tuple[float, float] | None:
    """Where a photo was taken, as it says itself.

    Args:
        content: A JPEG, PNG or WebP file; anything else has no place.

    Returns:
        Latitude and longitude, degrees, WGS 84. None where the photo says none, or none that can be: numbers
        or hemispheres are missing or broken, out of range, both 0 (what cameras without a fix write), or the
        receiver says that its measurement was interrupted. Nothing is raised, whatever the content.
    """
    try:
        block = _exif_block(content)
        if not block:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of broken tags
            exif = PillowImage.Exif()
            exif.load(block)
            return _place(exif.get_ifd(ExifTags.IFD.GPSInfo))
    except Exception:  # Pillow raises many types on broken metadata, which says nothing about the photo
        return None


def _place(gps: dict[int, Any]) -> tuple[float, float] | None:
    if _text(gps.get(ExifTags.GPS.GPSStatus)) == "V":
        return None
    latitude = _degrees(gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), "EW", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return latitude, longitude


def _degrees(value: Any, reference: Any, letters: str, limit: float) -> float | None:
    """Degrees of degrees, minutes and seconds; the latter two may be missing."""
    letter = _text(reference)[:1]
    if isinstance(value, IFDRational):  # of a single number Pillow makes no tuple
        value = (value,)
    parts = [float(part) for part in value] if isinstance(value, tuple) else []
    if not letter or letter not in letters or not 1 <= len(parts) <= 3:
        return None
    degrees, minutes, seconds = [*parts, 0.0, 0.0][:3]
    total = degrees + minutes / 60 + seconds / 3600
    # A denominator of 0 makes Pillow's number a NaN, which no comparison lets through.
    if not (degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60 and total <= limit):
        return None
    return math.copysign(total, _HEMISPHERES[letter]) if total else 0.0


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore")
    return value.strip(" \0").upper() if isinstance(value, str) else ""


def _exif_block(content: bytes) -> bytes:
    """The EXIF block of a file; empty if there is none."""
    try:
        chunks = {"JPEG": _jpeg_blocks, "PNG": _png_blocks, "WEBP": _webp_blocks}[sniff(content)](content)
    except UnsupportedMedia:
        return b""
    return next((content[start:end] for start, end in chunks if 0 < end - start <= MAX_BLOCK_BYTES), b"")


def _jpeg_blocks(content: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of EXIF segments before the pixels."""
    place = 2
    for _ in range(_MAX_CHUNKS):
        head = content[place : place + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):  # the end, or the pixels
            return
        if head[1] == 0xFF:  # padding
            place += 1
            continue
        if head[1] in range(0xD0, 0xD9) or head[1] == 0x01:  # markers without content
            place += 2
            continue
        end = place + 2 + int.from_bytes(head[2:4], "big")
        if head[1] == 0xE1 and content[place + 4 : place + 10] == b"Exif\0\0":
            yield place + 4, min(end, len(content))
        place = end


def _png_blocks(content: bytes) -> Iterator[tuple[int, int]]:
    return _chunks(content, start=8, kind=b"eXIf", big_endian=True)


def _webp_blocks(content: bytes) -> Iterator[tuple[int, int]]:
    return _chunks(content, start=12, kind=b"EXIF", big_endian=False)


def _chunks(content: bytes, start: int, kind: bytes, big_endian: bool) -> Iterator[tuple[int, int]]:
    """Start and end of the chunks of one kind.

    PNG has length, kind, content and a checksum; RIFF has kind, length, content, and a byte if that is odd.
    """
    place = start
    for _ in range(_MAX_CHUNKS):
        head = content[place : place + 8]
        if len(head) < 8:
            return
        name, size = (head[4:], head[:4]) if big_endian else (head[:4], head[4:])
        length = int.from_bytes(size, "big" if big_endian else "little")
        begin = place + 8
        if name == kind:
            yield begin, min(begin + length, len(content))
        place = begin + length + (4 if big_endian else length % 2)
