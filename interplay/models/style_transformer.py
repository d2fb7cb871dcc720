"""The style transformer: one network, many text styles (thesis 3.2.3, Dumoulin et al. 2017).

An encoder of three convolutions, five residual blocks and a decoder of three, all with
reflection padding. Every convolution is followed by conditional instance normalisation:
the convolutions are shared, and a style is nothing but one scale (gamma) and one shift
(beta) for each of the 1,603 channels. Styles mix by weighted sums of their rows, and a new style
is learned by training its two rows alone.

For the end-to-end model (thesis 3.2.4) the network has a gate: a small branch that says, for
each pixel, how much of the restyled picture to take, the rest being the input itself. The
thesis lets the same network without a gate repaint the background, which instance
normalisation makes it forget the colours of; with the gate the background stays exactly as
it is. The loss (eq. 3.4) is the same.

A large image is computed tile by tile. The statistics of its instance normalisation are
then taken once (`measure`) and given to every tile, so that tiles meet without seams.

Used by `interplay.predictors.style_transfer` and `training.style_transfer`. Pure
modules: frozen configuration in, tensors out.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
    freeze_statistics,
)

EPS = 1e-5

# (mean, variance) of each normalisation in order, each (C,).
Statistics = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class StyleConfig:
    """Shape of the network; the defaults are the thesis's.

    Attributes:
        styles: number of styles (rows of gamma and beta).
        widths: channels of the three encoder convolutions.
        blocks: residual blocks.
        gate: whether the network says itself which pixels to restyle.
    """

    styles: int
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: int = 5
    gate: bool = False


class Convolution(nn.Module):
    """Reflection padding and a convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return self.conv(F.pad(x, (self.padding,) * 4, mode="reflect"))


# Which taps of a 3×3 filter fall on the same input pixel after nearest upsampling by two:
# (parity of the output row, row of a 2×2 filter, row of the 3×3 filter).
_TAPS = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])


class UpConvolution(Convolution):
    """Nearest upsampling by two, reflection padding and a 3×3 convolution.

    Computed as four 2×2 convolutions of the small map, one for each parity of the output's
    row and column: the same numbers for 4/9 of the work and without the upsampled map.
    (Reflection at the border of an upsampled map repeats the border pixel.)
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)
        self.register_buffer("taps", _TAPS.clone(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        count, _, height, width = x.shape
        taps = self.taps.to(self.conv.weight.dtype)
        kernels = torch.einsum("aik,bjl,ockl->abocij", taps, taps, self.conv.weight)
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        y = torch.empty(
            (count, self.conv.out_channels, 2 * height, 2 * width),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        for row in (0, 1):
            for column in (0, 1):
                window = padded[:, :, row : row + height + 1, column : column + width + 1]
                y[:, :, row::2, column::2] = F.conv2d(window, kernels[row, column], self.conv.bias)
        return y


class Gate(nn.Module):
    """Says which pixels are text.

    It looks at the image itself: the network's own features differ from style to style, and
    instance normalisation finds some text in every image. Its backbone is that of TextFCN up to
    stride 16, from whose weights training starts.

    Attributes:
        multiple: stride of its coarsest map.
        halo: pixels around a tile that its inner part depends on.
    """

    multiple = 16
    # Input pixels on each side, rounded up to the stride: stem and four stages see 73; their maps
    # are upsampled from stride 16 to 4, filtered 3×3 and upsampled to 1.
    halo = 112

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.backbone = EfficientNetLite(EfficientNetLiteConfig(stages=4))
        freeze_statistics(self.backbone)
        channels = self.backbone.channels[1:]  # strides 4, 8 and 16
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.hidden = nn.Conv2d(width, width, 3, padding=1)
        self.score = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.score.bias, -2.0)  # most pixels are no text
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits, which are 0 where text is as likely as not."""
        maps = self.backbone((x - self.mean) / self.std)[1:]
        above = self.laterals[-1](maps[-1])
        for lateral, features in zip(self.laterals[-2::-1], maps[-2::-1], strict=True):
            above = lateral(features) + F.interpolate(above, size=features.shape[-2:], mode="nearest")
        logits = self.score(F.relu(self.hidden(F.relu(above))))
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


