"""Draw ``examples/street.jpg``: a street corner with words, free to share because nobody photographed it.

    python examples/street.py

Needs nothing but Pillow and numpy; the same seed draws the same picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 1280, 720
TARGET = Path(__file__).with_suffix(".jpg")


def sky(rng: np.random.Generator) -> Image.Image:
    """Evening gradient with soft clouds."""
    y = np.linspace(0, 1, HEIGHT)[:, None, None]
    colours = (1 - y) * np.array([118, 152, 196]) + y * np.array([236, 214, 188])
    clouds = Image.fromarray(rng.integers(0, 255, (HEIGHT // 40, WIDTH // 60), dtype=np.uint8))
    cover = np.asarray(clouds.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=float)[..., None] / 255
    pixels = np.broadcast_to(colours, (HEIGHT, WIDTH, 3)) * (1 - 0.25 * cover) + 255 * 0.25 * cover
    return Image.fromarray(pixels.astype(np.uint8))


def bricks(rng: np.random.Generator, size: tuple[int, int], tone: tuple[int, int, int]) -> Image.Image:
    """A wall of bricks, each a little different."""
    wall = Image.new("RGB", size, tuple(int(c * 0.75 + 50) for c in tone))
    draw = ImageDraw.Draw(wall)
    for row, y in enumerate(range(0, size[1], 16)):
        for x in range(-(row % 2) * 20 - 20, size[0], 40):
            shade = rng.normal(0, 9)
            draw.rectangle((x, y, x + 37, y + 13), fill=tuple(int(np.clip(c + shade, 0, 255)) for c in tone))
    return wall


def sign(text: str, size: tuple[int, int], ink: str, board: str) -> Image.Image:
    """A board with centred words and a thin frame."""
    image = Image.new("RGB", size, board)
    draw = ImageDraw.Draw(image)
    draw.rectangle((3, 3, size[0] - 4, size[1] - 4), outline=ink, width=2)
    height = size[1] * 0.62
    font = ImageFont.load_default(height)
    while draw.textlength(text, font) > size[0] * 0.88:
        height *= 0.95
        font = ImageFont.load_default(height)
    draw.text((size[0] / 2, size[1] / 2), text, fill=ink, font=font, anchor="mm")
    return image


def perspective(image: Image.Image, corners: list[tuple[float, float]], onto: Image.Image) -> None:
    """Paste an image so that its corners (from the top left, clockwise) land on ``corners``."""
    w, h = image.size
    source = [(0, 0), (w, 0), (w, h), (0, h)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    matrix = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))
    size, kind, cubic = onto.size, Image.Transform.PERSPECTIVE, Image.Resampling.BICUBIC
    warped = image.transform(size, kind, matrix.tolist(), cubic)
    mask = Image.new("L", (w, h), 255).transform(size, kind, matrix.tolist(), cubic)
    onto.paste(warped, mask=mask)


def facade(
    rng: np.random.Generator, tone: tuple[int, int, int], name: str, colours: tuple[str, str]
) -> Image.Image:
    """A house front, 640 by 560: shop below with its name, windows above."""
    front = bricks(rng, (640, 560), tone)
    draw = ImageDraw.Draw(front)
    for x in (70, 260, 450):
        draw.rectangle((x, 60, x + 120, 220), fill=(70, 84, 98), outline=(225, 220, 210), width=7)
        draw.line((x + 60, 60, x + 60, 220), fill=(225, 220, 210), width=5)
        draw.line((x, 140, x + 120, 140), fill=(225, 220, 210), width=5)
    draw.rectangle((30, 350, 400, 540), fill=(46, 52, 58), outline=(30, 30, 30), width=8)
    draw.rectangle((450, 340, 590, 560), fill=(88, 54, 36), outline=(40, 28, 20), width=6)
    front.paste(sign(name, (590, 74), colours[0], colours[1]), (25, 258))
    return front


def street() -> Image.Image:
    """The whole picture."""
    rng = np.random.default_rng(7)
    scene = sky(rng)
    draw = ImageDraw.Draw(scene)
    draw.polygon([(0, 610), (WIDTH, 640), (WIDTH, HEIGHT), (0, HEIGHT)], fill=(104, 102, 100))
    left = facade(rng, (150, 84, 66), "HARBOUR BOOKS", ("#f3e6c8", "#1d3b2f"))
    left.paste(sign("OPEN DAILY", (210, 46), "#222222", "#f0ead6"), (60, 385))
    left.paste(sign("NEW & USED", (210, 40), "#f6d860", "#5a1f1f"), (60, 450))
    right = facade(rng, (178, 160, 128), "CAFE LUNA", ("#fff4e0", "#7c2f3a"))
    right.paste(sign("ESPRESSO 1.80", (300, 44), "#ffffff", "#20303a"), (60, 390))
    right.paste(sign("SOUP OF THE DAY", (300, 40), "#ffffff", "#20303a"), (60, 450))
    perspective(left, [(-30, 60), (620, 190), (620, 600), (-30, 640)], scene)
    perspective(right, [(640, 205), (1310, 20), (1310, 668), (640, 603)], scene)
    draw.rectangle((616, 120, 624, 640), fill=(60, 62, 66))
    perspective(
        sign("MARKET ST", (220, 56), "#ffffff", "#1c4f9c"),
        [(534, 92), (712, 104), (712, 150), (534, 140)],
        scene,
    )
    van = Image.new("RGB", (260, 120), (238, 238, 234))
    ImageDraw.Draw(van).rectangle((180, 16, 244, 58), fill=(70, 90, 104))
    van.paste(sign("Nord Post", (160, 44), "#c02020", "#eeeeea"), (12, 30))
    perspective(van, [(690, 560), (930, 566), (930, 672), (690, 664)], scene)
    for x in (730, 886):
        draw.ellipse((x - 21, 650, x + 21, 692), fill=(28, 28, 30), outline=(120, 120, 120), width=5)
    light = np.linspace(1.08, 0.84, WIDTH)[None, :, None]
    pixels = np.asarray(scene.filter(ImageFilter.GaussianBlur(0.7)), dtype=float) * light
    pixels += rng.normal(0, 4, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    street().save(TARGET, quality=88)
