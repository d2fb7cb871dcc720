"""Fusion of a post's text, image text and image (thesis 6.4.2, figures 6.3 and 6.4).

    fcm   Feature Concatenation Model: the image's pooled features and both texts' states
    scm   Spatial Concatenation Model: both states beside every place of the image's last map
    tkm   Textual Kernels Model: as scm, and the map convolved with kernels that the texts make

    paper     Inception v3's 2,048 features or its map of 8 x 8, states of 150, 10 + 5 kernels
    compact   EfficientNet-Lite0's 1,280 features or its map of 7 x 7, and narrower layers

An input that is not there, or that a model is not given, is zeros: at training and at serving.

Used by `training.hate_classifier`. Pure modules: frozen configuration in, tensors out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.hate import CLASSES

KINDS = ("fcm", "scm", "tkm")
FUSED = ("text", "image_text", "image")
_BN_EPS = 1e-3
_LINEAR_STD = 0.01
# Inception-E's branches: 1x1; 1x1 then 1x3 and 3x1; 1x1, 3x3 then 1x3 and 3x1; pool and 1x1. Of 2,048.
_BRANCHES = (320, 384, 448, 192)
_BRANCHES_SUM = 320 + 2 * 384 + 2 * 384 + 192


@dataclass(frozen=True)
class FusionConfig:
    """Shape of a fusion.

    Attributes:
        kind: one of `KINDS`.
        inputs: those of `FUSED` that it looks at; the others are zeros to it.
        image: channels of the image's features or map.
        state: numbers of a text's state.
        mapped: fcm: numbers that each input is mapped to first; 0 = concatenated as they are.
        widths: of the fully connected layers before the classes.
        block: scm, tkm: channels that an Inception-E block gives.
        text_kernels: tkm: kernels that the text makes.
        image_text_kernels: tkm: kernels that the image text makes.
        dropout: part of what comes before the fully connected layers that training drops.
    """

    kind: str = "fcm"
    inputs: tuple[str, ...] = FUSED
    image: int = 2048
    state: int = 150
    mapped: int = 1024
    widths: tuple[int, ...] = (2048, 1024, 512)
    block: int = 2048
    text_kernels: int = 10
    image_text_kernels: int = 5
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not self.inputs or set(self.inputs) - set(FUSED):
            raise ValueError(f"inputs must be some of {', '.join(FUSED)}, not {self.inputs}")


def paper(kind: str, inputs: Sequence[str] = FUSED) -> FusionConfig:
    """The thesis's own shape, with the layers that its code has."""
    widths = (2048, 1024, 512) if kind == "fcm" else (1024, 512)
    return FusionConfig(kind, tuple(inputs), widths=widths)


def compact(kind: str, inputs: Sequence[str] = FUSED) -> FusionConfig:
    """A narrow shape on the shared backbone, for hundreds of images instead of a hundred thousand."""
    config = FusionConfig(kind, tuple(inputs), image=1280, mapped=64, widths=(64,), block=64)
    return replace(config, text_kernels=4, image_text_kernels=2) if kind == "tkm" else config


