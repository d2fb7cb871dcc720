"""Scores how well image, tag and place go together (thesis 5.3.2, Figure 5.1).

    paper     300 numbers a modality, then layers of 2048, 2048, 2048, 1024 and 512
    compact   128 numbers a modality, then layers of 512, 64 and 64: most of the work lies in the first
              layer, whose image part is computed once for every image

The first layer is linear in the three concatenated modalities, so it is the sum of an image's, a tag's and a
place's part: `image_part`, `tag_part`, `place_part`. One image is scored for many tags, or one tag for many
images; mean and variance of the sum within a group of the group norm follow from those of the many parts,
which are computed once (`centred`), and their covariance with the one. `score` gives the same as `forward`
with less work.

Used by `interplay.predictors.locsens` and `training.locsens`. Pure modules: frozen configuration in,
tensors out.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

CHUNK = 2048  # rows that each thread scores at a time: few enough for the caches, many enough to share
WAVE_DIRECTIONS = 16
MAX_SCALES = 16
_GROUP_NORM_EPS = 1e-3
_INIT_STD = 0.01


@dataclass(frozen=True)
class LocSensConfig:
    """Shape of the network.

    Attributes:
        image: numbers of an image vector.
        tag: numbers of a tag vector.
        modality: numbers that each of the three modalities is mapped to.
        widths: of the layers after the concatenation.
        groups: of their group norm; divides every width.
        scales: of waves over the globe that a place is described by; see `PlaceWaves`. None: by its two
            coordinates alone, as in the thesis.
    """

    image: int = 300
    tag: int = 300
    modality: int = 300
    widths: tuple[int, ...] = (2048, 2048, 2048, 1024, 512)
    groups: int = 32
    scales: int = 0

    def __post_init__(self) -> None:
        if not self.widths or any(width % self.groups for width in self.widths):
            raise ValueError(f"widths must be multiples of {self.groups} groups, not {self.widths}")
        if not 0 <= self.scales <= MAX_SCALES:
            raise ValueError(f"scales must be 0 to {MAX_SCALES}, not {self.scales}")


PAPER = LocSensConfig()
COMPACT = LocSensConfig(modality=128, widths=(512, 64, 64), groups=16, scales=13)


class PlaceWaves(nn.Module):
    """Waves over the globe, by which a layer tells near places apart as well as far ones.

    From two numbers in [0, 1] a layer cannot make out a city: one lies some thousandths from the next. Waves
    of plane fronts through the globe, in evenly spread directions and of lengths that halve from scale to
    scale (25,484 km, the first; 6.2 km, the thirteenth), say at every scale where a place is, without a seam
    at the date line or a pole (random Fourier features, arXiv 2006.10739; for places, arXiv 2003.00824).

    Args:
        scales: number of wavelengths.
    """

    def __init__(self, scales: int) -> None:
        super().__init__()
        number = torch.arange(WAVE_DIRECTIONS, dtype=torch.float64)
        height = (number + 0.5) / WAVE_DIRECTIONS  # half of the sphere: the other's waves are the same
        turn = math.pi * (3 - math.sqrt(5)) * number
        flat = torch.sqrt(1 - height.square())
        directions = torch.stack([flat * torch.cos(turn), flat * torch.sin(turn), height])  # (3, directions)
        frequencies = math.pi / 2 * 2.0 ** torch.arange(scales, dtype=torch.float64)
        waves = (directions.unsqueeze(2) * frequencies).flatten(1)
        self.register_buffer("waves", waves.float(), persistent=False)
        self.outputs = 3 + 2 * waves.shape[1]

    def forward(self, place: torch.Tensor) -> torch.Tensor:
        """(N, 2) as `LocSens` takes places to (N, outputs): where it lies in the unit ball, and the waves."""
        latitude, longitude = (place[:, 0] - 0.5) * math.pi, (place[:, 1] - 0.5) * (2 * math.pi)
        flat = torch.cos(latitude)
        where = torch.stack(
            [flat * torch.cos(longitude), flat * torch.sin(longitude), torch.sin(latitude)], 1
        )
        phases = where @ self.waves
        return torch.cat([where, torch.sin(phases), torch.cos(phases)], dim=1)


@dataclass(frozen=True)
class CentredParts:
    """Parts of the first layer, centred within the groups of its norm.

    Attributes:
        part: (N, W), times the norm's weights.
        variance: (N, groups), without these.
    """

    part: torch.Tensor
    variance: torch.Tensor

    def __len__(self) -> int:
        return len(self.part)


class _GroupNorm(nn.GroupNorm):
    """Group norm of rows by way of layer norm, which takes half of the time."""

    def __init__(self, groups: int, width: int) -> None:
        super().__init__(groups, width, eps=_GROUP_NORM_EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width) to the same."""
        groups = x.view(len(x), self.num_groups, x.shape[1] // self.num_groups)
        return torch.addcmul(
            self.bias, F.layer_norm(groups, groups.shape[-1:], eps=self.eps).view_as(x), self.weight
        )


class _Folded:
    """A layer with its norm and rectifier, for float32.

    That a group's mean is taken off lies in the layer's weights. Groups are too narrow (4 numbers in the
    compact preset) to work on one by one: their variances are a product with a matrix, and so is what each
    number is multiplied by.
    """

    def __init__(self, layer: nn.Linear, norm: nn.GroupNorm) -> None:
        width, groups = norm.num_channels, norm.num_groups
        members = torch.eye(groups, device=layer.weight.device).repeat_interleave(width // groups, 0)
        self._averages = members * (groups / width)  # (width, groups)
        centring = torch.eye(width, device=members.device) - self._averages @ members.t()
        self._weight = (centring @ layer.weight).t().contiguous()
        self._bias = centring @ layer.bias
        self._spread = (members * norm.weight.unsqueeze(1)).t().contiguous()  # (groups, width)
        self._shift, self._eps = norm.bias, norm.eps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in) to (N, width)."""
        x = torch.addmm(self._bias, x, self._weight)
        scale = torch.mm(x.square(), self._averages).add_(self._eps).rsqrt_()
        return torch.addcmul(self._shift, x, torch.mm(scale, self._spread)).relu_()


class LocSens(nn.Module):
    """The triplet scorer.

    Image and tag vectors are of length one; a place is (latitude + 90) / 180, (longitude + 180) / 360, both
    in [0, 1].
    """

    def __init__(self, config: LocSensConfig) -> None:
        super().__init__()
        self.config = config
        self.waves = PlaceWaves(config.scales) if config.scales else None
        self.place = nn.Linear(self.waves.outputs if self.waves else 2, config.modality)
        self.image = nn.Linear(config.image, config.modality)
        self.tag = nn.Linear(config.tag, config.modality)
        widths = (3 * config.modality, *config.widths)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.norms = nn.ModuleList(_GroupNorm(config.groups, width) for width in config.widths)
        self.last = nn.Linear(config.widths[-1], 1)
        self._folded: list[_Folded] = []
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INIT_STD)
                nn.init.zeros_(module.bias)

    def forward(
        self, image: torch.Tensor, tag: torch.Tensor, place: torch.Tensor, alpha: torch.Tensor | float = 1.0
    ) -> torch.Tensor:
        """Scores of triplets; the plain way, as the thesis draws it.

        Args:
            image: (N, image).
            tag: (N, tag).
            place: (N, 2).
            alpha: what the place's modality is multiplied by, one number or (N, 1): 0 silences it.

        Returns:
            (N,) without bounds.
        """
        modalities = (
            alpha * self._place(place),
            _unit(self.image(image)),
            _unit(self.tag(tag)),
        )
        x = self.norms[0](self.layers[0](torch.cat(modalities, dim=1)))
        return self._rest(F.relu(x))

    def _place(self, place: torch.Tensor) -> torch.Tensor:
        return _unit(self.place(self.waves(place) if self.waves else place))

    def place_part(self, place: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
        """(N, 2) places to (N, W), what they add to the first layer; its bias is in here."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        part = F.linear(self._place(place), first.weight[:, : self.config.modality])
        return alpha * part + first.bias

    def image_part(self, image: torch.Tensor) -> torch.Tensor:
        """(N, image) vectors to (N, W), what they add to the first layer."""
        return self._part(_unit(self.image(image)), 1)

    def tag_part(self, tag: torch.Tensor) -> torch.Tensor:
        """(N, tag) vectors to (N, W), what they add to the first layer."""
        return self._part(_unit(self.tag(tag)), 2)

    def centred(self, part: torch.Tensor) -> CentredParts:
        """Parts of many images, or of many tags, as `score` wants them.

        Args:
            part: (N, W), of `image_part` or `tag_part`.
        """
        norm = self._first_norm()
        groups = part.view(len(part), norm.num_groups, part.shape[1] // norm.num_groups)
        groups = groups - groups.mean(2, keepdim=True)
        return CentredParts(groups.flatten(1) * _nonzero(norm.weight), groups.square().mean(2))

    def score(self, many: CentredParts, one: torch.Tensor) -> torch.Tensor:
        """Scores of the sums of many parts and one.

        Args:
            many: parts of N images, or of N tags.
            one: (1, W), the sum of the other two parts.

        Returns:
            (N,) float32.
        """
        norm, dtype = self._first_norm(), many.part.dtype
        groups = one.view(norm.num_groups, -1)
        groups = groups - groups.mean(1, keepdim=True)
        weight, bias = _nonzero(norm.weight).view_as(groups), norm.bias.view_as(groups).to(dtype)
        # Twice the covariance, per group, is a product with a matrix of one block for each.
        blocks = torch.block_diag(*(2 / groups.shape[1] * groups / weight).unsqueeze(2)).to(dtype)
        own, shift = groups.square().mean(1) + norm.eps, (groups * weight).flatten().to(dtype)
        scores, rows = [], CHUNK * torch.get_num_threads()
        for part, variance in zip(many.part.split(rows), many.variance.split(rows), strict=True):
            scale = (part @ blocks).float().add_(variance).add_(own)
            scale = scale.clamp_min_(norm.eps).rsqrt_().to(dtype).unsqueeze(2)
            x = (part + shift).view(len(part), *groups.shape)
            torch.addcmul(bias, x, scale, out=x)
            scores.append(self._later(x.flatten(1).relu_()).float())
        return torch.cat(scores) if scores else many.variance.new_zeros(0)

    def score_sums(self, sums: torch.Tensor) -> torch.Tensor:
        """Scores of triplets from the sums of their three parts, (N, W), to (N,) float32."""
        x = F.relu(self.norms[0](sums))
        return self._later(x.to(self.last.weight.dtype)).float()

    def _first_norm(self) -> _GroupNorm:
        norm = self.norms[0]
        assert isinstance(norm, _GroupNorm)
        return norm

    def _part(self, modality: torch.Tensor, number: int) -> torch.Tensor:
        first, width = self.layers[0], self.config.modality
        assert isinstance(first, nn.Linear)
        return F.linear(modality, first.weight[:, number * width : (number + 1) * width])

    def _rest(self, x: torch.Tensor) -> torch.Tensor:
        """What comes after the first layer's norm."""
        for layer, norm in zip(self.layers[1:], self.norms[1:], strict=True):
            x = F.relu(norm(layer(x)))
        y: torch.Tensor = self.last(x)
        return y.squeeze(1)

    def _later(self, x: torch.Tensor) -> torch.Tensor:
        """The same as `_rest`, the faster way once there is one."""
        if not self._folded:
            return self._rest(x)
        for layer in self._folded:
            x = layer(x)
        y: torch.Tensor = self.last(x)
        return y.squeeze(1)

    def rest_to(self, dtype: torch.dtype) -> None:
        """Makes `score` and `score_sums` fast; the weights do not change from then on.

        Args:
            dtype: number type of what comes after the first layer. With another one than float32, `forward`
                is of no use from then on.
        """
        later = (*self.layers[1:], *self.norms[1:], self.last)
        for module in later:
            module.to(dtype)
        if dtype == torch.float32:
            self._folded = [_Folded(*pair) for pair in zip(self.layers[1:], self.norms[1:], strict=True)]


def _unit(x: torch.Tensor) -> torch.Tensor:
    """Rectified and of length one; a row that the rectifier left without anything stays zero."""
    return F.normalize(F.relu(x), dim=1)


def _nonzero(weight: torch.Tensor) -> torch.Tensor:
    """Weights of a norm, kept far enough from zero to be divided by."""
    return torch.where(weight.abs() < 1e-6, 1e-6, weight)


def build_locsens(config: dict[str, Any]) -> LocSens:
    """The network of a manifest's configuration, whose keys are `LocSensConfig`'s.

    Raises:
        ValueError: an unknown key or a value that cannot be.
    """
    try:
        return LocSens(LocSensConfig(**{**config, "widths": tuple(config.get("widths", PAPER.widths))}))
    except TypeError as error:
        raise ValueError(f"not the configuration of a LocSens network: {error}") from error
