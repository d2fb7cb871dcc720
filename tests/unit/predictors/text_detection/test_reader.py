"""Cutting words out and reading them: geometry exactly, text with the real recogniser."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay.predictors.text_detection.reader import (
    HEIGHT,
    WIDTHS,
    WordReader,
    crop_region,
    upright_candidates,
    width_bucket,
)


@pytest.fixture(scope="module")
def reader() -> WordReader:
    return WordReader(threads=1)


def rendered(text: str, size: int = 40, margin: int = 8) -> NDArray[np.uint8]:
    font = ImageFont.load_default(size=size)
    x0, y0, x1, y1 = font.getbbox(text)
    picture = PillowImage.new("RGB", (round(x1 - x0) + 2 * margin, round(y1 - y0) + 2 * margin), "white")
    ImageDraw.Draw(picture).text((margin - x0, margin - y0), text, fill=(10, 30, 90), font=font)
    return np.array(picture)


def texts(reader: WordReader, crops: list[NDArray[np.uint8]]) -> list[str]:
    return [text for text, _ in reader.predict_batch(crops).results]


# Cutting out


def gradient(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    """Red counts columns, green counts rows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([2 * x, 3 * y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def polygon(*points: tuple[float, float]) -> NDArray[np.float32]:
    return np.array(points, dtype=np.float32)


def test_level_rectangle_is_cut_exactly() -> None:
    image = gradient()
    crop = crop_region(image, polygon((10, 20), (40, 20), (40, 35), (10, 35)))
    np.testing.assert_array_equal(crop, image[20:35, 10:40])


def test_corner_order_says_where_the_top_is() -> None:
    image = gradient()
    corners = polygon((10, 20), (40, 20), (40, 35), (10, 35))
    quarter = crop_region(image, np.roll(corners, -1, axis=0))  # reading starts at the old top right
    assert quarter.shape == (30, 15, 3)
    np.testing.assert_allclose(quarter.astype(int), np.rot90(image[20:35, 10:40]), atol=3)
    half = crop_region(image, np.roll(corners, -2, axis=0))
    np.testing.assert_allclose(half.astype(int), np.rot90(image[20:35, 10:40], 2), atol=3)


@pytest.mark.parametrize("angle", [-60, -25, 10, 45, 80])
def test_turned_rectangle_is_straightened(angle: float) -> None:
    """A picture is turned with its rectangle; the cut is the same picture again."""
    word = rendered("Straight")
    height, width = word.shape[:2]
    side = 2 * max(height, width)
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    offset = np.array([side, side]) / 2 - matrix @ np.array([width, height]) / 2
    affine = np.column_stack([matrix, offset]).astype(np.float32)
    photo = cv2.warpAffine(word, affine, (side, side), borderValue=(255, 255, 255))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ matrix.T + offset
    crop = crop_region(photo, corners.astype(np.float32))
    assert crop.shape == word.shape
    assert np.abs(crop.astype(int) - word).mean() < 8


def test_perspective_is_undone() -> None:
    word = rendered("Perspective")
    height, width = word.shape[:2]
    corners = polygon((20, 30), (width + 10, 10), (width, height + 50), (30, height + 25))
    source = polygon((0, 0), (width, 0), (width, height), (0, height))
    matrix = cv2.getPerspectiveTransform(source, corners)
    photo = cv2.warpPerspective(word, matrix, (width + 40, height + 80), borderValue=(255, 255, 255))
    crop = crop_region(photo, corners)
    again = cv2.resize(crop, (width, height))
    assert np.abs(again.astype(int) - word).mean() < 12


def test_parts_outside_repeat_the_border() -> None:
    image = np.full((20, 20, 3), 50, dtype=np.uint8)
    image[:, 0] = 200
    crop = crop_region(image, polygon((-10, 5), (5, 5), (5, 15), (-10, 15)))
    assert crop.shape == (10, 15, 3)
    assert (crop[:, :10] == 200).all()


@pytest.mark.parametrize(
    "corners",
    [
        [(5, 5)] * 4,
        [(5, 5), (15, 5), (15, 5), (5, 5)],
        [(0, 0), (20, 20), (20, 0), (0, 20)],
        [(0, 0), (30_000, 0), (30_000, 2), (0, 2)],
    ],
)
def test_strange_shapes_give_some_crop(corners: list[tuple[float, float]]) -> None:
    crop = crop_region(gradient(), polygon(*corners))
    assert crop.dtype == np.uint8
    assert 1 <= crop.shape[0] <= 4096
    assert 1 <= crop.shape[1] <= 4096


def test_only_tall_crops_are_turned() -> None:
    assert len(upright_candidates(np.zeros((20, 60, 3), np.uint8))) == 1
    assert len(upright_candidates(np.zeros((29, 20, 3), np.uint8))) == 1
    tall = gradient(60, 20)
    shapes = [candidate.shape for candidate in upright_candidates(tall)]
    assert shapes == [(20, 60, 3), (20, 60, 3), (60, 20, 3)]
    for candidate, turns in zip(upright_candidates(tall), (1, 3, 0), strict=True):
        np.testing.assert_array_equal(candidate, np.rot90(tall, turns))


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((48, 10), 160),
        ((48, 160), 160),
        ((48, 161), 320),
        ((24, 100), 320),
        ((48, 9999), 1280),
        ((1, 4096), 1280),
    ],
)
def test_width_bucket(shape: tuple[int, int], expected: int) -> None:
    assert width_bucket(np.zeros((*shape, 3), np.uint8)) == expected
    assert expected in WIDTHS


