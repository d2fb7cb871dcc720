"""The text branch of thesis chapter 6: an LSTM over word vectors (thesis 6.4.1).

    paper     GloVe's 100-d Twitter vectors, 150 hidden
    compact   100-d vectors that can be had, reduced to eight bits

The state after the last word that is really there is the text's: sequences are packed, so padding changes
nothing. A text without words has the state zero, as the thesis gives an input that is not there.

Used by `interplay.predictors.hate_classifier` and `training.hate_classifier`. Pure modules: frozen
configuration in, tensors out.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

CLASSES = 2  # not hate, hate


@dataclass(frozen=True)
class LstmConfig:
    """Shape of the network.

    Attributes:
        vector: numbers of a word vector.
        hidden: numbers of a state.
        kinds: further outputs, one for each kind of hate; 0 = none.
        dropout: part of word vectors and of states that training drops.
        longest: words of a text that are read.
    """

    vector: int = 100
    hidden: int = 150
    kinds: int = 0
    dropout: float = 0.0
    longest: int = 200


class PostLstm(nn.Module):
    """Word vectors to a state, and the state to two classes."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(config.vector, config.hidden, batch_first=True)
        self.classes = nn.Linear(config.hidden, CLASSES)
        self.kinds = nn.Linear(config.hidden, config.kinds) if config.kinds else None

    def states(self, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The text's states.

        Args:
            vectors: (N, L, vector), rows padded behind.
            lengths: (N,) words of each; may be 0.

        Returns:
            (N, hidden)
        """
        found = vectors.new_zeros(len(vectors), self.config.hidden)
        some = torch.nonzero(lengths > 0)[:, 0]
        if len(some):
            packed = pack_padded_sequence(
                self.dropout(vectors[some]), lengths[some].cpu(), batch_first=True, enforce_sorted=False
            )
            _, (last, _) = self.lstm(packed)
            found = found.to(last.dtype).index_copy(0, some, last[0])
        return found

    def forward(self, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Texts, as in `states`, to (N, 2) logits of not hate and hate."""
        y: torch.Tensor = self.classes(self.dropout(self.states(vectors, lengths)))
        return y


def build_lstm(config: dict[str, Any]) -> PostLstm:
    """The network of a manifest's configuration.

    Raises:
        ValueError: an unknown field.
    """
    try:
        return PostLstm(LstmConfig(**config))
    except TypeError as error:
        raise ValueError(f"not the configuration of an LSTM: {error}") from error
