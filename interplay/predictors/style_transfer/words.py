"""Words drawn anew: alone with transparency, or into a photo in place of those of a region.

The network restyles what it is shown, so words are drawn first: in plain letters, in the colours
of the style (or of the region). Thesis Fig. 3.13 did the insertion by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay.errors import InvalidParameter
from interplay.types import Image

Colour = tuple[float, float, float]
Mask = NDArray[np.float32]

_SOURCE_SANS = str(files("font_source_sans_pro") / "files" / "SourceSansPro-Semibold.ttf")

# Height to which a region is brought for restyling; the styles' strokes are of that scale.
_REGION_HEIGHT = 64
_LONGEST_REGION = 1024
# Around a region, of its height: what the new letters may reach into, and what tells the paper's colour.
_MARGIN = 0.3
# Letters may be squeezed to this part of their width before they are made smaller.
_NARROWEST = 0.6


@dataclass(frozen=True)
class DrawnWords:
    """Words on plain paper.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        coverage: (H, W) float32 in [0, 1], how much of each pixel is ink.
    """

    image: Image
    coverage: Mask


def load_font(file: Path | None, size: int) -> ImageFont.FreeTypeFont:
    """A font of a size in pixels: the file's, or Source Sans Pro (Latin, Greek and Cyrillic letters)."""
    return _load_font(_SOURCE_SANS if file is None else str(file), size)


@lru_cache(maxsize=64)
def _load_font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def check_letters(text: str, font: Path | None, field: str = "text") -> None:
    """Refuse letters that the font cannot draw.

    Raises:
        InvalidParameter: Names them.
    """
    face = load_font(font, 24)
    missing = bytes(face.getmask("\U0010fffe"))
    unknown = sorted(
        {letter for letter in text if letter not in " \n" and bytes(face.getmask(letter)) == missing}
    )
    if unknown:  # blanks of other kinds are missing, too, and would come out as boxes
        shown = " ".join(x if x.isprintable() else f"U+{ord(x):04X}" for x in unknown[:10])
        raise InvalidParameter(f"the font of this server cannot draw: {shown}", field=field)


def draw_words(
    text: str, line_height: int, ink: Colour, paper: Colour, font: Path | None = None
) -> DrawnWords:
    """Draw words, a line for each line of the text, centred on a margin of half a line.

    Args:
        text: One or more lines.
        line_height: From the top of the tallest to the bottom of the deepest letter, in pixels.
        ink: Colour of the letters, RGB 0 to 255.
        paper: Colour around them.
        font: Font file; Source Sans Pro if None.
    """
    coverage = letters(text, line_height, font)
    margin = line_height // 2
    coverage = np.pad(coverage, margin)
    return DrawnWords(_inked(coverage, ink, np.asarray(paper, np.float32)), coverage)


def letters(text: str, line_height: int, font: Path | None = None) -> Mask:
    """Coverage of the letters alone, cut to their extent in width: (H, W) float32 in [0, 1]."""
    # Twice the size and halved: smoother letters, and line heights that fit to the pixel.
    face = load_font(font, max(8, round(1.6 * line_height)))
    lines = text.splitlines() or [""]
    boxes = [face.getbbox(line or " ") for line in lines]
    top = min(face.getbbox("Ág")[1], *(box[1] for box in boxes))
    bottom = max(face.getbbox("Ág")[3], *(box[3] for box in boxes))
    step = int(1.15 * (bottom - top))
    width = max(int(box[2] - min(0, box[0])) for box in boxes) + 2
    page = PillowImage.new("L", (max(2, width), step * (len(lines) - 1) + int(bottom - top)), 0)
    pen = ImageDraw.Draw(page)
    for number, (line, box) in enumerate(zip(lines, boxes, strict=True)):
        left = (width - (box[2] - box[0])) / 2 - box[0]
        pen.text((left, number * step - top), line, fill=255, font=face)
    factor = line_height / (bottom - top)
    size = (max(1, round(page.width * factor)), max(1, round(page.height * factor)))
    drawn = cv2.resize(np.asarray(page), size, interpolation=cv2.INTER_AREA)
    return drawn.astype(np.float32) / 255.0


def with_alpha(styled: Image, coverage: Mask, line_height: int) -> NDArray[np.uint8]:
    """Restyled words with transparency around them: (H, W, 4) uint8 RGBA, cut to what is opaque."""
    reach = max(1, round(0.09 * line_height))
    alpha = np.rint(255 * _grown(coverage, reach)).astype(np.uint8)
    rows, columns = np.nonzero(alpha.any(axis=1))[0], np.nonzero(alpha.any(axis=0))[0]
    picture = np.dstack([styled, alpha])
    if not len(rows):  # blanks alone
        return picture
    return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


