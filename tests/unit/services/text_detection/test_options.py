"""Request fields to parameters: defaults from the manifest, limits with texts that name them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interplay.errors import InvalidParameter
from interplay.predictors.text_detection.regions import RegionParams
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.store import Manifest
from services.text_detection import options
from services.text_detection.options import MAX_REGIONS

MANIFEST = Manifest(
    name="textfcn-test",
    version=1,
    capability="text_detection",
    architecture="textfcn",
    description="",
    license="MIT",
    thresholds={"core": 0.25, "score": 0.75, "min_side_px": 6, "core_ratio": 0.5},
    parameters=0,
)


def params(**fields: Any) -> RegionParams:
    return options.region_params(pb.DetectOptions(**fields), MANIFEST)


def test_defaults_come_from_the_manifest() -> None:
    assert params() == RegionParams(0.25, 0.75, 6, 0.5)


def test_fields_of_the_request_come_first() -> None:
    found = params(
        pixel_threshold=0.5, score_threshold=0.25, max_regions=7, method=pb.DETECT_METHOD_COMPONENTS
    )
    assert (found.pixel_threshold, found.score_threshold, found.max_regions) == (0.5, 0.25, 7)
    assert found.min_side_px == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"score_threshold": 0.0},  # set to zero is not the same as unset
        {"score_threshold": 1.0},
        {"pixel_threshold": 1e-6},
        {"pixel_threshold": 0.999},
        {"max_regions": 1},
        {"max_regions": MAX_REGIONS},
    ],
)
def test_limits_are_allowed(fields: dict[str, float]) -> None:
    found = params(**fields)
    for name, value in fields.items():
        assert getattr(found, name) == pytest.approx(value)


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    "fields, field, text",
    [
        ({"pixel_threshold": 0.0}, "pixel_threshold", "is 0; it must be above 0 and below 1"),
        ({"pixel_threshold": 1.0}, "pixel_threshold", "is 1; it must be above 0 and below 1"),
        ({"pixel_threshold": -0.1}, "pixel_threshold", "is -0.1;"),
        ({"pixel_threshold": NAN}, "pixel_threshold", "is nan;"),
        ({"score_threshold": -0.5}, "score_threshold", "is -0.5; it must be 0 to 1"),
        ({"score_threshold": 1.5}, "score_threshold", "is 1.5; it must be 0 to 1"),
        ({"score_threshold": INFINITY}, "score_threshold", "is inf;"),
        ({"score_threshold": NAN}, "score_threshold", "is nan;"),
        ({"max_regions": 0}, "max_regions", "max_regions is 0; it must be 1 to 2000"),
        ({"max_regions": -1}, "max_regions", "max_regions is -1;"),
        ({"max_regions": MAX_REGIONS + 1}, "max_regions", "max_regions is 2001;"),
        ({"method": 99}, "method", "method 99 is unknown; known: DETECT_METHOD_COMPONENTS"),
    ],
)
def test_beyond_the_limits_is_told(fields: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text) as caught:
        params(**fields)
    assert caught.value.field == f"options.{field}"


@pytest.mark.parametrize(
    "value, expected",
    [
        (0, pb.HEATMAP_FORMAT_PNG),
        (pb.HEATMAP_FORMAT_PNG, pb.HEATMAP_FORMAT_PNG),
        (pb.HEATMAP_FORMAT_FLOAT16, pb.HEATMAP_FORMAT_FLOAT16),
    ],
)
def test_heatmap_format(value: int, expected: int) -> None:
    assert options.heatmap_format(value) == expected


@pytest.mark.parametrize("value", [3, -1, 2**31 - 1])
def test_unknown_heatmap_format(value: int) -> None:
    with pytest.raises(InvalidParameter, match=f"unknown format {value}; known: .*FLOAT16$") as caught:
        options.heatmap_format(value)
    assert "UNSPECIFIED" not in caught.value.message


def polygon(*points: tuple[float, float]) -> common_pb2.Polygon:
    return common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in points])


INSIDE = polygon((1, 2), (30, 2), (30, 12), (1, 12))


def test_quadrilaterals_keep_their_order() -> None:
    quads = options.quadrilaterals([INSIDE, polygon((5, 5), (9, 5), (9, 9), (5, 9))], 100, 50)
    assert [quad.dtype for quad in quads] == [np.float32] * 2
    np.testing.assert_array_equal(quads[0], [[1, 2], [30, 2], [30, 12], [1, 12]])
    assert options.quadrilaterals([], 100, 50) == []


@pytest.mark.parametrize(
    "corners",
    [
        [(-20, -20), (10, -20), (10, 10), (-20, 10)],
        [(90, 40), (140, 40), (140, 90), (90, 90)],
        [(-300, -100), (400, -100), (400, 150), (-300, 150)],
    ],
)
def test_words_may_reach_over_the_edge(corners: list[tuple[float, float]]) -> None:
    assert len(options.quadrilaterals([polygon(*corners)], 100, 50)) == 1


@pytest.mark.parametrize(
    "bad, text",
    [
        (polygon(), r"polygons\[1\] has 0 points; it must have 4"),
        (polygon((0, 0), (9, 0), (9, 9)), "has 3 points"),
        (polygon((0, 0), (9, 0), (9, 9), (5, 9), (0, 9)), "has 5 points"),
        (polygon((0, 0), (9, 0), (9, NAN), (0, 9)), "not a finite number"),
        (polygon((0, 0), (INFINITY, 0), (9, 9), (0, 9)), "not a finite number"),
        (polygon((100, 0), (120, 0), (120, 9), (100, 9)), "outside the photo of 100x50 pixels"),
        (polygon((0, 50), (9, 50), (9, 60), (0, 60)), "outside the photo"),
        (polygon((-9, 0), (0, 0), (0, 9), (-9, 9)), "outside the photo"),
        (polygon((0, -9), (9, -9), (9, 0), (0, 0)), "outside the photo"),
        (polygon((0, 0), (401, 0), (401, 9), (0, 9)), "far outside the photo"),
        (polygon((0, 0), (1e30, 0), (9, 9), (0, 9)), "far outside the photo"),
    ],
)
def test_bad_quadrilateral_is_named(bad: common_pb2.Polygon, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text) as caught:
        options.quadrilaterals([INSIDE, bad], 100, 50)
    assert caught.value.field == "polygons[1]"


def test_number_of_quadrilaterals_is_limited() -> None:
    assert len(options.quadrilaterals([INSIDE] * MAX_REGIONS, 100, 50)) == MAX_REGIONS
    with pytest.raises(InvalidParameter, match="more than 2000 polygons") as caught:
        options.quadrilaterals([INSIDE] * (MAX_REGIONS + 1), 100, 50)
    assert caught.value.field == "polygons"
