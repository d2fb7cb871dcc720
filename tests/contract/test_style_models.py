"""The shipped style models do what their manifests say: colours of the style, letters of the word."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from interplay.media.images import decode
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.predictors.style_transfer.words import draw_words
from interplay.store import resolve
from tests.conftest import REPOSITORY_ROOT

STORE = REPOSITORY_ROOT / "model_store"
DOMAINS = {"style-scene": "scene", "style-print": "print", "style-handwriting": "handwriting"}


@pytest.mark.parametrize("name", DOMAINS)
def test_styles_are_named_described_and_of_one_domain(name: str) -> None:
    manifest = resolve(STORE, name).manifest
    assert manifest.details["domain"] == DOMAINS[name]
    assert len(manifest.details["styles"]) == len(manifest.labels) == manifest.config["styles"]
    assert len(set(manifest.labels)) == len(manifest.labels) >= (24 if name == "style-scene" else 8)
    for fact in manifest.details["styles"]:
        assert fact["source"] and len(fact["ink"]) == len(fact["paper"]) == 3
    assert 0 <= manifest.thresholds["heat_floor"] < 1


def test_the_end_to_end_model_has_the_scene_styles_and_a_gate() -> None:
    scene, selective = (resolve(STORE, name).manifest for name in ("style-scene", "style-selective"))
    assert selective.labels == scene.labels and selective.config["gate"] is True


@pytest.mark.parametrize(
    "style, more, less", [("white-on-azure", 2, 0), ("white-on-pink", 0, 1), ("white-on-scarlet", 0, 2)]
)
def test_a_restyled_word_takes_the_colours_of_its_style(style: str, more: int, less: int) -> None:
    """White letters stay, and the grey around them becomes what the style's name says."""
    stylist = Stylist.load(resolve(STORE, "style-scene"), device="cpu", dtype="float32")
    plain = draw_words("Harbour", 56, (235, 235, 235), (90, 90, 90))
    styled = stylist.stylize(plain.image, {style: 1.0}).astype(float)
    near = (cv2.dilate(plain.coverage, np.ones((13, 13))) > 0.5) & (plain.coverage < 0.02)
    ground = np.median(styled[near], axis=0)
    assert ground[more] - ground[less] > 60
    assert np.median(styled[plain.coverage > 0.9], axis=0).min() > 220


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "name, style, mean, spread",
    [
        ("style-scene", "lime-outline", (135.4, 158.6, 114.3), (35.5, 40.7, 38.5)),
        ("style-print", "lobster", (211.2, 210.2, 210.2), (77.9, 78.8, 78.8)),
        ("style-handwriting", "writer-3", (241.6, 242.0, 242.2), (31.3, 30.9, 31.8)),
        ("style-selective", "lime-outline", (106.3, 96.5, 86.4), (57.0, 46.9, 46.6)),
    ],
)
def test_style_models_give_their_golden_output(
    name: str, style: str, mean: tuple[float, ...], spread: tuple[float, ...], dtype: str
) -> None:
    """The sign of the README's photo through shipped version 1; a new version gets figures of its own."""
    photo = decode((REPOSITORY_ROOT / "examples" / "street.jpg").read_bytes())[300:460, 120:440]
    styled = Stylist.load(resolve(STORE, name), device="cpu", dtype=dtype).stylize(photo, {style: 1.0})
    assert styled.mean(axis=(0, 1)) == pytest.approx(mean, abs=0.5)
    assert styled.std(axis=(0, 1)) == pytest.approx(spread, abs=0.5)
    if name == "style-selective":  # what the gate leaves alone
        assert np.mean((styled != photo).any(axis=-1)) == pytest.approx(0.48, abs=0.02)
