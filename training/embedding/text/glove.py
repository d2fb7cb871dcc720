"""GloVe (Pennington et al. 2014) in PyTorch: weighted least squares on log co-occurrences, AdaGrad.

    J = Σ f(X_ij) (w_i · w~_j + b_i + b~_j - log X_ij)²,  f(x) = min(1, (x / 100)^0.75)

Words at distance d count 1/d. The vectors are w + w~. The thesis's settings: window 10, learning
rate 0.05, 30 epochs.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from tqdm import tqdm


def cooccurrences(documents: Sequence[Sequence[int]], window: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Weighted counts of word pairs, both orders.

    Args:
        documents: word numbers.
        window: largest distance.

    Returns:
        (P, 2) int64 pairs and (P,) float32 counts.
    """
    counts: Counter[tuple[int, int]] = Counter()
    for document in documents:
        for place, word in enumerate(document):
            for distance, other in enumerate(document[place + 1 : place + 1 + window], 1):
                counts[word, other] += 1 / distance
                counts[other, word] += 1 / distance
    pairs = np.fromiter((number for pair in counts for number in pair), np.int64, 2 * len(counts))
    return pairs.reshape(-1, 2), np.fromiter(counts.values(), np.float32, len(counts))


class Glove(nn.Module):
    """Two tables of vectors and biases.

    Args:
        words: size of the vocabulary.
        dimension: of the vectors.
    """

    def __init__(self, words: int, dimension: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, dimension + 1)  # the last column is the bias
        self.contexts = nn.Embedding(words, dimension + 1)
        for table in (self.words, self.contexts):
            nn.init.uniform_(table.weight, -0.5 / dimension, 0.5 / dimension)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """(B, 2) word numbers to (B,) estimated logarithms of their counts."""
        one, other = self.words(pairs[:, 0]), self.contexts(pairs[:, 1])  # (B, D + 1) each
        return (one[:, :-1] * other[:, :-1]).sum(1) + one[:, -1] + other[:, -1]

    def vectors(self) -> np.ndarray:
        """(V, D) float32, the sum of both tables."""
        total = self.words.weight[:, :-1] + self.contexts.weight[:, :-1]
        return total.detach().numpy()


def train_glove(
    documents: Sequence[Sequence[int]],
    words: int,
    *,
    dimension: int = 300,
    window: int = 10,
    epochs: int = 30,
    rate: float = 0.05,
    batch_size: int = 4096,
    seed: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """Trains GloVe.

    The published code updates after every pair; a batch here takes the sum of its pairs' gradients,
    so that AdaGrad's steps stay those of many small ones.

    Returns:
        (words, dimension) float32.
    """
    torch.manual_seed(seed)
    pairs_array, counts = cooccurrences(documents, window)
    pairs, log_counts = torch.from_numpy(pairs_array), torch.from_numpy(np.log(counts))
    weights = torch.from_numpy(np.minimum(1.0, (counts / 100) ** 0.75).astype(np.float32))
    model = Glove(words, dimension)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=rate, initial_accumulator_value=1.0)
    for _ in tqdm(range(epochs), desc="glove", disable=not progress):
        for batch in torch.randperm(len(pairs)).split(batch_size):
            loss = (weights[batch] * (model(pairs[batch]) - log_counts[batch]) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.vectors()