# Reading


@pytest.mark.parametrize("text", ["Interplay", "STATION", "2026", "Exit", "Apotheke"])
def test_rendered_words(reader: WordReader, text: str) -> None:
    ((found, confidence),) = reader.predict_batch([rendered(text)]).results
    assert found == text
    assert 0.8 < confidence <= 1


def test_word_that_runs_upwards_is_read(reader: WordReader) -> None:
    for turns in (1, 3):
        candidates = upright_candidates(np.ascontiguousarray(np.rot90(rendered("Vertical"), turns)))
        found = [reader.predict_batch([candidate]).results[0] for candidate in candidates]
        assert max(found, key=lambda reading: reading[1])[0] == "Vertical"


def test_nothing_to_read(reader: WordReader) -> None:
    assert reader.predict_batch([np.full((30, 90, 3), 255, np.uint8)]).results == [("", 0.0)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3000)])
def test_any_size_is_read(reader: WordReader, shape: tuple[int, int]) -> None:
    ((_, confidence),) = reader.predict_batch([np.zeros((*shape, 3), np.uint8)]).results
    assert 0 <= confidence <= 1


def test_stage_times_and_padding(reader: WordReader) -> None:
    output = reader.predict_batch([np.zeros((HEIGHT, width, 3), np.uint8) for width in (160, 80)])
    assert output.padding_ratio == pytest.approx(0.25)
    assert min(output.preprocess_s, output.infer_s, output.postprocess_s) > 0


def test_manifest_describes_the_recogniser(reader: WordReader) -> None:
    assert reader.manifest.license == "Apache-2.0"
    assert len(reader.manifest.weights_sha256) == 64
    assert reader.manifest.weights_bytes > 1_000_000
    reader.warm_up()


def real_words(folder: Path, count: int) -> list[tuple[NDArray[np.uint8], str]]:
    """Word crops of the sets at hand, with what they say."""
    rows: list[tuple[Path, str]] = []
    if folder.name == "icdar2015_words":
        with (folder / "gt.txt").open(encoding="utf-8-sig") as lines:
            rows = [(folder / row[0], row[1]) for row in csv.reader(lines, skipinitialspace=True)]
    else:
        for line in (folder / "words.jsonl").read_text().splitlines():
            row = json.loads(line)
            rows.append((folder / "images" / row["image"], row["text"]))
    picked = rows[:: len(rows) // count][:count]
    return [(np.array(PillowImage.open(file).convert("RGB")), text) for file, text in picked]


def same_word(found: str, expected: str) -> bool:
    """As the word recognition tasks count: letters and digits only, either case."""
    return "".join(filter(str.isalnum, found.lower())) == "".join(filter(str.isalnum, expected.lower()))


@pytest.mark.parametrize("name", ["icdar2015_words", "iiit5k"])
def test_real_words(reader: WordReader, shared_data: Path, name: str) -> None:
    words = real_words(shared_data / name, 50)
    right = sum(same_word(texts(reader, [crop])[0], text) for crop, text in words)
    assert right / len(words) >= 0.6


def test_word_reads_the_same_alone_and_in_company(reader: WordReader, shared_data: Path) -> None:
    """Of one bucket, as the server batches them."""
    crops = [crop for crop, _ in real_words(shared_data / "icdar2015_words", 16)]
    by_bucket: dict[int, list[NDArray[np.uint8]]] = {}
    for crop in crops:
        by_bucket.setdefault(width_bucket(crop), []).append(crop)
    for group in by_bucket.values():
        together = reader.predict_batch(group).results
        alone = [reader.predict_batch([crop]).results[0] for crop in group]
        assert [text for text, _ in together] == [text for text, _ in alone]
        np.testing.assert_allclose([c for _, c in together], [c for _, c in alone], atol=1e-3)
