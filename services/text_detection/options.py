"""Request fields to domain parameters: defaults from the manifest, limits checked with clear errors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.predictors.text_detection.regions import RegionParams
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.serving.checks import check_fraction
from interplay.store import Manifest

MAX_REGIONS = 2000


def heatmap_format(value: int) -> pb.HeatmapFormat:
    """The format asked for; PNG if none is.

    Raises:
        InvalidParameter: A number that names no format.
    """
    if value not in pb.HeatmapFormat.values():
        raise InvalidParameter(f"unknown format {value}; known: {_names(pb.HeatmapFormat)}", field="format")
    return pb.HeatmapFormat.HEATMAP_FORMAT_PNG if value == 0 else pb.HeatmapFormat.ValueType(value)


def region_params(options: pb.DetectOptions, manifest: Manifest) -> RegionParams:
    """Parameters of region finding.

    Raises:
        InvalidParameter: Names the field, the limit and the value.
    """
    if options.method not in pb.DetectMethod.values():
        raise InvalidParameter(
            f"method {options.method} is unknown; known: {_names(pb.DetectMethod)}", field="options.method"
        )
    changes: dict[str, float | int] = {}
    if options.HasField("pixel_threshold"):
        changes["pixel_threshold"] = pixel_threshold(options.pixel_threshold, "options.pixel_threshold")
    if options.HasField("score_threshold"):
        changes["score_threshold"] = check_fraction(options.score_threshold, "options.score_threshold")
    if options.HasField("max_regions"):
        if not 1 <= options.max_regions <= MAX_REGIONS:
            raise InvalidParameter(
                f"max_regions is {options.max_regions}; it must be 1 to {MAX_REGIONS}",
                field="options.max_regions",
            )
        changes["max_regions"] = options.max_regions
    return RegionParams.from_manifest(manifest, **changes)


def pixel_threshold(value: float, field: str) -> float:
    """A value in (0, 1): at 0 every pixel would be text, at 1 none.

    Raises:
        InvalidParameter: Outside, or not a number.
    """
    if not 0.0 < value < 1.0:
        raise InvalidParameter(f"{field} is {value:g}; it must be above 0 and below 1", field=field)
    return value


def quadrilaterals(
    polygons: Iterable[common_pb2.Polygon], width: int, height: int
) -> list[NDArray[np.float32]]:
    """Polygons to read, (4, 2) float32 each.

    Args:
        polygons: As sent.
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.

    Raises:
        InvalidParameter: Too many, not four points, not finite, or not in the photo at all.
    """
    quads = []
    for index, polygon in enumerate(polygons):
        field = f"polygons[{index}]"
        if index >= MAX_REGIONS:
            raise InvalidParameter(f"there are more than {MAX_REGIONS} polygons", field="polygons")
        if len(polygon.points) != 4:
            raise InvalidParameter(f"{field} has {len(polygon.points)} points; it must have 4", field=field)
        quad = np.array([[p.x, p.y] for p in polygon.points], dtype=np.float32)
        if not np.isfinite(quad).all():
            raise InvalidParameter(f"{field} has a coordinate that is not a finite number", field=field)
        low, high = quad.min(axis=0), quad.max(axis=0)
        if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
            raise InvalidParameter(f"{field} lies outside the photo of {width}x{height} pixels", field=field)
        if np.abs(quad).max() > 4 * max(width, height):
            raise InvalidParameter(
                f"{field} reaches far outside the photo of {width}x{height} pixels", field=field
            )
        quads.append(quad)
    return quads


def _names(enum: type) -> str:
    names: list[str] = enum.keys()  # type: ignore[attr-defined]
    return ", ".join(name for name in names if not name.endswith("_UNSPECIFIED"))
