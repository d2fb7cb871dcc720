"""A corpus as gensim and our GloVe want it: lists of words, and the vocabulary with its statistics."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from interplay.predictors.embedding.tokens import tokenize


def load_stop_words() -> frozenset[str]:
    """Words that say nothing of a picture, from `stop_words.txt`."""
    lines = Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


@dataclass(frozen=True)
class Corpus:
    """Documents as words, and the words that come often enough.

    Attributes:
        documents: words of each document that are in `words`.
        words: the vocabulary, most frequent first.
        counts: how often each comes.
    """

    documents: list[list[str]]
    words: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def build(cls, texts: Iterable[str], stop_words: frozenset[str], min_count: int) -> "Corpus":
        """Splits texts into words and keeps those that come `min_count` times.

        Raises:
            ValueError: no word comes so often.
        """
        documents = [tokenize(text, stop_words) for text in texts]
        counted = Counter(word for document in documents for word in document)
        kept = sorted(((-n, word) for word, n in counted.items() if n >= min_count))
        if not kept:
            raise ValueError(f"no word of the {len(documents)} texts comes {min_count} times")
        words = tuple(word for _, word in kept)
        known = set(words)
        documents = [[word for word in document if word in known] for document in documents]
        return cls(documents, words, tuple(-n for n, _ in kept))

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def numbers(self, document: Sequence[str]) -> list[int]:
        """Numbers of a document's known words."""
        return [self.index[word] for word in document if word in self.index]

    def idf(self) -> np.ndarray:
        """(V,) float32: ln(documents / documents with the word), gensim's formula up to the base."""
        found = Counter(word for document in self.documents for word in set(document))
        return np.array([math.log(len(self.documents) / found[word]) for word in self.words], np.float32)
