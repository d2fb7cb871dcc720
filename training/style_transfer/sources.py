"""What each of the three style models is trained on."""

import re
from pathlib import Path

import cv2
import torch

from interplay.models.perceptual import (
    Perceptual,
    build_perceptual,
    from_torchvision_vgg16,
    from_vgg19_part,
)
from training.datasets.sample import Sample
from training.style_transfer.data import ContentSources
from training.style_transfer.styles import (
    SCENE_FILE,
    WRITERS_AS_STYLES,
    StyleImage,
    handwriting_styles,
    print_styles,
    read_iam,
    scene_styles,
)
from training.text_detection.split import load_part

MODELS = ("scene", "print", "handwriting")
# One word crop in ten is only looked at during training, never trained on.
_DEV_STRIDE = 10


def load_styles(model: str, data: Path, fonts: Path | None) -> list[StyleImage]:
    """The style pictures of a model.

    Raises:
        ValueError: an unknown model, or fonts are needed and not given.
    """
    if model == "scene":
        return scene_styles(data)
    if model == "handwriting":
        return handwriting_styles(data)
    if model == "print":
        if fonts is None:
            raise ValueError(
                "--fonts is needed for the machine print model: a folder with the files of fonts.txt"
            )
        return print_styles(fonts)
    raise ValueError(f"unknown model {model!r}; known: {', '.join(MODELS)}")


def load_content(
    model: str, data: Path, photos: list[Path], pool: list[Sample], font_files: list[Path]
) -> tuple[ContentSources, ContentSources]:
    """Content to train a model on, and content of the same kind to look at.

    Args:
        model: one of `MODELS`.
        data: the data folder.
        photos: photos of any kind.
        pool: synthetic scenes.
        font_files: fonts that are no styles.
    """
    crops = _content_crops(data)
    words = [path for i, path in enumerate(crops) if i % _DEV_STRIDE]
    dev_words = dev_crops(data)
    vocabulary = _vocabulary(data)
    if model == "scene":
        weights = {"scenes": 0.4, "words": 0.4, "photos": 0.2}
        scenes = load_part("train", data) + pool
        return (
            ContentSources(scenes=scenes, words=words, photos=photos, weights=weights),
            ContentSources(words=dev_words, weights={"words": 1.0}),
        )
    writers = [[path for path, _ in found] for found in read_iam(data).values()]
    if model == "print":
        weights = {"fonts": 0.5, "scenes": 0.1, "words": 0.3, "handwriting": 0.1}
        return (
            ContentSources(
                scenes=pool,
                words=words,
                fonts=font_files[1:],
                vocabulary=vocabulary,
                handwriting=writers[:WRITERS_AS_STYLES],
                weights=weights,
            ),
            ContentSources(fonts=font_files[:1], vocabulary=vocabulary, weights={"fonts": 1.0}),
        )
    weights = {"handwriting": 0.5, "fonts": 0.25, "words": 0.25}
    return (
        ContentSources(
            words=words,
            fonts=font_files,
            vocabulary=vocabulary,
            handwriting=writers[:WRITERS_AS_STYLES],
            weights=weights,
        ),
        ContentSources(handwriting=writers[WRITERS_AS_STYLES:], weights={"handwriting": 1.0}),
    )


def dev_crops(data: Path) -> list[Path]:
    """Word crops that are no styles and that nothing is trained on."""
    return _content_crops(data)[::_DEV_STRIDE]


def _content_crops(data: Path) -> list[Path]:
    styles = {line.split()[0] for line in SCENE_FILE.read_text().splitlines() if line[:1].isdigit()}
    crops = sorted((data / "icdar2015_words").glob("word_*.png"), key=_number)
    return [path for path in crops if str(_number(path)) not in styles and _usable(path)]


def load_perceptual(file: Path) -> Perceptual:
    """A perceptual network from a published file: VGG-19's part, or torchvision's VGG-16.

    Raises:
        ValueError: the file holds neither.
    """
    state = torch.load(file, map_location="cpu", weights_only=True)
    if any(key.startswith("features.") for key in state):
        network = build_perceptual({"kind": "vgg16"})
        network.load_state_dict(from_torchvision_vgg16(state))
    else:
        network = build_perceptual({"kind": "vgg19_part"})
        network.load_state_dict(from_vgg19_part(state))
    return network


def _number(path: Path) -> int:
    return int(path.stem.split("_")[1])


def _usable(path: Path) -> bool:
    """Whether a word crop is large enough to be enlarged to training size."""
    image = cv2.imread(str(path))
    return image is not None and image.shape[0] >= 18 and image.shape[1] >= 24


def _vocabulary(data: Path) -> list[str]:
    text = (data / "coco_captions" / "all_captions.txt").read_text().lower()
    return sorted(set(re.findall(r"[a-z']{1,12}", text)))
