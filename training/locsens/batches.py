"""A dataset whose items are whole batches: drawing thousands of numbers at once takes no longer than one."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset


class BatchMaker(Protocol):
    """Draws batches."""

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        """Arrays of one batch, a function of step and generator."""


class Batches(Dataset):
    """Endless batches; item i is a function of i. The engine's batch size is one item.

    Args:
        maker: draws them.
        seed: of the draws.
    """

    def __init__(self, maker: BatchMaker, seed: int) -> None:
        self._maker, self._seed = maker, seed

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        made = self._maker.batch(index, np.random.default_rng((self._seed, index)))
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in made.items()}


def whole(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch without the axis that collating one item adds."""
    return {name: value[0] for name, value in batch.items()}
