"""The image network from inside: what its units answer, and gradients that tell an image what it lacks.

``ImageNetwork`` is the predictor that the embedding server owns: it embeds images as ``ImageEmbedder``
does, and takes two further kinds of items, for the analyses of thesis 4.3.3 (CNN activation maps) and
4.4.6 (DeepDream). A batch holds items of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from interplay.errors import InternalError, InvalidParameter
from interplay.models.image_embedding import LITE0_FEATURES, Lite0Features
from interplay.predictors.batch import BatchOutput
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.types import Image

LAYERS = 8  # the seven stages of the backbone, and the last convolution
UNITS = LITE0_FEATURES


@dataclass(frozen=True)
class LookItem:
    """An image to look at.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        units: Units whose maps are wanted, each in [0, ``UNITS``).
    """

    image: Image
    units: tuple[int, ...] = ()


@dataclass(frozen=True)
class UnitAnswers:
    """What the units of the last layer answer to an image.

    Attributes:
        pooled: (``UNITS``,) float32: the mean of each unit's map, in [0, 6].
        maps: (U, h, w) float32 of the units that were asked for, in [0, 6]; over the whole image.
    """

    pooled: NDArray[np.float32]
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Aim:
    """What a dream is to bring out; one of the three is set.

    Attributes:
        layer: 1 to ``LAYERS``.
        unit: In [0, ``UNITS``).
        vector: (D,) float32 of length one.
    """

    layer: int | None = None
    unit: int | None = None
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class DreamItem:
    """A step of a dream.

    Attributes:
        picture: (H, W, 3) float32 RGB in [0, 255].
        aim: What to bring out.
    """

    picture: NDArray[np.float32]
    aim: Aim


@dataclass(frozen=True)
class DreamGradient:
    """Which way a picture is to be changed.

    Attributes:
        gradient: (H, W, 3) float32, of the score by the picture.
        score: How well the aim is met: mean answer of the unit before its threshold, root mean square of
            the layer's, or cosine with the vector.
    """

    gradient: NDArray[np.float32]
    score: float


class ImageNetwork:
    """Embeds images and looks inside; one network. Use from one thread at a time.

    Args:
        embedder: The network.
    """

    def __init__(self, embedder: ImageEmbedder) -> None:
        self._embedder = embedder
        self.manifest = embedder.manifest
        self.device = embedder.device
        self.dtype = embedder.dtype

    def predict_batch(self, batch: Sequence[Any]) -> BatchOutput[Any]:
        """Results of images, of ``LookItem``s or of ``DreamItem``s; all of a batch are of one kind."""
        if isinstance(batch[0], LookItem):
            return self._look(batch)
        if isinstance(batch[0], DreamItem):
            started = perf_counter()
            results = [self._dream(item) for item in batch]
            return BatchOutput(results=results, infer_s=perf_counter() - started)
        return self._embedder.predict_batch(batch)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        self._embedder.warm_up()

    def check_inside(self) -> None:
        """See that this network can be looked into.

        Raises:
            InvalidParameter: It is of another architecture.
        """
        if not isinstance(self._embedder.model.backbone, Lite0Features):
            raise InvalidParameter(
                f"{self.manifest.name} has the backbone {self.manifest.config['backbone']!r}; only "
                "'efficientnet_lite0' can be looked into"
            )

    @torch.inference_mode()
    def _look(self, batch: Sequence[LookItem]) -> BatchOutput[UnitAnswers]:
        started = perf_counter()
        x = self._embedder.input.tensor([item.image for item in batch])
        prepared = perf_counter()
        maps = self._layer(x, LAYERS).float()  # (N, UNITS, h, w)
        pooled = maps.mean((2, 3)).cpu().numpy()
        inferred = perf_counter()
        results = [
            UnitAnswers(pooled[row], maps[row, list(item.units)].cpu().numpy())
            for row, item in enumerate(batch)
        ]
        return BatchOutput(
            results=results,
            preprocess_s=prepared - started,
            infer_s=inferred - prepared,
            postprocess_s=perf_counter() - inferred,
        )

    def _dream(self, item: DreamItem) -> DreamGradient:
        with torch.enable_grad():
            picture = torch.from_numpy(item.picture).to(self.device).requires_grad_(True)
            score = self._score(self._embedder.input.normalise(picture[None]), item.aim)
            (gradient,) = torch.autograd.grad(score, picture)
        return DreamGradient(gradient.float().cpu().numpy(), float(score.detach()))

    def _score(self, x: torch.Tensor, aim: Aim) -> torch.Tensor:
        if aim.layer is not None:
            return self._layer(x, aim.layer).float().square().mean().sqrt()
        if aim.unit is not None:
            # Before its threshold: a unit that is silent all over would have no gradient after it.
            return self._layer(x, LAYERS, threshold=False)[:, aim.unit].float().mean()
        if aim.vector is None:
            raise InternalError("a dream needs a layer, a unit or a vector")
        features = self._layer(x, LAYERS).float().mean((2, 3))
        vectors = F.normalize(self._embedder.model.head(features), dim=1)
        return (vectors[0] * torch.from_numpy(aim.vector).to(self.device)).sum()

    def _layer(self, x: torch.Tensor, layer: int, *, threshold: bool = True) -> torch.Tensor:
        """Maps of a layer, (N, C, h, w)."""
        self.check_inside()
        backbone = self._embedder.model.backbone
        assert isinstance(backbone, Lite0Features)
        x = backbone.trunk.stem(x)
        for stage in backbone.trunk.stages[:layer]:
            x = stage(x)
        if layer < LAYERS:
            return x
        return backbone.widen(x) if threshold else backbone.widen.conv(x)
