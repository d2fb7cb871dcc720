"""Training crops for TextFCN: real photos, synthetic scenes and photos without text.

Sample number i is a pure function of the seed and i, so a run can be resumed, spread
over processes and repeated. Used by `training.text_detection.train`.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from training.datasets.sample import Sample, WordLabel
from training.text_detection.labels import draw_labels

# ImageNet's mean in 8 bits: what lies outside a picture looks like nothing to the network.
FILL = (124, 116, 104)


@dataclass(frozen=True)
class CropSettings:
    """How crops are cut and altered.

    Attributes:
        size: side in pixels.
        label_stride: pixels a label pixel spans; the network's output stride.
        shrink_ratio: of word cores.
        real_share, synthetic_share: parts of the crops; the rest shows no text.
        real_zoom, synthetic_zoom: smallest and largest enlargement.
        augment: False gives plain centred crops.
    """

    size: int = 512
    label_stride: int = 2
    shrink_ratio: float = 0.6
    real_share: float = 0.47
    synthetic_share: float = 0.43
    real_zoom: tuple[float, float] = (0.5, 1.7)
    synthetic_zoom: tuple[float, float] = (0.6, 1.3)
    augment: bool = True


@dataclass(frozen=True)
class CropSources:
    """Where crops come from; an empty source gives its share to the others."""

    real: list[Sample] = field(default_factory=list)
    synthetic: list[Sample] = field(default_factory=list)
    text_free: list[Path] = field(default_factory=list)


def read_pool(folder: Path) -> list[Sample]:
    """Reads what `training.synth.generate` wrote; a last line cut short is left out."""
    samples = []
    for line in (folder / "scenes.jsonl").read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the pool is still being written
            break
        words = zip(row["polygons"], row["legible"], strict=True)
        labels = tuple(WordLabel(np.asarray(polygon, np.float32), "", ok) for polygon, ok in words)
        samples.append(Sample(folder / row["image"], labels))
    return samples


class TextCrops(Dataset):
    """Endless, seeded crops with labels.

    Items are dicts: "image" (3, S, S) uint8 RGB, "labels" (S/stride, S/stride) uint8 of
    `training.text_detection.labels`, "weights" float16 of that shape.
    """

    def __init__(self, sources: CropSources, settings: CropSettings, seed: int) -> None:
        if not (sources.real or sources.synthetic):
            raise ValueError("no pictures with text to train on")
        self.sources, self.settings, self.seed = sources, settings, seed

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        cv2.setNumThreads(1)  # the cores belong to the network
        rng = random.Random(f"{self.seed}/{index}")
        settings = self.settings
        image, words, zoom = self._draw(rng)
        image, polygons = cut_crop(rng, image, words, settings.size, zoom, settings.augment)
        if settings.augment:
            image = alter(rng, image)
        legible = [word.legible for word in words]
        labels, weights = draw_labels(
            polygons, legible, settings.size, settings.label_stride, settings.shrink_ratio
        )
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "labels": torch.from_numpy(labels),
            "weights": torch.from_numpy(weights.astype(np.float16)),
        }

    def _draw(self, rng: random.Random) -> tuple[np.ndarray, tuple[WordLabel, ...], tuple[float, float]]:
        """Picks a picture; returns it with its words and range of zoom."""
        settings, sources, kind = self.settings, self.sources, rng.random()
        if sources.text_free and kind >= settings.real_share + settings.synthetic_share:
            return read_rgb(rng.choice(sources.text_free)), (), (1.0, 3.0)
        wants_real = rng.random() * (settings.real_share + settings.synthetic_share) < settings.real_share
        if sources.real and (wants_real or not sources.synthetic):
            sample, zoom = rng.choice(sources.real), settings.real_zoom
        else:
            sample, zoom = rng.choice(sources.synthetic), settings.synthetic_zoom
        return read_rgb(sample.image), sample.words, zoom


def read_rgb(path: Path) -> np.ndarray:
    """Reads a file as (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: it is missing or no image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"cannot read the image {path}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def cut_crop(
    rng: random.Random,
    image: np.ndarray,
    words: tuple[WordLabel, ...],
    size: int,
    zoom: tuple[float, float],
    augment: bool,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Cuts a square out of a picture, turned, zoomed and slightly stretched.

    Args:
        rng: source of chance.
        image: (H, W, 3) uint8.
        words: words of the picture; four crops in five are cut about one.
        size: side of the crop.
        zoom: smallest and largest enlargement, drawn log-uniformly.
        augment: False only cuts, at a zoom of 1.

    Returns:
        The (size, size, 3) crop and the words' outlines in its pixels.
    """
    height, width = image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1])))) if augment else 1.0
    angle = stretch = 0.0
    if augment:
        turn = rng.random()
        angle = (
            rng.gauss(0, 4) if turn < 0.8 else rng.uniform(-35, 35) if turn < 0.96 else rng.choice((-90, 90))
        )
        stretch = rng.uniform(-0.12, 0.12)
    if words and rng.random() < 0.8:
        focus = rng.choice(words).polygon.mean(0)
        reach = 0.4 * size / scale
        focus = focus + np.float32([rng.uniform(-reach, reach), rng.uniform(-reach, reach)])
    else:
        focus = np.float32([rng.uniform(0, width), rng.uniform(0, height)])
    half = 0.5 * size / scale  # keep the crop inside the picture where it fits
    for axis, extent in ((0, width), (1, height)):
        low, high = min(half, extent / 2), max(extent - half, extent / 2)
        focus[axis] = min(max(focus[axis], low), high)
    if scale < 0.75:  # shrink smoothly first: warping alone would alias
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        before = np.float32([image.shape[1] / width, image.shape[0] / height])
        rest = 1.0
    else:
        before, rest = np.float32([1, 1]), scale
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    stretching = np.diag([rest * np.exp(stretch), rest * np.exp(-stretch)])
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ stretching
    offset = np.full(2, size / 2) - matrix @ (focus * before)
    view = np.hstack([matrix, offset[:, None]])
    crop = cv2.warpAffine(image, view, (size, size), flags=cv2.INTER_LINEAR, borderValue=FILL)
    polygons = [((word.polygon * before) @ matrix.T + offset).astype(np.float32) for word in words]
    return crop, polygons


def alter(rng: random.Random, image: np.ndarray) -> np.ndarray:
    """Changes colour, contrast, sharpness, noise and compression of an (H, W, 3) uint8 RGB image."""
    table = np.arange(256, dtype=np.float32) / 255
    table = table ** np.exp(rng.gauss(0, 0.25))
    contrast, brightness = rng.uniform(0.65, 1.35), rng.gauss(0, 0.08)
    tables = []
    for _ in range(3):
        tint = rng.uniform(0.88, 1.12)
        tables.append(((table - 0.5) * contrast * tint + 0.5 + brightness).clip(0, 1) * 255)
    image = cv2.LUT(image, np.stack(tables, -1).astype(np.uint8)[None])
    if rng.random() < 0.12:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif rng.random() < 0.1:
        image = np.ascontiguousarray(image[..., rng.sample((0, 1, 2), 3)])
    if rng.random() < 0.04:
        image = 255 - image
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4))
    elif rng.random() < 0.15:
        image = cv2.addWeighted(image, 1.7, cv2.GaussianBlur(image, (0, 0), 1.2), -0.7, 0)
    if rng.random() < 0.25:
        grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 12), image.shape[:2])
        image = (image + grain[..., None]).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, rng.randint(30, 90)]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image
