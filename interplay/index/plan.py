"""When a search compares all and when it walks the graph.

HNSW under a filter misses results silently, most of them where the filter lets a few per cent through. So the
graph is never walked under a filter. Where a filter lets much through, the best of all are taken from the
graph, and those that pass are the answer if they are enough; otherwise everything that passes is compared.
The graph has int8 vectors; its best are compared again in full.

The numbers were chosen with ``python -m benchmarks.index --seed 0``. Words as queries decide: they lie off
the photos, and a graph finds less for them than for photos. docs/embedding.md has figures of another seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from interplay.index.entries import Filter, Hit, Hits


@dataclass(frozen=True)
class SearchPlan:
    """Settings of graph and search.

    Attributes:
        m: Edges of a node.
        ef_construct: Candidates while building. Half of it builds twice as fast and finds 1 % less for words.
        scan: Entries that are all compared, even if the graph could be walked: about as fast.
        ef: Candidates of a graph search, at least, of up to ``ef_entries`` entries.
        ef_entries: Beyond these, ``ef`` grows with the root of their number: else a graph finds less of more.
        oversampling: How many times ``limit`` candidates of the int8 vectors are compared again with the
            full ones.
        depth: How many of the best are taken from the graph to be filtered: from, and up to.
    """

    m: int = 16
    ef_construct: int = 512
    scan: int = 20_000
    ef: int = 768
    ef_entries: int = 200_000
    oversampling: float = 2.0
    depth: tuple[int, int] = (256, 2048)

    def candidates(self, limit: int, total: int) -> int:
        """Candidates of a graph search for ``limit`` results of ``total`` entries."""
        grown = self.ef * max(1.0, total / self.ef_entries) ** 0.5
        return max(round(grown), 2 * limit)

    def filtered_depth(self, limit: int) -> int:
        """How many of the best of all are filtered to find ``limit`` that pass."""
        least, most = self.depth
        return min(max(least, 10 * limit), max(most, limit))

    def pays(self, estimate: int, limit: int, total: int) -> bool:
        """Whether to filter the graph's best: more than can be compared pass, and twice enough of the best.

        Args:
            estimate: Entries that pass, about.
            limit: Results that are wanted.
            total: Entries of the index.
        """
        return estimate > self.scan and estimate * self.filtered_depth(limit) >= 2 * limit * total


class Asked(Protocol):
    """What a search needs of an index, embedded or on a server."""

    def count(self, wanted: Filter | None = None) -> int:
        """How many entries pass."""

    def estimate(self, wanted: Filter) -> int:
        """About how many pass; takes no time."""

    def nearest(
        self,
        vector: NDArray[np.float32],
        limit: int,
        *,
        offset: int = 0,
        wanted: Filter,
        among: Sequence[str] = (),
        ef: int | None,
    ) -> list[Hit]:
        """The best entries that pass.

        Args:
            vector: (D,) float32.
            limit: How many.
            offset: How many of the best to leave out.
            wanted: What passes.
            among: Points that are looked at; empty for all.
            ef: Candidates in the graph; None to compare all that pass.
        """

    def nearest_points(self, vector: NDArray[np.float32], limit: int, ef: int) -> list[str]:
        """Points of the best entries of all, from the graph."""


def find(
    index: Asked, vector: NDArray[np.float32], plan: SearchPlan, wanted: Filter, limit: int, offset: int
) -> Hits:
    """The best entries that pass a filter, by the plan above."""
    total, last = index.count(), limit + offset
    if wanted.empty:
        ef = None if total <= plan.scan else plan.candidates(last, total)
        hits = index.nearest(vector, limit, offset=offset, wanted=wanted, ef=ef)
        return Hits(tuple(hits), ef is None, total)
    counted: int | None = None
    if plan.pays(index.estimate(wanted), last, total):
        depth = plan.filtered_depth(last)
        best = index.nearest_points(vector, depth, plan.candidates(depth, total))
        hits = index.nearest(vector, last, wanted=wanted, among=best, ef=None)
        if len(hits) == last:
            return Hits(tuple(hits[offset:]), False, None)
    else:
        counted = index.count(wanted)
    hits = index.nearest(vector, limit, offset=offset, wanted=wanted, ef=None)
    return Hits(tuple(hits), True, counted)


DEFAULT_PLAN = SearchPlan()
