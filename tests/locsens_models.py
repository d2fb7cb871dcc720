"""LocSens models that were never trained, with an image model that knows colours: red, green, blue, white."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from interplay.models.image_embedding import LITE0_FEATURES, Lite0Features
from interplay.models.locsens import LocSens, LocSensConfig
from interplay.models.tag_head import TagHead, TagHeadConfig
from interplay.predictors.locsens.image import ImageTagger
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish
from tests.embedding_models import COLOURS, SIDE, plain

DIMENSION = 8
# The colours, and tags that the image model knows nothing of.
TAGS = (*COLOURS, "barcelona", "sydney", "sea", "redsea", "sanfrancisco")
PHOTOS = (90, 80, 70, 60, 50, 40, 30, 20, 10)
# Where some tags are used: Barcelona, Sydney.
CENTRES = np.array([[414, 22], [-339, 1512]], np.int16)  # tenths of a degree
NEAR = np.array([[4, 6], [5, 6]], np.int16)
NETWORK = {"image": DIMENSION, "tag": DIMENSION, "modality": 16, "widths": [64, 32], "groups": 4}


def make_locsens_store(store: Path) -> Path:
    """Publish backbone, image model and both scorers."""
    torch.manual_seed(0)
    features = Lite0Features().eval()
    backbone = _publish(store, features.state_dict(), name="backbone-lite0", architecture="image_backbone")
    config = {"kind": "mcc", "features": LITE0_FEATURES, "dimension": DIMENSION, "tags": len(TAGS)}
    head = TagHead(TagHeadConfig(**config)).eval()
    fields: dict[str, Any] = {
        "name": "locsens-image",
        "architecture": "tag_head",
        "config": config,
        "labels": TAGS,
        "details": {
            "side": SIDE,
            "backbone": "backbone-lite0",
            "backbone_sha256": backbone.manifest.weights_sha256,
            "photos": PHOTOS,
        },
    }
    _fit(head, features, _manifest(**fields))
    image = _publish(store, head.state_dict(), **fields)
    for seed, name in enumerate(("locsens-retrieval", "locsens-tagging")):
        further = {}
        if name == "locsens-tagging":
            further = {"near.centres": torch.from_numpy(CENTRES), "near.tags": torch.from_numpy(NEAR)}
        _publish(
            store,
            {**_scorer(seed).state_dict(), **further},
            name=name,
            architecture="locsens",
            config=NETWORK,
            details={"image": "locsens-image", "image_sha256": image.manifest.weights_sha256},
        )
    return store


def _scorer(seed: int) -> LocSens:
    """Weights of a size that lets each modality be seen in the scores."""
    torch.manual_seed(seed)
    model = LocSens(LocSensConfig(**{**NETWORK, "widths": tuple(NETWORK["widths"])}))  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def _fit(head: TagHead, features: Lite0Features, manifest: Manifest) -> None:
    """A head for which plain pictures of a colour have the tag of the colour."""
    pictures = [plain(colour, seed=seed) for colour in COLOURS for seed in range(4)]
    vectors: list[np.ndarray] = []
    tagger = ImageTagger(features, head, manifest)
    hook = head.bottleneck.register_forward_pre_hook(lambda _, args: vectors.extend(args[0].numpy()))
    tagger.predict(pictures)
    hook.remove()
    x = np.stack(vectors).astype(np.float64)
    y = np.repeat(np.eye(len(COLOURS), DIMENSION), 4, axis=0) * 4
    centre = x.mean(0)
    gram = (x - centre) @ (x - centre).T
    solution = (x - centre).T @ np.linalg.solve(gram + 1e-4 * np.trace(gram) * np.eye(len(x)), y - y.mean(0))
    rows = np.random.default_rng(1).normal(scale=0.1, size=(len(TAGS), DIMENSION))
    rows[: len(COLOURS)] += np.eye(len(COLOURS), DIMENSION)
    with torch.no_grad():
        head.bottleneck.weight.copy_(torch.from_numpy(solution.T))
        head.bottleneck.bias.copy_(torch.from_numpy(y.mean(0) - centre @ solution))
        head.classes.weight.copy_(torch.from_numpy(rows))
        head.classes.bias.zero_()


def _manifest(**fields: Any) -> Manifest:
    return Manifest(
        capability="locsens", description="colours", license="none", version=1, parameters=0, **fields
    )


def _publish(store: Path, state: dict[str, torch.Tensor], **fields: Any) -> StoredModel:
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file({key: value.detach().contiguous().clone() for key, value in state.items()}, weights)
        return publish(store, _manifest(**fields), weights)