@dataclass(frozen=True)
class Region:
    """A region of a photo brought upright, cleaned of its text, with the new words drawn.

    Attributes:
        before: (h, w, 3) uint8, as it was.
        drawn: (h, w, 3) uint8, with the new words in plain letters in the region's own colours.
        coverage: (h, w), the new letters.
        removed: (h, w), where the old letters were.
        ink, paper: Colours of the old text and of what surrounds it.
        to_photo: 3×3 homography from this picture's pixels to the photo's.
        quad: (4, 2), where the new words stand in the photo.
    """

    before: Image
    drawn: Image
    coverage: Mask
    removed: Mask
    ink: Colour
    paper: Colour
    to_photo: NDArray[np.float64]
    quad: NDArray[np.float32]


def prepare_region(
    image: Image, quad: NDArray[np.float32], text: str, heat: NDArray[np.uint8] | None, font: Path | None
) -> Region:
    """Bring a region upright, take its text away and draw new words in its colours.

    Args:
        image: (H, W, 3) uint8 photo.
        quad: (4, 2) corners in pixels, clockwise from where reading starts.
        text: One line.
        heat: (H, W) uint8 text probability of the photo, which helps to tell ink from paper.
        font: Font file; Source Sans Pro if None.
    """
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    wide, tall = max(2.0, (sides[0] + sides[2]) / 2), max(2.0, (sides[1] + sides[3]) / 2)
    height = _REGION_HEIGHT
    width = int(np.clip(round(height * wide / tall), 8, _LONGEST_REGION))
    margin = round(_MARGIN * height)
    box = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32) + margin
    to_photo = np.asarray(cv2.getPerspectiveTransform(box, quad.astype(np.float32)), dtype=np.float64)
    size = (width + 2 * margin, height + 2 * margin)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    before = np.asarray(
        cv2.warpPerspective(image, to_photo, size, flags=flags, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.uint8,
    )
    inner = np.zeros(size[::-1], dtype=bool)
    inner[margin : margin + height, margin : margin + width] = True
    if heat is not None:
        heat = np.asarray(cv2.warpPerspective(heat, to_photo, size, flags=flags), dtype=np.uint8)
    ink_pixels = _ink(before, inner, heat)
    removed = np.asarray(cv2.dilate(ink_pixels.astype(np.uint8), np.ones((5, 5), np.uint8)))
    clean = np.asarray(cv2.inpaint(before, removed, 5, cv2.INPAINT_TELEA))
    rest = inner & (removed == 0)
    paper = _median(before[rest]) if rest.any() else _median(before)
    # The inside of the strokes has the ink's colour unmixed, where strokes are wide enough to have one.
    inside = np.asarray(cv2.erode(ink_pixels.astype(np.uint8), np.ones((3, 3), np.uint8))) > 0
    strokes = inside if inside.any() else ink_pixels
    ink = _median(before[strokes]) if strokes.any() else None
    if ink is None or np.abs(np.subtract(ink, paper)).max() < 40:  # no text there: what is seen best
        ink = (20.0, 20.0, 20.0) if np.mean(paper) > 110 else (240.0, 240.0, 240.0)
    coverage, left, right = _fitted(text, ink_pixels, inner, margin, height, width, font)
    drawn = _inked(coverage, ink, clean.astype(np.float32))
    top, bottom = margin, margin + height
    corners = np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]], dtype=np.float32)
    placed = np.asarray(cv2.perspectiveTransform(corners, to_photo))[0]
    return Region(before, drawn, coverage, removed.astype(np.float32), ink, paper, to_photo, placed)


def insert_region(image: Image, region: Region, styled: Image, *, own_colours: bool) -> Image:
    """Put restyled words into the photo; pixels that neither they nor the old ones touch stay.

    Args:
        image: (H, W, 3) uint8 photo.
        region: Of ``prepare_region``.
        styled: Its ``drawn``, restyled.
        own_colours: Bring ink and paper back to the region's colours.
    """
    if own_colours:
        styled = _recoloured(styled, region)
    letters_alpha = _grown(region.coverage, 3)[..., None]
    patch = cv2.inpaint(region.before, region.removed.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    patch = patch * (1 - letters_alpha) + styled.astype(np.float32) * letters_alpha
    alpha = np.maximum(letters_alpha[..., 0], _grown(region.removed, 1))
    alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1] = 0, 0, 0, 0
    size = (image.shape[1], image.shape[0])
    shown = cv2.warpPerspective(
        patch.astype(np.float32), region.to_photo, size, borderMode=cv2.BORDER_REPLICATE
    )
    weight = cv2.warpPerspective(alpha, region.to_photo, size)
    result = image.copy()
    touched = weight > 1 / 512
    mixed = image[touched] * (1 - weight[touched][:, None]) + shown[touched] * weight[touched][:, None]
    result[touched] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return result


