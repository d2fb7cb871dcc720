"""Backgrounds, text-like texture and camera effects for synthetic scenes.

Used by `training.synth.scene`. Images are (H, W, 3) uint8 RGB.
"""

import random

import cv2
import numpy as np


def make_background(rng: random.Random, photos: list[str], size: int) -> np.ndarray:
    """Cuts a square background from photos, or draws one where there are none.

    Small photos are enlarged; one picture in three is a mosaic of two or four, since
    an enlarged photo alone is blurrier than a street photo.
    """
    if not photos:
        low = np.float32([[[rng.uniform(0, 255) for _ in range(3)] for _ in range(4)] for _ in range(4)])
        return cv2.resize(low, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    layout = rng.random()
    if layout < 0.65:
        return _cut(rng, rng.choice(photos), size, size)
    canvas = np.empty((size, size, 3), np.uint8)
    split_x = int(size * rng.uniform(0.3, 0.7)) if layout > 0.8 else size
    split_y = int(size * rng.uniform(0.3, 0.7))
    for y0, y1 in ((0, split_y), (split_y, size)):
        for x0, x1 in ((0, split_x), (split_x, size)):
            if x1 > x0:
                canvas[y0:y1, x0:x1] = _cut(rng, rng.choice(photos), x1 - x0, y1 - y0)
    return canvas


def _cut(rng: random.Random, path: str, width: int, height: int) -> np.ndarray:
    photo = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    zoom = max(width / photo.shape[1], height / photo.shape[0]) * rng.uniform(1.0, 1.4)
    photo = cv2.resize(photo, None, fx=zoom + 1e-3, fy=zoom + 1e-3, interpolation=cv2.INTER_CUBIC)
    x, y = rng.randint(0, photo.shape[1] - width), rng.randint(0, photo.shape[0] - height)
    cut = photo[y : y + height, x : x + width]
    if zoom > 1.5 and rng.random() < 0.35:  # give back the fine detail that enlarging lost
        cut = cv2.addWeighted(cut, 1.6, cv2.GaussianBlur(cut, (0, 0), 1.5), -0.6, 0)
    return cut[:, ::-1] if rng.random() < 0.5 else cut


def pick_ink(rng: random.Random, ground: np.ndarray) -> np.ndarray:
    """Draws a colour that can be told from the ground, (3,) float32 in 0 to 255."""
    for _ in range(20):
        colour = np.float32([rng.randint(0, 255) for _ in range(3)])
        if rng.random() < 0.35:
            colour[:] = rng.choice((rng.randint(0, 50), rng.randint(205, 255)))
        if abs(float((colour - ground) @ np.float32([0.3, 0.59, 0.11]))) > 45:
            return colour
    return np.float32([255, 255, 255]) if ground.mean() < 128 else np.float32([0, 0, 0])


def draw_distractor(rng: random.Random, image: np.ndarray) -> None:
    """Draws texture that resembles text but is none: bars, bricks, lattices, dots, windows, arrows."""
    size = image.shape[0]
    width, height = rng.randint(30, size // 2), rng.randint(12, size // 4)
    patch = np.empty((height, width, 3), np.uint8)
    ground = np.float32([rng.randint(0, 255) for _ in range(3)])
    ink = tuple(int(v) for v in pick_ink(rng, ground))
    patch[:] = ground.astype(np.uint8)
    step, thick = rng.randint(4, 24), rng.randint(1, 4)
    kind = rng.choice(("bars", "stripes", "bricks", "lattice", "dots", "windows", "shapes"))
    if kind in ("bars", "lattice"):
        for x in range(0, width, step):
            cv2.line(patch, (x, 0), (x, height), ink, thick)
    if kind in ("stripes", "lattice", "bricks"):
        for y in range(0, height, step):
            cv2.line(patch, (0, y), (width, y), ink, thick)
    if kind == "bricks":
        for row, y in enumerate(range(0, height, step)):
            for x in range((row % 2) * step, width, 2 * step):
                cv2.line(patch, (x, y), (x, y + step), ink, thick)
    if kind == "dots":
        for y in range(step // 2, height, step):
            for x in range(step // 2, width, step):
                cv2.circle(patch, (x, y), max(1, step // 4), ink, -1)
    if kind == "windows":
        for y in range(2, height - step, step + thick + 2):
            for x in range(2, width - step, step):
                cv2.rectangle(patch, (x, y), (x + step // 2, y + step), ink, -1)
    if kind == "shapes":
        for _ in range(rng.randint(1, 4)):
            centre = (rng.randint(0, width), rng.randint(0, height))
            points = [(rng.randint(0, width), rng.randint(0, height)) for _ in range(rng.randint(3, 4))]
            if rng.random() < 0.5:
                cv2.circle(patch, centre, rng.randint(3, height), ink, rng.choice((-1, 2)))
            else:
                cv2.fillPoly(patch, [np.int32(points)], ink)
    source = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    jitter = np.float32(
        [[rng.uniform(-0.15, 0.15) * width, rng.uniform(-0.15, 0.15) * height] for _ in range(4)]
    )
    offset = np.float32([rng.uniform(0, size - width), rng.uniform(0, size - height)])
    view = cv2.getPerspectiveTransform(source, source + jitter + offset)
    cover = cv2.warpPerspective(np.ones((height, width), np.float32), view, (size, size))[..., None]
    cover *= rng.uniform(0.5, 1.0)
    image[:] = image * (1 - cover) + cv2.warpPerspective(patch, view, (size, size)) * cover


def degrade(rng: random.Random, noise: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Passes a picture through light, lens, sensor and JPEG, all at random strength."""
    height, width = image.shape[:2]
    picture = image.astype(np.float32)
    if rng.random() < 0.5:  # uneven light
        corners = np.float32([[rng.uniform(0.5, 1.3) for _ in range(2)] for _ in range(2)])
        picture *= cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    if rng.random() < 0.2:  # a hard shadow across
        points = np.int32([[rng.randint(0, width), rng.randint(0, height)] for _ in range(3)])
        mask = np.zeros((height, width), np.float32)
        cv2.fillPoly(mask, [points], rng.uniform(0.2, 0.5))
        picture *= 1 - cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 8))[..., None]
    blur = rng.random()
    if blur < 0.45:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.3))
    elif blur < 0.55:
        length, angle = rng.randint(3, 7), rng.uniform(0, np.pi)
        kernel = np.zeros((length, length), np.float32)
        centre = length // 2
        tip = (int(round(centre + centre * np.cos(angle))), int(round(centre + centre * np.sin(angle))))
        cv2.line(kernel, (2 * centre - tip[0], 2 * centre - tip[1]), tip, 1.0)
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    if rng.random() < 0.5:
        grain = noise.standard_normal((height, width, 1), np.float32)
        picture += grain * rng.uniform(1, 10)
    picture = picture.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, rng.randint(35, 95)]
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    return picture
