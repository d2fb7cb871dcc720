"""TextFCN as a task of `training.engine`."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from interplay.models.efficientnet_lite import freeze_statistics
from interplay.models.textfcn import BACKGROUND, CompactTextFCN, PaperTextFCN, TextFCN, build_textfcn
from training.depthwise import freeze_for_cpu
from training.imagenet import load_lite0
from training.text_detection.data import FILL, CropSettings, CropSources, TextCrops
from training.text_detection.losses import IGNORED, paper_loss, text_loss

# ImageNet's statistics on RGB in 0 to 255; export writes the same into the manifest.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
assert tuple(round(255 * value) for value in MEAN) == FILL


@dataclass(frozen=True)
class TextTaskOptions:
    """What is trained, and how fast.

    Attributes:
        model: configuration for `build_textfcn`.
        crops: how crops are made.
        batch_size: crops a step and process.
        backbone_rate, head_rate: learning rates; `paper` uses `head_rate` for all.
        frozen_for_cpu: keep what is dear to train on CPU (`training.depthwise`).
        imagenet: start the backbone from ImageNet weights (compact only).
    """

    model: dict[str, Any] = field(default_factory=lambda: {"preset": "compact"})
    crops: CropSettings = CropSettings()
    batch_size: int = 6
    backbone_rate: float = 4e-4
    head_rate: float = 1.5e-3
    frozen_for_cpu: bool = True
    imagenet: bool = True


class TextTask:
    """Trains a TextFCN; see `training.engine.Task` for the members."""

    def __init__(
        self, options: TextTaskOptions, sources: CropSources, dev: CropSources, seed: int, dev_crops: int = 24
    ) -> None:
        """Builds the network and its data.

        Args:
            options: see there.
            sources: what crops are made of.
            dev: photos for the quick check during training.
            seed: of the crops.
            dev_crops: crops in that check.
        """
        self.model: TextFCN = build_textfcn(options.model)
        self.batch_size = options.batch_size
        self.options = asdict(options)
        self._options = options
        self._dev_crops = dev_crops if dev.real or dev.synthetic else 0
        if isinstance(self.model, CompactTextFCN):
            if options.imagenet:
                load_lite0(self.model.backbone)
            freeze_statistics(self.model.backbone)
            if options.frozen_for_cpu:
                freeze_for_cpu(self.model.backbone)
        self.dataset = TextCrops(sources, options.crops, seed)
        still = CropSettings(
            options.crops.size, options.crops.label_stride, options.crops.shrink_ratio, augment=False
        )
        self._dev = TextCrops(dev, still, seed=0) if self._dev_crops else None
        self.data_digest = digest_sources(sources)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Backbone and head at their own rates; norms and biases without decay.

        The `paper` preset follows Caffe: biases at twice the rate.
        """
        if isinstance(self.model, PaperTextFCN):
            weights = [p for p in self.model.parameters() if p.ndim > 1]
            biases = [p for p in self.model.parameters() if p.ndim == 1]
            rate = self._options.head_rate
            return [{"params": weights, "lr": rate}, {"params": biases, "lr": 2 * rate, "weight_decay": 0.0}]
        groups = []
        for in_backbone, rate in ((True, self._options.backbone_rate), (False, self._options.head_rate)):
            named = [
                p
                for name, p in self.model.named_parameters()
                if p.requires_grad and name.startswith("backbone.") == in_backbone
            ]
            groups.append({"params": [p for p in named if p.ndim > 1], "lr": rate})
            groups.append({"params": [p for p in named if p.ndim == 1], "lr": rate, "weight_decay": 0.0})
        return groups

    def set_train(self, model: nn.Module) -> None:
        """Training mode; the backbone's frozen statistics stay as they are by themselves."""
        model.train()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch of `TextCrops`."""
        logits = model(normalise(batch["image"]))
        if self._options.model["preset"] == "paper":
            labels = batch["labels"]
            binary = torch.where(labels == IGNORED, labels, labels.clamp(max=1))
            return paper_loss(logits, binary, batch["weights"])
        return text_loss(logits, batch["labels"], batch["weights"].float())

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Pixel precision, recall and F1 at a probability of 0.5 on fixed dev crops."""
        if self._dev is None:
            return {}
        device = next(model.parameters()).device
        hits = found = wanted = 0
        for index in range(self._dev_crops):
            item = self._dev[index]
            with torch.autocast(device.type, torch.bfloat16):
                logits = model(normalise(item["image"][None].to(device)))
            text = (logits.float().softmax(1)[0, BACKGROUND] < 0.5).cpu()
            labels = item["labels"]
            valid, truth = labels != IGNORED, (labels != BACKGROUND) & (labels != IGNORED)
            hits += int((text & truth).sum())
            found += int((text & valid).sum())
            wanted += int(truth.sum())
        precision, recall = hits / max(found, 1), hits / max(wanted, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        return {"pixel_precision": precision, "pixel_recall": recall, "pixel_f1": f1}


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) uint8 RGB to float32 as the network wants it, channels last."""
    mean = torch.tensor(MEAN, device=images.device)[:, None, None]
    std = torch.tensor(STD, device=images.device)[:, None, None]
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def digest_sources(sources: CropSources) -> str:
    """SHA-256 over the names and word outlines that crops are made of."""
    digest = hashlib.sha256()
    for sample in [*sources.real, *sources.synthetic]:
        outlines = [np_list(word.polygon) + [word.legible] for word in sample.words]
        digest.update(json.dumps([sample.image.name, outlines]).encode())
    for path in sources.text_free:
        digest.update(path.name.encode())
    return digest.hexdigest()


def np_list(polygon: Any) -> list:
    """Coordinates rounded to a tenth of a pixel, so that the digest survives number formats."""
    return [round(float(value), 1) for value in polygon.reshape(-1)]