def ink_and_paper(image: Image) -> tuple[Colour, Colour]:
    """The two colours of a picture of a word: that of its letters and that around them."""
    inside = np.ones(image.shape[:2], dtype=bool)
    ink = _ink(image, inside, None)
    return (
        _median(image[ink]) if ink.any() else _median(image),
        _median(image[~ink]) if not ink.all() else _median(image),
    )


def _ink(image: Image, inner: NDArray[np.bool_], heat: NDArray[np.uint8] | None) -> NDArray[np.bool_]:
    """Pixels of letters: of the two colours of the inner part, the one that the rim has less of."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    samples = lab[inner]
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    cv2.setRNGSeed(0)
    unlabelled = np.zeros((len(samples), 1), dtype=np.int32)  # OpenCV fills it; no start is read from it
    _, _, centres = cv2.kmeans(samples, 2, unlabelled, criteria, 2, cv2.KMEANS_PP_CENTERS)
    nearer = np.linalg.norm(lab - centres[0], axis=2) < np.linalg.norm(lab - centres[1], axis=2)
    rim = np.concatenate([nearer[0], nearer[-1], nearer[:, 0], nearer[:, -1]])
    ink = ~nearer if rim.mean() > 0.5 else nearer
    if heat is not None and (heat > 127).any():  # beyond the text there may be other dark things
        near = cv2.dilate((heat > 127).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        ink = ink & near if (ink & near).any() else ink
    return np.asarray(ink & cv2.dilate(inner.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool))


def _median(pixels: Image) -> Colour:
    """Median of each channel over pixels in any arrangement."""
    r, g, b = np.median(pixels.reshape(-1, 3), axis=0)
    return float(r), float(g), float(b)


def _fitted(
    text: str,
    ink: NDArray[np.bool_],
    inner: NDArray[np.bool_],
    margin: int,
    height: int,
    width: int,
    font: Path | None,
) -> tuple[Mask, int, int]:
    """Coverage of the new letters, as tall as the old ones and inside the region; its left and right end."""
    rows = np.nonzero((ink & inner).any(axis=1))[0]
    top, bottom = (
        (rows[0], rows[-1] + 1)
        if len(rows) and rows[-1] - rows[0] > 0.4 * height
        else (
            margin + round(0.1 * height),
            margin + round(0.9 * height),
        )
    )
    glyphs = letters(text, 96, font)
    used = np.nonzero(glyphs.any(axis=1))[0]
    if len(used):
        glyphs = glyphs[used[0] : used[-1] + 1]
    tall = int(bottom - top)
    wide = glyphs.shape[1] * tall / glyphs.shape[0]
    if wide > width:
        squeezed = max(width, _NARROWEST * wide)
        if squeezed > width:
            tall = max(4, round(tall * width / squeezed))
        wide = width
    drawn = cv2.resize(glyphs, (max(1, round(wide)), tall), interpolation=cv2.INTER_AREA)
    coverage = np.zeros(ink.shape, dtype=np.float32)
    y = int((top + bottom - tall) / 2)
    x = margin + (width - drawn.shape[1]) // 2
    coverage[y : y + tall, x : x + drawn.shape[1]] = drawn
    return coverage, x, x + drawn.shape[1]


def _inked(coverage: Mask, ink: Colour, paper: NDArray[np.float32]) -> Image:
    weight = coverage[..., None]
    colour = np.asarray(ink, dtype=np.float32)
    return np.rint(paper * (1 - weight) + colour * weight).clip(0, 255).astype(np.uint8)


def _grown(coverage: Mask, reach: int) -> Mask:
    """Coverage that reaches some pixels farther and fades out over as many."""
    wider = cv2.dilate(coverage, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return np.asarray(np.maximum(coverage, cv2.GaussianBlur(wider, (0, 0), max(0.6, reach / 2.5))))


def _recoloured(styled: Image, region: Region) -> Image:
    """Restyled words whose ink and paper have the region's colours: one straight line a channel."""
    inside, outside = region.coverage > 0.8, region.coverage < 0.02
    if not inside.any() or not outside.any():
        return styled
    ink, paper = np.median(styled[inside], axis=0), np.median(styled[outside], axis=0)
    wanted_ink, wanted_paper = np.asarray(region.ink), np.asarray(region.paper)
    contrast = ink - paper
    slope = np.where(
        np.abs(contrast) > 25, (wanted_ink - wanted_paper) / np.where(contrast == 0, 1, contrast), 1.0
    )
    slope = np.clip(slope, -2.5, 2.5)
    middle, wanted_middle = (ink + paper) / 2, (wanted_ink + wanted_paper) / 2
    return np.rint((styled - middle) * slope + wanted_middle).clip(0, 255).astype(np.uint8)
