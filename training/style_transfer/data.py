"""Content crops: the pictures that the network learns to restyle.

The thesis takes ImageNet photos. These are mostly pictures with text, because text is
what will be restyled, and a small network on a CPU has no time for the rest. Sample
number i is a pure function of the seed and i.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from training.datasets.sample import Sample
from training.style_transfer.styles import compose_page, draw_lines, scaled
from training.text_detection.data import cut_crop, read_rgb

# Part of a page's crop that must be near letters: in an empty one there is nothing to restyle, and
# instance normalisation of something constant has gradients without bounds.
_LEAST_INK = 0.05


@dataclass(frozen=True)
class ContentSources:
    """Where crops come from. A source's share of the crops is its weight among those given.

    Attributes:
        scenes: photos and synthetic scenes with their words.
        words: real word crops.
        photos: any photos.
        fonts: font files, with which pages are drawn.
        vocabulary: words for those pages.
        handwriting: pictures of handwritten words, one list a writer.
        weights: by source name.
    """

    scenes: Sequence[Sample] = ()
    words: Sequence[Path] = ()
    photos: Sequence[Path] = ()
    fonts: Sequence[Path] = ()
    vocabulary: Sequence[str] = ()
    handwriting: Sequence[Sequence[Path]] = ()
    weights: dict[str, float] = field(default_factory=dict)


class ContentCrops(Dataset):
    """Endless, seeded crops, each with the style to give it.

    Items are dicts: "image" (3, S, S) uint8 RGB, "style" int64, and "near" (S, S) uint8: 1 where
    the style is compared. On drawn and handwritten pages that is at letters and close to them.
    A style's picture is full of letters; asked of a page that is half empty, its Gram matrices
    would fill the empty half with strokes.
    """

    def __init__(self, sources: ContentSources, size: int, styles: int, seed: int) -> None:
        self.sources, self.size, self.styles, self.seed = sources, size, styles, seed
        kinds = [kind for kind in sources.weights if getattr(sources, kind)]
        if not kinds:
            raise ValueError("no pictures to train on")
        self._kinds, self._weights = kinds, [sources.weights[kind] for kind in kinds]

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        cv2.setNumThreads(1)  # the cores belong to the network
        rng = random.Random(f"style/{self.seed}/{index}")
        kind = rng.choices(self._kinds, self._weights)[0]
        image = getattr(self, f"_{kind}")(rng)
        near = np.ones(image.shape[:2], np.uint8)
        if kind in ("fonts", "handwriting"):
            near = near_ink(image)
            while near.mean() < _LEAST_INK:
                image = getattr(self, f"_{kind}")(rng)
                near = near_ink(image)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "near": torch.from_numpy(near),
            "style": torch.tensor(rng.randrange(self.styles)),
        }

    def _scenes(self, rng: random.Random) -> np.ndarray:
        sample = rng.choice(self.sources.scenes)
        return cut_crop(rng, read_rgb(sample.image), sample.words, self.size, (0.7, 1.8), True)[0]

    def _words(self, rng: random.Random) -> np.ndarray:
        image = scaled(read_rgb(rng.choice(self.sources.words)), round(rng.uniform(30, 0.7 * self.size)))
        return random_square(rng, image, self.size)

    def _photos(self, rng: random.Random) -> np.ndarray:
        return cut_crop(rng, read_rgb(rng.choice(self.sources.photos)), (), self.size, (0.7, 1.5), True)[0]

    def _fonts(self, rng: random.Random) -> np.ndarray:
        size = round(rng.uniform(18, 48))
        full = rng.random() < 0.5
        rows, words = (2 + self.size // size, 4) if full else (rng.randint(1, 2), rng.randint(1, 2))
        lines = [" ".join(rng.choices(self.sources.vocabulary, k=words)) for _ in range(rows)]
        if rng.random() < 0.5:
            lines = [line.title() for line in lines]
        ink, paper = rng.randint(0, 70), rng.randint(215, 255)
        page = draw_lines(lines, rng.choice(self.sources.fonts), size, ink, paper)
        return random_square(rng, page if full else on_paper(rng, page, self.size), self.size)

    def _handwriting(self, rng: random.Random) -> np.ndarray:
        page = compose_page(
            rng, list(rng.choice(self.sources.handwriting)), 2 * self.size, round(1.3 * self.size)
        )
        if rng.random() < 0.5:  # a word or two alone
            bottom, right = (
                rng.randint(self.size // 4, self.size // 2),
                rng.randint(self.size // 3, self.size),
            )
            page = on_paper(rng, page[:bottom, :right], self.size)
        return random_square(rng, page, self.size)


def random_square(rng: random.Random, image: np.ndarray, size: int) -> np.ndarray:
    """A (size, size, 3) window of a picture; one that is too small is reflected at its borders."""
    height, width = image.shape[:2]
    while height < size or width < size:  # a reflection cannot be wider than the picture
        grow_y, grow_x = min(size - height, height - 1), min(size - width, width - 1)
        grow_y, grow_x = max(grow_y, 0), max(grow_x, 0)
        top, left = rng.randint(0, grow_y), rng.randint(0, grow_x)
        image = cv2.copyMakeBorder(image, top, grow_y - top, left, grow_x - left, cv2.BORDER_REFLECT_101)
        height, width = image.shape[:2]
    y, x = rng.randint(0, height - size), rng.randint(0, width - size)
    return image[y : y + size, x : x + size]


def on_paper(rng: random.Random, page: np.ndarray, size: int) -> np.ndarray:
    """A page somewhere on empty paper of its own brightness that is at least (size, size, 3)."""
    height, width = page.shape[:2]
    below, right = max(0, size - height), max(0, size - width)
    top, left = rng.randint(0, below), rng.randint(0, right)
    paper = np.median(page, (0, 1)).tolist()
    return cv2.copyMakeBorder(page, top, below - top, left, right - left, cv2.BORDER_CONSTANT, value=paper)


def near_ink(image: np.ndarray) -> np.ndarray:
    """Where a page has letters, and eight pixels around them: (H, W) uint8 of 0 and 1."""
    grey = image.mean(2)
    ink = (np.abs(grey - np.median(grey)) > 40).astype(np.uint8)
    return cv2.dilate(ink, np.ones((17, 17), np.uint8))
