"""TextFCN: per-pixel text probability (thesis 3.1), in two presets.

`paper` is the thesis's network: a VGG-16 made fully convolutional, FCN-8s "at once",
two classes. `compact` keeps the idea (an ImageNet backbone whose coarse, certain maps
are fused with its fine ones) on EfficientNet-Lite0, small and fast enough for a CPU,
and adds a third class that tells the inner part of a word from its border, so that
neighbouring words stay apart (after Wang et al., "PSENet", 2019, and Liao et al.,
"DBNet", 2020). In both, channel 0 is background and the other channels are text.

Used by `interplay.predictors.text_detection` and `training.text_detection`. Pure
modules: frozen configuration in, tensors out; no files, device choice or loss.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.efficientnet_lite import ConvUnit, EfficientNetLite, EfficientNetLiteConfig

BACKGROUND, BORDER, CORE = 0, 1, 2


@dataclass(frozen=True)
class CompactConfig:
    """Shape of the `compact` preset.

    Attributes:
        stages: stages of EfficientNet-Lite0 to keep (2 to 7).
        fusion_channels: width of the top-down pathway.
        level_channels: what each level adds to the final concatenation.
        head_channels: width before the classifier.
        classes: 3 = background, border of a word, core of a word.
    """

    stages: int = 7
    fusion_channels: int = 64
    level_channels: int = 24
    head_channels: int = 48
    classes: int = 3


@dataclass(frozen=True)
class PaperConfig:
    """Shape of the `paper` preset: VGG-16 FCN-8s "at once" (Long et al. 2015, thesis 3.1.3).

    Attributes:
        classes: 2 = background, text.
        hidden: width of fc6 and fc7; 4096 in VGG-16, less only in tests.
        dropout: after fc6 and fc7.
    """

    classes: int = 2
    hidden: int = 4096
    dropout: float = 0.5


class CompactTextFCN(nn.Module):
    """EfficientNet-Lite0 with skips from strides 4, 8, 16 and 32.

    Attributes:
        output_stride: input pixels a logit pixel spans; 2.
    """

    output_stride = 2

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = EfficientNetLite(EfficientNetLiteConfig(stages=config.stages))
        used = self.backbone.channels[1:]  # stride 2 is left out: four times the pixels for little
        self.laterals = nn.ModuleList(
            ConvUnit(channels, config.fusion_channels, 1, act=False) for channels in used
        )
        self.levels = nn.ModuleList(ConvUnit(config.fusion_channels, config.level_channels, 3) for _ in used)
        self.head = ConvUnit(config.level_channels * len(used), config.head_channels, 3)
        # Four sub-pixels a class: learned upsampling from stride 4 to 2 at the price of a 1×1.
        self.classifier = nn.Conv2d(config.head_channels, config.classes * 4, 1)
        with torch.no_grad():  # start by expecting background, which most pixels are
            self.classifier.bias.zero_()
            self.classifier.bias[:4] = 2.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Computes class logits.

        Args:
            x: (N, 3, H, W) RGB, normalised as the manifest says; H and W multiples of 32.

        Returns:
            (N, classes, H/2, W/2) logits.
        """
        maps = self.backbone(x)[1:]  # strides 4, 8, 16, 32
        size = maps[0].shape[-2:]
        above = self.laterals[-1](maps[-1])
        fused = [above]
        for lateral, features in zip(self.laterals[-2::-1], maps[-2::-1], strict=True):
            above = lateral(features) + F.interpolate(above, size=features.shape[-2:], mode="nearest")
            fused.append(above)
        fused.reverse()  # fine to coarse, (N, fusion_channels, H/s, W/s)
        levels = [level(features) for level, features in zip(self.levels, fused, strict=True)]
        levels = levels[:1] + [
            F.interpolate(y, size=size, mode="bilinear", align_corners=False) for y in levels[1:]
        ]
        y = self.head(torch.cat(levels, 1))  # (N, head_channels, H/4, W/4)
        return F.pixel_shuffle(self.classifier(y), 2)  # (N, classes, H/2, W/2)


