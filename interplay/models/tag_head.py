"""Images to tags, without places: the three ways of thesis 5.3.1, on features of a backbone
(`interplay.models.image_embedding`).

    mlc   one yes or no for each tag
    mcc   one of all tags, through a layer of `dimension` numbers without an activation: that layer is the
          image's vector, and the last layer's rows are the tags'
    her   the image's vector is near the sum of its tags' word vectors

Used by `interplay.predictors.locsens` and `training.locsens`. Pure modules: frozen configuration in,
tensors out.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

KINDS = ("mlc", "mcc", "her")


@dataclass(frozen=True)
class TagHeadConfig:
    """Shape of a head.

    Attributes:
        kind: one of `KINDS`.
        features: of the backbone.
        dimension: of the image's vector; not for "mlc".
        tags: in the vocabulary; not for "her".
        dropout: part of the features that training drops.
    """

    kind: str
    features: int = 1280
    dimension: int = 300
    tags: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind != "her" and self.tags < 1:
            raise ValueError(f"a head of kind {self.kind} needs tags, not {self.tags}")


class TagHead(nn.Module):
    """Features to an image vector and, but for "her", to a score of every tag."""

    def __init__(self, config: TagHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        width = config.features
        if config.kind != "mlc":
            self.bottleneck = nn.Linear(config.features, config.dimension)
            width = config.dimension
        if config.kind != "her":
            self.classes = nn.Linear(width, config.tags)

    def vectors(self, features: torch.Tensor) -> torch.Tensor:
        """(N, features) to the (N, dimension) vectors of the images; not for "mlc"."""
        y: torch.Tensor = self.bottleneck(self.dropout(features))
        return y

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, features) to (N, tags) scores without bounds; for "her" to (N, dimension) vectors."""
        if self.config.kind == "her":
            return self.vectors(features)
        inner = self.dropout(features) if self.config.kind == "mlc" else self.vectors(features)
        y: torch.Tensor = self.classes(inner)
        return y


def build_tag_head(config: dict[str, Any]) -> TagHead:
    """The head of a manifest's configuration, whose keys but "backbone" are `TagHeadConfig`'s.

    Raises:
        ValueError: an unknown key or value.
    """
    fields = {key: value for key, value in config.items() if key != "backbone"}
    try:
        return TagHead(TagHeadConfig(**fields))
    except TypeError as error:
        raise ValueError(f"not the configuration of a tag head: {error}") from error
