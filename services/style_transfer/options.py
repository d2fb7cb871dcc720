"""Request fields to domain parameters, with limits checked and clear errors."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb

MAX_MIXES = 16
MAX_PARTS = 8
MAX_WEIGHT = 4.0
MAX_POLYGONS = 200
MAX_POINTS = 64
MAX_CHARACTERS = 80
MAX_LINES = 4
LINE_HEIGHTS = (16, 256)
DEFAULT_LINE_HEIGHT = 64
DEFAULT_QUALITY = 92

# Style name to weight.
Mix = dict[str, float]


def picture_format(value: int) -> pb.PictureFormat:
    """The format asked for; PNG if none is.

    Raises:
        InvalidParameter: A number that names no format.
    """
    if value not in pb.PictureFormat.values():
        raise InvalidParameter(f"unknown format {value}; known: {_names(pb.PictureFormat)}", field="format")
    return pb.PICTURE_FORMAT_PNG if value == 0 else pb.PictureFormat.ValueType(value)


def picture_quality(request: pb.StylizeRequest | pb.RenderTextRequest) -> int:
    """Quality of lossy formats.

    Raises:
        InvalidParameter: Not 1 to 100.
    """
    if not request.HasField("quality"):
        return DEFAULT_QUALITY
    if not 1 <= request.quality <= 100:
        raise InvalidParameter(f"quality is {request.quality}; it must be 1 to 100", field="quality")
    return request.quality


def style_mode(request: pb.StylizeRequest) -> pb.StyleMode:
    """The mode asked for; selective if none is. Fields of other modes are refused.

    Raises:
        InvalidParameter: A number that names no mode, or a field that the mode does not have.
    """
    if request.mode not in pb.StyleMode.values():
        raise InvalidParameter(f"unknown mode {request.mode}; known: {_names(pb.StyleMode)}", field="mode")
    mode = pb.STYLE_MODE_SELECTIVE if request.mode == 0 else pb.StyleMode.ValueType(request.mode)
    if request.polygons and mode != pb.STYLE_MODE_POLYGONS:
        raise InvalidParameter("polygons are for the mode POLYGONS alone", field="polygons")
    if mode == pb.STYLE_MODE_POLYGONS and not request.polygons:
        raise InvalidParameter("the mode POLYGONS needs at least one polygon", field="polygons")
    if request.HasField("heat_floor") and mode != pb.STYLE_MODE_SELECTIVE:
        raise InvalidParameter("heat_floor is for the mode SELECTIVE alone", field="heat_floor")
    return mode


def heat_floor(request: pb.StylizeRequest, default: float) -> float:
    """Heat below which nothing is restyled.

    Raises:
        InvalidParameter: Outside [0, 1), or not a number.
    """
    if not request.HasField("heat_floor"):
        return default
    if not 0.0 <= request.heat_floor < 1.0:  # also false for NaN
        raise InvalidParameter(
            f"heat_floor is {request.heat_floor:g}; it must be at least 0 and below 1", field="heat_floor"
        )
    return request.heat_floor


def style_mixes(mixes: Sequence[pb.StyleMix], known: Collection[str]) -> list[Mix]:
    """Mixes of styles by name.

    Raises:
        InvalidParameter: Names the field, the limit and the value.
    """
    if not 1 <= len(mixes) <= MAX_MIXES:
        raise InvalidParameter(f"there are {len(mixes)} mixes; there must be 1 to {MAX_MIXES}", field="mixes")
    return [style_mix(mix, known, f"mixes[{index}]") for index, mix in enumerate(mixes)]


def style_mix(mix: pb.StyleMix, known: Collection[str], field: str) -> Mix:
    """One mix; see ``style_mixes``."""
    if not 1 <= len(mix.parts) <= MAX_PARTS:
        raise InvalidParameter(
            f"{field} has {len(mix.parts)} parts; it must have 1 to {MAX_PARTS}", field=field
        )
    result: Mix = {}
    for index, part in enumerate(mix.parts):
        where = f"{field}.parts[{index}]"
        if part.style not in known:
            raise InvalidParameter(
                f"there is no style {part.style[:64]!r}; {_hint(part.style, known)}", field=where
            )
        if part.style in result:
            raise InvalidParameter(f"{where}: the style {part.style!r} is there more than once", field=where)
        weight = part.weight if part.HasField("weight") else 1.0
        if not 0.0 <= weight <= MAX_WEIGHT:
            raise InvalidParameter(
                f"{where}: the weight is {weight:g}; it must be 0 to {MAX_WEIGHT:g}", field=where
            )
        result[part.style] = weight
    return result


def _hint(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name[:64], known, n=3, cutoff=0.5)
    if near:
        return f"do you mean {' or '.join(near)}? ListStyles has all {len(known)}"
    some = ", ".join(sorted(known)[:5])
    return f"known are {some} and others; ListStyles has all {len(known)}"


def polygons(messages: Iterable[common_pb2.Polygon], width: int, height: int) -> list[NDArray[np.float32]]:
    """Polygons of a photo, (K, 2) float32 each.

    Args:
        messages: As sent.
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.

    Raises:
        InvalidParameter: Too many, too few or too many points, not finite, or not in the photo at all.
    """
    found = []
    for index, message in enumerate(messages):
        if index >= MAX_POLYGONS:
            raise InvalidParameter(f"there are more than {MAX_POLYGONS} polygons", field="polygons")
        found.append(polygon(message, width, height, f"polygons[{index}]", (3, MAX_POINTS)))
    return found


def polygon(
    message: common_pb2.Polygon, width: int, height: int, field: str, points: tuple[int, int]
) -> NDArray[np.float32]:
    """One polygon with a number of points between two limits; see ``polygons``."""
    low, high = points
    if not low <= len(message.points) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        raise InvalidParameter(
            f"{field} has {len(message.points)} points; it must have {wanted}", field=field
        )
    corners = np.array([[p.x, p.y] for p in message.points], dtype=np.float32)
    if not np.isfinite(corners).all():
        raise InvalidParameter(f"{field} has a coordinate that is not a finite number", field=field)
    least, most = corners.min(axis=0), corners.max(axis=0)
    if most[0] <= 0 or most[1] <= 0 or least[0] >= width or least[1] >= height:
        raise InvalidParameter(f"{field} lies outside the photo of {width}x{height} pixels", field=field)
    if np.abs(corners).max() > 4 * max(width, height):
        raise InvalidParameter(
            f"{field} reaches far outside the photo of {width}x{height} pixels", field=field
        )
    return corners


def quadrilateral(message: common_pb2.Polygon, width: int, height: int, field: str) -> NDArray[np.float32]:
    """Four corners that enclose some area, clockwise: the other way round words would be mirrored.

    Raises:
        InvalidParameter: As ``polygon``, or the corners are folded, on one line or counter-clockwise.
    """
    quad = polygon(message, width, height, field, (4, 4))
    edges = np.roll(quad, -1, axis=0) - quad
    turns = edges[:, 0] * np.roll(edges, -1, axis=0)[:, 1] - edges[:, 1] * np.roll(edges, -1, axis=0)[:, 0]
    if not (turns > 1.0).all():
        raise InvalidParameter(
            f"{field} must be four corners of a convex shape, in order, clockwise", field=field
        )
    return quad


def words(text: str, *, lines: int = MAX_LINES) -> str:
    """Text to draw.

    Raises:
        InvalidParameter: Empty, too long, too many lines, or with control characters.
    """
    if not text.strip():
        raise InvalidParameter("text is empty; there must be something to draw", field="text")
    if len(text) > MAX_CHARACTERS:
        raise InvalidParameter(
            f"text has {len(text)} characters; the limit is {MAX_CHARACTERS}", field="text"
        )
    count = text.count("\n") + 1
    if count > lines:
        raise InvalidParameter(f"text has {count} lines; the limit is {lines}", field="text")
    # Line and paragraph separators would make further lines.
    odd = [letter for letter in text if letter != "\n" and unicodedata.category(letter)[0] == "C"]
    odd += [letter for letter in text if unicodedata.category(letter) in ("Zl", "Zp")]
    if odd:
        raise InvalidParameter(f"text holds the control character U+{ord(odd[0]):04X}", field="text")
    return text


def line_height(request: pb.RenderTextRequest) -> int:
    """Height of a line in pixels.

    Raises:
        InvalidParameter: Outside the limits.
    """
    if not request.HasField("line_height"):
        return DEFAULT_LINE_HEIGHT
    low, high = LINE_HEIGHTS
    if not low <= request.line_height <= high:
        raise InvalidParameter(
            f"line_height is {request.line_height}; it must be {low} to {high}", field="line_height"
        )
    return request.line_height


def _names(enum: type) -> str:
    names: list[str] = enum.keys()  # type: ignore[attr-defined]
    return ", ".join(name for name in names if not name.endswith("_UNSPECIFIED"))
