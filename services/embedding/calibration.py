"""What a score means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


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
