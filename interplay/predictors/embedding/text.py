"""Texts to vectors: words by table, unknown words by what they resemble (thesis 4.3.1)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from interplay.errors import InternalError
from interplay.predictors.batch import BatchOutput
from interplay.predictors.embedding.tokens import tokenize
from interplay.predictors.embedding.word_table import WordTable
from interplay.store import Manifest, StoredModel

# An unknown word is read as the known words that share at least this much of its letter sequences
# (Dice's coefficient of the sets of 3-grams with ends marked), three at most.
_LEAST_LIKENESS = 0.5
_STAND_INS = 3


@dataclass(frozen=True)
class TextVector:
    """An embedded text.

    Attributes:
        vector: (D,) float32 of length one; zeros if no word of the text means anything to the model.
        words: Known words that count, in order.
        read_as: Known words that stand in for each unknown one that resembles some.
        unknown: Words that were left out.
    """

    vector: NDArray[np.float32]
    words: tuple[str, ...]
    read_as: dict[str, tuple[str, ...]]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class TextItem:
    """A text to embed; ``language`` as for ``TextEmbedder.embed``."""

    text: str
    language: str | None = None


class TextEmbedder:
    """Embeds texts by a table of words. Safe to use from several threads.

    Args:
        table: The words; its vectors are of the image model's space.
        manifest: ``details["stop_words"]`` are left out, ``details["translations"]`` holds, by language,
            the words of the table that a foreign word stands for, with blanks between.
    """

    def __init__(self, table: WordTable, manifest: Manifest) -> None:
        self.table = table
        self.manifest = manifest
        self.device = "cpu"
        self.dtype = "float32"
        self._stop_words = frozenset(manifest.details.get("stop_words", ()))
        self._translations = {
            language: {word: tuple(english.split()) for word, english in entries.items()}
            for language, entries in manifest.details.get("translations", {}).items()
        }

    @classmethod
    def load(cls, stored: StoredModel) -> TextEmbedder:
        """Load a verified store entry.

        Raises:
            InternalError: The weights are not a table of words.
        """
        state = load_file(stored.weights)
        if not {"words", "vectors", "weights"} <= state.keys():
            raise InternalError(f"{stored.directory} does not hold a table of words")
        words = tuple(state["words"].tobytes().decode().split("\n"))
        vectors, weights = (state[name].astype(np.float32) for name in ("vectors", "weights"))
        if not len(words) == len(vectors) == len(weights):
            raise InternalError(
                f"{stored.directory} has {len(words)} words, {len(vectors)} vectors and "
                f"{len(weights)} weights"
            )
        return cls(WordTable(words, vectors, weights), stored.manifest)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of query words beside the table's own."""
        return tuple(self._translations)

    def embed(self, text: str, language: str | None = None) -> TextVector:
        """Vector of a text.

        Args:
            text: Words in any script.
            language: One of ``languages``, to read words that the table does not know as that language's
                first; None for the table's own language.

        Raises:
            KeyError: No such language.
        """
        dictionary = {} if language is None else self._translations[language]
        known: list[str] = []
        read_as: dict[str, tuple[str, ...]] = {}
        unknown: list[str] = []
        total = np.zeros(self.table.dimension, dtype=np.float64)
        for token in tokenize(text, self._stop_words):
            if token in dictionary:
                read_as[token] = dictionary[token]
                total += self._mean(dictionary[token])
            elif token in self.table.index:
                known.append(token)
                row = self.table.index[token]
                total += self.table.weights[row] * self.table.vectors[row]
            elif similar := self.resembling(token):
                read_as[token] = similar
                total += self._mean(similar)
            else:
                unknown.append(token)
        length = float(np.linalg.norm(total))
        vector = (total / length if length > 0 else total).astype(np.float32)
        return TextVector(vector, tuple(known), read_as, tuple(unknown))

    def predict_batch(self, batch: Sequence[TextItem]) -> BatchOutput[TextVector]:
        """Vectors of texts."""
        started = perf_counter()
        results = [self.embed(item.text, item.language) for item in batch]
        return BatchOutput(results=results, infer_s=perf_counter() - started)

    def warm_up(self) -> None:
        """See ``Predictor``: the first unknown word makes the list of letter sequences."""
        self.resembling("warming")

    def resembling(self, word: str) -> tuple[str, ...]:
        """Known words that share most letter sequences with an unknown one, best first."""
        grams = _grams(word)
        shared: Counter[int] = Counter()
        for gram in grams:
            shared.update(self._rows_of_gram.get(gram, ()))
        scored = ((2 * count / (len(grams) + self._gram_counts[row]), -row) for row, count in shared.items())
        best = sorted((pair for pair in scored if pair[0] >= _LEAST_LIKENESS), reverse=True)
        return tuple(self.table.words[-row] for _, row in best[:_STAND_INS])

    def _mean(self, words: Iterable[str]) -> NDArray[np.float64]:
        rows = self.table.rows(words)
        weighted = self.table.weights[rows, None] * self.table.vectors[rows]
        return np.asarray(weighted.mean(axis=0), dtype=np.float64)

    @cached_property
    def _rows_of_gram(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for row, word in enumerate(self.table.words):
            for gram in _grams(word):
                rows.setdefault(gram, []).append(row)
        return rows

    @cached_property
    def _gram_counts(self) -> list[int]:
        return [len(_grams(word)) for word in self.table.words]


def _grams(word: str) -> frozenset[str]:
    """3-grams of a word with marked ends, accents taken off."""
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
    marked = f"<{plain}>"
    return frozenset(marked[i : i + 3] for i in range(len(marked) - 2))
