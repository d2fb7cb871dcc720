"""Distils the end-to-end selective model (thesis 3.2.4, eq. 3.3 and 3.4).

    python -m training.style_transfer.distill --teacher RUN --out RUN2 --pool POOL --minutes 30

The teacher is a run of `training.style_transfer.train --model scene`, the trained style
transformer φ. The student η sees the photo alone; inside words it is to give what φ
gives, elsewhere the photo itself. Three deviations from the thesis, all because a CPU has
to do: η has a gate (see `interplay.models.style_transformer`); it starts from φ's weights
and its gate from TextFCN's backbone, where the thesis starts at random; and the gate is
also told directly what is text, on more crops than are restyled: it is the smaller part of
the work.
"""

import argparse
import hashlib
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

from interplay.models.style_transformer import StyleTransformer, build_style_transformer
from interplay.store import resolve
from training.checkpoints import latest_checkpoint
from training.datasets.sample import Sample
from training.engine import EngineConfig, train
from training.style_transfer.task import as_input
from training.text_detection.data import alter, cut_crop, read_pool, read_rgb
from training.text_detection.paths import data_dir, photos_dir
from training.text_detection.split import load_part

BACKGROUND, TEXT, IGNORED = 0, 1, 2


@dataclass(frozen=True)
class DistillOptions:
    """What is trained, and how.

    Attributes:
        styles: names, in the order of the teacher's rows.
        size: side of the crops.
        batch_size: crops a step and process that the gate looks at.
        restyled: how many of them both networks restyle.
        rate: learning rate of what comes from the teacher.
        gate_rate: learning rate of the gate.
        text_weight, background_weight: λ1 and λ2 of eq. 3.4.
        gate_weight: of the gate's own loss, its cross entropy with the words' masks.
        text_free_share: part of the crops that show no text.
    """

    styles: tuple[str, ...]
    size: int = 192
    batch_size: int = 10
    restyled: int = 1
    rate: float = 3e-4
    gate_rate: float = 1e-3
    text_weight: float = 5.0
    background_weight: float = 1.0
    gate_weight: float = 0.1
    text_free_share: float = 0.15


class MaskedCrops(Dataset):
    """Endless, seeded crops of photos with text.

    Items are dicts: "image" (3, S, S) uint8 RGB, "mask" (S, S) uint8 of BACKGROUND, TEXT
    (legible words) and IGNORED (others), "style" int64.
    """

    def __init__(
        self, samples: Sequence[Sample], text_free: Sequence[Path], options: DistillOptions, seed: int
    ) -> None:
        if not samples:
            raise ValueError("no pictures with text to train on")
        self.samples, self.text_free, self.options, self.seed = samples, text_free, options, seed

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        cv2.setNumThreads(1)  # the cores belong to the network
        rng = random.Random(f"distill/{self.seed}/{index}")
        options = self.options
        if self.text_free and rng.random() < options.text_free_share:
            image, words = read_rgb(rng.choice(self.text_free)), ()
        else:
            sample = rng.choice(self.samples)
            image, words = read_rgb(sample.image), sample.words
        image, polygons = cut_crop(rng, image, words, options.size, (0.6, 1.6), True)
        if rng.random() < 0.5:
            image = alter(rng, image)
        mask = np.zeros((options.size, options.size), np.uint8)
        order = sorted(zip(words, polygons, strict=True), key=lambda pair: pair[0].legible, reverse=True)
        for word, polygon in order:  # doubtful words last: where they cover legible ones, nothing is certain
            cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], TEXT if word.legible else IGNORED)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "mask": torch.from_numpy(mask),
            "style": torch.tensor(rng.randrange(len(options.styles))),
        }


