"""Words: drawn alone with transparency, and put into photos in place of those of a region."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay.errors import InvalidParameter
from interplay.predictors.style_transfer.words import (
    Region,
    check_letters,
    draw_words,
    ink_and_paper,
    insert_region,
    letters,
    load_font,
    prepare_region,
    with_alpha,
)

BLUE, YELLOW = (30, 60, 150), (250, 230, 60)
RED, WHITE = (200, 30, 30), (250, 250, 250)
# Where ``sign`` has its word, clockwise from the top left corner.
BOX = np.array([[120, 90], [300, 90], [300, 150], [120, 150]], dtype=np.float32)


def sign(word: str = "HOTEL", ink: tuple[int, ...] = YELLOW, paper: tuple[int, ...] = BLUE) -> np.ndarray:
    """A photo of 420x240 with a word in ``BOX`` and an unlike pattern along its left side."""
    page = PillowImage.new("RGB", (420, 240), paper)
    if word:
        pen, font = ImageDraw.Draw(page), load_font(None, 56)
        pen.text((210, 120), word, fill=ink, font=font, anchor="mm")
    image = np.array(page)
    image[:, :40] = np.random.default_rng(0).integers(0, 256, (240, 40, 3), dtype=np.uint8)
    return image


def near(image: np.ndarray, colour: tuple[float, ...], tolerance: float = 40) -> np.ndarray:
    """Which pixels have about this colour."""
    return np.abs(image.astype(float) - colour).max(axis=2) < tolerance


def inside(quad: np.ndarray, shape: tuple[int, ...], grow: float = 0.0) -> np.ndarray:
    """Pixels of a quadrilateral, grown by a part of its extent."""
    centre = quad.mean(axis=0)
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.rint(centre + (quad - centre) * (1 + grow)).astype(np.int32), 1)
    return mask > 0


@pytest.fixture(scope="module")
def font_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pillow's own font as a file."""
    content = ImageFont.load_default(20).path
    assert isinstance(content, io.BytesIO)
    path = tmp_path_factory.mktemp("font") / "font.ttf"
    path.write_bytes(content.getvalue())
    return path


# Drawing


@pytest.mark.parametrize("height", [16, 64, 256])
def test_a_line_has_the_height_asked_for(height: int) -> None:
    coverage = letters("Taxi gym", height)
    assert coverage.dtype == np.float32 and coverage.min() == 0 and 0.9 < coverage.max() <= 1
    assert abs(coverage.shape[0] - height) <= 1
    columns = np.nonzero(coverage.any(axis=0))[0]
    assert columns[0] <= 0.1 * height and columns[-1] >= coverage.shape[1] - 1 - 0.1 * height


def test_lines_stand_below_each_other_and_centred() -> None:
    coverage = letters("i\nMMMM\n\ni", 40)
    assert coverage.shape[0] == pytest.approx(40 * (1 + 3 * 1.15), abs=3)
    rows = [slice(round(n * 46), round(n * 46) + 40) for n in range(4)]
    assert [bool(coverage[r].any()) for r in rows] == [True, True, False, True]
    for r in (rows[0], rows[3]):
        columns = np.nonzero(coverage[r].any(axis=0))[0]
        assert (columns[0] + columns[-1]) / 2 == pytest.approx(coverage.shape[1] / 2, abs=2)
        assert columns[-1] - columns[0] < coverage.shape[1] / 8


def test_words_are_drawn_in_their_colours_with_a_margin() -> None:
    drawn = draw_words("Mill", 60, YELLOW, BLUE)
    assert drawn.image.shape == (*drawn.coverage.shape, 3) and drawn.image.dtype == np.uint8
    assert (drawn.image[drawn.coverage == 1] == YELLOW).all()
    assert (drawn.image[drawn.coverage == 0] == BLUE).all()
    plain = letters("Mill", 60)
    assert drawn.coverage.shape == (plain.shape[0] + 60, plain.shape[1] + 60)
    np.testing.assert_array_equal(drawn.coverage[30:-30, 30:-30], plain)
    assert not drawn.coverage[:30].any() and not drawn.coverage[:, -30:].any()


def test_a_font_file_is_taken(font_file: Path) -> None:
    own, given = letters("III", 48), letters("III", 48, font_file)
    assert own.shape[0] == given.shape[0] == 48
    assert own.shape[1] != given.shape[1]  # another font's letters
    with pytest.raises(OSError):
        letters("III", 48, font_file.with_name("missing.ttf"))


