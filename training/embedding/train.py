"""Trains the head of the compact image model.

    python -m training.embedding.train --text TEXT/glove-tfidf.npz --features FEATURES --out RUN
    python -m training.embedding.train … --start RUN --tune-backbone --out TUNED

The second form goes on from a run and trains the backbone's last stages, too, on the maps of
`training.embedding.features --maps`. Called again on the same folder, it resumes. Scores while training
are those of the dev photos.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from interplay.models.image_embedding import Lite0Features
from interplay.predictors.embedding.tokens import tokenize
from interplay.predictors.embedding.word_table import WordTable
from training.checkpoints import latest_checkpoint
from training.datasets.captions import CaptionedImage
from training.embedding.data import load_part
from training.embedding.queries import Relevance, frequent_queries
from training.embedding.scores import average_precision, fit_odds, precision_at
from training.embedding.task import LOSSES, HeadModel, HeadTask, HeadTaskOptions, Pairs, to_unit_range
from training.embedding.text.corpus import load_stop_words
from training.embedding.text.train import SavedText, load_text
from training.engine import EngineConfig, train
from training.imagenet import load_lite0


@dataclass(frozen=True)
class SearchSet:
    """Photos to search, with their features and the queries that their captions give.

    Attributes:
        features: (N, F) float16, or the (N, C, h, w) maps of the backbone's fifth stage.
        relevance: which photos answer what.
        single: queries of one word.
        two: queries of two words.
    """

    features: np.ndarray
    relevance: Relevance
    single: list[tuple[str, ...]]
    two: list[tuple[str, ...]]

    @classmethod
    def of(cls, items: Sequence[CaptionedImage], features: np.ndarray, queries: int = 100) -> "SearchSet":
        """Photos with their features, (N, views, F), of which the first view counts."""
        captions = [item.captions for item in items]
        stop_words = load_stop_words()
        return cls(
            features[:, 0],
            Relevance.of(captions),
            frequent_queries(captions, stop_words, 1, queries),
            frequent_queries(captions, stop_words, 2, queries),
        )

    def scores(self, model: HeadModel, table: WordTable) -> dict[str, np.ndarray]:
        """P@5 of every query by a model and a table: "single" and "two"."""
        return self.scores_of(model.embed(self.features), table, model.head.config.space)

    def scores_of(self, images: np.ndarray, table: WordTable, space: str) -> dict[str, np.ndarray]:
        """P@5 of every query by (N, D) vectors of the photos and a table."""
        embed, images = query_vector(table, space), _to_rank(images, space)
        kinds = {"single": self.single, "two": self.two}
        return {name: precision_at(queries, embed, images, self.relevance) for name, queries in kinds.items()}

    def summary(self, images: np.ndarray, table: WordTable, space: str) -> dict[str, float]:
        """Means of P@5 ("p5_single", "p5_two") and of average precision ("map_single"), by (N, D) vectors."""
        scores = self.scores_of(images, table, space)
        means = {f"p5_{name}": float(values.mean()) for name, values in scores.items()}
        embed, images = query_vector(table, space), _to_rank(images, space)
        precision = average_precision(self.single, embed, images, self.relevance)
        return {**means, "map_single": float(precision.mean())}


def calibrate(photos: SearchSet, images: np.ndarray, table: WordTable) -> tuple[float, float]:
    """Slope and offset of the odds that a photo is right for a word, by their cosine; see `fit_odds`.

    Args:
        photos: with their queries.
        images: (N, D) vectors of the photos, of length one.
        table: words.
    """
    embed = query_vector(table, "unit")
    scores = np.concatenate([images @ embed(query) for query in photos.single])
    right = np.concatenate([photos.relevance.right(query) for query in photos.single])
    return fit_odds(scores, right)


def _to_rank(images: np.ndarray, space: str) -> np.ndarray:
    """Vectors whose dot products rank; in the space "sigmoid" each divided by its sum, as in the thesis."""
    return images / images.sum(1, keepdims=True) if space == "sigmoid" else images


def query_vector(table: WordTable, space: str) -> Callable[[Sequence[str]], np.ndarray]:
    """How a query becomes a vector: every word on its own, then their sum (thesis 4.3.1).

    In the space "sigmoid" a word's vector is brought to [0, 1] first, in the space "unit" to length one.
    """

    def embed(query: Sequence[str]) -> np.ndarray:
        vectors = table.vectors[table.rows(query)]
        if not len(vectors):
            return np.zeros(table.dimension, np.float32)
        if space == "sigmoid":
            return np.asarray(to_unit_range(vectors).sum(0))
        return np.asarray((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).sum(0))

    return embed


def prepare(text: SavedText, loss: str) -> tuple[WordTable, np.ndarray]:
    """A text model's table and caption vectors as a loss wants them.

    The thesis's loss wants numbers in [0, 1]: LDA has them, of the others each vector is brought there.
    The other losses compare directions, so what all captions have in common is taken off first.
    """
    if loss == "sigmoid":
        return text.table, text.targets if text.name.startswith("lda") else to_unit_range(text.targets)
    centre = text.targets[text.targets.any(1)].mean(0)
    told = text.targets.any(1, keepdims=True)
    table = WordTable(text.table.words, text.table.vectors - centre, text.table.weights)
    return table, np.asarray((text.targets - centre) * told, np.float32)


def training_pairs(
    items: Sequence[CaptionedImage], features: np.ndarray, table: WordTable, targets: np.ndarray
) -> Pairs:
    """Photos, captions and their vectors, which come in the order of the photos' captions."""
    stop_words = load_stop_words()
    photos = np.array([number for number, item in enumerate(items) for _ in item.captions])
    captions = [table.rows(tokenize(text, stop_words)) for item in items for text in item.captions]
    return Pairs(features, photos, targets, captions)


