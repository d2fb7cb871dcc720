"""Land outlines for maps, out of the GLOBE land mask.

python -m training.locsens.land            write interplay/media/land.json, about 120 KB, in half a minute
python -m training.locsens.land --check    make it again and compare

The mask of the package ``global-land-mask`` says of every 30 arc seconds whether they are sea; it was made
of GLOBE, the Global Land One-kilometer Base Elevation (NOAA, 1999, public domain). Lakes and the Caspian
count as land. Between 50° S and 70° N 0.4 % of the area comes out wrong, 99 % of that within 8 km of a coast.
Islands smaller than about 80 km² are left out: right for maps of the world and of countries, not of towns.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import contourpy
import global_land_mask
import numpy as np
from numpy.typing import NDArray
from shapely import LinearRing, Polygon

from interplay.settings import REPOSITORY_ROOT

TARGET = REPOSITORY_ROOT / "interplay" / "media" / "land.json"
# Cells of the mask that one cell of the outlines' grid has, per side: 6 arc minutes.
CELL = 12
# Share of land from which a cell is land: below half, so that islands smaller than a cell are seen.
LAND = 0.45
TOLERANCE_DEGREES = 0.055
SMALLEST_SQUARE_DEGREES = 0.007
# Of a degree: 2 km and less.
STEPS = 50


def land_shares() -> NDArray[np.float32]:
    """Share of land in cells of 0.1°, (1800, 3600) float32, from the north pole and the date line on."""
    file = Path(global_land_mask.__file__).with_name("globe_combined_mask_compressed.npz")
    with np.load(file) as stored:
        sea = stored["mask"]
    rows, columns = sea.shape[0] // CELL, sea.shape[1] // CELL
    shares = 1 - sea.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(shares, dtype=np.float32)


def outlines(shares: NDArray[np.float32]) -> list[list[int]]:
    """Closed outlines: of land, and of water within land.

    Args:
        shares: (H, W) float32, share of land in cells that cover the world.

    Returns:
        Rings, the largest first: longitude and latitude of a point in steps of 1/``STEPS`` degree, then by
        how much each further point is east and north of the one before. The last is not the first again.
    """
    rows, columns = shares.shape
    degrees = 360 / columns
    # A rim of sea closes what the date line and the south pole cut.
    grid = np.pad(shares, 1)
    longitudes = -180 + (np.arange(columns + 2) - 0.5) * degrees
    latitudes = 90 - (np.arange(rows + 2) - 0.5) * degrees
    rings = []
    for line in contourpy.contour_generator(longitudes, latitudes, grid).lines(LAND):
        if len(line) < 4:
            continue
        points = np.asarray(line)
        # What reaches into the rim ends at the very edge of the world, else a gap would part it there.
        for axis, edge in ((0, 180), (1, 90)):
            rim = np.abs(points[:, axis]) > edge - degrees / 2
            points[rim, axis] = np.copysign(edge, points[rim, axis])
        area = Polygon(points).area
        if area >= SMALLEST_SQUARE_DEGREES:
            rings.append((area, _simplified(points)))
    return [ring for _, ring in sorted(rings, key=lambda pair: -pair[0]) if len(ring) >= 6]


def _simplified(line: NDArray[np.float64]) -> list[int]:
    points = np.asarray(LinearRing(line).simplify(TOLERANCE_DEGREES).coords)
    steps = np.rint(points * STEPS).astype(int)[:-1]
    steps = steps[np.any(steps != np.roll(steps, 1, axis=0), axis=1)]
    return np.diff(steps, axis=0, prepend=np.zeros((1, 2), dtype=int)).ravel().tolist()  # type: ignore[no-any-return]


def render() -> str:
    """The file as it stands in the repository."""
    return json.dumps({"steps": STEPS, "rings": outlines(land_shares())}, separators=(",", ":")) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    text = render()
    if not check:
        TARGET.write_text(text)
        print(f"{TARGET.name}: {len(text):,} bytes")
    elif TARGET.read_text() != text:
        print("land.json is not what this makes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
