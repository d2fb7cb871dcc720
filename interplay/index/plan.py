"""When a search scans and when it walks the graph.

HNSW under a filter misses results silently, while comparing all of what a filter lets through costs
milliseconds up to tens of thousands of entries: so that is counted first. Beyond, and without a filter,
the graph is walked and its best are compared again in full. `python -m benchmarks.index` measures both;
the limits below are first choices, not tuned with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchPlan:
    """Settings of graph and search.

    Attributes:
        m: Edges of a node.
        ef_construct: Candidates while building.
        full_scan_kb: Qdrant's own limit below which it scans filtered vectors.
        scan_free: Entries of an index that are all compared where there is no filter.
        scan_filtered: Candidates of a filtered search that are all compared.
        ef_free: Candidates of a search without a filter.
        ef_filtered: Candidates of a search with one.
        oversampling: How many times ``limit`` candidates of the int8 vectors are compared again with the
            full ones.
    """

    m: int = 16
    ef_construct: int = 128
    full_scan_kb: int = 20_000
    scan_free: int = 20_000
    scan_filtered: int = 50_000
    ef_free: int = 128
    ef_filtered: int = 512
    oversampling: float = 2.0

    def scan(self, candidates: int, *, filtered: bool) -> bool:
        """Whether to compare all candidates."""
        return candidates <= (self.scan_filtered if filtered else self.scan_free)

    def ef(self, limit: int, *, filtered: bool) -> int:
        """Candidates of the graph search."""
        return max(self.ef_filtered if filtered else self.ef_free, 2 * limit)


DEFAULT_PLAN = SearchPlan()
