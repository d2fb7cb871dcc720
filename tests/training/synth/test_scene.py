"""Synthetic scenes: determinism, labels that fit the ink, fonts, pools."""

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.synth.fonts import SCRIPTS, find_fonts
from training.synth.generate import load_materials
from training.synth.lines import Vocabulary, bend, draw_column, draw_line, load_font, random_line
from training.synth.scene import Materials, WordCrop, make_scene
from training.synth.surfaces import degrade, make_background, pick_ink

PLAIN = Materials(photos=[], fonts={}, vocabulary=Vocabulary([], ["latin"]), crops=[], layouts=[], size=256)


def test_scenes_are_a_function_of_their_seed() -> None:
    one, two, other = make_scene(5, PLAIN), make_scene(5, PLAIN), make_scene(6, PLAIN)
    np.testing.assert_array_equal(one.image, two.image)
    assert len(one.polygons) == len(two.polygons) == len(one.legible)
    assert not np.array_equal(one.image, other.image)
    assert one.image.shape == (256, 256, 3) and one.image.dtype == np.uint8


def test_some_scenes_have_words_and_some_have_none() -> None:
    counts = [len(make_scene(seed, PLAIN).polygons) for seed in range(40)]
    assert max(counts) >= 4 and min(counts) == 0


def test_words_lie_in_the_picture() -> None:
    for seed in range(10):
        for polygon in make_scene(seed, PLAIN).polygons:
            assert polygon.min() >= 0 and polygon.max() <= 256


def test_each_word_gets_the_outline_of_its_ink() -> None:
    line = draw_line(["Hop", "on"], load_font(None, 40), spacing=1.0, tracking=0.0, stroke=0)
    assert line.words == ["Hop", "on"] and len(line.polygons) == 2
    covered = np.zeros_like(line.ink)
    for polygon in line.polygons:
        cv2.fillPoly(covered, [polygon.astype(np.int32)], 1)
    assert (line.ink > 0).sum() > 100
    assert not (line.ink[covered == 0] > 0).any()
    first, second = line.polygons
    assert second[:, 0].min() - first[:, 0].max() >= 4  # a real gap between the words


def test_bent_and_vertical_words_keep_their_ink_inside() -> None:
    font = load_font(None, 40)
    bent = bend(draw_line(["curved"], font, 1.0, 0.0, 0), rise=20)
    column = draw_column("DOWN", font, stroke=0)
    for line in (bent, column):
        covered = np.zeros_like(line.ink)
        for polygon in line.polygons:
            cv2.fillPoly(covered, [np.round(polygon).astype(np.int32)], 1)
        ink = line.ink > 128
        assert ink.any() and ink[cv2.dilate(covered, np.ones((5, 5))) == 0].mean() == 0
    assert len(bent.polygons[0]) == 10
    height, width = np.ptp(column.polygons[0], axis=0)[::-1]
    assert height > 2 * width


def test_words_of_every_script_use_its_letters() -> None:
    rng = random.Random(0)
    vocabulary = Vocabulary(["street", "cafe"], list(SCRIPTS))
    for script, (ranges, _) in SCRIPTS.items():
        words = [vocabulary.word(rng, script) for _ in range(60)]
        assert any(any(low <= ord(c) <= high for low, high in ranges) for word in words for c in word)
    assert {vocabulary.script(rng) for _ in range(400)} == set(SCRIPTS)


def test_ink_can_be_told_from_the_ground() -> None:
    rng = random.Random(0)
    for _ in range(100):
        ground = np.float32([rng.randint(0, 255) for _ in range(3)])
        assert abs(float((pick_ink(rng, ground) - ground) @ np.float32([0.3, 0.59, 0.11]))) > 40


def test_photos_crops_and_layouts_are_used(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), np.full((100, 150, 3), (10, 200, 30), np.uint8))
    background = make_background(random.Random(0), [str(photo)], 256)
    assert background.shape == (256, 256, 3) and abs(int(background[..., 1].mean()) - 200) < 10
    crop = WordCrop(np.full((20, 60, 3), 255, np.uint8), np.float32([[0, 0], [59, 0], [59, 19], [0, 19]]))
    quad = np.float32([[40, 40], [100, 40], [100, 60], [40, 60]])
    materials = Materials(
        [str(photo)], {}, Vocabulary([], ["latin"]), [crop], [[(quad, True), (quad + 100, False)]], 256
    )
    legible = {ok for seed in range(20) for ok in make_scene(seed, materials).legible}
    assert legible == {True, False}


def test_degrading_keeps_size_and_type() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    for seed in range(10):
        out = degrade(random.Random(seed), np.random.default_rng(seed), image)
        assert out.shape == image.shape and out.dtype == np.uint8


def test_materials_come_from_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "fonts.json").write_text(json.dumps({}))
    materials = load_materials(tmp_path, [], tmp_path / "fonts.json", size=128)
    assert materials.crops == [] and materials.layouts == []
    assert make_scene(0, materials).image.shape == (128, 128, 3)


def test_real_materials(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "fonts.json").write_text(json.dumps({}))
    materials = load_materials(shared_data, [], tmp_path / "fonts.json", size=256)
    assert len(materials.crops) > 900 and len(materials.layouts) == 1000
    assert any(make_scene(seed, materials).polygons for seed in range(5))


@pytest.mark.slow
def test_installed_fonts_write_their_scripts() -> None:
    fonts = find_fonts()
    if "latin" not in fonts:
        pytest.skip("no TrueType fonts installed; Pillow's own is used instead")
    rng = random.Random(0)
    for script, paths in fonts.items():
        line = random_line(rng, fonts, Vocabulary([], [script]), 30, 2, style=(script, paths[0]))
        assert line.polygons, script
