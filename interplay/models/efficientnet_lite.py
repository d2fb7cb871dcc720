"""EfficientNet-Lite0: the backbone of every `compact` preset.

MBConv blocks without squeeze-and-excitation and with ReLU6, after the TensorFlow
release (https://github.com/tensorflow/tpu, efficientnet/lite) and Tan & Le,
"EfficientNet" (2019). Module order equals that of the published ImageNet state
dicts, so weights load by position (`training.imagenet`). Padding is symmetric where
TensorFlow pads after: the filters see the same pixels on a grid shifted by one,
which costs a dense prediction network nothing.

Used by `interplay.models.textfcn`, `style_transformer` and `image_embedding`; pure modules: no
files, device choice or loss.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

# (expansion, output channels, blocks, stride of the first block, kernel)
LITE0_STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
# TensorFlow's value; torch's default of 1e-5 would change the pretrained features.
BN_EPS = 1e-3


@dataclass(frozen=True)
class EfficientNetLiteConfig:
    """Shape of the backbone.

    Attributes:
        stages: how many of the seven stages of `LITE0_STAGES` to build (1 to 7).
        stem_channels: output channels of the first convolution.
    """

    stages: int = 7
    stem_channels: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.stages <= len(LITE0_STAGES):
            raise ValueError(f"stages must be 1 to {len(LITE0_STAGES)}, not {self.stages}")


class ConvUnit(nn.Module):
    """Convolution, batch norm and, if asked for, ReLU6, at symmetric padding.

    Attributes:
        frozen_statistics: normalise by the running mean and variance in training too.
            The norm is then multiplied into the filter on the fly, which gives the
            same result and gradients without a pass over the feature map.
        convolution: what convolves in the frozen mode; training may put a function
            with a faster backward pass in its place.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(outputs, eps=BN_EPS)
        self.act = act
        self.frozen_statistics = False
        self.convolution: Callable[..., torch.Tensor] = F.conv2d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, inputs, H, W) to (N, outputs, ceil(H/stride), ceil(W/stride))."""
        if self.bn is None:
            y = self.conv(x)
        elif self.frozen_statistics or not self.training:
            weight, bias = self.folded()
            conv = self.conv
            y = self.convolution(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)
        else:
            y = self.bn(self.conv(x))
        return F.hardtanh(y, 0.0, 6.0, inplace=True) if self.act else y

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Filter and bias of the one convolution equal to this unit at its running statistics."""
        if self.bn is None:
            raise ValueError("the batch norm is already folded")
        scale = self.bn.weight * torch.rsqrt(self.bn.running_var + self.bn.eps)
        return self.conv.weight * scale[:, None, None, None], self.bn.bias - self.bn.running_mean * scale


class MBConv(nn.Module):
    """Inverted residual block: widen 1×1, depthwise k×k, narrow 1×1."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        units = [ConvUnit(inputs, width, 1)] if expansion > 1 else []
        units.append(ConvUnit(width, width, kernel, stride, groups=width))
        units.append(ConvUnit(width, outputs, 1, act=False))
        self.units = nn.Sequential(*units)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, inputs, H, W) to (N, outputs, ceil(H/stride), ceil(W/stride))."""
        y = self.units(x)
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """Lite0 trunk that gives one feature map a stride.

    Attributes:
        strides: stride of each map that `forward` returns, ascending: 2, 4, 8, 16, 32
            for the full network.
        channels: channels of each.
    """

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.stem = ConvUnit(3, config.stem_channels, 3, stride=2)
        self.stages = nn.ModuleList()
        inputs, stride = config.stem_channels, 2
        taps: dict[int, tuple[int, int]] = {}  # stride -> (last stage at that stride, its channels)
        for number, (expansion, outputs, blocks, step, kernel) in enumerate(LITE0_STAGES[: config.stages]):
            stage = [MBConv(inputs, outputs, expansion, kernel, step)]
            stage += [MBConv(outputs, outputs, expansion, kernel, 1) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            inputs, stride = outputs, stride * step
            taps[stride] = (number, outputs)
        self._tapped = tuple(number for number, _ in taps.values())
        self.strides = tuple(taps)
        self.channels = tuple(outputs for _, outputs in taps.values())

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Returns the last feature map at each stride.

        Args:
            x: (N, 3, H, W) RGB, normalised as the manifest says.

        Returns:
            One (N, channels[i], ceil(H/strides[i]), ceil(W/strides[i])) tensor a stride.
        """
        x = self.stem(x)  # (N, 32, H/2, W/2)
        maps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self._tapped:
                maps.append(x)
        return maps


def freeze_statistics(model: nn.Module) -> None:
    """Makes every `ConvUnit` of `model` normalise by its running statistics, in training too."""
    for module in model.modules():
        if isinstance(module, ConvUnit):
            module.frozen_statistics = True


@torch.no_grad()
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Multiplies each unit's batch norm into its filter, for inference; changes `model` and returns it.

    Outputs stay the same up to rounding; the state dict changes, so fold after loading.
    """
    for module in model.modules():
        if not isinstance(module, ConvUnit) or module.bn is None:
            continue
        weight, bias = module.folded()
        module.conv.weight.copy_(weight)
        module.conv.bias = nn.Parameter(bias.clone(), requires_grad=False)
        module.bn = None
    return model
