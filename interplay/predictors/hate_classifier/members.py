"""The models that a post's inputs are scored with, read from a store entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.models.hate import build_lstm
from interplay.predictors.hate_classifier.answers import CATEGORIES
from interplay.predictors.hate_classifier.linear import LinearModel
from interplay.predictors.hate_classifier.text import tokens
from interplay.predictors.hate_classifier.words import LstmScorer, WordVectors


class TextScorer:
    """Scores texts: a linear model of n-grams and, where there is one, an LSTM, summed.

    Args:
        linear: of n-grams.
        lstm: over word vectors.
        linear_weight: factor of the first one's log-odds.
        lstm_weight: of the second one's.
        kinds: (5,) log-odds of the kinds of hate where the LSTM gives none.
    """

    def __init__(
        self,
        linear: LinearModel,
        lstm: LstmScorer | None,
        *,
        linear_weight: float,
        lstm_weight: float,
        kinds: Sequence[float],
    ) -> None:
        self.linear, self.lstm = linear, lstm
        self.linear_weight, self.lstm_weight = linear_weight, lstm_weight
        self.kinds = np.array(kinds, dtype=np.float64)

    def score(
        self, texts: Sequence[str], read: Sequence[list[str]] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Texts to log-odds of hate, (N,), and log-odds of its kinds, (N, 5).

        Args:
            texts: as written.
            read: their tokens, for callers that have them.
        """
        read = [tokens(text) for text in texts] if read is None else read
        linear = [self.linear.score(text, read=each) for text, each in zip(texts, read, strict=True)]
        scores = self.linear_weight * np.array(linear, dtype=np.float64)
        kinds = np.tile(self.kinds, (len(texts), 1))
        if self.lstm is not None and len(texts):
            order = np.argsort([len(each) for each in read], kind="stable")  # alike lengths pad little
            for start in range(0, len(order), 64):
                rows = order[start : start + 64]
                hate, kind = self.lstm.score([read[row] for row in rows])
                scores[rows] += self.lstm_weight * hate
                if kind.shape[1]:
                    kinds[rows] = kind
        return scores, kinds

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> TextScorer:
        """Reads the entry's configuration `text` and arrays `linear.…`, `words.…` and `lstm.N.…`.

        Raises:
            ValueError: something is missing or does not fit.
        """
        try:
            linear = LinearModel.from_state(config["linear"], _linear_arrays(arrays, "linear."))
            lstm = None
            if config.get("lstm"):
                words = WordVectors(
                    arrays["words.keys"], arrays["words.vectors"], arrays["words.scale"].astype(np.float32)
                )
                networks = []
                for number in range(int(config["networks"])):
                    network, start = build_lstm(config["lstm"]), f"lstm.{number}."
                    network.load_state_dict(
                        {
                            name.removeprefix(start): torch.from_numpy(value.astype(np.float32))
                            for name, value in arrays.items()
                            if name.startswith(start)
                        }
                    )
                    networks.append(network)
                lstm = LstmScorer(words, networks)
            if len(config["kinds"]) != len(CATEGORIES):
                raise ValueError(f"expected {len(CATEGORIES)} kinds, got {len(config['kinds'])}")
            return cls(
                linear,
                lstm,
                linear_weight=float(config["linear_weight"]),
                lstm_weight=float(config.get("lstm_weight", 0)),
                kinds=config["kinds"],
            )
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"not a text scorer: {error!r}") from error


class CaptionScorer:
    """Scores the words in an image that has no text beside it, as memes are.

    Args:
        linear: of the n-grams of memes' words.
        text_weight: factor of what `TextScorer` says of the same words.
    """

    def __init__(self, linear: LinearModel, text_weight: float) -> None:
        self.linear, self.text_weight = linear, text_weight

    def score(
        self, texts: Sequence[str], read: Sequence[list[str]], said: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(N,) log-odds of hate; `said` is `TextScorer`'s."""
        linear = [self.linear.score(text, read=each) for text, each in zip(texts, read, strict=True)]
        return np.array(linear, dtype=np.float64) + self.text_weight * said

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> CaptionScorer:
        """Reads the entry's configuration `caption` and arrays `caption.…`.

        Raises:
            ValueError: something is missing or does not fit.
        """
        try:
            linear = LinearModel.from_state(config["linear"], _linear_arrays(arrays, "caption."))
            return cls(linear, float(config["text_weight"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a scorer of captions: {error!r}") from error


class ImageScorer:
    """A logistic regression on features of the shared backbone.

    Args:
        weights: (F,)
        mean: (F,) of the images it was trained on.
        bias: log-odds of the mean image.
    """

    def __init__(self, weights: NDArray[np.float32], mean: NDArray[np.float32], bias: float) -> None:
        if weights.ndim != 1 or weights.shape != mean.shape:
            raise ValueError(f"weights {weights.shape} and mean {mean.shape} of an image scorer")
        self.weights, self.mean, self.bias = weights.astype(np.float64), mean.astype(np.float64), bias

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, F) features to (N,) log-odds of hate."""
        return np.asarray((features - self.mean) @ self.weights + self.bias)

    def parts(self, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each place of a map, (F, h, w), adds to the score, (h, w): it is linear in their mean."""
        of_each = np.tensordot(self.weights, maps - self.mean[:, None, None], axes=1)
        return np.asarray(of_each / of_each.size)


def read_linear(
    config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: str
) -> LinearModel | None:
    """A linear model of an entry that may have none: how far to believe the text scorer, or the general one.

    Args:
        config: the entry's configuration; `name` in it is the model's.
        arrays: among them `NAME.…`.
        name: "likeness" or "general".

    Raises:
        ValueError: something is missing or does not fit.
    """
    if config.get(name) is None:
        return None
    return LinearModel.from_state(dict(config[name]), _linear_arrays(arrays, f"{name}."))


def _linear_arrays(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    """Numbers are stored in sixteen bits, and computed with in more."""
    return {
        name.removeprefix(start): value if value.dtype.kind == "i" else value.astype(np.float32)
        for name, value in arrays.items()
        if name.startswith(start)
    }
