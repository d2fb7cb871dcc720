"""Posts with images, and what the shared backbone sees in them.

There are 600 memes (their words are in the image) and 99 tweets of MMHS150K with their image; the 10,000
tweets of `split` come without.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from interplay.media.images import decode
from interplay.models.efficientnet_lite import fold_batch_norm
from interplay.models.hate_fusion import InceptionFeatures
from interplay.predictors.pictures import PictureInput
from interplay.store import Preprocessing, resolve
from training.datasets.posts import Post, read_memes, read_mmhs_jsonl
from training.locsens.features import BACKBONE, load_backbone

_BATCH = 16


def load_memes(data: Path) -> list[Post]:
    """The memes of the data folder.

    Raises:
        FileNotFoundError: the folder does not have them.
    """
    return list(read_memes(data / "memes" / "labels.jsonl", data / "memes" / "images"))


def load_tweets_with_images(data: Path) -> list[Post]:
    """The tweets with images of the data folder; what their images say was not read.

    Raises:
        FileNotFoundError: the folder does not have them.
    """
    folder = data / "mmhs150k"
    return list(read_mmhs_jsonl(folder / "with_images.jsonl", folder / "images"))


@torch.inference_mode()
def image_maps(posts: Sequence[Post], store: Path) -> np.ndarray:
    """(N, 1280, h, w) float16 last maps of the posts' images; the features are their means over places.

    Raises:
        ValueError: a post has no image.
    """
    manifest = resolve(store, BACKBONE).manifest
    backbone = load_backbone(store).eval()
    fold_batch_norm(backbone)
    source = PictureInput(
        int(manifest.details["side"]), manifest.preprocessing, device="cpu", dtype=torch.float32
    )
    found = []
    for start in range(0, len(posts), _BATCH):
        images = []
        for post in posts[start : start + _BATCH]:
            if post.image is None:
                raise ValueError(f"post {post.id!r} has no image")
            images.append(decode(post.image.read_bytes()))
        found.append(backbone.last_map(backbone.maps(source.tensor(images))).half().numpy())
    return np.concatenate(found)


def image_features(maps: np.ndarray) -> np.ndarray:
    """Maps, (N, F, h, w), to features, (N, F) float32."""
    return maps.astype(np.float32).mean(axis=(2, 3))


@torch.inference_mode()
def paper_maps(posts: Sequence[Post], weights: str | None, side: int = 299) -> np.ndarray:
    """(N, 2048, 8, 8) float16 last maps of Inception v3 for the posts' images, their aspect ignored.

    Args:
        posts: with images.
        weights: torchvision's name of published weights (a download), or None for random ones.
        side: of the input in pixels.
    """
    network = InceptionFeatures(weights).eval()
    source = PictureInput(side, Preprocessing(), device="cpu", dtype=torch.float32)
    found = []
    for post in posts:
        if post.image is None:
            raise ValueError(f"post {post.id!r} has no image")
        found.append(network(source.tensor([decode(post.image.read_bytes())])).half().numpy())
    return np.concatenate(found)
