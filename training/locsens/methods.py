"""The methods of thesis Tables 5.1 and 5.2, trained and asked in one way.

Image models learn tags without places; LocSens learns on the vectors of the best of them, MCC. A trained
method answers two questions: scores of all images for queries, and the ten best tags of every image.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from interplay.models.locsens import LocSens, LocSensConfig
from interplay.models.tag_head import TagHead
from interplay.predictors.locsens.scorer import TripletScorer
from training.checkpoints import latest_checkpoint
from training.embedding.text.glove import train_glove
from training.engine import EngineConfig, train
from training.locsens.data import TaggedPhotos
from training.locsens.image_task import ImageTask, ImageTaskOptions
from training.locsens.protocol import TOP, Query
from training.locsens.scorer_task import ScorerData, ScorerOptions, ScorerTask, Stage

# Tagging learns nothing at the rate that suits retrieval (a world's val photos).
RATES = {"retrieval": 3e-3, "tagging": 1e-3}
# Without it a scorer for tagging learns the photos' vectors by heart; one for retrieval gets worse with it.
IMAGE_NOISE = {"retrieval": 0.0, "tagging": 0.5}
FURTHER = 1 / 3  # of the rate, for what goes on from a trained network; the thesis's was lowered, too


def tag_words(photos: TaggedPhotos, dimension: int, seed: int = 0) -> np.ndarray:
    """(V, dimension) GloVe vectors of tags, trained on which tags photos have together.

    The thesis takes GloVe vectors of text, which not all tags of a world have.
    """
    documents = [own.tolist() for own in photos.tags]
    return train_glove(documents, len(photos.vocabulary), dimension=dimension, seed=seed)


def read_words(file: Path, vocabulary: Sequence[str]) -> np.ndarray:
    """Published vectors of tags.

    Args:
        file: text in GloVe's format: a word and its numbers a line, spaces between.
        vocabulary: tags.

    Returns:
        (V, dimension) float32; zeros for tags that the file has not, which then tell HER nothing.

    Raises:
        ValueError: a line has no such form, or the file has none of the tags.
    """
    number = {tag: index for index, tag in enumerate(vocabulary)}
    words: np.ndarray | None = None
    found = 0
    with file.open(encoding="utf-8") as lines:
        for place, line in enumerate(lines, 1):
            word, *values = line.rstrip("\n").split(" ")
            if words is None:
                words = np.zeros((len(vocabulary), len(values)), np.float32)
            if word not in number:  # nor need it be of the form: published files have words of several parts
                continue
            try:
                words[number[word]] = np.array(values, np.float32)
            except ValueError as error:
                raise ValueError(
                    f"{file}, line {place}: not {word!r} and {words.shape[1]} numbers"
                ) from error
            found += 1
    if words is None or not found:
        raise ValueError(f"{file} has none of the {len(vocabulary):,} tags")
    return words


def train_image_model(
    kind: str,
    photos: TaggedPhotos,
    features: np.ndarray,
    out: Path,
    *,
    steps: int,
    dimension: int,
    words: np.ndarray | None = None,
    seed: int = 0,
) -> TagHead:
    """Trains MLC, MCC or HER, or reads the trained one from the folder.

    Args:
        kind: one of `interplay.models.tag_head.KINDS`.
        photos: to learn from.
        features: (N, F) of them; F is the backbone's.
        out: folder of the run.
        steps: of 256 photos.
        dimension: of image vectors.
        words: (V, D) vectors of tags for HER, which decide its dimension; `tag_words` by default.
        seed: of everything random.
    """
    if kind != "her":
        words = None
    elif words is None:
        words = tag_words(photos, dimension, seed)
    task = ImageTask(
        ImageTaskOptions(kind, dimension), features, photos.tags, len(photos.vocabulary),
        digest=photos.digest(), evaluate=lambda _: {}, word_vectors=words, seed=seed,
    )  # fmt: skip
    config = EngineConfig(
        out=out, steps=steps, precision="fp32", ema_decay=0.998, keep=1, seed=seed,
        evaluate_every=steps, checkpoint_every=steps,
    )  # fmt: skip
    checkpoint = train(task, config)
    task.model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    if words is not None:
        save_file({"words": torch.from_numpy(words)}, out / "words.safetensors")
    return task.model.eval()


def train_scorer(
    data: ScorerData,
    config: LocSensConfig,
    task: str,
    schedule: Sequence[Stage],
    out: Path,
    *,
    start: Path | None = None,
    seed: int = 0,
) -> LocSens:
    """Trains LocSens by a schedule, or reads the trained one from the folder.

    Args:
        data: vectors, tags and places.
        config: shape.
        task: "retrieval" or "tagging".
        schedule: what it is told of places.
        out: folder of the run.
        start: folder of a run to begin with, of which the averaged weights are taken.
        seed: of everything random.
    """
    rate = RATES[task] if start is None else FURTHER * RATES[task]
    options = ScorerOptions(task, tuple(schedule), rate=rate, image_noise=IMAGE_NOISE[task])
    trainer = ScorerTask(options, config, data, lambda _: {}, seed)
    if start is not None:
        checkpoint = latest_checkpoint(start)
        if checkpoint is None:
            raise FileNotFoundError(f"{start} has no checkpoint")
        trainer.model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    steps = sum(stage.steps for stage in schedule)
    engine = EngineConfig(
        out=out, steps=steps, precision="fp32", ema_decay=0.998, keep=1, seed=seed,
        evaluate_every=steps, checkpoint_every=min(steps, 500),
    )  # fmt: skip
    checkpoint = train(trainer, engine)
    trainer.model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    return trainer.model.eval()


@torch.inference_mode()
def image_vectors(model: TagHead, features: np.ndarray) -> np.ndarray:
    """(N, D) vectors of images by MCC or HER, not of length one."""
    return model.vectors(torch.from_numpy(features.astype(np.float32))).numpy()


@torch.inference_mode()
def tag_scores(model: TagHead, features: np.ndarray) -> np.ndarray:
    """(N, V) scores of all tags by MLC or MCC."""
    y: np.ndarray = model(torch.from_numpy(features.astype(np.float32))).numpy()
    return y


class ByTag:
    """A method that knows no places.

    Args:
        scores: (N, V) of images and tags.
    """

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def __call__(self, queries: Sequence[Query]) -> np.ndarray:
        return self._scores[:, [query.tag for query in queries]].T

    def best_tags(self) -> np.ndarray:
        """(N, 10) tags, best first."""
        return np.argsort(-self._scores, axis=1, kind="stable")[:, :TOP]


class ByScorer:
    """LocSens.

    Args:
        scorer: the serving predictor.
        images: (N, D) vectors of length one.
        places: (N, 2) degrees, for tagging.
        silent: whether places are silenced.
    """

    def __init__(
        self, scorer: TripletScorer, images: np.ndarray, places: np.ndarray, *, silent: bool = False
    ) -> None:
        self._scorer, self._places, self._silent = scorer, places, silent
        self._images, self._parts = images, scorer.image_parts(images)

    def __call__(self, queries: Sequence[Query]) -> np.ndarray:
        return np.stack(
            [
                self._scorer.score_images(self._parts, [query.tag], None if self._silent else query.place)
                for query in queries
            ]
        )

    def best_tags(self) -> np.ndarray:
        """(N, 10) tags of every image at its own place, best first."""
        rows = []
        for image, place in zip(self._images, self._places, strict=True):
            scores = self._scorer.score_tags(image, None if self._silent else place)
            rows.append(np.argsort(-scores, kind="stable")[:TOP])
        return np.stack(rows)
