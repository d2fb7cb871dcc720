"""Training of the style transformer (thesis 3.2.3, eq. 3.1) as a task of `training.engine`."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import torch
from torch import nn

from interplay.models.perceptual import Perceptual, content_losses, gram, relative_style_losses
from interplay.models.style_transformer import StyleTransformer, build_style_transformer
from interplay.predictors.style_transfer.words import ink_and_paper
from training.style_transfer.data import ContentCrops, ContentSources
from training.style_transfer.styles import StyleImage


@dataclass(frozen=True)
class StyleTaskOptions:
    """What is trained, and how.

    Both losses are relative (0 = the same, 1 = as far as an empty or unrelated picture),
    so their weights mean the same for a pale style and a loud one.

    Attributes:
        styles: names, in the order of the network's rows.
        size: side of the crops.
        batch_size: crops a step and process.
        rate: learning rate of the convolutions.
        style_rate: of gamma and beta, which see only the crops of their style.
        content_weight: of the content loss.
        style_weights: of the style loss, by layer of the perceptual network.
        paper_weight: of the squared distance to the style's paper far from letters, where
            the style is not compared.
    """

    styles: tuple[str, ...]
    size: int = 160
    batch_size: int = 2
    rate: float = 1e-3
    style_rate: float = 1e-2
    content_weight: float = 10.0
    style_weights: tuple[float, ...] = (1.0, 2.0, 4.0)
    paper_weight: float = 30.0


class StyleTask:
    """Trains one network for many styles; see `training.engine.Task` for the members."""

    def __init__(
        self,
        options: StyleTaskOptions,
        styles: Sequence[StyleImage],
        perceptual: Perceptual,
        sources: ContentSources,
        dev: ContentSources,
        seed: int,
    ) -> None:
        """Builds the network and the targets.

        Args:
            options: see there.
            styles: the pictures of `options.styles`.
            perceptual: frozen features.
            sources: content to train on.
            dev: content for the quick check during training.
            seed: of the crops.
        """
        self.model: StyleTransformer = build_style_transformer({"preset": "paper", "styles": len(styles)})
        self.batch_size = options.batch_size
        self.options = asdict(options)
        self._options = options
        self.perceptual = perceptual.to(memory_format=torch.channels_last)
        self.targets = target_grams(perceptual, styles)
        cv2.setNumThreads(1)  # data processes are forked, and would wait forever for threads of ours
        papers = [ink_and_paper(style.image)[1] for style in styles]
        self.papers = torch.tensor(papers, dtype=torch.float32)[..., None, None] / 255
        for row, style in enumerate(styles):
            self.model.start_with_colours(row, torch.from_numpy(style.image.copy()))
        self.dataset = ContentCrops(sources, options.size, len(styles), seed)
        self._dev = ContentCrops(dev, options.size, len(styles), 0)
        self.data_digest = digest(styles, sources)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Convolutions and styles at their own rates, without decay."""
        rows = [self.model.gamma, self.model.beta]
        others = [p for name, p in self.model.named_parameters() if name not in ("gamma", "beta")]
        return [
            {"params": others, "lr": self._options.rate, "weight_decay": 0.0},
            {"params": rows, "lr": self._options.style_rate, "weight_decay": 0.0},
        ]

    def set_train(self, model: nn.Module) -> None:
        """Training mode."""
        model.train()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean loss of a batch of `ContentCrops`."""
        images, styles = as_input(batch["image"]), batch["style"]
        step = 1 if images.device.type == "cpu" else len(images)
        content, style, paper = [], [], []
        for start in range(0, len(images), step):  # a CPU is faster image by image
            part, wanted = images[start : start + step], styles[start : start + step]
            parts = self.compare(model, part, wanted, batch["near"][start : start + step])
            content.append(parts[0])
            style.append(parts[1])
            paper.append(parts[2])
        content_loss, style_losses = torch.cat(content).mean(), torch.cat(style).mean(0)
        paper_loss, options = torch.cat(paper).mean(), self._options
        weights = torch.tensor(options.style_weights, device=images.device)
        total = (
            options.content_weight * content_loss
            + (weights * style_losses).sum()
            + options.paper_weight * paper_loss
        )
        parts = {f"style_{i}": value.detach() for i, value in enumerate(style_losses)}
        return total, {"content": content_loss.detach(), "paper": paper_loss.detach(), **parts}

    def compare(
        self, model: nn.Module, images: torch.Tensor, styles: torch.Tensor, near: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Content loss (N,), relative style losses (N, layers) and paper loss (N,) of restyled images.

        Args:
            model: restyles.
            images: (N, 3, S, S) in [0, 1].
            styles: (N,) rows of the styles.
            near: (N, S, S), 1 where the style is compared; elsewhere there is to be paper.
        """
        device = images.device
        if next(self.perceptual.parameters()).device != device:
            self.perceptual.to(device)
            self.targets = {name: value.to(device) for name, value in self.targets.items()}
            self.papers = self.papers.to(device)
        with torch.no_grad():
            before = self.perceptual(images)
        one_hot = nn.functional.one_hot(styles, len(self.options["styles"])).to(images.dtype)
        restyled = model(images, one_hot)
        features = self.perceptual(restyled)
        content = content_losses(features, before, self.perceptual.config.content)
        grams = {name: gram(features[name], near) for name in self.perceptual.config.style}
        targets = {name: value[styles] for name, value in self.targets.items()}
        far = (restyled - self.papers[styles]).square() * (near == 0)[:, None]
        return content, relative_style_losses(grams, targets), far.mean((1, 2, 3))

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Losses of fixed dev crops, and by how much the style loss falls from the unstyled crop."""
        device = next(model.parameters()).device
        totals = torch.zeros(3)
        count = 12
        for index in range(count):
            item = self._dev[index]
            image, style = as_input(item["image"][None].to(device)), item["style"][None].to(device)
            near = item["near"][None].to(device)
            content, after, _ = self.compare(model, image, style, near)
            _, before, _ = self.compare(lambda x, _: x, image, style, near)
            totals += torch.stack([content[0], after.sum(), before.sum()]).cpu()
        content, after, before = (totals / count).tolist()
        return {"content": content, "style": after, "style_fall": 1 - after / before}


def as_input(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) uint8 to float32 in [0, 1], channels last."""
    return (images.float() / 255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def target_grams(perceptual: Perceptual, styles: Sequence[StyleImage]) -> dict[str, torch.Tensor]:
    """Gram matrices of the style pictures, at their own size: layer name to (styles, C, C)."""
    grams: dict[str, list[torch.Tensor]] = {name: [] for name in perceptual.config.style}
    for style in styles:
        image = torch.from_numpy(style.image.transpose(2, 0, 1).copy())[None]
        features = perceptual(as_input(image))
        for name, values in grams.items():
            values.append(gram(features[name]))
    return {name: torch.cat(values) for name, values in grams.items()}


def digest(styles: Sequence[StyleImage], sources: ContentSources) -> str:
    """SHA-256 over the style pictures and the names of the content."""
    value = hashlib.sha256()
    for style in styles:
        value.update(style.name.encode() + style.image.tobytes())
    names = [sample.image.name for sample in sources.scenes]
    names += [path.name for paths in (sources.words, sources.photos, sources.fonts) for path in paths]
    names += [path.name for writer in sources.handwriting for path in writer]
    value.update("\n".join(names).encode())
    return value.hexdigest()
