"""An embedding with a random backbone and a head that knows colours: red, green, blue and white pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from interplay.models.image_embedding import (
    LITE0_FEATURES,
    EmbeddingHead,
    HeadConfig,
    ImageEmbedding,
    Lite0Features,
)
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish

SIDE = 32
DIMENSION = 8
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (240, 240, 240)}
WORDS = (*COLOURS, "crimson", "sky", "grass", "skyscraper")
# Vectors of the words: a colour is its own axis, the others are near one.
_AXES = {"red": 0, "green": 1, "blue": 2, "white": 3, "crimson": 0, "grass": 1, "sky": 2, "skyscraper": 4}
TRANSLATIONS = {"es": {"rojo": "red", "azul": "blue"}, "ca": {"vermell": "red"}}


def word_vectors() -> np.ndarray:
    """(V, DIMENSION) float32."""
    vectors = np.zeros((len(WORDS), DIMENSION), np.float32)
    for row, word in enumerate(WORDS):
        vectors[row, _AXES[word]] = 1.0
        if word not in COLOURS:
            vectors[row, 5] = 0.5
    return vectors


def plain(colour: str, *, width: int = 60, height: int = 40, seed: int | None = None) -> np.ndarray:
    """A picture of one colour, with noise if there is a seed."""
    picture = np.full((height, width, 3), COLOURS[colour], np.int16)
    if seed is not None:
        picture += np.random.default_rng(seed).integers(-25, 26, picture.shape, dtype=np.int16)
    return picture.clip(0, 255).astype(np.uint8)


def make_embedding_store(store: Path) -> Path:
    """Publish backbone, words and head; the head is fitted to plain pictures of the colours."""
    torch.manual_seed(0)
    features = Lite0Features().eval()
    backbone = _publish(store, features.state_dict(), name="backbone-lite0", architecture="image_backbone")
    words = _publish(
        store,
        {
            "words": torch.frombuffer(bytearray("\n".join(WORDS).encode()), dtype=torch.uint8),
            "vectors": torch.from_numpy(word_vectors()),
            "weights": torch.ones(len(WORDS)),
        },
        name="embedding-words",
        architecture="word_table",
        config={"dimension": DIMENSION},
        details={"stop_words": ["the", "a"], "translations": TRANSLATIONS},
        thresholds={"odds_slope": 10.0, "odds_offset": -5.0, "relevant": 0.5},
    )
    head = EmbeddingHead(HeadConfig(LITE0_FEATURES, DIMENSION))
    details = {
        "side": SIDE,
        "backbone": "backbone-lite0",
        "backbone_sha256": backbone.manifest.weights_sha256,
        "words_sha256": words.manifest.weights_sha256,
    }
    manifest = _manifest(
        name="embedding-image",
        architecture="embedding_head",
        config={"backbone": "efficientnet_lite0", "inputs": LITE0_FEATURES, "dimension": DIMENSION},
        details=details,
    )
    embedder = ImageEmbedder(ImageEmbedding(features, head), manifest)
    pictures = [plain(colour, seed=seed) for colour in COLOURS for seed in range(4)]
    x = np.stack([result.features for result in embedder.predict(pictures)]).astype(np.float64)
    y = np.repeat(word_vectors()[: len(COLOURS)], 4, axis=0)
    centre = x.mean(0)
    gram = (x - centre) @ (x - centre).T
    solution = (x - centre).T @ np.linalg.solve(gram + 1e-4 * np.trace(gram) * np.eye(len(x)), y - y.mean(0))
    with torch.no_grad():
        head.layers[0].weight.copy_(torch.from_numpy(solution.T))
        head.layers[0].bias.copy_(torch.from_numpy(y.mean(0) - centre @ solution))
    state = {f"head.{key}": value for key, value in head.state_dict().items()}
    _publish(
        store,
        state,
        **manifest.model_dump(
            exclude={
                "capability",
                "description",
                "license",
                "version",
                "parameters",
                "weights_sha256",
                "weights_bytes",
            }
        ),
    )
    return store


def _manifest(**fields: Any) -> Manifest:
    return Manifest(
        capability="embedding", description="colours", license="none", version=1, parameters=0, **fields
    )


def _publish(store: Path, state: dict[str, torch.Tensor], **fields: Any) -> StoredModel:
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file({key: value.detach().contiguous().clone() for key, value in state.items()}, weights)
        return publish(store, _manifest(**fields), weights)
