"""Synthetic street scenes: photo backgrounds with text laid into them.

Three kinds of content share a picture: blocks of drawn lines on the photo or on a
panel, real word crops and drawn words at the places and sizes of the ICDAR 2015
training set, and text-like texture without text. The picture then goes through
light, blur, noise and JPEG together, so that no seam betrays a word. Used by
`training.synth.generate`; deterministic in the seed of each picture.
"""

import random
from dataclasses import dataclass, field

import cv2
import numpy as np

from training.synth.lines import Line, Vocabulary, random_line, random_style
from training.synth.surfaces import degrade, draw_distractor, make_background, pick_ink

Quad = np.ndarray


@dataclass
class Scene:
    """A finished picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        polygons: one (K, 2) float32 outline a word, clockwise, in pixels.
        legible: per word; False where the loss has to look away.
    """

    image: np.ndarray
    polygons: list[np.ndarray] = field(default_factory=list)
    legible: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class WordCrop:
    """A real word: (H, W, 3) uint8 RGB crop and its (4, 2) float32 quad in it."""

    image: np.ndarray
    quad: Quad


@dataclass(frozen=True)
class Materials:
    """What scenes are made of.

    Attributes:
        photos: paths of photos without text.
        fonts: script to font paths, of `find_fonts`.
        vocabulary: words to write.
        crops: real word crops; may be empty.
        layouts: per real photo, the quads of its words and whether each is legible;
            may be empty.
        size: side of the square pictures in pixels.
    """

    photos: list[str]
    fonts: dict[str, list[str]]
    vocabulary: Vocabulary
    crops: list[WordCrop]
    layouts: list[list[tuple[Quad, bool]]]
    size: int = 704


def make_scene(seed: int, materials: Materials) -> Scene:
    """Draws picture number `seed`."""
    rng = random.Random(seed)
    noise = np.random.default_rng(seed)
    scene = Scene(make_background(rng, materials.photos, materials.size))
    taken = np.zeros(scene.image.shape[:2], np.uint8)
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            draw_distractor(rng, scene.image)
    kind = rng.random()
    if kind >= 0.06:  # the rest stays without text
        if materials.layouts and kind < 0.45:
            _place_layout(rng, scene, taken, materials)
        for _ in range(rng.choice((0, 1, 2, 3)) if kind < 0.45 else rng.randint(3, 9)):
            _place_block(rng, scene, taken, materials)
    scene.image = degrade(rng, noise, scene.image)
    return scene


