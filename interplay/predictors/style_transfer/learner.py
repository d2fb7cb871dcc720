"""A new style for a trained network: only its two rows, gamma and beta, are trained.

The convolutions stay as they are (Dumoulin et al. 2017, section 3.3), so the other styles do not
change by a bit, and a few minutes on a CPU do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from interplay.models.perceptual import Perceptual, content_losses, gram, relative_style_losses
from interplay.models.style_transformer import StyleTransformer, build_style_transformer
from interplay.predictors.style_transfer.words import letters
from interplay.types import Image

# Content that needs no data set: words drawn in colours on colours.
_TEXT = (
    "open market street harbour books espresso bakery hotel station museum garden exit sale fresh "
    "daily vintage pizza office school bank music coffee Zurich JAZZ QUICK fox 24h 1987 sphinx "
    "quartz judge vow"
)
_WORDS = tuple(_TEXT.split())
# As in training: height of the style's picture, weights of the losses (training.style_transfer.task).
STYLE_HEIGHT = 64
_CONTENT_WEIGHT = 10.0
_STYLE_WEIGHTS = (1.0, 2.0, 4.0)
_RATE = 0.01


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes:
        gamma, beta: (channels,) rows of the new style.
        started_from: Row of the existing style that was nearest.
        loss_before: Relative style loss of plain content to the picture, summed over the layers.
        loss_after: The same, restyled.
    """

    gamma: torch.Tensor
    beta: torch.Tensor
    started_from: int
    loss_before: float
    loss_after: float


def learn_style(
    model: StyleTransformer,
    perceptual: Perceptual,
    picture: Image,
    *,
    photos: Sequence[Image] = (),
    steps: int = 300,
    size: int = 144,
    seed: int = 0,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Learned:
    """Learn the style of a picture of a word.

    Args:
        model: The trained network; not changed.
        perceptual: Frozen features.
        picture: (H, W, 3) uint8 RGB.
        photos: Content besides drawn words.
        steps: Of one crop each.
        size: Side of the crops, a multiple of 4.
        seed: Of the crops.
        report: Called after each step with its number (from 1) and the losses.
    """
    torch.manual_seed(seed)
    width = max(16, round(picture.shape[1] * STYLE_HEIGHT / picture.shape[0]))
    small = cv2.resize(picture, (width, STYLE_HEIGHT), interpolation=cv2.INTER_AREA)
    style = np.asarray(small, dtype=np.uint8)
    perceptual = perceptual.to(memory_format=torch.channels_last)
    with torch.no_grad():
        target = {name: gram(value) for name, value in _style_features(perceptual, _tensor(style)).items()}
    start = _nearest(model, perceptual, target, size)
    shape = {"widths": model.config.widths, "blocks": model.config.blocks}
    student = build_style_transformer({"preset": "paper", "styles": 1, **shape})
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("gate.")}
    student.load_state_dict({**state, "gamma": model.gamma[start][None], "beta": model.beta[start][None]})
    student = student.requires_grad_(False).to(memory_format=torch.channels_last)
    student.start_with_colours(0, torch.from_numpy(style))
    rows = [student.gamma.requires_grad_(True), student.beta.requires_grad_(True)]
    optimizer = torch.optim.Adam(rows, lr=_RATE)
    weights = torch.ones(1, 1)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        x = _tensor(content_crop(random.Random(f"{seed}/{step}"), size, photos))
        with torch.no_grad():
            before = perceptual(x)
        features = perceptual(student(x, weights))
        content = content_losses(features, before, perceptual.config.content).sum()
        losses = relative_style_losses({name: gram(features[name]) for name in target}, target)[0]
        total = _CONTENT_WEIGHT * content + sum(w * v for w, v in zip(_STYLE_WEIGHTS, losses, strict=True))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if report is not None:
            report(step, {"content": content.item(), "style": losses.sum().item()})
    before_loss, after_loss = _compare(student, perceptual, target, size, photos)
    return Learned(student.gamma.detach()[0], student.beta.detach()[0], start, before_loss, after_loss)


