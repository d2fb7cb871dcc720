"""Networks that map images into the space of a text model (thesis 4.3.1).

    paper     GoogLeNet with a new last layer and a sigmoid, trained end to end (thesis 4.3, Caffe's
              dropout of 0.4)
    compact   EfficientNet-Lite0, and a small head on its 1,280 pooled features; training the head alone
              leaves the backbone as ImageNet left it

Used by `interplay.predictors.embedding` and `training.embedding`; LocSens takes backbones from here, too:
its `paper` preset ResNet-50 (thesis 5.3.1). Pure modules: frozen configuration in, tensors out.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.efficientnet_lite import ConvUnit, EfficientNetLite, EfficientNetLiteConfig

LITE0_FEATURES = 1280
LITE0_MAP_STAGES = 5  # stages before the maps that training computes once
LITE0_MAP_CHANNELS = 112
GOOGLENET_FEATURES = 1024
RESNET50_FEATURES = 2048


@dataclass(frozen=True)
class HeadConfig:
    """Shape of a head.

    Attributes:
        inputs: number of features.
        dimension: of the text space.
        hidden: width of a hidden layer; 0 = none.
        space: "unit" (vectors of length one) or "sigmoid" (each number in [0, 1], as the thesis has it).
        dropout: part of the features that training drops.
    """

    inputs: int
    dimension: int
    hidden: int = 0
    space: str = "unit"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.space not in ("unit", "sigmoid"):
            raise ValueError(f"space must be unit or sigmoid, not {self.space!r}")


class EmbeddingHead(nn.Module):
    """Features to a vector of the text space."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        widths = [config.inputs, *([config.hidden] if config.hidden else []), config.dimension]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(N, inputs) to (N, dimension), before the space's last step."""
        x = self.dropout(features)
        for layer in self.layers[:-1]:
            x = self.dropout(F.relu(layer(x)))  # (N, hidden)
        return self.layers[-1](x)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, inputs) to (N, dimension) in the space."""
        y = self.logits(features)
        return F.normalize(y, dim=1) if self.config.space == "unit" else torch.sigmoid(y)


class Lite0Features(nn.Module):
    """EfficientNet-Lite0 without its classifier: 1,280 pooled features of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite(EfficientNetLiteConfig())
        self.widen = ConvUnit(self.trunk.channels[-1], LITE0_FEATURES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to (N, 1280)."""
        return self.pooled(self.maps(x))

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to (N, 112, H/16, W/16): what the first five stages say."""
        x = self.trunk.stem(x)
        for stage in self.trunk.stages[:LITE0_MAP_STAGES]:
            x = stage(x)
        return x

    def pooled(self, maps: torch.Tensor) -> torch.Tensor:
        """What `maps` gave, (N, 112, h, w), to (N, 1280)."""
        return self.last_map(maps).mean((2, 3))

    def last_map(self, maps: torch.Tensor) -> torch.Tensor:
        """What `maps` gave, (N, 112, h, w), to (N, 1280, h/2, w/2): `pooled` is its mean over places."""
        for stage in self.trunk.stages[LITE0_MAP_STAGES:]:
            maps = stage(maps)
        y: torch.Tensor = self.widen(maps)
        return y


class GoogLeNetFeatures(nn.Module):
    """torchvision's GoogLeNet without classifiers: 1,024 pooled features.

    Args:
        weights: torchvision's name of published weights ("IMAGENET1K_V1": needs a download), or None.
    """

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        from torchvision.models import googlenet

        if weights is None:
            self.trunk = googlenet(weights=None, aux_logits=False, init_weights=True, transform_input=False)
        else:
            self.trunk = googlenet(weights=weights, transform_input=False)
            self.trunk.aux_logits, self.trunk.aux1, self.trunk.aux2 = False, None, None
        self.trunk.fc = nn.Identity()
        self.trunk.dropout = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to (N, 1024)."""
        y: torch.Tensor = self.trunk(x)
        return y


class ResNet50Features(nn.Module):
    """torchvision's ResNet-50 without its classifier: 2,048 pooled features.

    Args:
        weights: torchvision's name of published weights ("IMAGENET1K_V1": needs a download), or None.
    """

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        from torchvision.models import resnet50

        self.trunk = resnet50(weights=weights)
        self.trunk.fc = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to (N, 2048)."""
        y: torch.Tensor = self.trunk(x)
        return y


BACKBONES: dict[str, type[nn.Module]] = {
    "efficientnet_lite0": Lite0Features,
    "googlenet": GoogLeNetFeatures,
    "resnet50": ResNet50Features,
}


class ImageEmbedding(nn.Module):
    """Backbone and head.

    Args:
        backbone: gives (N, inputs) features.
        head: maps them into the text space.
    """

    def __init__(self, backbone: nn.Module, head: EmbeddingHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to (N, dimension)."""
        y: torch.Tensor = self.head(self.backbone(x))
        return y


def build_backbone(config: dict[str, Any]) -> nn.Module:
    """The backbone of a manifest's configuration: `{"backbone": NAME}`.

    Raises:
        ValueError: no such backbone.
    """
    name = config.get("backbone")
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
    return BACKBONES[name]()


def build_head(config: dict[str, Any]) -> EmbeddingHead:
    """The head of a manifest's configuration, whose other keys are `HeadConfig`'s.

    Raises:
        ValueError: an unknown key or value.
    """
    fields = {key: value for key, value in config.items() if key != "backbone"}
    try:
        return EmbeddingHead(HeadConfig(**fields))
    except TypeError as error:
        raise ValueError(f"not the configuration of an embedding head: {error}") from error