# VGG-16: channels of each 3×3 convolution; "pool" halves the resolution.
_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class PaperTextFCN(nn.Module):
    """The thesis's network, for images of any size.

    conv1_1 pads by 100 so that every pooled map covers the image; the crop offsets 5, 9
    and 31 then align the maps exactly (Long et al.). Deconvolutions are fixed and
    bilinear. pool4 and pool3 enter scaled by 0.01 and 0.0001, as "at once" training
    needs. Score layers start at zero, which is right only with fc6 and fc7 transplanted
    from VGG-16 (`transplant_vgg16`): from zero weights nothing below them would learn.

    Attributes:
        output_stride: 1.
    """

    output_stride = 1

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        blocks, inputs = [], 3
        for number, widths in enumerate(_VGG16):
            layers: list[nn.Module] = []
            for position, width in enumerate(widths):
                padding = 100 if number == position == 0 else 1
                layers += [nn.Conv2d(inputs, width, 3, padding=padding), nn.ReLU(inplace=True)]
                inputs = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.ModuleList(blocks)
        self.fc6 = nn.Conv2d(512, config.hidden, 7)
        self.fc7 = nn.Conv2d(config.hidden, config.hidden, 1)
        self.dropout = nn.Dropout2d(config.dropout)
        self.score = nn.Conv2d(config.hidden, config.classes, 1)
        self.score_pool4 = nn.Conv2d(512, config.classes, 1)
        self.score_pool3 = nn.Conv2d(256, config.classes, 1)
        for layer in (self.score, self.score_pool4, self.score_pool3):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("bilinear4", bilinear_kernel(config.classes, 4), persistent=False)
        self.register_buffer("bilinear16", bilinear_kernel(config.classes, 16), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Computes class logits.

        Args:
            x: (N, 3, H, W), normalised as the manifest says; any H and W.

        Returns:
            (N, 2, H, W) logits.
        """
        height, width = x.shape[-2:]
        y, pooled = x, []
        for block in self.blocks:
            y = block(y)
            pooled.append(y)
        y = self.dropout(F.relu(self.fc6(y), inplace=True))
        y = self.dropout(F.relu(self.fc7(y), inplace=True))
        y = self._up(self.score(y), self.bilinear4, 2)  # stride 16
        y = y + _crop_like(self.score_pool4(pooled[3] * 0.01), y, 5)
        y = self._up(y, self.bilinear4, 2)  # stride 8
        y = y + _crop_like(self.score_pool3(pooled[2] * 0.0001), y, 9)
        y = self._up(y, self.bilinear16, 8)  # stride 1
        return y[..., 31 : 31 + height, 31 : 31 + width]  # (N, 2, H, W)

    def _up(self, y: torch.Tensor, kernel: torch.Tensor, stride: int) -> torch.Tensor:
        return F.conv_transpose2d(y, kernel.to(y.dtype), stride=stride, groups=self.config.classes)


def _crop_like(x: torch.Tensor, target: torch.Tensor, offset: int) -> torch.Tensor:
    height, width = target.shape[-2:]
    return x[..., offset : offset + height, offset : offset + width]


def bilinear_kernel(channels: int, size: int) -> torch.Tensor:
    """Bilinear upsampling filter for a grouped transposed convolution: (channels, 1, size, size)."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    ramp = 1 - (torch.arange(size, dtype=torch.float32) - centre).abs() / factor
    return (ramp[:, None] * ramp[None])[None, None].repeat(channels, 1, 1, 1)


@torch.no_grad()
def transplant_vgg16(model: PaperTextFCN, state: dict[str, torch.Tensor]) -> None:
    """Copies a torchvision VGG-16 (without batch norm) into the network, fc6 and fc7 included.

    fc6 sees a (512, 7, 7) map flattened channel-first, so its (4096, 25088) matrix
    reshapes into 7×7 filters; fc7 becomes 1×1 filters. Score layers keep their zeros.

    Args:
        model: network with `hidden` of 4096.
        state: `torchvision.models.vgg16().state_dict()`.

    Raises:
        ValueError: the state dict has other shapes.
    """
    ours = [layer for block in model.blocks for layer in block if isinstance(layer, nn.Conv2d)]
    theirs = sorted({int(key.split(".")[1]) for key in state if key.startswith("features.")})
    if len(ours) != len(theirs):
        raise ValueError(f"expected {len(ours)} convolutions under 'features.', found {len(theirs)}")
    pairs = [(layer, f"features.{number}") for layer, number in zip(ours, theirs, strict=True)]
    pairs += [(model.fc6, "classifier.0"), (model.fc7, "classifier.3")]
    for layer, key in pairs:
        weight = state[f"{key}.weight"]
        if weight.numel() != layer.weight.numel():
            raise ValueError(
                f"{key}.weight of shape {tuple(weight.shape)} does not fit {tuple(layer.weight.shape)}"
            )
        layer.weight.copy_(weight.view_as(layer.weight))
        layer.bias.copy_(state[f"{key}.bias"])


TextFCN = CompactTextFCN | PaperTextFCN
_PRESETS: dict[str, tuple[type, type]] = {
    "compact": (CompactConfig, CompactTextFCN),
    "paper": (PaperConfig, PaperTextFCN),
}


def build_textfcn(config: dict[str, Any]) -> TextFCN:
    """Builds the network that a manifest describes.

    Args:
        config: `{"preset": "compact" | "paper", ...fields of the preset's configuration}`.

    Raises:
        ValueError: unknown preset or field; the message lists the known ones.
    """
    options = dict(config)
    preset = options.pop("preset", None)
    if preset not in _PRESETS:
        raise ValueError(f"unknown TextFCN preset {preset!r}; known: {', '.join(_PRESETS)}")
    config_type, model_type = _PRESETS[preset]
    known = {field.name for field in fields(config_type)}
    if unknown := set(options) - known:
        raise ValueError(f"unknown fields {sorted(unknown)} of preset {preset!r}; known: {sorted(known)}")
    return model_type(config_type(**options))
