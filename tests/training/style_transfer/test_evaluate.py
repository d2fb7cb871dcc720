"""What is measured of style models: style losses, and whether words can still be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interplay.predictors.batch import BatchOutput
from interplay.predictors.style_transfer.masks import blend
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.types import Heatmap
from tests.style_models import manifest_of, random_network, random_perceptual
from training.style_transfer.evaluate import (
    Word,
    failure_sheet,
    load_words,
    measure_legibility,
    measure_style,
    same_text,
    style_losses,
    styles_table,
)
from training.style_transfer.styles import StyleImage
from training.style_transfer.task import target_grams


@pytest.mark.parametrize(
    "read, truth, same",
    [
        ("Hotel", "HOTEL", True),
        ("hotel.", "Hotel", True),
        ("it's 24 h", "ITS24H", True),
        ("straße", "STRASSE", True),
        ("Hote", "Hotel", False),
        ("", "Hotel", False),
        ("Hotels", "Hotel", False),
        ("0", "O", False),
    ],
)
def test_same_text(read: str, truth: str, same: bool) -> None:
    assert same_text(read, truth) == same


class StubStylist:
    """Style "dark" blackens what the mask lets it, "pale" halves the contrast, "none" does nothing."""

    styles = ("dark", "pale", "none")

    def stylize(self, image: np.ndarray, mix: dict[str, float], mask: np.ndarray | None = None) -> np.ndarray:
        (name,) = mix
        assert mix[name] == 1.0
        styled = {"dark": np.zeros_like(image), "pale": image // 2, "none": image}[name]
        return image if mask is not None and not mask.any() else styled


class StubReader:
    """Reads words off a picture's first pixel; those of odd brightness are misread, dark ones not at all."""

    def predict_batch(self, batch: Sequence[np.ndarray]) -> BatchOutput[tuple[str, float]]:
        (image,) = batch
        level = int(image[0, 0, 0])
        text = (
            ""
            if level < 40
            else "wrong"
            if level % 2
            else f"word {level // 2 * 2 if level > 100 else level * 2}"
        )
        return BatchOutput(results=[(text, 0.9)])


class StubSegmenter:
    """Finds text in the left half of bright pictures."""

    def predict(self, images: Sequence[np.ndarray]) -> list[Heatmap]:
        heats = []
        for image in images:
            heat = np.zeros(image.shape[:2], np.float32)
            if image.mean() > 150:
                heat[:, : image.shape[1] // 2] = 0.7
            heats.append(Heatmap(heat))
        return heats


def word(level: int) -> Word:
    return Word(np.full((10, 20, 3), level, np.uint8), f"WORD-{level}")


def test_legibility_of_both_modes() -> None:
    """Two words are read before; restyled whole "dark" leaves none of them, "pale" both, "none" both.

    Where the segmenter finds no text, nothing is restyled, and what was read is still read.
    """
    stylist: Any = StubStylist()
    reader: Any = StubReader()
    segmenter: Any = StubSegmenter()
    words = [word(120), word(200), word(201)]
    report, failures = measure_legibility(stylist, segmenter, reader, words, 0.3)
    assert report["words"] == 3 and report["read_before"] == 2
    assert report["whole"]["by_style"] == {"dark": 0.0, "pale": 1.0, "none": 1.0}
    assert report["whole"]["still_read"] == pytest.approx(2 / 3, abs=1e-4)
    assert report["selective"]["by_style"] == {"dark": 0.5, "pale": 0.5, "none": 1.0}  # blended by 0.7
    assert report["selective"]["still_read"] == pytest.approx(2 / 3, abs=1e-4)
    assert report["restyled_area"] == 0.25
    found = [(failure.style, failure.word.text, failure.read) for failure in failures]
    assert found == [("dark", "WORD-200", "word 120"), ("pale", "WORD-200", "word 130")]
    assert failure_sheet(failures).shape == (234, 424, 3) and failure_sheet(failures, 1).shape[1] == 216
    above, none = measure_legibility(stylist, segmenter, reader, words, 0.8)
    assert above["restyled_area"] == 0.0 and above["selective"]["by_style"]["dark"] == 1.0
    assert none == []


def test_crops_blended_here_are_those_that_are_served() -> None:
    """Restyling whole and blending is what the predictor does with a mask, to the byte."""
    network = random_network(2)
    manifest = manifest_of("x", {}, network, ("neon", "chalk"), architecture="style_transformer")
    stylist = Stylist(network, manifest)
    rng = np.random.default_rng(0)
    for height, width in ((40, 120), (130, 210)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mask = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, 0)
        served = stylist.stylize(image, {"chalk": 1.0}, mask)
        assert np.array_equal(served, blend(image, stylist.stylize(image, {"chalk": 1.0}), mask))


def test_the_table_of_styles() -> None:
    shares = {"neon": 0.9512}
    report = {
        "style": {"neon": {"before": 2.5, "after": 0.25, "fall": 0.9}},
        "legibility": {"selective": {"by_style": shares}, "whole": {"by_style": {"neon": 0.5}}},
    }
    assert styles_table(report).splitlines()[2] == "| neon | 2.50 | 0.25 | 90.0% | 95.1% | 50.0% |"


def test_style_losses_are_relative(styles: list[StyleImage]) -> None:
    perceptual = random_perceptual(width=8)
    targets = {name: value[:1] for name, value in target_grams(perceptual, styles).items()}
    images = [styles[0].image, styles[1].image, np.zeros((64, 100, 3), np.uint8)]
    own, other, _ = style_losses(perceptual, images, targets)
    assert own == pytest.approx(0, abs=1e-6) and other > 0.5


def test_the_fall_of_the_style_loss(styles: list[StyleImage]) -> None:
    """A network that paints each style's colours comes nearer to its picture than plain words are."""
    network = random_network(2)
    for row, style in enumerate(styles):
        network.start_with_colours(row, torch.from_numpy(style.image.copy()))
    manifest = manifest_of("x", {}, network, ("neon", "chalk"), architecture="style_transformer")
    words = [word(120), Word(np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8), "b")]
    report = measure_style(Stylist(network, manifest), random_perceptual(width=8), styles, words)
    assert list(report) == ["neon", "chalk"]
    for row in report.values():
        assert row["fall"] == pytest.approx(1 - row["after"] / row["before"], abs=2e-3)
    assert report["neon"]["after"] < report["neon"]["before"]


@pytest.mark.parametrize("part", ["dev", "held_out"])
@pytest.mark.parametrize("model", ["scene", "print", "handwriting"])
def test_words_to_measure_with(shared_data: Path, model: str, part: str) -> None:
    words = load_words(model, part, shared_data)
    assert len(words) >= 20 and all(word.text for word in words[:20])
    assert all(word.image.ndim == 3 and word.image.dtype == np.uint8 for word in words[:20])
    other = load_words(model, "dev" if part == "held_out" else "held_out", shared_data)
    assert not any(
        a.image.shape == b.image.shape and (a.image == b.image).all() for a in words for b in other[:5]
    )
