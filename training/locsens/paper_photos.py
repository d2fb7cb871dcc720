"""What the thesis's image models are shown of photos and told of their tags (`training.locsens.paper`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from interplay.media.images import decode
from interplay.predictors.pictures import fit, square
from interplay.store import Preprocessing
from training.datasets.captions import CaptionedImage
from training.embedding.task import Shuffled

BACKBONE = "resnet50"
# Rate and photos a step, of all of the thesis's GPUs together; MLC's are the last of several it tried.
DEFAULTS = {"mlc": (1e-4, 64), "mcc": (0.06, 288), "her": (0.08, 400)}


@dataclass(frozen=True)
class PaperOptions:
    """How a network is trained.

    Attributes:
        kind: "mlc", "mcc" or "her".
        rate: learning rate.
        batch_size: photos a step.
        dimension: of image vectors; HER has that of its word vectors.
        side: of the input, in pixels.
        short_side: of photos, in pixels; the input is cut out of such.
        positive_weight: of MLC's positives.
        weights: name of what the network started from.
        backbone: the network.
    """

    kind: str = "mcc"
    rate: float = DEFAULTS["mcc"][0]
    batch_size: int = DEFAULTS["mcc"][1]
    dimension: int = 300
    side: int = 224
    short_side: int = 300
    positive_weight: float = 1.0
    weights: str | None = None
    backbone: str = BACKBONE

    def __post_init__(self) -> None:
        if self.short_side < self.side:
            raise ValueError(f"short_side must be {self.side} (side) or more, not {self.short_side}")


class TrainingPhotos(Dataset):
    """Endless shuffled photos with what a kind is told of their tags; item i is a function of i.

    Args:
        items: photos.
        tags: numbers of each photo's tags; at least one each.
        options: kind and size.
        seed: of order, cut-outs, mirroring and choice of tags.
        words: (V, D) float32 for "her".
    """

    def __init__(
        self,
        items: Sequence[CaptionedImage],
        tags: Sequence[np.ndarray],
        options: PaperOptions,
        seed: int,
        words: np.ndarray | None = None,
    ) -> None:
        self._items, self._tags, self._options, self._words, self._seed = items, tags, options, words, seed
        self._share = options.side / options.short_side
        self._most = max(map(len, tags), default=0)
        self._order = Shuffled(len(items), seed)

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """ "photo", (side, side, 3) uint8 RGB, and "target": see `told`."""
        photo = self._order[index]
        rng = np.random.default_rng((self._seed, index))
        down, right = rng.random(2)
        cut = square(decode(self._items[photo].content()), self._share, (down, right))
        picture = fit(cut, self._options.side)
        picture = picture[:, ::-1] if rng.random() < 0.5 else picture
        return {
            "photo": torch.from_numpy(np.ascontiguousarray(picture)),
            "target": torch.from_numpy(np.asarray(self.told(photo, rng))),
        }

    def told(self, photo: int, rng: np.random.Generator) -> np.ndarray:
        """One of the photo's tags for MCC, the sum of their vectors for HER, for MLC (M,) numbers of tags,
        the first again where another photo has more.
        """
        own = self._tags[photo]
        if self._options.kind == "mcc":
            return np.asarray(rng.choice(own), np.int64)
        if self._options.kind == "her":
            assert self._words is not None
            return np.asarray(self._words[own].sum(0))
        return np.concatenate([own, np.full(self._most - len(own), own[0])]).astype(np.int64)


class Centres(Dataset):
    """The middle of each photo, as serving sees it: (side, side, 3) uint8 RGB.

    Args:
        items: photos.
        options: of the network.
    """

    def __init__(self, items: Sequence[CaptionedImage], options: PaperOptions) -> None:
        self._items, self._options = items, options

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> torch.Tensor:
        cut = square(decode(self._items[index].content()), self._options.side / self._options.short_side)
        return torch.from_numpy(np.ascontiguousarray(fit(cut, self._options.side)))


def as_input(pictures: torch.Tensor) -> torch.Tensor:
    """(N, H, W, 3) uint8 RGB to (N, 3, H, W) float32, normalised as torchvision's weights want it."""
    norm = Preprocessing()
    mean, std = (torch.tensor(v, device=pictures.device).view(1, 3, 1, 1) for v in (norm.mean, norm.std))
    return (pictures.permute(0, 3, 1, 2) / 255 - mean) / std
