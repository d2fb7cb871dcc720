"""Images of an index in memory: what scoring them needs, and where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.index.catalogue import Spec
from interplay.index.entries import Circle
from interplay.media.geo_map import EARTH_RADIUS_M
from interplay.models.locsens import CentredParts
from interplay.predictors.locsens.near import unit_vectors


@dataclass(frozen=True)
class Stamp:
    """What an index was when it was read.

    Attributes:
        spec: Of the generation.
        entries: How many.
        changes: How often this process had changed it.
    """

    spec: Spec
    entries: int
    changes: int


@dataclass(frozen=True)
class Table:
    """All images of a generation, from south to north; those without a place are the last.

    Attributes:
        stamp: Of which state of the index.
        read_at: ``time.monotonic()`` before it was read.
        points: Of the index.
        rows: Where each point is.
        vectors: (N, D) float32 of length one.
        parts: What they add to the scorer's first layer.
        where: (P, 3) float32 on the unit sphere, its axis the third; of the P images that have a place.
        heights: (P,), the third alone.
    """

    stamp: Stamp
    read_at: float
    points: tuple[str, ...]
    rows: dict[str, int]
    vectors: torch.Tensor
    parts: CentredParts
    where: torch.Tensor
    heights: torch.Tensor

    @classmethod
    def of(
        cls,
        stamp: Stamp,
        read_at: float,
        points: Sequence[str],
        vectors: NDArray[np.float32],
        places: NDArray[np.float64],
        parts: CentredParts,
    ) -> Table:
        """Images in any order.

        Args:
            stamp: See ``Table``.
            read_at: See ``Table``.
            points: N of the index.
            vectors: (N, D) float32 of length one.
            places: (N, 2) degrees; NaN without a place.
            parts: Of the N images.
        """
        where = unit_vectors(places).astype(np.float32)
        order = np.argsort(where[:, 2], kind="stable")  # NaN goes last
        ordered = tuple(points[row] for row in order)
        rows = torch.from_numpy(order).to(parts.part.device)
        placed = torch.from_numpy(where[order[: int(np.isfinite(where[:, 2]).sum())]])
        return cls(
            stamp,
            read_at,
            ordered,
            {point: row for row, point in enumerate(ordered)},
            torch.from_numpy(vectors[order]),
            CentredParts(parts.part[rows], parts.variance[rows]),
            placed,
            placed[:, 2].contiguous(),
        )

    def __len__(self) -> int:
        return len(self.points)

    def parts_of(self, rows: NDArray[np.int64]) -> CentredParts:
        """Parts of some rows."""
        chosen = torch.from_numpy(rows).to(self.parts.part.device)
        return CentredParts(self.parts.part[chosen], self.parts.variance[chosen])

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of some rows."""
        return np.asarray(self.vectors[torch.from_numpy(rows)].numpy())

    @torch.inference_mode()
    def nearest_within(self, direction: NDArray[np.float32], count: int, circle: Circle) -> NDArray[np.int64]:
        """Rows of images within a circle whose vectors are nearest to a direction, best first.

        Args:
            direction: (D,) float32 of length one.
            count: How many at most.
            circle: Of 10 km or more: less does not show in float32.
        """
        place, angle = circle.centre, min(circle.radius_m / EARTH_RADIUS_M, math.pi)
        latitude = math.radians(place.latitude)
        # Only a belt of parallels can be near, and its rows lie together.
        south, north = max(latitude - angle, -math.pi / 2), min(latitude + angle, math.pi / 2)
        bounds = torch.tensor([math.sin(south) - _SLACK, math.sin(north) + _SLACK])
        start, stop = torch.searchsorted(self.heights, bounds).tolist()
        centre = unit_vectors(np.array([[place.latitude, place.longitude]]))[0].astype(np.float32)
        away = self.where[start:stop] @ torch.from_numpy(centre)
        near = start + torch.nonzero(away >= math.cos(angle)).squeeze(1)
        products = self.vectors[near] @ torch.from_numpy(direction)
        return np.asarray(near[torch.topk(products, min(count, len(near))).indices].numpy())


_SLACK = 1e-6  # of float32
