"""Queries chosen by frequency, and which photos answer them.

A photo is right for a query when all its words, or their lemmas, stand in one of its captions
together (thesis 4.3.3 had people look; captions miss things, so scores here are lower bounds).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import simplemma

from interplay.predictors.embedding.tokens import tokenize

# The thesis's 24 queries (facts of its code: blog post and retrieve_topN.py).
THESIS_SINGLE = (
    "car", "skyline", "bike", "sunrise", "snow", "rain", "icecream", "cake", "pizza", "woman", "man", "kid",
)  # fmt: skip
THESIS_TWO = (
    "yellow car", "skyline night", "bike park", "sunrise beach", "snow ski", "rain umbrella",
    "icecream beach", "chocolate cake", "pizza wine", "woman bag", "man boat", "kid dog",
)  # fmt: skip


@cache
def lemma(word: str) -> str:
    """Base form of an English word."""
    return str(simplemma.lemmatize(word, lang="en")).lower()


@dataclass(frozen=True)
class Relevance:
    """Lemmas of every photo's captions.

    Attributes:
        lemmas: a set of lemmas for each photo.
    """

    lemmas: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, captions: Sequence[Sequence[str]]) -> "Relevance":
        """Reads the captions of photos, some for each."""
        return cls(
            tuple(frozenset(lemma(word) for text in texts for word in tokenize(text)) for texts in captions)
        )

    def right(self, query: Sequence[str]) -> np.ndarray:
        """(N,) bool: photos whose captions have all words of a query."""
        wanted = {lemma(word) for word in query}
        return np.array([wanted <= found for found in self.lemmas])


def frequent_queries(
    captions: Sequence[Sequence[str]], stop_words: frozenset[str], words: int, count: int
) -> list[tuple[str, ...]]:
    """The most frequent words, or pairs of words, of photos' captions.

    Args:
        captions: some for each photo.
        stop_words: words that are no queries.
        words: 1 or 2.
        count: how many queries.

    Returns:
        Queries, most frequent first; a lemma comes in its most frequent form.
    """
    forms: dict[str, Counter[str]] = {}
    photos: Counter[tuple[str, ...]] = Counter()
    for texts in captions:
        found = {word for text in texts for word in tokenize(text, stop_words)}
        for word in found:
            forms.setdefault(lemma(word), Counter())[word] += 1
        lemmas = sorted({lemma(word) for word in found} - stop_words)
        photos.update(combinations(lemmas, words))
    best = sorted(photos.items(), key=lambda entry: (-entry[1], entry[0]))[:count]
    return [tuple(forms[part].most_common(1)[0][0] for part in query) for query, _ in best]
