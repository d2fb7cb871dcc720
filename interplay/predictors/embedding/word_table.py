"""A text model as a table: one vector and one weight a word.

Every text model of the thesis's Table 4.1 answers queries by weighted sums of the vectors of their
words (thesis 4.3.1), so a table of words is all of it that is served: word2vec, GloVe and FastText
as they are, LDA by the topics of each word, Doc2Vec by the vector it infers for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WordTable:
    """Words, their vectors and what each weighs in a sum.

    Attributes:
        words: V words in lower case, most frequent first.
        vectors: (V, D) float32.
        weights: (V,) float32: ones for a plain mean, inverse document frequencies for tf-idf.
    """

    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]

    def encoded_words(self) -> NDArray[np.uint8]:
        """The words as they are stored: UTF-8, one a line."""
        return np.frombuffer("\n".join(self.words).encode(), dtype=np.uint8)

    @cached_property
    def index(self) -> dict[str, int]:
        """Row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def rows(self, tokens: Iterable[str]) -> list[int]:
        """Rows of the tokens that are known, in order."""
        return [self.index[token] for token in tokens if token in self.index]

    def pool(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Weighted mean of some rows, (D,); zeros if there are none."""
        if not rows:
            return np.zeros(self.dimension, dtype=np.float32)
        weights = self.weights[list(rows)]
        total = weights @ self.vectors[list(rows)] / weights.sum()
        return np.asarray(total, dtype=np.float32)
