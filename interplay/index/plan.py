"""When a search scans and when it walks the graph.

Measured on 200,000 vectors (`benchmarks.index`): an exact scan of what a filter lets through costs
little up to tens of thousands of entries, where HNSW under a filter loses recall; without a filter, or
with one that lets most through, the graph with rescoring is right and much faster.
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
        scan_up_to: Candidates of a filtered search that are all compared.
        ef_free: Candidates of a search without a filter.
        ef_filtered: Candidates of a search with one.
        oversampling: How many times ``limit`` candidates of the int8 vectors are compared again with the
            full ones.
    """

    m: int = 16
    ef_construct: int = 128
    full_scan_kb: int = 20_000
    scan_up_to: int = 50_000
    ef_free: int = 128
    ef_filtered: int = 512
    oversampling: float = 2.0

    def scan(self, candidates: int, *, filtered: bool) -> bool:
        """Whether to compare all candidates."""
        return candidates <= (self.scan_up_to if filtered else self.full_scan_kb)

    def ef(self, limit: int, *, filtered: bool) -> int:
        """Candidates of the graph search."""
        return max(self.ef_filtered if filtered else self.ef_free, 2 * limit)


DEFAULT_PLAN = SearchPlan()