class DistillTask:
    """Trains η from φ; see `training.engine.Task` for the members."""

    def __init__(
        self,
        options: DistillOptions,
        teacher: dict[str, torch.Tensor],
        detector: dict[str, torch.Tensor],
        samples: Sequence[Sample],
        dev: Sequence[Sample],
        text_free: Sequence[Path],
        seed: int,
    ) -> None:
        """Builds both networks.

        Args:
            options: see there.
            teacher: φ's state dict.
            detector: a compact TextFCN's state dict.
            samples: pictures with words to train on.
            dev: pictures for the quick check during training.
            text_free: photos without text.
            seed: of the crops.
        """
        config = {"preset": "paper", "styles": len(options.styles)}
        self.teacher = build_style_transformer(config).eval().requires_grad_(False)
        self.teacher.load_state_dict(teacher)
        self.teacher.to(memory_format=torch.channels_last)
        self.model: StyleTransformer = build_style_transformer({**config, "gate": True})
        self.model.load_state_dict(teacher, strict=False)
        assert self.model.gate is not None
        self.model.gate.backbone.load_state_dict(backbone_of(detector, self.model.gate.backbone))
        self.batch_size = options.batch_size
        self.options = asdict(options)
        self._options = options
        self.dataset = MaskedCrops(samples, text_free, options, seed)
        self._dev = MaskedCrops(dev, (), options, 0)
        digest = hashlib.sha256()
        for sample in samples:
            outlines = [[word.polygon.round(1).tolist(), word.legible] for word in sample.words]
            digest.update(json.dumps([sample.image.name, outlines]).encode())
        digest.update("\n".join(path.name for path in text_free).encode())
        self.data_digest = digest.hexdigest()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The gate at its own rate; no decay."""
        gate = [p for name, p in self.model.named_parameters() if name.startswith("gate.")]
        others = [p for name, p in self.model.named_parameters() if not name.startswith("gate.")]
        return [
            {"params": others, "lr": self._options.rate, "weight_decay": 0.0},
            {"params": gate, "lr": self._options.gate_rate, "weight_decay": 0.0},
        ]

    def set_train(self, model: nn.Module) -> None:
        """Training mode."""
        model.train()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Eq. 3.4 over a part of a batch of `MaskedCrops`, as a weighted mean over its pixels, and
        the gate's cross entropy over all of it."""
        x, mask = as_input(batch["image"]), batch["mask"][:, None]
        options = self._options
        assert self.model.gate is not None
        gate = nn.functional.binary_cross_entropy_with_logits(
            self.model.gate(x).float(), (mask == TEXT).float(), weight=(mask != IGNORED).float()
        )
        x, mask, styles = (value[: options.restyled] for value in (x, mask, batch["style"]))
        text, background = self._errors(model, x, mask, styles)
        total = (
            options.text_weight * (mask == TEXT).sum()
            + options.background_weight * (mask == BACKGROUND).sum()
        )
        parts = options.text_weight * text.sum(), options.background_weight * background.sum()
        scale = 1.0 / (3 * total.clamp(min=1))
        return (parts[0] + parts[1]) * scale + options.gate_weight * gate, {
            "text": parts[0].detach() * scale,
            "background": parts[1].detach() * scale,
            "gate": gate.detach(),
        }

    def _errors(
        self, model: nn.Module, x: torch.Tensor, mask: torch.Tensor, styles: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared distances to φ(c) inside words and to c outside, zero elsewhere."""
        self.teacher.to(x.device)
        weights = nn.functional.one_hot(styles, len(self._options.styles)).to(x.dtype)
        with torch.no_grad():
            wanted = self.teacher(x, weights).float()
        given = model(x, weights).float()
        return (given - wanted).square() * (mask == TEXT), (given - x).square() * (mask == BACKGROUND)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Root mean square errors on dev crops (levels of 255), and what the gate finds at 0.5."""
        device = next(model.parameters()).device
        sums = np.zeros(7)
        for index in range(32):
            item = {key: value[None].to(device) for key, value in self._dev[index].items()}
            x, mask = as_input(item["image"]), item["mask"][:, None]
            text, background = self._errors(model, x, mask, item["style"])
            weights = nn.functional.one_hot(item["style"], len(self._options.styles)).to(x.dtype)
            gate = model.parts(x, weights)[1] > 0.5
            counted = mask != IGNORED
            sums += [
                float(text.sum()), 3 * float((mask == TEXT).sum()),
                float(background.sum()), 3 * float((mask == BACKGROUND).sum()),
                float((gate & (mask == TEXT)).sum()), float((gate & counted).sum()),
                float((mask == TEXT).sum()),
            ]  # fmt: skip
        precision, recall = sums[4] / max(sums[5], 1), sums[4] / max(sums[6], 1)
        return {
            "text_rmse": 255 * float(np.sqrt(sums[0] / max(sums[1], 1))),
            "background_rmse": 255 * float(np.sqrt(sums[2] / max(sums[3], 1))),
            "gate_precision": precision,
            "gate_recall": recall,
        }


def backbone_of(detector: dict[str, torch.Tensor], backbone: nn.Module) -> dict[str, torch.Tensor]:
    """What a compact TextFCN's state dict holds for a gate's backbone, which has fewer stages."""
    return {key: detector[f"backbone.{key}"].float() for key in backbone.state_dict()}


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", type=Path, required=True, help="run of training.style_transfer.train")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; resumed if it has checkpoints"
    )
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="where TextFCN is")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--pool", type=Path, help="folder of training.synth.generate")
    parser.add_argument("--text-free", type=Path, help="list of training.synth.photos")
    parser.add_argument("--photos", type=Path, default=photos_dir(), help="folder of those photos")
    parser.add_argument("--minutes", type=float, help="end the schedule after so many minutes")
    parser.add_argument(
        "--steps", type=int, default=40_000, help="end it after so many steps (default 40000)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32")
    parser.add_argument("--workers", type=int, default=1, help="data processes (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    checkpoint = latest_checkpoint(args.teacher)
    if checkpoint is None:
        parser.error(f"{args.teacher} has no checkpoint")
    styles = json.loads((checkpoint / "state.json").read_text())["task"]["styles"]
    samples = load_part("train", args.data) + (read_pool(args.pool) if args.pool else [])
    names = args.text_free.read_text().split() if args.text_free else []
    task = DistillTask(
        DistillOptions(tuple(styles)),
        load_file(checkpoint / "ema.safetensors"),
        load_file(resolve(args.store, "textfcn-compact").weights),
        [sample for sample in samples if sample.words],
        load_part("dev", args.data),
        [args.photos / name for name in names],
        args.seed,
    )
    config = EngineConfig(
        out=args.out,
        steps=args.steps,
        max_minutes=args.minutes,
        weight_decay=0.0,
        precision=args.precision,
        device=args.device,
        workers=args.workers,
        seed=args.seed,
    )
    print(f"last checkpoint: {train(task, config)}")


if __name__ == "__main__":
    main()
