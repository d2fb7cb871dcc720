"""Training image models on tags (thesis 5.3.1): MLC, MCC and HER, on features that were computed once."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.tag_head import TagHead, TagHeadConfig
from training.locsens.batches import BatchTask, whole


@dataclass(frozen=True)
class ImageTaskOptions:
    """How an image model is trained.

    Attributes:
        kind: "mlc", "mcc" or "her".
        dimension: of image vectors.
        dropout: part of the features that is dropped.
        batch_size: images a step.
        rate: learning rate.
        positive_weight: of MLC's positives; the thesis's code has 100,001 for all tags in a comment, and
            reports a training that never settled.
    """

    kind: str = "mcc"
    dimension: int = 300
    dropout: float = 0.8
    batch_size: int = 256
    rate: float = 1e-3
    positive_weight: float = 1.0


class ImageTask(BatchTask):
    """The engine's task of an image model; see `training.engine.Task`.

    Args:
        options: how it is trained.
        features: (N, F) of the images.
        tags: numbers of each image's tags; at least one each.
        vocabulary: number of tags.
        word_vectors: (vocabulary, dimension) float32 for "her".
        digest: of the data.
        evaluate: scores of a model.
        seed: of everything random.
    """

    def __init__(
        self,
        options: ImageTaskOptions,
        features: np.ndarray,
        tags: Sequence[np.ndarray],
        vocabulary: int,
        *,
        digest: str,
        evaluate: Callable[[TagHead], dict[str, float]],
        word_vectors: np.ndarray | None = None,
        seed: int = 0,
    ) -> None:
        if options.kind == "her" and word_vectors is None:
            raise ValueError("HER regresses word vectors: give them")
        torch.manual_seed(seed)
        dimension = word_vectors.shape[1] if word_vectors is not None else options.dimension
        model = TagHead(
            TagHeadConfig(options.kind, features.shape[1], dimension, vocabulary, options.dropout)
        )
        facts = {**asdict(options), "head": asdict(model.config)}
        super().__init__(model, rate=options.rate, seed=seed, options=facts, digest=digest, evaluate=evaluate)
        self._options, self._features = options, features
        self._counts = np.array([len(own) for own in tags])
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self._tags = np.concatenate(tags).astype(np.int64)
        self._lists, self._vocabulary, self._words = tags, vocabulary, word_vectors

    def batch(self, step: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Features and targets of random images: one of its tags each for MCC, all of them for the others."""
        images = rng.integers(len(self._counts), size=self._options.batch_size)
        made = {"features": self._features[images].astype(np.float32)}
        if self._options.kind == "mcc":
            pick = (rng.random(len(images)) * self._counts[images]).astype(np.int64)
            made["target"] = self._tags[self._starts[images] + pick]
        elif self._options.kind == "mlc":
            told = np.zeros((len(images), self._vocabulary), np.float32)
            for row, image in enumerate(images):
                told[row, self._lists[image]] = 1
            made["target"] = told
        else:
            assert self._words is not None
            made["target"] = np.stack([self._words[self._lists[image]].sum(0) for image in images])
        return made

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `Task`."""
        given, options = whole(batch), self._options
        value = tag_loss(options.kind, model(given["features"]), given["target"], options.positive_weight)
        return value, {options.kind: value.detach()}


def tag_loss(
    kind: str, answers: torch.Tensor, target: torch.Tensor, positive_weight: float = 1.0
) -> torch.Tensor:
    """Loss of an image model, averaged over images.

    Args:
        kind: "mlc" (binary cross entropy, summed over tags), "mcc" (cross entropy) or "her" (1 - cosine).
        answers: (N, tags), for "her" (N, dimension); of a `TagHead`.
        target: (N, tags) of 0 and 1; for "mcc" (N,) numbers of tags; for "her" (N, dimension).
        positive_weight: of MLC's positives.
    """
    if kind == "mcc":
        return F.cross_entropy(answers, target)
    if kind == "mlc":
        weight = torch.tensor(positive_weight, device=answers.device)
        return F.binary_cross_entropy_with_logits(
            answers, target, pos_weight=weight, reduction="none"
        ).sum(1).mean()  # fmt: skip
    return 1 - F.cosine_similarity(answers, target).mean()
