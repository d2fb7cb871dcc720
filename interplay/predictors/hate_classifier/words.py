"""Word vectors in eight bits, and the LSTM over them: the text member that knows the order of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.models.hate import PostLstm
from interplay.predictors.hate_classifier.linear import digest

UNKNOWN = 0  # row of the vector for words that are not in the table


class WordVectors:
    """A table of words by their digests: it holds no words.

    Args:
        keys: (V,) int64 digests of words, ascending.
        vectors: (1 + V, D) int8; the first row stands for any other word.
        scale: (1 + V,) float32, what a row is multiplied with.

    Raises:
        ValueError: shapes or types do not fit, or keys do not ascend.
    """

    def __init__(
        self, keys: NDArray[np.int64], vectors: NDArray[np.int8], scale: NDArray[np.float32]
    ) -> None:
        if vectors.dtype != np.int8 or vectors.ndim != 2 or vectors.shape[0] != len(keys) + 1:
            raise ValueError(f"{len(keys)} words with vectors {vectors.dtype} {vectors.shape}")
        if keys.dtype != np.int64 or np.any(keys[1:] <= keys[:-1]):
            raise ValueError("keys are not ascending 64-bit integers")
        if scale.shape != (len(vectors),) or not np.isfinite(scale).all():
            raise ValueError(f"scale has shape {scale.shape} or is not finite")
        self.keys, self.vectors, self.scale = keys, vectors, scale.astype(np.float32)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def rows(self, words: Sequence[str]) -> NDArray[np.int64]:
        """(L,) row of each word."""
        if not words or not len(self.keys):
            return np.zeros(len(words), dtype=np.int64)
        wanted = np.array([digest(word) for word in words], dtype=np.int64)
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[found] == wanted, found + 1, UNKNOWN)

    def look_up(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows, (...), to their vectors, (..., D)."""
        return self.vectors[rows].astype(np.float32) * self.scale[rows][..., None]

    @classmethod
    def pack(cls, vectors: Mapping[str, NDArray[np.float32]], unknown: NDArray[np.float32]) -> WordVectors:
        """Reduces vectors to eight bits, each with its own scale.

        Args:
            vectors: (D,) of each word.
            unknown: (D,) of any other word.
        """
        words = sorted(vectors, key=digest)
        table = np.stack([unknown, *(vectors[word] for word in words)]).astype(np.float32)
        scale = np.maximum(np.abs(table).max(axis=1), 1e-8) / 127
        scale = scale.astype(np.float16).astype(np.float32)  # as it is stored
        scale = np.maximum(scale, np.float32(6e-8))
        packed = np.clip(np.rint(table / scale[:, None]), -127, 127).astype(np.int8)
        return cls(np.array([digest(word) for word in words], dtype=np.int64), packed, scale)


class LstmScorer:
    """Scores tokens with an LSTM. Use from one thread at a time.

    Args:
        words: the vectors.
        networks: LSTMs; their answers are averaged.
    """

    def __init__(self, words: WordVectors, networks: Sequence[PostLstm]) -> None:
        self.words = words
        self.networks = [network.eval().requires_grad_(False) for network in networks]
        self.longest = networks[0].config.longest

    @torch.inference_mode()
    def score(self, texts: Sequence[Sequence[str]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tokens of texts to log-odds of hate, (N,), and log-odds of its kinds, (N, K) (K = 0: none)."""
        vectors, lengths = self.batch(texts)
        found, kinds = [], []
        for network in self.networks:
            states = network.states(vectors, lengths)
            logits = network.classes(states)
            found.append((logits[:, 1] - logits[:, 0]).double().numpy())
            if network.kinds is not None:
                kinds.append(network.kinds(states).double().numpy())
        return np.mean(found, axis=0), np.mean(kinds, axis=0) if kinds else np.zeros((len(texts), 0))

    def batch(self, texts: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens to padded vectors, (N, L, D), and lengths, (N,)."""
        rows = [self.words.rows(list(text[: self.longest])) for text in texts]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        vectors = np.zeros((len(rows), max(1, int(lengths.max(initial=1))), self.words.dimension), np.float32)
        for number, row in enumerate(rows):
            vectors[number, : len(row)] = self.words.look_up(row)
        return torch.from_numpy(vectors), torch.from_numpy(lengths)
