"""Posts to probabilities of hate, with reasons: what evaluation and serving call.

Each input is scored by itself: text and image text by `TextScorer`, image text without text by
`CaptionScorer`, too, the image by `ImageScorer`; `Fusion` puts the scores together, for the post as it is and
for every subset of its inputs, and believes them as far as the post is like what they learnt from, and else a
general model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from interplay.errors import InternalError, InterplayError, InvalidInput, InvalidParameter
from interplay.models.efficientnet_lite import fold_batch_norm
from interplay.models.image_embedding import Lite0Features
from interplay.predictors.batch import BatchOutput
from interplay.predictors.device import choose_device, choose_dtype
from interplay.predictors.hate_classifier.answers import CATEGORIES, PostAnswer, PostItem, WordWeight
from interplay.predictors.hate_classifier.fusion import (
    ALIKE,
    GENERAL,
    WITH_TEXT,
    WITHOUT_TEXT,
    Fusion,
    alike,
    believed,
    given,
    shapley,
    sigmoid,
)
from interplay.predictors.hate_classifier.linear import LinearModel
from interplay.predictors.hate_classifier.members import CaptionScorer, ImageScorer, TextScorer, read_linear
from interplay.predictors.hate_classifier.text import spans, tokens
from interplay.predictors.pictures import PictureInput
from interplay.store import Manifest, StoredModel, resolve
from interplay.types import Image

MODEL = "hate-classifier"
LONGEST_TEXT = 20_000  # characters
# Pieces of a text that are left out in turn; longer texts have longer pieces, and fewer of them.
MOST_PIECES, FEWEST_PIECES, MOST_REREAD = 64, 8, 20_000
_IMAGES = 16  # a step

Scores = dict[str, dict[str, float]]  # see `fusion.Scores`


class HateClassifier:
    """Classifies posts. Use from one thread at a time.

    Args:
        text: Scores text and image text.
        caption: Scores image text of posts without text.
        image: Scores features of images.
        fusion: Puts scores together.
        backbone: Network that gives features; in evaluation mode.
        manifest: The model's.
        likeness: Scores how far a text is of the kind that `text` learnt from; None: all texts are.
        general: Scores texts that are not of that kind; None: those are hate as often as `fusion.rest`.
        device: ``cpu`` or ``cuda:N``, of the backbone.
        dtype: Number type of the backbone.

    Attributes:
        threshold: Probability from which the manifest calls a post hate.
    """

    def __init__(
        self,
        text: TextScorer,
        caption: CaptionScorer,
        image: ImageScorer,
        fusion: Fusion,
        backbone: Lite0Features,
        manifest: Manifest,
        *,
        likeness: LinearModel | None = None,
        general: LinearModel | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.manifest, self.device, self.dtype = manifest, device, dtype
        self.threshold = float(manifest.thresholds["hate"])
        self.text, self.caption, self.image, self.fusion = text, caption, image, fusion
        self.likeness, self.general = likeness, general
        torch_dtype: torch.dtype = getattr(torch, dtype)
        backbone = backbone.eval().requires_grad_(False).to(device, torch_dtype)
        self._backbone = backbone.to(memory_format=torch.channels_last)
        self._input = PictureInput(
            int(manifest.details["side"]), manifest.preprocessing, device=device, dtype=torch_dtype
        )

    @classmethod
    def open(
        cls,
        store: Path,
        version: int | None = None,
        *,
        device: str = "auto",
        threads: int | None = None,
        dtype: str | None = None,
    ) -> HateClassifier:
        """The published model with the backbone that its manifest names.

        Args:
            store: Root of the model store.
            version: Of the classifier; the newest if None.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: Threads of one CPU inference, for the whole process; torch's choice if None.
            dtype: Number type of the backbone; what suits the device if None.

        Raises:
            InternalError: The store has not both, or they do not fit.
        """
        stored = resolve(store, MODEL, version)
        return cls.load(
            stored,
            resolve(store, stored.manifest.details["backbone"]),
            device=device,
            threads=threads,
            dtype=dtype,
        )

    @classmethod
    def load(
        cls,
        stored: StoredModel,
        backbone: StoredModel,
        *,
        device: str = "auto",
        threads: int | None = None,
        dtype: str | None = None,
    ) -> HateClassifier:
        """See ``open``; of verified store entries."""
        if threads is not None:
            torch.set_num_threads(threads)
        manifest = stored.manifest
        wanted = manifest.details["backbone_sha256"]
        if backbone.manifest.weights_sha256 != wanted:
            raise InternalError(
                f"{stored.directory} was trained on the backbone {wanted}, not on "
                f"{backbone.manifest.weights_sha256}"
            )
        try:
            arrays = load_file(stored.weights)
            text = TextScorer.from_state(manifest.config["text"], arrays)
            caption = CaptionScorer.from_state(manifest.config["caption"], arrays)
            image = ImageScorer(
                arrays["image.weights"], arrays["image.mean"], float(manifest.config["image"]["bias"])
            )
            fusion = Fusion.from_config(manifest.config["fusion"])
            likeness = read_linear(manifest.config, arrays, "likeness")
            general = read_linear(manifest.config, arrays, "general")
            features = Lite0Features()
            features.load_state_dict(
                {name: torch.from_numpy(value).float() for name, value in load_file(backbone.weights).items()}
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold a hate classifier: {error}") from error
        fold_batch_norm(features)
        chosen = choose_device(device)
        return cls(
            text, caption, image, fusion, features, manifest,
            likeness=likeness, general=general, device=chosen, dtype=dtype or choose_dtype(chosen),
        )  # fmt: skip

    def predict(self, items: Sequence[PostItem]) -> BatchOutput[PostAnswer]:
        """An answer for each post; for a post that cannot be classified its error.

        Errors: ``InvalidInput`` for a post without text, image text and image (a text without a letter,
        sign or emoji counts as none), or one that asks for regions without an image; ``InvalidParameter``
        for a text of more than ``LONGEST_TEXT`` characters.
        """
        started = perf_counter()
        errors = [_error(item) for item in items]
        read = [_read(item) if error is None else {} for item, error in zip(items, errors, strict=True)]
        for number, item in enumerate(items):
            if errors[number] is None and not read[number] and item.image is None:
                errors[number] = InvalidInput(
                    "the post has nothing to classify: neither text, nor image text, nor image", field="text"
                )
        pictures = [n for n, item in enumerate(items) if errors[n] is None and item.image is not None]
        inputs = [
            self._input.tensor([_image(items[n]) for n in pictures[start : start + _IMAGES]])
            for start in range(0, len(pictures), _IMAGES)
        ]
        prepared = perf_counter()
        maps = self._maps(inputs)
        scores, kinds = self._score(items, read, pictures, maps)
        inferred = perf_counter()
        map_of = dict(zip(pictures, maps, strict=True))
        results: list[PostAnswer | InterplayError] = []
        for number, item in enumerate(items):
            error = errors[number]
            if error is None:
                results.append(
                    self._answer(item, scores[number], kinds[number], read[number], map_of.get(number))
                )
            else:
                results.append(error)
        return BatchOutput(
            results=results,
            preprocess_s=prepared - started,
            infer_s=inferred - prepared,
            postprocess_s=perf_counter() - inferred,
        )

    def predict_batch(self, batch: Sequence[PostItem]) -> BatchOutput[PostAnswer]:
        """See ``predict``."""
        return self.predict(batch)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        side = self._input.side
        item = PostItem(
            text="A #warmup 🙂", image_text="words", image=np.full((side, side, 3), 128, dtype=np.uint8)
        )
        for size in (1, 8):
            self.predict([item] * size)

    @torch.inference_mode()
    def _maps(self, inputs: Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
        """Last maps, (F, h, w), of the pictures."""
        return [
            each
            for batch in inputs
            for each in self._backbone.last_map(self._backbone.maps(batch)).float().cpu().numpy()
        ]

    def _score(
        self,
        items: Sequence[PostItem],
        read: Sequence[dict[str, list[str]]],
        pictures: Sequence[int],
        maps: Sequence[NDArray[np.float32]],
    ) -> tuple[list[Scores], list[NDArray[np.float64]]]:
        """Scores of each post's inputs, and log-odds of the kinds of hate."""
        scores: list[Scores] = [{} for _ in items]
        kinds = [self.text.kinds for _ in items]
        asked = [
            (number, name) for number, words in enumerate(read) for name in reversed(words)
        ]  # image text first: the text's kinds are the post's
        texts = [_texts(items[number])[name] for number, name in asked]
        words = [read[number][name] for number, name in asked]
        found, of_kinds = self._score_texts([name for _, name in asked], texts, words)
        for (number, name), score, kind in zip(asked, found, of_kinds, strict=True):
            scores[number][name] = score
            kinds[number] = kind
        if pictures:
            features = np.stack([each.mean(axis=(1, 2)) for each in maps])
            for number, score in zip(pictures, self.image.score(features), strict=True):
                scores[number]["image"] = {WITH_TEXT: float(score), WITHOUT_TEXT: float(score)}
        return scores, kinds

    def _score_texts(
        self, names: Sequence[str], texts: Sequence[str], read: Sequence[list[str]]
    ) -> tuple[list[dict[str, float]], NDArray[np.float64]]:
        said, kinds = self.text.score(texts, read)
        found = [{WITH_TEXT: float(each)} for each in said]
        if self.likeness is not None:
            for score, text, words in zip(found, texts, read, strict=True):
                least = None if self.general is None else self.likeness.bias
                score[ALIKE] = believed(self.likeness.score(text, read=words), least)
                if self.general is not None:
                    score[GENERAL] = sigmoid(self.general.score(text, read=words))
        rows = [row for row, name in enumerate(names) if name == "image_text"]
        captions = self.caption.score([texts[row] for row in rows], [read[row] for row in rows], said[rows])
        for row, score in zip(rows, captions, strict=True):
            found[row][WITHOUT_TEXT] = float(score)
        return found, kinds

    def _answer(
        self,
        item: PostItem,
        scores: Scores,
        kinds: NDArray[np.float64],
        read: Mapping[str, list[str]],
        maps: NDArray[np.float32] | None,
    ) -> PostAnswer:
        names = given(scores)

        def value(chosen: frozenset[str]) -> float:
            return self.fusion.probability({name: scores[name] for name in chosen})

        everything = frozenset(names)
        probability = value(everything)
        low, high = self.fusion.interval(scores)
        shares = np.exp(kinds - kinds.max())
        shares /= shares.sum()
        return PostAnswer(
            probability=probability,
            low=low,
            high=high,
            categories={
                name: probability * float(share) for name, share in zip(CATEGORIES, shares, strict=True)
            },
            baseline=self.fusion.baseline,
            alone={name: value(frozenset({name})) for name in names},
            without={name: value(everything - {name}) for name in names},
            contributions=shapley(names, value),
            words=self._words(item, scores, read) if item.words else (),
            region=self._region(scores, maps) if item.region and maps is not None else None,
        )

    def _words(self, item: PostItem, scores: Scores, read: Mapping[str, list[str]]) -> tuple[WordWeight, ...]:
        """Leaves each word out in turn; of a long text, each run of words."""
        probability, found = self.fusion.probability(scores), []
        for name, text in _texts(item).items():
            if name not in read:
                continue
            pieces = _pieces(spans(text))
            without = [text[:start] + " " + text[end:] for start, end in pieces]
            words = [tokens(each) for each in without]
            left, _ = self._score_texts([name] * len(pieces), without, words)
            for (start, end), score, rest in zip(pieces, left, words, strict=True):
                changed = {**scores, name: score}
                if not rest:
                    del changed[name]
                weight = probability - self.fusion.probability(changed)
                found.append(WordWeight(source=name, start=start, end=end, weight=weight))
        return tuple(found)

    def _region(self, scores: Scores, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each place of the last map did: without it, it would be as in the mean image."""
        logit = self.fusion.logit(scores)
        parts = self.fusion.weighing(scores).weights["image"] * self.image.parts(maps)
        without = 0.5 * (1 + np.tanh((logit - parts) / 2))
        return np.asarray(alike(scores) * (sigmoid(logit) - without), dtype=np.float32)


def _texts(item: PostItem) -> dict[str, str]:
    return {"text": item.text, "image_text": item.image_text or ""}


def _read(item: PostItem) -> dict[str, list[str]]:
    """Tokens of the texts that have any."""
    found = {name: tokens(text) for name, text in _texts(item).items()}
    return {name: words for name, words in found.items() if words}


def _image(item: PostItem) -> Image:
    assert item.image is not None
    return item.image


def _error(item: PostItem) -> InterplayError | None:
    for name, text in _texts(item).items():
        if len(text) > LONGEST_TEXT:
            return InvalidParameter(
                f"{name} has {len(text)} characters; the limit is {LONGEST_TEXT}", field=name
            )
    if item.region and item.image is None:
        return InvalidInput("the region that mattered was asked of a post without an image", field="image")
    return None


def _pieces(words: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Words, or in a long text runs of them, so that no more than `MOST_REREAD` words are read again."""
    if len(words) <= MOST_PIECES:
        return list(words)
    pieces = min(MOST_PIECES, max(FEWEST_PIECES, MOST_REREAD // len(words)))
    cuts = np.linspace(0, len(words), pieces + 1).astype(int)
    return [(words[first][0], words[last - 1][1]) for first, last in pairwise(cuts.tolist())]
