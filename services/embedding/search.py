"""Searching: near-duplicates under the best of them, and what a score means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from interplay.index.entries import Hit
from interplay.media.fingerprint import differing_bits

# Of 64 bits; other photos of the same thing differ in far more.
_NEAR_BITS = 5


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


@dataclass(frozen=True)
class Calibration:
    """What a cosine means, by logistic regression on photos with captions.

    Attributes:
        slope, offset: Of the logarithm of the odds that the image shows what was asked for.
        cut_off: Hits below this chance are not relevant.
    """

    slope: float
    offset: float
    cut_off: float

    @classmethod
    def from_thresholds(cls, thresholds: Mapping[str, float]) -> Calibration:
        """Of a manifest."""
        return cls(thresholds["odds_slope"], thresholds["odds_offset"], thresholds["relevant"])

    def probability(self, score: float) -> float:
        """Chance that an image with this cosine is right."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.slope * score + self.offset))))
