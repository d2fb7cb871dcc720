"""Crops, the pool, the split, and the whole trainer in its smoke run."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from interplay.predictors.text_detection.segmenter import TextSegmenter
from training.datasets.sample import Sample, WordLabel
from training.text_detection.data import CropSettings, CropSources, TextCrops, cut_crop, read_pool
from training.text_detection.smoke import draw_pool, run_smoke
from training.text_detection.split import SIZES, load_part, read_split, split_names


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    draw_pool(folder, count=4, size=256)
    return folder


def test_crops_are_a_function_of_seed_and_number(pool: Path) -> None:
    sources = CropSources(synthetic=read_pool(pool))
    settings = CropSettings(size=128)
    first, again = TextCrops(sources, settings, seed=3), TextCrops(sources, settings, seed=3)
    for index in (0, 7, 12345):
        one, two = first[index], again[index]
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert one["image"].shape == (3, 128, 128) and one["image"].dtype == torch.uint8
        assert one["labels"].shape == one["weights"].shape == (64, 64)
    assert not torch.equal(first[0]["image"], TextCrops(sources, settings, seed=4)[0]["image"])


def test_labels_move_with_the_picture() -> None:
    """A white square that is the only word stays under its label, however the crop turns and zooms."""
    image = np.zeros((200, 300, 3), np.uint8)
    square = np.float32([[100, 80], [160, 80], [160, 120], [100, 120]])
    cv2.fillPoly(image, [square.astype(np.int32)], (255, 255, 255))
    word = WordLabel(square, "", True)
    for seed in range(20):
        crop, (polygon,) = cut_crop(random.Random(seed), image, (word,), 160, (0.5, 2.0), augment=True)
        mask = np.zeros((160, 160), np.uint8)
        cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
        bright = crop.min(-1) > 127
        union = (bright | (mask > 0)).sum()
        assert union == 0 or (bright & (mask > 0)).sum() / union > 0.8


def test_pictures_without_text_have_empty_labels(pool: Path) -> None:
    photos = sorted(pool.glob("*.jpg"))
    settings = CropSettings(size=96, real_share=0.0, synthetic_share=0.0)
    crops = TextCrops(CropSources(synthetic=read_pool(pool), text_free=photos), settings, seed=0)
    assert all(int(crops[index]["labels"].max()) == 0 for index in range(5))


def test_no_text_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no pictures with text"):
        TextCrops(CropSources(), CropSettings(), seed=0)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    sample = Sample(tmp_path / "gone.jpg", ())
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        TextCrops(CropSources(real=[sample]), CropSettings(), seed=0)[0]


def test_a_pool_still_being_written_can_be_read(pool: Path, tmp_path: Path) -> None:
    lines = (pool / "scenes.jsonl").read_text()
    (tmp_path / "scenes.jsonl").write_text(lines[: len(lines) - 20])
    assert len(read_pool(tmp_path)) == 3


def test_the_committed_split_is_the_rule_s() -> None:
    parts = read_split()
    assert {part: len(names) for part, names in parts.items()} == SIZES
    names = [name for part in parts.values() for name in part]
    assert len(set(names)) == 250
    assert split_names(names) == parts
    with pytest.raises(ValueError, match="250 photos"):
        split_names(names[:-1])


def test_parts_load_with_their_words(shared_data: Path) -> None:
    samples = load_part("dev", shared_data)
    assert len(samples) == 20
    assert any(word.legible for sample in samples for word in sample.words)
    assert any(not word.legible for sample in samples for word in sample.words)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_the_smoke_run_ends_in_a_model_that_serves(tmp_path: Path, preset: str) -> None:
    stored = run_smoke(tmp_path, preset)
    assert stored.manifest.config["preset"] == preset
    assert stored.manifest.training["steps"] > 0
    segmenter = TextSegmenter.load(stored, device="cpu")
    (heatmap,) = segmenter.predict([np.zeros((50, 70, 3), np.uint8)])
    assert heatmap.text.shape == (50, 70)
    assert (heatmap.core is None) == (preset == "paper")