class Fusion(nn.Module):
    """Any of the three, to logits of not hate and hate."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        if config.kind == "fcm":
            if config.mapped:
                widths = {"image": config.image, "text": config.state, "image_text": config.state}
                self.mapped = nn.ModuleDict(
                    {name: _linear(widths[name], config.mapped) for name in ("image", "text", "image_text")}
                )
            width = 3 * config.mapped if config.mapped else config.image + 2 * config.state
        else:
            channels = config.image + 2 * config.state
            if config.kind == "tkm":
                self.kernels = nn.ModuleDict(
                    {
                        "text": _Kernels(config.state, config.image, config.text_kernels),
                        "image_text": _Kernels(config.state, config.image, config.image_text_kernels),
                    }
                )
                channels += config.text_kernels + config.image_text_kernels
            self.blocks = nn.Sequential(
                InceptionE(channels, config.block), InceptionE(config.block, config.block)
            )
            width = config.block
        self.dropout = nn.Dropout(config.dropout)
        steps = [width, *config.widths]
        self.layers = nn.Sequential(*(_linear(a, b) for a, b in zip(steps, steps[1:], strict=False)))
        self.classes = nn.Linear(steps[-1], CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_LINEAR_STD)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, text: torch.Tensor, image_text: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Logits of not hate and hate, (N, 2).

        Args:
            text: (N, state); zeros where there is none.
            image_text: (N, state); zeros where there is none.
            image: (N, image) for fcm, (N, image, h, w) for the others; zeros where there is none.
        """
        given = {"text": text, "image_text": image_text, "image": image}
        given = {
            name: value if name in self.config.inputs else torch.zeros_like(value)
            for name, value in given.items()
        }
        x = self.dropout(self._features(given) if self.config.kind == "fcm" else self._places(given))
        y: torch.Tensor = self.classes(self.layers(x))
        return y

    def _features(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        names = ("image", "text", "image_text")
        if self.config.mapped:
            return torch.cat([self.mapped[name](given[name]) for name in names], dim=1)
        return torch.cat([given[name] for name in names], dim=1)

    def _places(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        image = given["image"]  # (N, C, h, w)
        parts = [image]
        if self.config.kind == "tkm":
            parts += [self.kernels[name](given[name], image) for name in ("text", "image_text")]
        parts += [
            given[name][:, :, None, None].expand(-1, -1, *image.shape[2:]) for name in ("text", "image_text")
        ]
        pooled: torch.Tensor = self.blocks(torch.cat(parts, dim=1)).mean((2, 3))
        return pooled


class _Kernels(nn.Module):
    """Kernels of 1 x 1 that a text's state makes, and what the image's map answers to them."""

    def __init__(self, state: int, channels: int, number: int) -> None:
        super().__init__()
        self.number, self.channels = number, channels
        # Independent layers for the kernels are one layer whose answer is cut.
        self.make = _linear(state, number * channels)
        self.norm = nn.BatchNorm2d(number, eps=_BN_EPS)

    def forward(self, state: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """(N, S) and (N, C, h, w) to (N, K, h, w)."""
        kernels = self.make(state).view(-1, self.number, self.channels)
        answers = torch.einsum("nkc,nchw->nkhw", kernels, image)
        return F.relu(self.norm(answers))


class InceptionE(nn.Module):
    """The last kind of block of Inception v3 (Szegedy et al., CVPR 2016), at any width.

    Args:
        channels: that come in.
        width: channels that go out; 2,048 in Inception v3.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        one, two, three, pool = (max(1, round(branch * width / _BRANCHES_SUM)) for branch in _BRANCHES)
        one = width - 4 * two - pool
        if one < 1:
            raise ValueError(f"an Inception-E block of {width} channels has no room for its branches")
        self.one = _conv(channels, one, (1, 1))
        self.two = _conv(channels, two, (1, 1))
        self.two_a, self.two_b = _conv(two, two, (1, 3)), _conv(two, two, (3, 1))
        self.three = nn.Sequential(_conv(channels, three, (1, 1)), _conv(three, two, (3, 3)))
        self.three_a, self.three_b = _conv(two, two, (1, 3)), _conv(two, two, (3, 1))
        self.pool = _conv(channels, pool, (1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, h, w) to (N, width, h, w)."""
        two, three = self.two(x), self.three(x)
        # Published the other way around; a convolution of 1 x 1 and a mean over places commute.
        convolution, *rest = self.pool
        pooled = F.avg_pool2d(convolution(x), 3, stride=1, padding=1)
        for step in rest:
            pooled = step(pooled)
        return torch.cat(
            [self.one(x), self.two_a(two), self.two_b(two), self.three_a(three), self.three_b(three), pooled],
            1,
        )


class InceptionFeatures(nn.Module):
    """torchvision's Inception v3 without classifier: a map of 8 x 8 x 2,048 of a picture of 299 x 299.

    Args:
        weights: torchvision's name of published weights ("IMAGENET1K_V1": needs a download), or None.
    """

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        if weights is None:
            trunk = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
        else:
            trunk = inception_v3(weights=weights, transform_input=False)
        # Its children stand in the order in which they are called; the classifier is behind the last block.
        names = [name for name, _ in trunk.named_children()]
        kept = names[: names.index("Mixed_7c") + 1]
        self.blocks = nn.Sequential(*(getattr(trunk, name) for name in kept if name != "AuxLogits"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 299, 299) RGB, normalised, to (N, 2048, 8, 8); its mean over places is what fcm takes."""
        y: torch.Tensor = self.blocks(x)
        return y


def _linear(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, eps=_BN_EPS), nn.ReLU())


def _conv(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False),
        nn.BatchNorm2d(outputs, eps=_BN_EPS),
        nn.ReLU(),
    )
