"""Style pictures and content crops: what the style models are trained on."""

import io
import json
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import ImageFont

from interplay.models.perceptual import build_perceptual
from tests.style_models import random_perceptual
from training.datasets.sample import Sample, WordLabel
from training.style_transfer.data import ContentCrops, ContentSources, near_ink, on_paper, random_square
from training.style_transfer.sources import load_content, load_perceptual, load_styles
from training.style_transfer.styles import (
    WRITERS_AS_STYLES,
    compose_page,
    draw_lines,
    handwriting_styles,
    print_styles,
    read_font_list,
    read_iam,
    scaled,
    scene_styles,
)


@pytest.fixture(scope="module")
def font(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pillow's own font as a file."""
    content = ImageFont.load_default(20).path
    assert isinstance(content, io.BytesIO)
    path = tmp_path_factory.mktemp("font") / "font.ttf"
    path.write_bytes(content.getvalue())
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of handwriting, so to say: dark strokes on paper of brightness 220."""
    folder, paths = tmp_path_factory.mktemp("words"), []
    for number in range(6):
        picture = np.full((60 + 5 * number, 90 + 30 * number, 3), 220, np.uint8)
        cv2.line(picture, (10, 10), (picture.shape[1] - 10, picture.shape[0] - 10), (30, 30, 30), 5)
        paths.append(folder / f"word_{number}.png")
        cv2.imwrite(str(paths[-1]), picture)
    return paths


# Styles


def test_scene_styles(shared_data: Path) -> None:
    styles = scene_styles(shared_data)
    assert len(styles) == len({style.name for style in styles}) == 35
    assert {style.image.shape[0] for style in styles} == {64}
    assert {style.domain for style in styles} == {"scene"}
    assert all(style.image.dtype == np.uint8 and style.image.std() > 5 for style in styles)
    assert styles[0].source == "ICDAR 2015 word_298.png"
    assert [style.name for style in load_styles("scene", shared_data, None)] == [s.name for s in styles]


def test_handwriting_styles_are_the_first_writers(shared_data: Path) -> None:
    styles = handwriting_styles(shared_data)
    assert [style.name for style in styles] == [f"writer-{n}" for n in range(1, WRITERS_AS_STYLES + 1)]
    forms = list(read_iam(shared_data))
    assert len(forms) > WRITERS_AS_STYLES  # some are kept for evaluation
    assert [style.source for style in styles] == [f"IAM form {form}" for form in forms[:WRITERS_AS_STYLES]]
    for style, again in zip(styles, handwriting_styles(shared_data), strict=True):
        assert style.image.shape == (208, 320, 3)
        np.testing.assert_array_equal(style.image, again.image)


def test_print_styles_need_every_font(tmp_path: Path, font: Path) -> None:
    rows = read_font_list()
    assert len(rows) == len({name for name, *_ in rows}) == 8
    for _, _, _, file in rows[:-1]:
        (tmp_path / file).write_bytes(font.read_bytes())
    name, _, package, file = rows[-1]
    with pytest.raises(FileNotFoundError, match=f"{file} is missing; it is in {package}"):
        print_styles(tmp_path)
    (tmp_path / file).write_bytes(font.read_bytes())
    styles = load_styles("print", tmp_path, tmp_path)
    assert [style.name for style in styles] == [row[0] for row in rows]
    assert styles[-1].source == f"font {file} of {package}"
    assert all(style.image.shape[2] == 3 and style.image.min() < 50 for style in styles)


def test_unknown_models_and_missing_fonts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown model 'comic'; known: scene, print, handwriting"):
        load_styles("comic", tmp_path, None)
    with pytest.raises(ValueError, match="--fonts is needed"):
        load_styles("print", tmp_path, None)


def test_scaling_keeps_the_aspect() -> None:
    assert scaled(np.zeros((32, 100, 3), np.uint8), 64).shape == (64, 200, 3)
    assert scaled(np.zeros((128, 10, 3), np.uint8), 64).shape == (64, 16, 3)  # not narrower than this


def test_drawn_lines(font: Path) -> None:
    page = draw_lines(["one", "a longer line"], font, 20, ink=40, paper=230)
    assert page.dtype == np.uint8 and (page[0, 0] == 230).all() and page.min() < 60
    assert draw_lines(["a longer line"], font, 20).shape[1] == page.shape[1]


def test_pages_of_words(words: list[Path]) -> None:
    page = compose_page(random.Random(1), words, 300, 200)
    assert page.shape == (200, 300, 3)
    assert np.median(page) == 220 and page.min() < 90  # on their own paper
    np.testing.assert_array_equal(page, compose_page(random.Random(1), words, 300, 200))
    assert not np.array_equal(page, compose_page(random.Random(2), words, 300, 200))
    assert compose_page(random.Random(1), words[-1:], 40, 200).shape == (200, 40, 3)  # a word wider than it


# Content


@pytest.fixture(scope="module")
def sources(words: list[Path], font: Path, tmp_path_factory: pytest.TempPathFactory) -> ContentSources:
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8))
    outline = np.float32([[40, 40], [140, 40], [140, 80], [40, 80]])
    return ContentSources(
        scenes=[Sample(path, (WordLabel(outline, "word", True),))],
        words=words,
        photos=[path],
        fonts=[font],
        vocabulary=["one", "two", "three"],
        handwriting=[words[:3], words[3:]],
        weights={"scenes": 1.0, "words": 1.0, "photos": 1.0, "fonts": 1.0, "handwriting": 1.0},
    )


def test_crops_are_a_function_of_seed_and_number(sources: ContentSources) -> None:
    first, again = ContentCrops(sources, 64, 5, seed=3), ContentCrops(sources, 64, 5, seed=3)
    for index in (0, 1, 2, 3, 4, 5, 6, 7, 10**9):
        one, two = first[index], again[index]
        assert torch.equal(one["image"], two["image"]) and one["style"] == two["style"]
        assert one["image"].shape == (3, 64, 64) and one["image"].dtype == torch.uint8
    other = ContentCrops(sources, 64, 5, seed=4)
    assert not all(torch.equal(first[index]["image"], other[index]["image"]) for index in range(3))
    assert {int(first[index]["style"]) for index in range(60)} == set(range(5))


@pytest.mark.parametrize("kind", ["scenes", "words", "photos", "fonts", "handwriting"])
def test_every_source_gives_crops(sources: ContentSources, kind: str) -> None:
    alone = ContentSources(**{**vars(sources), "weights": {kind: 1.0}})
    crops = ContentCrops(alone, 80, 1, seed=0)
    pictures = [crops[index]["image"] for index in range(4)]
    assert all(picture.shape == (3, 80, 80) for picture in pictures)
    assert max(float(picture.float().std()) for picture in pictures) > 5


def test_sources_that_are_empty_are_left_out(sources: ContentSources) -> None:
    weights = {"photos": 1000.0, "words": 1.0}
    crops = ContentCrops(ContentSources(words=sources.words, weights=weights), 64, 1, seed=0)
    assert crops[0]["image"].shape == (3, 64, 64)
    for empty in (ContentSources(), ContentSources(words=sources.words), ContentSources(weights=weights)):
        with pytest.raises(ValueError, match="no pictures to train on"):
            ContentCrops(empty, 64, 1, seed=0)


@pytest.mark.parametrize("size", [(2, 2), (16, 300), (300, 16), (70, 64), (64, 64)])
def test_squares_of_any_picture(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    square = random_square(random.Random(0), picture, 64)
    assert square.shape == (64, 64, 3)
    known = {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}
    assert {tuple(pixel) for pixel in square.reshape(-1, 3).tolist()} <= known  # reflected, nothing invented


@pytest.mark.parametrize("model", ["scene", "print", "handwriting"])
def test_what_is_looked_at_is_not_trained_on(shared_data: Path, model: str, font: Path) -> None:
    fonts = [font, font.with_name("other.ttf")]
    content, dev = load_content(model, shared_data, [], [], fonts)
    assert set(content.words).isdisjoint(dev.words)
    styles = {style.source.split("word_")[-1] for style in scene_styles(shared_data)}
    assert not styles & {path.name.removeprefix("word_") for path in (*content.words, *dev.words)}
    trained = {path for writer in content.handwriting for path in writer}
    assert not trained & {path for writer in dev.handwriting for path in writer}
    assert model != "print" or (dev.fonts, content.fonts) == (fonts[:1], fonts[1:])
    assert ContentCrops(dev, 64, 3, seed=0)[0]["image"].shape == (3, 64, 64)
    assert ContentCrops(content, 64, 3, seed=0).sources is content


# The perceptual network


def test_both_published_files_are_told_apart(tmp_path: Path) -> None:
    part = random_perceptual(seed=4)
    torch.save({f"layer{n}": value for n, value in enumerate(part.state_dict().values())}, tmp_path / "a.pth")
    found = load_perceptual(tmp_path / "a.pth")
    assert found.config.kind == "vgg19_part"
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), part.parameters(), strict=True))
    whole = build_perceptual({"kind": "vgg16"})
    tensors = [value for key, value in whole.state_dict().items() if not key.startswith("colour")]
    state = {f"features.{n:02}.x": value for n, value in enumerate(tensors)}
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, tmp_path / "b.pth")
    found = load_perceptual(tmp_path / "b.pth")
    assert found.config.kind == "vgg16"
    assert all(torch.equal(a, b) for a, b in zip(found.convolutions.parameters(), tensors, strict=True))
    torch.save({"x": torch.zeros(1)}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match="expected 12 tensors, found 1"):
        load_perceptual(tmp_path / "c.pth")


def test_handwriting_is_read_by_writer(tmp_path: Path) -> None:
    rows = [
        {"form": "b01", "image": "1.png", "text": "one"},
        {"form": "a01", "image": "2.png", "text": "two"},
        {"form": "b01", "image": "3.png", "text": "three"},
    ]
    (tmp_path / "iam_words").mkdir()
    (tmp_path / "iam_words" / "words.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    writers = read_iam(tmp_path)
    assert list(writers) == ["a01", "b01"]
    images = tmp_path / "iam_words" / "images"
    assert writers["b01"] == [(images / "1.png", "one"), (images / "3.png", "three")]


def test_pages_are_compared_near_letters_alone(sources: ContentSources) -> None:
    """Half of the drawn pages hold a word or two; the empty paper around them does not count."""
    only = replace(sources, weights={"fonts": 1.0})
    items = [ContentCrops(only, 96, 2, 0)[index] for index in range(30)]
    shares = [float(item["near"].float().mean()) for item in items]
    assert 0.05 <= min(shares) < 0.4 and max(shares) > 0.8
    for item in items:
        assert item["near"].shape == (96, 96) and item["near"].unique().tolist() in ([0, 1], [1])
        far = item["image"].float().mean(0)[item["near"] == 0]
        assert far.numel() == 0 or float(far.max() - far.min()) < 60  # paper, and no ink
    words = ContentCrops(replace(sources, weights={"words": 1.0}), 96, 2, 0)[0]
    assert words["near"].min() == 1


def test_near_ink() -> None:
    page = np.full((100, 100, 3), 250, np.uint8)
    page[50, 50] = 0
    near = near_ink(page)
    assert near.sum() == 17 * 17 and near[42:59, 42:59].all()


def test_paper_is_added_where_a_page_is_small() -> None:
    page = np.full((20, 200, 3), 230, np.uint8)
    page[5:9, 5:9] = 10
    placed = on_paper(random.Random(1), page, 96)
    assert placed.shape == (96, 200, 3) and (placed == 230).mean() > 0.99
    assert int((placed[..., 0] == 10).sum()) == 16
