"""Pages of hits: limits, tokens, near-duplicates under the best of them."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.errors import InvalidParameter
from interplay.index.entries import Entry, Hit
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.serving.indexes.paging import cut_page, hits_to_fetch, limit_of, page_offset, page_token


def hits(*fingerprints: int | None) -> list[Hit]:
    entries = [
        Entry(f"e{n}", np.ones(2, dtype=np.float32), fingerprint=mark) for n, mark in enumerate(fingerprints)
    ]
    return [Hit(entry, 1 - n / 10) for n, entry in enumerate(entries)]


def test_limits() -> None:
    assert limit_of(pb.SearchRequest()) == 20 and limit_of(pb.SearchRequest(limit=200)) == 200
    for limit in (0, -1, 201):
        with pytest.raises(InvalidParameter, match=f"limit is {limit}; it must be 1 to 200"):
            limit_of(pb.SearchRequest(limit=limit))


def test_a_token_belongs_to_its_query() -> None:
    request = pb.SearchRequest(index="photos", limit=5)
    request.page_token = page_token(request, 40)
    assert page_offset(request) == 40
    request.limit = 7  # another size of pages is the same query
    assert page_offset(request) == 40
    request.index = "films"
    with pytest.raises(InvalidParameter, match="page_token belongs to another query"):
        page_offset(request)
    assert page_offset(pb.SearchRequest()) == 0 and page_token(request, 10_001) == ""
    for token in ("x", "WzFd", "W10="):
        with pytest.raises(InvalidParameter, match="none that this server gave"):
            page_offset(pb.SearchRequest(page_token=token))


def test_a_page_ends_where_the_next_begins() -> None:
    assert hits_to_fetch(2, group=False) == 3
    shown, further = cut_page(hits(0, 0, 0), 2, group=False)
    assert ([group.best.entry.id for group in shown], further) == (["e0", "e1"], 2)
    shown, further = cut_page(hits(0, 0), 2, group=False)
    assert (len(shown), further) == (2, 0)


def test_near_duplicates_are_under_the_best_of_them() -> None:
    assert hits_to_fetch(2, group=True) == 7
    near, far = 0b11111, 0b1111111 << 20
    shown, further = cut_page(hits(0, near, far, None, None, 0), 2, group=True)
    assert [(group.best.entry.id, group.duplicates) for group in shown] == [("e0", ["e1", "e5"]), ("e2", [])]
    assert further == 3  # the first hit that is not shown
    shown, further = cut_page(hits(0, 0, 0, 0, 0, 0, 0), 2, group=True)
    assert (len(shown), further) == (1, 6)  # there may be more, so the last one is looked at again