def content_crop(rng: random.Random, size: int, photos: Sequence[Image] = ()) -> Image:
    """A square of words drawn on a plain, shaded or photographed ground: (size, size, 3) uint8."""
    ground = _ground(rng, size, photos)
    top = rng.randint(-10, 10)
    while top < size:
        height = rng.randint(18, 60)
        line = letters(" ".join(rng.choices(_WORDS, k=3)), height)
        left = rng.randint(-line.shape[1] // 3, size // 4)
        here = np.zeros((size, size), dtype=np.float32)
        rows = slice(max(0, top), min(size, top + line.shape[0]))
        columns = slice(max(0, left), min(size, left + line.shape[1]))
        if rows.start < rows.stop and columns.start < columns.stop:
            here[rows, columns] = line[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
            under = ground[rows, columns].mean()
            limits = (0, 90) if under > 128 else (165, 255)
            ink = np.array([rng.uniform(*limits) for _ in range(3)], dtype=np.float32)
            ground = ground * (1 - here[..., None]) + ink * here[..., None]
        top += line.shape[0] + rng.randint(2, 24)
    return np.asarray(ground.clip(0, 255).astype(np.uint8))


def _ground(rng: random.Random, size: int, photos: Sequence[Image]) -> NDArray[np.float32]:
    if photos and rng.random() < 0.6:
        photo = rng.choice(photos)
        factor = max(1.0, size / min(photo.shape[:2]))
        photo = np.asarray(cv2.resize(photo, None, fx=factor, fy=factor))
        y, x = rng.randint(0, photo.shape[0] - size), rng.randint(0, photo.shape[1] - size)
        return photo[y : y + size, x : x + size].astype(np.float32)
    corners = np.array([[[rng.uniform(0, 255)] * 3 for _ in range(2)] for _ in range(2)], dtype=np.float32)
    tint = np.array([rng.uniform(-40, 40) for _ in range(3)], dtype=np.float32)
    shade = cv2.resize(corners, (size, size), interpolation=cv2.INTER_CUBIC) + tint
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 8), (size, size, 1))
    return np.asarray(shade + grain, dtype=np.float32)


def _tensor(image: Image) -> torch.Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) in [0, 1], channels last."""
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0
    return x.contiguous(memory_format=torch.channels_last)


def _style_features(perceptual: Perceptual, x: torch.Tensor) -> dict[str, torch.Tensor]:
    features = perceptual(x)
    return {name: features[name] for name in perceptual.config.style}


@torch.no_grad()
def _nearest(
    model: StyleTransformer, perceptual: Perceptual, target: dict[str, torch.Tensor], size: int
) -> int:
    """The style whose result on one crop is nearest to the target: a good place to start from."""
    x = _tensor(content_crop(random.Random("nearest"), size))
    losses = []
    for weights in torch.eye(model.config.styles):
        features = _style_features(perceptual, model.parts(x, weights[None])[0])
        losses.append(relative_style_losses({k: gram(v) for k, v in features.items()}, target).sum().item())
    return int(np.argmin(losses))


@torch.no_grad()
def _compare(
    student: StyleTransformer,
    perceptual: Perceptual,
    target: dict[str, torch.Tensor],
    size: int,
    photos: Sequence[Image],
) -> tuple[float, float]:
    """Style loss of crops that were not trained on, plain and restyled."""
    sums = np.zeros(2)
    count = 8
    for number in range(count):
        x = _tensor(content_crop(random.Random(f"held out/{number}"), size, photos))
        for place, picture in enumerate((x, student(x, torch.ones(1, 1)))):
            grams = {name: gram(value) for name, value in _style_features(perceptual, picture).items()}
            sums[place] += relative_style_losses(grams, target).sum().item()
    return float(sums[0] / count), float(sums[1] / count)