def test_transparency_is_empty_outside_and_cut_to_what_is_there() -> None:
    drawn = draw_words("O", 60, YELLOW, BLUE)
    styled = np.random.default_rng(0).integers(0, 256, drawn.image.shape, dtype=np.uint8)
    picture = with_alpha(styled, drawn.coverage, 60)
    alpha = picture[..., 3]
    assert picture.dtype == np.uint8
    assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()
    assert alpha.max() == 255
    middle = alpha[alpha.shape[0] // 2, alpha.shape[1] // 2]
    assert middle < 30 and alpha[0, 0] == 0  # within the ring, and beside it
    rows, columns = np.nonzero(drawn.coverage > 0)
    top, left = rows.min() - picture.shape[0], columns.min() - picture.shape[1]
    assert top < 0 and left < 0
    place = np.argwhere((styled == picture[0, 0, :3]).all(axis=2))[0]
    y, x = int(place[0]), int(place[1])
    cut = slice(y, y + picture.shape[0]), slice(x, x + picture.shape[1])
    np.testing.assert_array_equal(picture[..., :3], styled[cut])
    assert (alpha[drawn.coverage[cut] == 1] == 255).all()
    assert drawn.coverage.sum() == pytest.approx(drawn.coverage[cut].sum())


def test_blanks_alone_are_all_transparent() -> None:
    drawn = draw_words("  ", 30, YELLOW, BLUE)
    picture = with_alpha(drawn.image, drawn.coverage, 30)
    assert picture.shape == (*drawn.coverage.shape, 4) and not picture[..., 3].any()


def test_letters_that_the_font_has_not_are_named(font_file: Path) -> None:
    for font, missing in ((None, "あ 漢"), (font_file, "ж あ 漢")):  # sorted
        check_letters("Quiz & Co.\n(24h)", font)
        with pytest.raises(InvalidParameter, match=f"cannot draw: {missing}$") as caught:
            check_letters("a漢жあ漢", font, "words")
        assert caught.value.field == "words"
    with pytest.raises(InvalidParameter) as caught:
        check_letters("".join(chr(0x4E00 + n) for n in range(30)), None)
    listed = caught.value.message.partition(": ")[2].split()
    assert listed == [chr(0x4E00 + n) for n in range(10)]


def test_letters_of_europe_can_be_drawn() -> None:
    check_letters("Açaí Cafè À ñ ß ø Ł ő Ş € £ ¡¿ “quoted” – Καφές, Чай", None)


def test_odd_blanks_that_would_come_out_as_boxes_are_named() -> None:
    check_letters("a\u2003b\u00a0c", None)
    with pytest.raises(InvalidParameter, match=r"cannot draw: U\+0009 U\+2028$"):
        check_letters("a\tb\u2028c", None)


# Colours


@pytest.mark.parametrize("ink, paper", [((0, 0, 0), (255, 255, 255)), (YELLOW, BLUE), (WHITE, RED)])
def test_ink_is_told_from_paper(ink: tuple[int, ...], paper: tuple[int, ...]) -> None:
    found_ink, found_paper = ink_and_paper(draw_words("Museum", 64, ink, paper).image)
    np.testing.assert_allclose(found_ink, ink, atol=3)
    np.testing.assert_allclose(found_paper, paper, atol=3)


def test_an_even_picture_has_one_colour() -> None:
    assert ink_and_paper(np.full((20, 30, 3), 77, np.uint8)) == ((77, 77, 77), (77, 77, 77))


# Regions


def prepared(
    image: np.ndarray, quad: np.ndarray, text: str = "MUSIC", heat: np.ndarray | None = None
) -> Region:
    region = prepare_region(image, quad, text, heat, None)
    assert region.before.shape == region.drawn.shape
    assert region.coverage.shape == region.removed.shape == region.before.shape[:2]
    return region


@pytest.mark.parametrize("ink, paper", [(YELLOW, BLUE), (RED, WHITE), ((10, 10, 10), (180, 170, 150))])
def test_region_s_colours_are_kept(ink: tuple[int, ...], paper: tuple[int, ...]) -> None:
    image = sign(ink=ink, paper=paper)
    region = prepared(image, BOX)
    np.testing.assert_allclose(region.ink, ink, atol=12)
    np.testing.assert_allclose(region.paper, paper, atol=12)
    assert near(region.drawn, ink)[region.coverage > 0.99].all()
    assert near(region.drawn, paper)[region.coverage == 0].mean() > 0.99  # the old word is gone
    result = insert_region(image, region, region.drawn, own_colours=True)
    assert result.shape == image.shape and result.dtype == np.uint8
    box = inside(BOX, image.shape)
    assert 0.1 < near(result, ink)[box].mean() < 0.6
    assert near(result, ink)[box].mean() + near(result, paper)[box].mean() > 0.8


def test_pixels_away_from_the_region_stay_to_the_bit() -> None:
    image = sign()
    before = image.copy()
    result = insert_region(image, region := prepared(image, BOX), 255 - region.drawn, own_colours=False)
    np.testing.assert_array_equal(image, before)
    away = ~inside(BOX, image.shape, grow=0.7)
    assert away.mean() > 0.4 and (result != image).any()
    np.testing.assert_array_equal(result[away], image[away])


def test_the_old_word_is_replaced_by_the_new_one() -> None:
    """The same word comes out where it was; a shorter one leaves the rest of the old one's place empty."""
    image = sign("HOTEL")
    region = prepared(image, BOX, "HOTEL")
    box = inside(BOX, image.shape, grow=0.2)
    again = near(insert_region(image, region, region.drawn, own_colours=True), YELLOW, 90) & box
    old = near(image, YELLOW, 90) & box
    assert (again & old).sum() / (again | old).sum() > 0.4
    region = prepared(image, BOX, "I")
    short = near(insert_region(image, region, region.drawn, own_colours=True), YELLOW, 90) & box
    assert short.sum() < 0.4 * old.sum() and not short[:, 100:170].any() and not short[:, 250:].any()
    assert (region.quad[:, 0] > 170).all() and (region.quad[:, 0] < 250).all()


def test_words_too_long_are_squeezed_and_then_made_smaller() -> None:
    image = sign()
    heights = []
    for text in ("MUSIC", "STATIONERY", "Stationery and office supplies, second floor"):
        region = prepared(image, BOX, text)
        rows, columns = np.nonzero(region.coverage > 0.5)
        margin = round(0.3 * 64)
        assert columns.min() >= margin and columns.max() < region.coverage.shape[1] - margin
        heights.append(int(rows.max() - rows.min()))
        assert inside(BOX, image.shape, grow=0.1)[tuple(region.quad.mean(axis=0).astype(int)[::-1])]
    assert heights[2] < 0.5 * heights[0] and heights[1] <= heights[0]


TURNED = cv2.getRotationMatrix2D((210, 120), 24, 0.8)


def placed(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The sign seen at an angle, and its word's corners."""
    image = sign()
    if kind == "rotated":
        quad = cv2.transform(BOX[None], TURNED)[0]
        return cv2.warpAffine(image, TURNED, (420, 240), borderValue=BLUE), quad.astype(np.float32)
    corners = np.array([[0, 0], [420, 0], [420, 240], [0, 240]], dtype=np.float32)
    seen = np.array([[20, 10], [390, 60], [400, 200], [0, 235]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(corners, seen)
    quad = cv2.perspectiveTransform(BOX[None], matrix)[0]
    return cv2.warpPerspective(image, matrix, (420, 240), borderValue=BLUE), quad.astype(np.float32)


@pytest.mark.parametrize("kind", ["rotated", "perspective"])
def test_words_follow_the_region_s_corners(kind: str) -> None:
    image, quad = placed(kind)
    region = prepared(image, quad)
    np.testing.assert_allclose(region.ink, YELLOW, atol=20)
    np.testing.assert_allclose(region.paper, BLUE, atol=12)
    result = insert_region(image, region, region.drawn, own_colours=True)
    away = ~inside(quad, image.shape, grow=0.8)
    np.testing.assert_array_equal(result[away], image[away])
    # Brought back by the way the photo was made, the words stand upright in the box.
    upright = prepare_region(result, quad, "MUSIC", None, None)
    again, wanted = near(upright.before, YELLOW, 100), region.coverage > 0.5
    assert (again & wanted).sum() / (again | wanted).sum() > 0.75


def test_where_the_words_stand_is_told() -> None:
    image = sign()
    region = prepared(image, BOX, "HOTEL")
    assert region.quad.shape == (4, 2)
    np.testing.assert_allclose(region.quad[:, 1], BOX[:, 1], atol=0.5)
    assert 119.5 < region.quad[0, 0] < region.quad[1, 0] < 300.5
    result = insert_region(image, region, region.drawn, own_colours=True)
    columns = np.nonzero(near(result, YELLOW)[60:180, 60:].any(axis=0))[0] + 60
    assert columns[0] == pytest.approx(region.quad[0, 0], abs=7)
    assert columns[-1] == pytest.approx(region.quad[1, 0], abs=7)


@pytest.mark.parametrize("paper, ink", [((230, 230, 225), (20, 20, 20)), ((20, 30, 25), (240, 240, 240))])
def test_region_without_text_gets_ink_that_is_seen(paper: tuple[int, ...], ink: tuple[int, ...]) -> None:
    image = sign("", paper=paper)
    region = prepared(image, BOX, "OPEN")
    assert region.ink == ink
    np.testing.assert_allclose(region.paper, paper, atol=2)
    assert not region.removed.any()
    result = insert_region(image, region, region.drawn, own_colours=True)
    assert near(result, ink).sum() > 500


def test_heat_tells_text_from_other_dark_things() -> None:
    image = sign("OFF", ink=(10, 10, 10), paper=(200, 200, 190))
    cv2.rectangle(image, (125, 94), (140, 146), (10, 10, 10), -1)  # a lamp beside the word, say
    heat = np.zeros(image.shape[:2], np.uint8)
    heat[95:146, 155:275] = 230
    told, untold = prepared(image, BOX, "ON", heat), prepared(image, BOX, "ON")
    lamp = slice(25, 75), slice(28, 34)
    assert untold.removed[lamp].all() and not told.removed[lamp].any()
    result = insert_region(image, told, told.drawn, own_colours=True)
    np.testing.assert_array_equal(result[96:144, 127:138], image[96:144, 127:138])
    cold = prepared(image, BOX, "ON", np.zeros_like(heat))
    np.testing.assert_array_equal(cold.removed, untold.removed)


@pytest.mark.parametrize(
    "shift",
    [(-200, 0), (150, 0), (0, -120), (0, 120), (-160, 110)],
    ids=["left", "right", "up", "down", "corner"],
)
def test_region_may_reach_over_the_photo_s_edge(shift: tuple[int, int]) -> None:
    image = sign()
    quad = BOX + np.array(shift, dtype=np.float32)
    region = prepared(image, quad)
    result = insert_region(image, region, region.drawn, own_colours=True)
    assert result.shape == image.shape and (result != image).any()


@pytest.mark.parametrize("size", [2.0, 6.0])
def test_tiny_regions(size: float) -> None:
    image = sign()
    quad = np.array([[200, 100], [200 + size, 100], [200 + size, 100 + size], [200, 100 + size]], np.float32)
    result = insert_region(image, region := prepared(image, quad), region.drawn, own_colours=True)
    away = ~inside(quad, image.shape, grow=3.0)
    np.testing.assert_array_equal(result[away], image[away])


def test_own_colours_are_brought_back_after_restyling() -> None:
    image = sign()
    region = prepared(image, BOX)
    pale = (region.drawn * 0.4 + 90).astype(np.uint8)  # a style that takes the contrast
    own = insert_region(image, region, pale, own_colours=True)
    styled = insert_region(image, region, pale, own_colours=False)
    ink, paper = np.array(YELLOW), np.array(BLUE)
    letters_in_photo = cv2.warpPerspective(region.coverage, region.to_photo, (420, 240)) > 0.97
    assert letters_in_photo.sum() > 200
    np.testing.assert_allclose(np.median(own[letters_in_photo], axis=0), ink, atol=12)
    np.testing.assert_allclose(np.median(styled[letters_in_photo], axis=0), ink * 0.4 + 90, atol=12)
    assert near(own, tuple(paper))[inside(BOX, image.shape)].mean() > 0.3


def test_the_same_again_is_the_same() -> None:
    image = sign()
    first, second = prepared(image, BOX), prepared(image, BOX)
    np.testing.assert_array_equal(first.drawn, second.drawn)
    assert first.ink == second.ink
