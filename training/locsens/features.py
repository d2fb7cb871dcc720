"""Features of a world's photos by the published backbone, computed once.

    python -m training.locsens.features --world WORLD --part train --out FEATURES

FEATURES/train.npy is (N, 1, F) float16, in the order of `training.locsens.data.load_photos`. Called again, it
goes on where it was. `training.locsens.paper` writes the same files for its own networks.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from interplay.models.image_embedding import Lite0Features
from interplay.store import resolve
from training.datasets.captions import CaptionedImage
from training.embedding.features import compute_features
from training.locsens.data import PARTS, TaggedPhotos, load_photos
from training.locsens.world import photo_file

BACKBONE = "backbone-lite0"
NETWORK_FILE = "network.json"


def load_backbone(store: Path) -> Lite0Features:
    """The published backbone, which other capabilities share."""
    backbone = Lite0Features()
    weights = load_file(resolve(store, BACKBONE).weights)
    backbone.load_state_dict({key: value.float() for key, value in weights.items()})
    return backbone


def load_features(folder: Path, part: str, photos: TaggedPhotos) -> np.ndarray:
    """(N, F) features of a part.

    Raises:
        FileNotFoundError: they have not been computed.
        ValueError: they are of other photos.
    """
    file = folder / f"{part}.npy"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there; python -m training.locsens.features makes it")
    features = np.load(file, mmap_mode="r")[:, 0]
    if len(features) != len(photos.photos):
        raise ValueError(f"{file} has {len(features)} photos, the world {len(photos.photos)} of {part}")
    return features


def network_of(folder: Path) -> str | None:
    """Digest of the weights of the trained network that made features; None: the shared backbone did."""
    file = folder / NETWORK_FILE
    return str(json.loads(file.read_text())["weights_sha256"]) if file.is_file() else None


def photo_items(photos: TaggedPhotos) -> list[CaptionedImage]:
    """The files of photos, in their order."""
    return [CaptionedImage(photo.id, photo_file(photo.url), photo.tags) for photo in photos.photos]


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--out", type=Path, required=True, help="folder of the features")
    args = parser.parse_args()
    items = photo_items(load_photos(args.world, args.part))
    features = compute_features(items, load_backbone(args.store), args.out / f"{args.part}.npy")
    print(f"{args.out / args.part}.npy: {features.shape}")


if __name__ == "__main__":
    main()
