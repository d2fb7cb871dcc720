"""Answers in pages: how many hits, where to go on, near-duplicates under the best of them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from interplay.errors import InvalidParameter
from interplay.index.entries import Hit
from interplay.media.fingerprint import differing_bits

MAX_LIMIT = 200
DEFAULT_LIMIT = 20
MAX_OFFSET = 10_000

# Of 64 bits; other photos of the same thing differ in far more.
_NEAR_BITS = 5
# More hits are fetched than asked for where near-duplicates are grouped.
_GROUPED_FACTOR = 3


def limit_of(request: Any) -> int:
    """How many hits a request with the optional field ``limit`` asks for.

    Raises:
        InvalidParameter: Not 1 to 200.
    """
    limit = request.limit if request.HasField("limit") else DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidParameter(f"limit is {limit}; it must be 1 to {MAX_LIMIT}", field="limit")
    return int(limit)


def page_offset(request: Any) -> int:
    """Where the page begins that a request with the fields ``limit`` and ``page_token`` asks for.

    Raises:
        InvalidParameter: The token is not one of ours, or belongs to another query.
    """
    if not request.page_token:
        return 0
    try:
        offset, digest = json.loads(base64.urlsafe_b64decode(request.page_token.encode()))
        if not isinstance(offset, int) or not 0 < offset <= MAX_OFFSET:
            raise ValueError
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidParameter("page_token is none that this server gave", field="page_token") from error
    if digest != _query_digest(request):
        raise InvalidParameter("page_token belongs to another query", field="page_token")
    return offset


def page_token(request: Any, offset: int) -> str:
    """Token of the page that begins at an offset; empty beyond the last offset that is served."""
    if offset > MAX_OFFSET:
        return ""
    return base64.urlsafe_b64encode(json.dumps([offset, _query_digest(request)]).encode()).decode()


def _query_digest(request: Any) -> str:
    """What makes two queries the same up to their page."""
    plain = type(request)()
    plain.CopyFrom(request)
    plain.ClearField("page_token")
    plain.ClearField("limit")
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()[:16]


@dataclass
class Group:
    """A hit and the near-duplicates of it that came after.

    Attributes:
        best: The hit.
        duplicates: Ids of the others.
        raw: How many hits of the index the groups up to this one took, this one's first hit included.
    """

    best: Hit
    raw: int
    duplicates: list[str] = field(default_factory=list)


def group_duplicates(hits: Sequence[Hit], *, near: bool) -> list[Group]:
    """Hits in order; if ``near``, those that look the same go under the first of them."""
    groups: list[Group] = []
    for number, hit in enumerate(hits, start=1):
        first = next((group for group in groups if near and _alike(group.best, hit)), None)
        if first is None:
            groups.append(Group(hit, number))
        else:
            first.duplicates.append(hit.entry.id)
    return groups


def _alike(one: Hit, other: Hit) -> bool:
    mark, mark_too = one.entry.fingerprint, other.entry.fingerprint
    return mark is not None and mark_too is not None and differing_bits(mark, mark_too) <= _NEAR_BITS


def hits_to_fetch(limit: int, *, group: bool) -> int:
    """How many hits of the index a page needs; one more than it shows tells whether there is another page."""
    return limit * (_GROUPED_FACTOR if group else 1) + 1


def cut_page(hits: Sequence[Hit], limit: int, *, group: bool) -> tuple[list[Group], int]:
    """What a page shows of the hits that were fetched for it.

    Args:
        hits: At most ``hits_to_fetch``, best first.
        limit: Most groups.
        group: Whether near-duplicates are grouped.

    Returns:
        The groups, and how many hits further the next page begins; 0 if this is the last one.
    """
    groups = group_duplicates(hits, near=group)
    if len(groups) > limit:
        return groups[:limit], groups[limit].raw - 1
    return groups, len(hits) - 1 if len(hits) == hits_to_fetch(limit, group=group) else 0
