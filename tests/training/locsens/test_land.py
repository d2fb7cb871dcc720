"""Land outlines: rings around land and around water within it, also at the edges of the world."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import Polygon

from training.locsens.land import STEPS, TARGET, outlines, render

CELLS = (180, 360)  # of one degree


def rings(shares: np.ndarray) -> list[Polygon]:
    """Outlines as polygons in degrees."""
    found = [np.cumsum(np.reshape(ring, (-1, 2)), axis=0) / STEPS for ring in outlines(shares)]
    return [Polygon(points) for points in found]


def test_an_island_with_a_lake() -> None:
    shares = np.zeros(CELLS, dtype=np.float32)
    shares[40:60, 180:220] = 1  # 30 to 50 degrees north, 0 to 40 degrees east
    shares[48:52, 190:200] = 0
    shares[100, 100] = 0.3  # too little land
    island, lake = rings(shares)
    assert island.bounds == pytest.approx((0, 30, 40, 50), abs=0.6)
    assert lake.bounds == pytest.approx((10, 38, 20, 42), abs=0.6)
    assert island.area == pytest.approx(40 * 20, rel=0.06) and lake.area == pytest.approx(40, rel=0.3)


def test_land_at_the_date_line_and_the_pole_goes_to_the_edge() -> None:
    shares = np.zeros(CELLS, dtype=np.float32)
    shares[20:30, :5] = shares[20:30, -8:] = 1
    shares[170:] = 1
    south, east, west = rings(shares)
    assert south.bounds == pytest.approx((-180, -90, 180, -80), abs=0.6)
    assert west.bounds[0] == -180 and east.bounds[2] == 180 and south.bounds[0::2] == (-180, 180)


@pytest.mark.slow
def test_the_file_is_what_the_mask_gives() -> None:
    assert TARGET.read_text() == render()
