"""What is asked about a post, and what is answered: the plain data between classifier and callers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

INPUTS = ("text", "image_text", "image")
CATEGORIES = ("racist", "sexist", "homophobe", "religion", "other")


@dataclass(frozen=True)
class PostItem:
    """A post to classify; at least one input is given.

    Attributes:
        text: What its author wrote; "" for none.
        image_text: The words in its image; None where nobody looked, "" where there are none.
        image: (H, W, 3) uint8 RGB; None for a post without one.
        words: Whether the answer tells which words mattered.
        region: Whether the answer tells which part of the image mattered; needs an image.
    """

    text: str = ""
    image_text: str | None = None
    image: NDArray[np.uint8] | None = None
    words: bool = False
    region: bool = False


@dataclass(frozen=True)
class WordWeight:
    """A word and what it did.

    Attributes:
        source: "text" or "image_text".
        start: Where it starts in that text, in characters (Unicode code points).
        end: Where it ends, exclusive.
        weight: The probability of hate with the word less that without it, -1 to 1.
    """

    source: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class PostAnswer:
    """What the classifier says of a post. Probabilities are calibrated, 0 to 1.

    Attributes:
        probability: Of hate, from all inputs that the post has.
        low: Lower end of the 95 % interval of the share of posts with such a score that people called hate.
            As far as a text is unlike the tweets that were learnt from, it is what the general model says,
            which has no interval.
        high: Its upper end.
        categories: Probability of each of `CATEGORIES`.
        baseline: Probability of hate where nothing is known of a post.
        alone: Probability of hate from each input that the post has, alone.
        without: Probability of hate with each input that the post has taken away.
        contributions: Shapley values over the inputs that the post has; with `baseline` they add up to
            `probability`.
        words: What each word did, in the order of the texts; empty where it was not asked.
        region: (h, w) float32, what each part of the image did: the probability with it less that without
            it, a grid over the whole image; None where it was not asked.
    """

    probability: float
    low: float
    high: float
    categories: dict[str, float]
    baseline: float
    alone: dict[str, float] = field(default_factory=dict)
    without: dict[str, float] = field(default_factory=dict)
    contributions: dict[str, float] = field(default_factory=dict)
    words: tuple[WordWeight, ...] = ()
    region: NDArray[np.float32] | None = None
