"""Perceptual networks: the frozen features that style and content losses compare (thesis 3.2.3).

Two of them, both with average pooling: the part of VGG-19 up to relu3_1 with ImageNet weights
whose activations are normalised (shipped, a megabyte), and torchvision's VGG-16, which the
thesis used, for those who have its weights. Used in training and by `style learn`.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# Name of each convolution's ReLU in order; "pool" halves the resolution.
_VGG19_PART = ("relu1_1", "relu1_2", "pool", "relu2_1", "relu2_2", "pool", "relu3_1")
_VGG16 = (
    *("relu1_1", "relu1_2", "pool", "relu2_1", "relu2_2", "pool"),
    *("relu3_1", "relu3_2", "relu3_3", "pool", "relu4_1", "relu4_2", "relu4_3"),
)
_WIDTH = {"1": 64, "2": 128, "3": 256, "4": 512}


@dataclass(frozen=True)
class PerceptualConfig:
    """Which network, and which of its layers are compared.

    Attributes:
        kind: "vgg19_part" or "vgg16".
        content: layers of the content loss; the finer one keeps strokes, the coarser one letters.
        style: layers of the style loss.
    """

    kind: str
    content: tuple[str, ...]
    style: tuple[str, ...]


CONFIGS = {
    "vgg19_part": PerceptualConfig("vgg19_part", ("relu2_1", "relu3_1"), ("relu1_1", "relu2_1", "relu3_1")),
    "vgg16": PerceptualConfig("vgg16", ("relu2_2", "relu3_3"), ("relu1_2", "relu2_2", "relu3_3", "relu4_3")),
}


class Perceptual(nn.Module):
    """Frozen features of images.

    Attributes:
        config: its configuration.
    """

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.config = config
        self._names = _VGG19_PART if config.kind == "vgg19_part" else _VGG16
        # VGG-19's part wants reflection padding, torchvision's VGG-16 zeros.
        self._mode = "reflect" if config.kind == "vgg19_part" else "constant"
        self.colour = nn.Conv2d(3, 3, 1)
        convolutions, inputs = [], 3
        for name in self._names:
            if name != "pool":
                convolutions.append(nn.Conv2d(inputs, _WIDTH[name[4]], 3))
                inputs = _WIDTH[name[4]]
        self.convolutions = nn.ModuleList(convolutions)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of the content and style layers.

        Args:
            x: (N, 3, H, W) RGB in [0, 1].

        Returns:
            Layer name to (N, C, h, w) activations after ReLU.
        """
        wanted = {*self.config.content, *self.config.style}
        features: dict[str, torch.Tensor] = {}
        convolutions = iter(self.convolutions)
        x = self.colour(x)
        for name in self._names:
            if name == "pool":
                x = F.avg_pool2d(x, 2)
                continue
            x = F.relu(next(convolutions)(F.pad(x, (1, 1, 1, 1), mode=self._mode)))
            if name in wanted:
                features[name] = x
        return features


def gram(features: torch.Tensor, where: torch.Tensor | None = None) -> torch.Tensor:
    """Gram matrices FᵀF / (H·W).

    Args:
        features: (N, C, H, W).
        where: (N, h, w) in [0, 1] at any size: how much each place counts; None counts all alike.

    Returns:
        (N, C, C) float32.
    """
    flat = features.float().flatten(2)
    if where is None:
        return flat @ flat.transpose(1, 2) / flat.shape[-1]
    weights = F.adaptive_avg_pool2d(where[:, None].float(), features.shape[2:]).flatten(2)
    return (flat * weights) @ flat.transpose(1, 2) / weights.sum(2, keepdim=True).clamp(min=1.0)


def relative_style_losses(grams: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]) -> torch.Tensor:
    """Distance of Gram matrices to their targets, relative to the targets.

    Args:
        grams, targets: layer name to (N, C, C).

    Returns:
        (N, layers), each Σ(G - T)² / ΣT²: 0 = the same, 1 = as far as an empty picture.
    """
    losses = [
        (grams[name] - target).square().sum((1, 2)) / target.square().sum((1, 2))
        for name, target in targets.items()
    ]
    return torch.stack(losses, 1)


def structural_loss(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Content loss: one minus the correlation of features over space, channel by channel.

    The thesis takes the squared difference of the features. That also punishes the change
    of colour and contrast that a style asks for, and for a dark style it is near its
    worst whether the letters can be read or not. The correlation asks for the same shapes
    at the same places alone. Channels count by their variance in the content.

    Args:
        after, before: (N, C, H, W) features of the restyled and the plain image.

    Returns:
        (N,), 0 = same structure, 1 = unrelated, 2 = inverted.
    """
    after = after - after.mean((2, 3), keepdim=True)
    before = before - before.mean((2, 3), keepdim=True)
    energy = before.square().mean((2, 3))
    spread = (after.square().mean((2, 3)) * energy + 1e-8).sqrt()
    correlation = (after * before).mean((2, 3)) / spread
    return 1 - (correlation * energy).sum(1) / energy.sum(1).clamp(min=1e-8)


def content_losses(
    after: dict[str, torch.Tensor], before: dict[str, torch.Tensor], layers: tuple[str, ...]
) -> torch.Tensor:
    """Mean of `structural_loss` over layers: (N,)."""
    each = [structural_loss(after[name].float(), before[name].float()) for name in layers]
    return torch.stack(each).mean(0)


def build_perceptual(config: dict[str, Any]) -> Perceptual:
    """Builds the network that a manifest describes.

    Args:
        config: `{"kind": "vgg19_part" | "vgg16"}`.

    Raises:
        ValueError: unknown kind.
    """
    kind = config.get("kind")
    if kind not in CONFIGS:
        raise ValueError(f"unknown perceptual network {kind!r}; known: {', '.join(CONFIGS)}")
    return Perceptual(CONFIGS[kind])


def from_vgg19_part(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State dict of the `vgg19_part` network from the published file's: convolutions in order.

    Raises:
        ValueError: another number of tensors.
    """
    return _in_order(build_perceptual({"kind": "vgg19_part"}), list(state.values()), colour=True)


def from_torchvision_vgg16(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State dict of the `vgg16` network from torchvision's; the colour layer becomes its normalisation.

    torchvision's weights take (x - mean) / std with ImageNet's statistics.
    """
    network = build_perceptual({"kind": "vgg16"})
    tensors = [value for key, value in state.items() if key.startswith("features.")]
    ours = _in_order(network, tensors[: 2 * len(network.convolutions)], colour=False)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return {**ours, "colour.weight": torch.diag(1 / std)[..., None, None], "colour.bias": -mean / std}


def _in_order(network: Perceptual, tensors: list[torch.Tensor], *, colour: bool) -> dict[str, torch.Tensor]:
    ours = [key for key in network.state_dict() if colour or not key.startswith("colour.")]
    if len(ours) != len(tensors):
        raise ValueError(f"expected {len(ours)} tensors, found {len(tensors)}")
    return dict(zip(ours, tensors, strict=True))