class StyleTransformer(nn.Module):
    """Restyles images.

    Attributes:
        multiple: height and width of the input must be multiples of it.
        halo: pixels around a tile that its inner part depends on; see `tests/unit/models`.
        gamma, beta: (styles, channels) scales and shifts of all normalisations, in order.
    """

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.widths
        self.encoder = nn.ModuleList(
            [
                Convolution(3, first, 9),
                Convolution(first, second, 3, stride=2),
                Convolution(second, third, 3, stride=2),
            ]
        )
        self.residual = nn.ModuleList(Convolution(third, third, 3) for _ in range(2 * config.blocks))
        self.decoder = nn.ModuleList(
            [
                UpConvolution(third, second),
                UpConvolution(second, first),
                Convolution(first, 3, 9),
            ]
        )
        self.gate: Gate | None = Gate() if config.gate else None
        layers = [*self.encoder, *self.residual, *self.decoder]
        self.channels = tuple(layer.conv.out_channels for layer in layers)
        self.gamma = nn.Parameter(torch.ones(config.styles, sum(self.channels)))
        self.beta = nn.Parameter(torch.zeros(config.styles, sum(self.channels)))
        # Input pixels on each side: 9×9, two strided 3×3, the blocks at stride 4, the way back.
        self.halo = 4 * -(-(4 + 1 + 2 + 4 * 2 * config.blocks + 4 + 2 + 4) // 4)
        self.multiple = 4
        if self.gate is not None:
            self.halo = max(16 * -(-self.halo // 16), self.gate.halo)
            self.multiple = self.gate.multiple

    def forward(
        self, x: torch.Tensor, weights: torch.Tensor, statistics: Statistics | None = None
    ) -> torch.Tensor:
        """Restyles a batch.

        Args:
            x: (N, 3, H, W) RGB in [0, 1]; H and W multiples of `multiple` and at least 20.
            weights: (N, styles) weight of each style for each image; they need not sum to one.
            statistics: of `measure`, in place of each image's own.

        Returns:
            (N, 3, H, W) RGB in [0, 1]; with a gate the input shows through where it is closed.
        """
        styled, gate = self.parts(x, weights, statistics)
        return styled if gate is None else x + (styled - x) * gate

    def parts(
        self, x: torch.Tensor, weights: torch.Tensor, statistics: Statistics | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `forward`, with the restyled image (N, 3, H, W) and the gate (N, 1, H, W) or None apart."""
        if x.device.type == "cpu" and len(x) > 1:  # one after the other: what is at work stays in the cache
            each = [self._run(x[i : i + 1], weights[i : i + 1], statistics, None) for i in range(len(x))]
            gates = [gate for _, gate in each if gate is not None]
            return torch.cat([styled for styled, _ in each]), torch.cat(gates) if gates else None
        return self._run(x, weights, statistics, None)

    @torch.no_grad()
    def start_with_colours(self, row: int, image: torch.Tensor) -> None:
        """Sets the last normalisation of a style so that the output has a picture's colours.

        The last three channels go through a sigmoid, so mean and spread are those of the logits.

        Args:
            row: of the style.
            image: (H, W, 3) uint8 RGB.
        """
        logits = torch.logit((image.float().reshape(-1, 3) / 255).clamp(0.02, 0.98))
        self.beta[row, -3:] = logits.mean(0)
        self.gamma[row, -3:] = logits.std(0).clamp(min=0.2)

    def measure(self, x: torch.Tensor, weights: torch.Tensor) -> Statistics:
        """Statistics of the normalisations over all images of `x` together, as if they were one.

        Args:
            x: (N, 3, H, W) parts of one image, each wide enough that its margin matters little.
            weights: (1, styles) weights used for that image.

        Returns:
            What `forward` takes for any part of the image.
        """
        measured: Statistics = []
        self._run(x, weights.expand(len(x), -1), None, measured)
        return measured

    def _run(
        self, x: torch.Tensor, weights: torch.Tensor, given: Statistics | None, pooled: Statistics | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        gammas = (weights @ self.gamma).split(self.channels, 1)
        betas = (weights @ self.beta).split(self.channels, 1)
        place = 0

        def normalised(layer: nn.Module, features: torch.Tensor, relu: bool) -> torch.Tensor:
            nonlocal place
            y = layer(features)
            gamma, beta = gammas[place], betas[place]
            if given is not None:
                mean, variance = given[place]
                y = _affine(y, mean[None], variance[None], gamma, beta)
            elif pooled is not None:
                variance, mean = torch.var_mean(y.float(), (0, 2, 3), correction=0)
                pooled.append((mean, variance))
                y = _affine(y, mean[None], variance[None], gamma, beta)
            elif len(y) == 1:  # batch norm of one image is instance norm, and its kernel is twice as fast
                y = F.batch_norm(y, None, None, gamma[0], beta[0], True, 0.0, EPS)
            else:
                variance, mean = torch.var_mean(y.float(), (2, 3), correction=0)
                y = _affine(y, mean, variance, gamma, beta)
            place += 1
            return F.relu(y, inplace=True) if relu else y

        gate = None if self.gate is None or pooled is not None else torch.sigmoid(self.gate(x))
        for layer in self.encoder:
            x = normalised(layer, x, True)
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            x = x + normalised(second, normalised(first, x, True), False)
        for layer in self.decoder[:-1]:
            x = normalised(layer, x, True)
        return torch.sigmoid(normalised(self.decoder[-1], x, False)), gate


def _affine(
    y: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor
) -> torch.Tensor:
    """Normalises (N, C, H, W) by (N or 1, C) statistics, then scales and shifts."""
    scale = gamma * torch.rsqrt(variance + EPS)
    shift = beta - mean * scale
    return torch.addcmul(shift[..., None, None].to(y.dtype), y, scale[..., None, None].to(y.dtype))


def build_style_transformer(config: dict[str, Any]) -> StyleTransformer:
    """Builds the network that a manifest describes.

    Args:
        config: `{"preset": "paper", ...fields of StyleConfig}`.

    Raises:
        ValueError: unknown preset or field; the message lists the known ones.
    """
    options = dict(config)
    preset = options.pop("preset", None)
    if preset != "paper":
        raise ValueError(f"unknown style transformer preset {preset!r}; known: paper")
    known = {field.name for field in fields(StyleConfig)}
    if unknown := set(options) - known:
        raise ValueError(f"unknown fields {sorted(unknown)} of preset {preset!r}; known: {sorted(known)}")
    if "widths" in options:
        options["widths"] = tuple(options["widths"])
    return StyleTransformer(StyleConfig(**options))