def _block_canvas(rng: random.Random, lines: list[Line]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Stacks lines into one ink mask; returns it with the moved word outlines."""
    lines = [_trim(line) for line in lines if line.polygons]
    if not lines:
        return np.zeros((4, 4), np.uint8), []
    heights = [line.ink.shape[0] for line in lines]
    width = max(line.ink.shape[1] for line in lines)
    gap = int(np.mean(heights) * rng.uniform(0.1, 0.6)) + 1
    margin = int(np.mean(heights) * rng.uniform(0.2, 0.7)) + 2
    canvas = np.zeros((sum(heights) + gap * (len(lines) - 1) + 2 * margin, width + 2 * margin), np.uint8)
    centred, y, outlines = rng.random() < 0.5, margin, []
    for line in lines:
        x = margin + ((width - line.ink.shape[1]) // 2 if centred else 0)
        h, w = line.ink.shape
        canvas[y : y + h, x : x + w] = line.ink
        outlines += [polygon + np.float32([x, y]) for polygon in line.polygons]
        y += h + gap
    return canvas, outlines


def _trim(line: Line) -> Line:
    points = np.concatenate(line.polygons)
    left, top = np.maximum(np.floor(points.min(0)).astype(int) - 1, 0)
    right, bottom = np.ceil(points.max(0)).astype(int) + 1
    moved = [polygon - np.float32([left, top]) for polygon in line.polygons]
    return Line(line.ink[top:bottom, left:right], moved, line.words)


def _random_view(rng: random.Random, width: int, height: int, size: int) -> np.ndarray | None:
    """Homography that lays a (width × height) block somewhere on the picture."""
    angle = np.deg2rad(rng.gauss(0, 6) if rng.random() < 0.85 else rng.uniform(-60, 60))
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]]) - np.float32(
        [width / 2, height / 2]
    )
    if rng.random() < 0.5:  # seen from the side
        tilt = rng.uniform(0, 0.3) * rng.choice((-1, 1))
        corners[:, 1] *= 1 + tilt * corners[:, 0] / max(width, 1)
        corners[:, 0] *= rng.uniform(0.75, 1.0)
    shear = rng.gauss(0, 0.05)
    corners[:, 0] += shear * corners[:, 1]
    turn = np.float32([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = corners @ turn.T
    span = np.ptp(corners, axis=0)
    if (span > size - 8).any():
        return None
    low, high = -corners.min(0) + 4, size - 4 - corners.max(0)
    corners += np.float32([rng.uniform(low[0], high[0]), rng.uniform(low[1], high[1])])
    source = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    return cv2.getPerspectiveTransform(source, corners.astype(np.float32))


def _text_height(rng: random.Random, size: int) -> float:
    """Letter height in pixels: log-normal about the ICDAR 2015 median, with a tail of large ones."""
    if rng.random() < 0.12:
        return rng.uniform(60, size * 0.3)
    return min(max(rng.lognormvariate(np.log(21), 0.5), 9), 120)


def _place_block(rng: random.Random, scene: Scene, taken: np.ndarray, materials: Materials) -> None:
    height = _text_height(rng, materials.size)
    style = random_style(rng, materials.fonts, materials.vocabulary)
    lines = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4)) if height < 60 else rng.choice((1, 1, 2))):
        count = rng.choice((1, 1, 2, 3, 4)) if height < 50 else rng.choice((1, 1, 2))
        lines.append(random_line(rng, materials.fonts, materials.vocabulary, height, count, style=style))
    ink, outlines = _block_canvas(rng, lines)
    if not outlines:
        return
    for _ in range(6):
        view = _random_view(rng, ink.shape[1], ink.shape[0], materials.size)
        if view is None:
            return
        area = cv2.warpPerspective(np.full_like(ink, 255), view, taken.shape[::-1])
        if not (taken[area > 0]).any():
            break
    else:
        return
    taken |= area
    _paint(rng, scene.image, ink, view, panel=rng.random() < 0.45)
    for outline in outlines:
        scene.polygons.append(cv2.perspectiveTransform(outline[None], view)[0])
        scene.legible.append(True)


def _paint(rng: random.Random, image: np.ndarray, ink: np.ndarray, view: np.ndarray, panel: bool) -> None:
    """Lays an ink mask into the picture, on its own or on a panel."""
    shape = image.shape[1::-1]
    cover = cv2.warpPerspective(ink, view, shape, flags=cv2.INTER_AREA)
    block = cv2.warpPerspective(np.full_like(ink, 255), view, shape)
    x, y, w, h = cv2.boundingRect(block)
    part = (slice(y, y + h), slice(x, x + w))
    under = image[part].astype(np.float32)
    alpha = (cover[part].astype(np.float32) / 255)[..., None]
    inside = block[part] > 0
    if not inside.any():
        return
    shade = cv2.GaussianBlur(under.mean(-1), (0, 0), max(w, h) / 3 + 1)
    shade = (shade / max(float(shade.mean()), 1.0)).clip(0.6, 1.5)[..., None]
    if panel:
        board = np.float32([rng.randint(0, 255) for _ in range(3)])
        opacity = rng.uniform(0.7, 1.0)
        plate = (block[part].astype(np.float32) / 255)[..., None] * opacity
        grain = rng.uniform(0, 0.3)
        texture = board * shade * (1 - grain) + under * grain
        under = under * (1 - plate) + texture * plate
    ground = under[inside].mean(0)
    colour = pick_ink(rng, ground)
    opacity = rng.uniform(0.75, 1.0)
    if rng.random() < 0.2:  # shadow or glow
        offset = max(1, int(h * 0.02))
        cast = np.roll(alpha, (rng.choice((-offset, offset)), offset), (0, 1))
        under = under * (1 - 0.6 * cast) + (0 if rng.random() < 0.7 else 255) * 0.6 * cast
    if rng.random() < 0.15:  # contour in a third colour
        ring = cv2.dilate(alpha[..., 0], np.ones((3, 3)))[..., None]
        under = under * (1 - ring) + pick_ink(rng, colour) * ring
    fill = colour * shade if rng.random() < 0.8 else colour * np.linspace(0.7, 1.3, h)[:, None, None]
    image[part] = (under * (1 - alpha * opacity) + fill * alpha * opacity).clip(0, 255).astype(np.uint8)


def _place_layout(rng: random.Random, scene: Scene, taken: np.ndarray, materials: Materials) -> None:
    """Fills the word places of one real photo, seen through a window, with words."""
    words = rng.choice(materials.layouts)
    if not words:
        return
    size = materials.size
    focus = rng.choice(words)[0].mean(0)
    origin = focus - np.float32([rng.uniform(0.15, 0.85) * size, rng.uniform(0.15, 0.85) * size])
    styles = [random_style(rng, materials.fonts, materials.vocabulary) for _ in range(2)]
    real = rng.random() < 0.75 and bool(materials.crops)
    for quad, legible in words:
        place = (quad - origin).astype(np.float32)
        if place.min() < 2 or place.max() > size - 3:
            continue
        mask = np.zeros_like(taken)
        cv2.fillPoly(mask, [place.astype(np.int32)], 255)
        if taken[mask > 0].any() or not mask.any():
            continue
        taken |= mask
        if real and rng.random() < 0.8:
            _paste_crop(rng, scene.image, place, _fitting_crop(rng, place, materials.crops))
        else:
            _write_into(rng, scene.image, place, rng.choice(styles), materials)
        scene.polygons.append(place)
        scene.legible.append(legible)


def _aspect(quad: Quad) -> float:
    width = np.linalg.norm(quad[1] - quad[0]) + np.linalg.norm(quad[2] - quad[3])
    height = np.linalg.norm(quad[3] - quad[0]) + np.linalg.norm(quad[2] - quad[1])
    return float(width / max(height, 1e-3))


def _fitting_crop(rng: random.Random, place: Quad, crops: list[WordCrop]) -> WordCrop:
    """The crop of about the place's aspect among a few drawn at random."""
    wanted = np.log(_aspect(place))
    return min(
        rng.sample(crops, min(25, len(crops))), key=lambda crop: abs(np.log(_aspect(crop.quad)) - wanted)
    )


def _paste_crop(rng: random.Random, image: np.ndarray, place: Quad, crop: WordCrop) -> None:
    """Warps a real crop onto a quad with a soft edge, sometimes tinted to its surroundings."""
    height, width = crop.image.shape[:2]
    view = cv2.getPerspectiveTransform(crop.quad.astype(np.float32), place)
    shape = image.shape[1::-1]
    patch = cv2.warpPerspective(
        crop.image, view, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.round(crop.quad).astype(np.int32)], 1.0)
    mask = cv2.warpPerspective(mask, view, shape)
    reach = max(1.0, float(np.ptp(place[:, 1])) * rng.uniform(0.02, 0.12))
    grown = cv2.dilate(mask, np.ones((3, 3)), iterations=max(1, int(reach)))
    soft = cv2.GaussianBlur(grown, (0, 0), reach)[..., None]
    if rng.random() < 0.5:
        inside = mask > 0.5
        if inside.any():
            around = image[inside].mean(0)
            patch = patch + (around - patch[inside].mean(0)) * rng.uniform(0, 0.7)
    image[:] = (image * (1 - soft) + patch * soft).clip(0, 255).astype(np.uint8)


def _write_into(
    rng: random.Random, image: np.ndarray, place: Quad, style: tuple[str, str | None], materials: Materials
) -> None:
    """Draws a word so that its ink fills a quad."""
    height = float(np.linalg.norm(place[3] - place[0]) + np.linalg.norm(place[2] - place[1])) / 2
    length = max(1, round(_aspect(place) * 1.7))
    word = materials.vocabulary.word(rng, style[0], length)
    line = random_line(rng, materials.fonts, materials.vocabulary, max(height, 12), 1, [word], style)
    if not line.polygons:
        return
    line = _trim(line)
    source = line.polygons[0]
    corners = source if len(source) == 4 else cv2.boxPoints(cv2.minAreaRect(source))
    view = cv2.getPerspectiveTransform(corners.astype(np.float32), place)
    _paint(rng, image, line.ink, view, panel=rng.random() < 0.3)