def load_features(folder: Path, part: str, *, maps: bool = False) -> np.ndarray:
    """(N, views, F), or (N, views, C, h, w) maps, of a part, as `training.embedding.features` wrote it."""
    return np.load(folder / (f"{part}.maps.npy" if maps else f"{part}.npy"), mmap_mode="r")


def train_head(
    text: SavedText,
    options: HeadTaskOptions,
    items: Sequence[CaptionedImage],
    features: np.ndarray,
    dev: SearchSet,
    config: EngineConfig,
    *,
    tune_backbone: bool = False,
    start: Path | None = None,
) -> tuple[HeadTask, Path]:
    """Trains one head; returns its task and last checkpoint.

    Args:
        text: words and vectors of the captions.
        options: how.
        items: photos.
        features: theirs, or their maps.
        dev: photos to score on while training.
        config: of the engine.
        tune_backbone: train its last stages, too; features must be maps.
        start: run whose averaged weights are the first ones.

    Raises:
        FileNotFoundError: `start` has no checkpoint.
        RuntimeError: `start` is of another shape, or of other words.
    """
    table, targets = prepare(text, options.loss)
    pairs = training_pairs(items, features, table, targets)

    def evaluate(model: HeadModel, table: WordTable) -> dict[str, float]:
        return dev.summary(model.embed(dev.features), table, model.head.config.space)

    backbone = None
    if tune_backbone:
        backbone = Lite0Features()
        load_lite0(backbone)
    task = HeadTask(options, pairs, table, evaluate, config.seed, backbone)
    if start is not None:
        checkpoint = latest_checkpoint(start)
        if checkpoint is None:
            raise FileNotFoundError(f"{start} has no checkpoint")
        weights = load_file(checkpoint / "ema.safetensors")
        kept = {key: value for key, value in task.model.state_dict().items() if key.startswith("backbone.")}
        task.model.load_state_dict(kept | weights)
    return task, train(task, config)


def main() -> None:
    """Command line; see the module docstring."""
    defaults = HeadTaskOptions()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, required=True, help=".npz of training.embedding.text.train")
    parser.add_argument("--features", type=Path, required=True, help="folder of training.embedding.features")
    parser.add_argument("--loss", choices=LOSSES, default=defaults.loss)
    parser.add_argument("--tune-words", action="store_true", help="train the words' vectors too")
    parser.add_argument(
        "--hidden", type=int, default=defaults.hidden, help="width of a hidden layer; 0 = none"
    )
    parser.add_argument("--dropout", type=float, default=defaults.dropout)
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--word-rate", type=float, default=defaults.word_rate)
    parser.add_argument("--temperature", type=float, default=defaults.temperature)
    parser.add_argument("--margin", type=float, default=defaults.margin)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--noise", type=float, default=0.0, help="part of the captions exchanged")
    parser.add_argument("--tune-backbone", action="store_true", help="train its last stages, too")
    parser.add_argument("--backbone-rate", type=float, default=defaults.backbone_rate)
    parser.add_argument("--start", type=Path, help="run to go on from")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    options = HeadTaskOptions(
        args.loss, args.hidden, args.dropout, args.batch_size, args.rate, args.margin, args.temperature,
        args.tune_words, args.word_rate, args.noise, args.backbone_rate,
    )  # fmt: skip
    maps = args.tune_backbone
    dev = SearchSet.of(load_part("dev"), load_features(args.features, "dev", maps=maps))
    config = EngineConfig(
        out=args.out, steps=args.steps, weight_decay=args.weight_decay, precision="fp32", device=args.device,
        seed=args.seed, keep=1, ema_decay=0.998,
    )  # fmt: skip
    train_head(
        load_text(args.text), options, load_part("train"), load_features(args.features, "train", maps=maps),
        dev, config, tune_backbone=maps, start=args.start,
    )  # fmt: skip


if __name__ == "__main__":
    main()
