"""Tasks whose dataset gives whole batches: drawing thousands of numbers at once takes no longer than one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
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


class BatchTask(ABC):
    """What the engine's tasks here have in common; see `training.engine.Task`. They add `batch` and `loss`.

    Args:
        model: network to train, with one learning rate.
        rate: it.
        seed: of the draws.
        options: kept in checkpoints.
        digest: of the data.
        evaluate: scores of the model.
    """

    batch_size = 1  # an item of the dataset is a batch

    def __init__(
        self,
        model: nn.Module,
        *,
        rate: float,
        seed: int,
        options: dict[str, Any],
        digest: str,
        evaluate: Callable[[Any], dict[str, float]],
    ) -> None:
        self.model, self.options, self.data_digest = model, options, digest
        self.dataset = Batches(self, seed)
        self._rate, self._evaluate = rate, evaluate

    @abstractmethod
    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        """See `BatchMaker`."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `Task`."""
        return [{"params": list(self.model.parameters()), "lr": self._rate}]

    def set_train(self, model: nn.Module) -> None:
        """See `Task`."""
        model.train()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """See `Task`."""
        return self._evaluate(model)


def whole(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch without the axis that collating one item adds."""
    return {name: value[0] for name, value in batch.items()}
