"""The pictures that styles are learned from, one list a domain.

`scene`: 35 real word crops of ICDAR 2015's training part (`scene_styles.txt`).
`print`: eight fonts close to the thesis's (`fonts.txt` says where to get them).
`handwriting`: eight writers of `iam_words`; the other two are kept for evaluation.
"""

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.text_detection.data import read_rgb

SCENE_FILE = Path(__file__).with_name("scene_styles.txt")
FONT_FILE = Path(__file__).with_name("fonts.txt")
# Height of a scene word's picture: its strokes are then as wide as those of words in photos.
SCENE_HEIGHT = 64
# The thesis's own sample (Fig. 3.9): a text about what it is.
SAMPLE = (
    "This is {name} text to train",
    "a font style transfer model",
    "able to change the font",
    "style between texts. Let's",
    "explain how it works 0123",
)
WRITERS_AS_STYLES = 8


@dataclass(frozen=True)
class StyleImage:
    """A picture whose style is learned.

    Attributes:
        name: the style's name.
        domain: "scene", "print" or "handwriting".
        image: (H, W, 3) uint8 RGB.
        source: what it is, for the manifest.
    """

    name: str
    domain: str
    image: np.ndarray
    source: str


def scene_styles(data: Path) -> list[StyleImage]:
    """The word crops of `scene_styles.txt`, scaled to one height.

    Raises:
        FileNotFoundError: a crop is missing.
    """
    styles = []
    for line in SCENE_FILE.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        number, name = line.split()
        image = scaled(read_rgb(data / "icdar2015_words" / f"word_{number}.png"), SCENE_HEIGHT)
        styles.append(StyleImage(name, "scene", image, f"ICDAR 2015 word_{number}.png"))
    return styles


def scaled(image: np.ndarray, height: int) -> np.ndarray:
    """Resizes to a height, keeping the aspect."""
    width = max(16, round(image.shape[1] * height / image.shape[0]))
    method = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def read_font_list() -> list[tuple[str, str, str, str]]:
    """Rows of `fonts.txt`: style name, thesis's font, package, file."""
    rows = csv.reader(
        (line for line in FONT_FILE.read_text().splitlines() if not line.startswith("#")), delimiter="\t"
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows if row]


def print_styles(fonts: Path) -> list[StyleImage]:
    """A drawn paragraph in each of the fonts.

    Args:
        fonts: folder with the files of `fonts.txt`.

    Raises:
        FileNotFoundError: a font is missing; the message says which package has it.
    """
    styles = []
    for name, _, package, file in read_font_list():
        path = fonts / file
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; it is in {package} ({FONT_FILE.name} says more)")
        lines = [line.format(name=name.capitalize()) for line in SAMPLE]
        styles.append(StyleImage(name, "print", draw_lines(lines, path, 30), f"font {file} of {package}"))
    return styles


def draw_lines(lines: list[str], font: Path, size: int, ink: int = 0, paper: int = 255) -> np.ndarray:
    """Draws lines of text on plain paper: (H, W, 3) uint8."""
    face = ImageFont.truetype(str(font), size)
    step = round(1.35 * size)
    width = max(round(face.getlength(line)) for line in lines) + size
    page = Image.new("L", (width, step * len(lines) + size // 2), paper)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((size // 2, size // 4 + number * step), line, font=face, fill=ink)
    return np.repeat(np.asarray(page)[..., None], 3, 2)


def read_iam(data: Path) -> dict[str, list[tuple[Path, str]]]:
    """Word pictures and transcriptions of each writer (form), in the order of the forms' names."""
    writers: dict[str, list[tuple[Path, str]]] = {}
    for line in (data / "iam_words" / "words.jsonl").read_text().splitlines():
        row = json.loads(line)
        path = data / "iam_words" / "images" / row["image"]
        writers.setdefault(row["form"], []).append((path, row["text"]))
    return dict(sorted(writers.items()))


def handwriting_styles(data: Path) -> list[StyleImage]:
    """Some lines of words by each of the first eight writers."""
    styles = []
    for number, (form, words) in enumerate(list(read_iam(data).items())[:WRITERS_AS_STYLES], 1):
        page = compose_page(random.Random(form), [path for path, _ in words], 320, 208)
        styles.append(StyleImage(f"writer-{number}", "handwriting", page, f"IAM form {form}"))
    return styles


def compose_page(rng: random.Random, words: list[Path], width: int, height: int) -> np.ndarray:
    """Sets handwritten words in lines on a paper of their own brightness: (height, width, 3) uint8."""
    order = rng.sample(words, len(words))
    lines, line, used = [], [], 0
    scale = 0.55  # IAM is scanned at 300 dpi; x-heights become about 20 pixels
    papers = []
    for path in order * 4:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        papers.append(float(np.percentile(grey, 90)))
        if used + grey.shape[1] > width and line:
            lines.append(line)
            line, used = [], 0
        line.append(grey)
        used += grey.shape[1] + 14
    page = np.full((height, width), float(np.median(papers)), np.float32)
    top = 6
    for line in lines:
        tall = max(word.shape[0] for word in line)
        if top + tall > height:
            break
        left = 4
        for word in line:
            y, x = top + tall - word.shape[0], left
            cut = word[:, : width - x]
            area = page[y : y + cut.shape[0], x : x + cut.shape[1]]
            np.minimum(area, cut, out=area)
            left += word.shape[1] + 14
        top += tall + 4
    return np.repeat(page.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
