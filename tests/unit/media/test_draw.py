"""Drawing regions and contact sheets."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.media.draw import contact_sheet, draw_influence, draw_regions, unit_sheet, word_plate

GREY = np.full((200, 300, 3), 128, np.uint8)
BOX = [(100.0, 80.0), (200.0, 80.0), (200.0, 120.0), (100.0, 120.0)]


def changed(drawn: np.ndarray, image: np.ndarray = GREY) -> np.ndarray:
    return (drawn != image).any(axis=2)


def test_a_region_is_tinted_and_outlined_and_the_rest_is_left_alone() -> None:
    before = GREY.copy()
    mask = changed(draw_regions(GREY, [BOX]))
    assert mask[80:121, 100:201].all()
    assert not mask[:75].any() and not mask[:, :95].any() and not mask[125:].any() and not mask[:, 205:].any()
    assert (before == GREY).all()
    drawn = draw_regions(GREY, [BOX]).astype(int)
    assert np.abs(drawn[80, 150] - 128).sum() > 2 * np.abs(drawn[100, 150] - 128).sum()


def test_the_picture_stays_readable_under_the_tint() -> None:
    noise = np.random.default_rng(0).integers(0, 256, GREY.shape, np.uint8)
    drawn = draw_regions(noise, [BOX])
    inside, original = (
        drawn[90:110, 110:190].astype(float).ravel(),
        noise[90:110, 110:190].astype(float).ravel(),
    )
    assert np.corrcoef(inside, original)[0, 1] > 0.9


def test_a_label_is_above_its_region() -> None:
    mask = changed(draw_regions(GREY, [BOX], ["EXIT"]))
    assert mask[60:78, 100:130].mean() > 0.5
    assert not mask[:50].any()


@pytest.mark.parametrize(
    "box",
    [
        [(0, 0), (60, 0), (60, 20), (0, 20)],
        [(260, 180), (299, 180), (299, 199), (260, 199)],
        [(-50, -50), (400, -50), (400, 300), (-50, 300)],
        [(290, 5), (299, 5), (299, 15), (290, 15)],
    ],
)
def test_labels_at_the_border_stay_inside(box: list[tuple[float, float]]) -> None:
    drawn = draw_regions(GREY, [box], ["a rather long label here"])
    assert drawn.shape == GREY.shape
    plates = (np.abs(drawn.astype(int) - drawn.astype(int)[..., :1]).sum(axis=2) > 0).any()
    assert plates
    assert changed(drawn, draw_regions(GREY, [box])).sum() > 500


def test_neighbours_differ_in_colour() -> None:
    other = [(x, y + 60) for x, y in BOX]
    drawn = draw_regions(GREY, [BOX, other])
    assert (drawn[100, 150] != drawn[160, 150]).any()


def test_empty_labels_and_odd_text_are_taken() -> None:
    assert (draw_regions(GREY, [BOX], [""]) == draw_regions(GREY, [BOX])).all()
    for text in ("line\nbreak\ttab", "出口 żółw 🦊", "x" * 500, "\u202eright"):
        assert draw_regions(GREY, [BOX], [text]).shape == GREY.shape


def test_nothing_to_draw_changes_nothing() -> None:
    assert (draw_regions(GREY, []) == GREY).all()
    assert (draw_regions(GREY, [[(1.0, 1.0), (2.0, 2.0)]], ["line"]) == GREY).all()


def test_tiny_pictures_are_drawn_on() -> None:
    for size in ((1, 1), (2, 300), (300, 2)):
        image = np.zeros((*size, 3), np.uint8)
        assert draw_regions(image, [BOX], ["label"]).shape == image.shape


def test_one_label_a_polygon() -> None:
    with pytest.raises(ValueError, match="1 labels for 2 polygons"):
        draw_regions(GREY, [BOX, BOX], ["only one"])


def test_a_sheet_shows_every_image_whole_in_its_place() -> None:
    red, wide = np.zeros((50, 50, 3), np.uint8), np.zeros((100, 400, 3), np.uint8)
    red[..., 0] = 255
    wide[..., 2] = 255
    sheet = contact_sheet([red, wide, red], ["first", "second", "third"], columns=2, cell=100)
    assert sheet.shape == (2 * (100 + 18 + 8) + 8, 2 * (100 + 8) + 8, 3)
    reds = (sheet == (255, 0, 0)).all(axis=2)
    blues = (sheet == (0, 0, 255)).all(axis=2)
    assert reds.sum() == 2 * 50 * 50  # small images are not blown up
    assert blues.sum() == 100 * 25  # large ones keep their shape
    assert blues[:126, 108:].sum() == blues.sum()


def test_long_captions_are_cut_to_their_cell() -> None:
    images = [GREY, GREY]
    short = contact_sheet(images, ["a", "b"], columns=2, cell=100)
    long = contact_sheet(images, ["word " * 100, "b"], columns=2, cell=100)
    difference = (short != long).any(axis=2)
    assert difference.any()
    assert not difference[:, 110:].any()


@pytest.mark.parametrize(
    ("images", "captions", "columns"), [([], [], 3), ([GREY], [], 3), ([GREY], ["a"], 0)]
)
def test_a_sheet_needs_images_captions_and_columns(images: list, captions: list[str], columns: int) -> None:
    with pytest.raises(ValueError, match="images"):
        contact_sheet(images, captions, columns)


def test_a_word_gets_a_plate_as_wide_as_it_is() -> None:
    short, long = word_plate("dog", 75), word_plate("skateboard", 75)
    assert short.shape[1] < long.shape[1] and short.shape[0] < 75
    assert (short[0] == 0).all() and (short[:, -1] == 0).all()  # a rim all around
    assert word_plate("dog", 150).shape[0] > 1.5 * short.shape[0]
    inner = long[4:-4, 4:-4].astype(int)
    assert (inner.sum(axis=2) < 120).mean() > 0.05 and inner[0, 0].tolist() == [255, 225, 60]


def test_under_each_photo_all_but_its_region_is_dimmed() -> None:
    photo = np.full((90, 60, 3), 200, np.uint8)
    region = np.zeros((90, 60), bool)
    region[:, :30] = True
    sheet = unit_sheet(
        [("unit 3", [(photo, region), (photo, ~region)]), ("unit 4", [(photo, region)])], cell=40
    )
    assert sheet.shape == (2 * (22 + 2 * 42 + 12), 2 * 46 + 6, 3)
    assert (sheet[22:62, 6:46] == 200).all()
    below = sheet[64:104, 6:46].astype(int)
    assert (below[:, :18] == 200).all() and (below[:, 22:] == 40).all()
    assert (sheet[64:104, 52:70] == 40).all()
    assert (sheet[118 + 22 : 118 + 62, 52:92] == 255).all()  # the second row has one photo
    with pytest.raises(ValueError, match="no rows"):
        unit_sheet([])


def test_influence_is_orange_for_and_blue_against() -> None:
    photo = np.full((60, 120, 3), (10, 200, 90), np.uint8)
    drawn = draw_influence(photo, np.array([[-0.2, 0.0, 0.4]], np.float32), 120).astype(int)
    left, middle, right = drawn[30, 2], drawn[30, 60], drawn[30, 117]
    assert drawn.shape == photo.shape and left[2] > left[0] and right[0] > right[2]
    assert np.ptp(middle) <= 2, "where nothing is done the photo is grey"
    assert np.ptp(right) > np.ptp(left), "the tint grows with the weight"


def test_influence_of_nothing_is_the_photo_in_grey_and_shrunk() -> None:
    drawn = draw_influence(np.full((300, 600, 3), 77, np.uint8), np.zeros((7, 7), np.float32), 100)
    assert drawn.shape == (50, 100, 3) and (drawn == 77).all()
    assert draw_influence(np.zeros((1, 1, 3), np.uint8), np.ones((7, 7), np.float32), 100).shape == (1, 1, 3)
