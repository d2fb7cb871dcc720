"""A hate classifier that was never trained: "bad" is bad, "good" is good, bright images are bad."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

from interplay.models.hate import LstmConfig, PostLstm
from interplay.models.image_embedding import Lite0Features
from interplay.predictors.hate_classifier.answers import CATEGORIES
from interplay.predictors.hate_classifier.linear import Block, BlockConfig, LinearModel, digest
from interplay.predictors.hate_classifier.words import WordVectors
from interplay.predictors.pictures import PictureInput
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, list_models, publish, resolve

SIDE = 32
WORDS = {"bad": 2.0, "good": -2.0, "awful": 1.0}
BIAS, REST = -3.0, 0.03  # of likeness
GENERAL, GENERAL_BIAS = {"vile": 4.0, "kind": -2.0}, -2.0
_LSTM = {"vector": 4, "hidden": 6, "kinds": len(CATEGORIES), "longest": 50}


def publish_small_models(store: Path, *, likeness: bool = False, general: bool = False) -> Path:
    """Publish `hate-classifier` 1 and, where the store has none, `backbone-lite0` 1 of random numbers.

    With likeness, only what has "bad" is believed; what has none of the words is so with `BIAS` log-odds, or
    not at all with a general model, which knows "vile" and "kind".
    """
    store.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    if "backbone-lite0" not in {manifest.name for manifest in list_models(store)}:
        features = Lite0Features().eval()
        weights = {name: value.numpy() for name, value in features.state_dict().items()}
        _publish(store, weights, name="backbone-lite0", architecture="image_backbone", details={"side": SIDE})
    backbone = resolve(store, "backbone-lite0")
    weights, mean = _bright(backbone)
    config, found = _linear().state()
    arrays = {f"{start}.{name}": value for start in ("linear", "caption") for name, value in found.items()}
    rng = np.random.default_rng(0)
    words = WordVectors.pack(
        {word: rng.normal(size=4).astype(np.float32) for word in WORDS}, np.zeros(4, np.float32)
    )
    arrays |= {"words.keys": words.keys, "words.vectors": words.vectors, "words.scale": words.scale}
    lstm = PostLstm(LstmConfig(**_LSTM))  # type: ignore[arg-type]
    arrays |= {f"lstm.0.{name}": value.numpy() for name, value in lstm.state_dict().items()}
    arrays |= {
        "image.weights": weights,
        "image.mean": mean,
    }
    weighing = {
        "bias": 0.0,
        "weights": {"text": 1.0, "image_text": 0.5, "image": 0.3},
        "centres": {"text": 0.0, "image_text": 0.0, "image": 0.0},
        "bins": [[0.5, 10, 40], [1.0, 30, 40]],
    }
    text = {
        "linear": config,
        "linear_weight": 1.0,
        "lstm": _LSTM,
        "networks": 1,
        "lstm_weight": 0.1,
        "kinds": [0.0] * len(CATEGORIES),
    }
    fusion: dict[str, Any] = {"baseline": 0.5, "kinds": {"with_text": weighing, "without_text": weighing}}
    more: dict[str, Any] = {}
    if likeness:
        more["likeness"], found = _linear({"bad": 6.0}, BIAS).state()
        arrays |= {f"likeness.{name}": value for name, value in found.items()}
        fusion["rest"] = REST
    if general:
        more["general"], found = _linear(GENERAL, GENERAL_BIAS).state()
        arrays |= {f"general.{name}": value for name, value in found.items()}
    _publish(
        store,
        arrays,
        name="hate-classifier",
        architecture="hate_classifier",
        config={
            "text": text,
            "caption": {"linear": config, "text_weight": 0.5},
            "image": {"bias": 0.0},
            "fusion": fusion,
            **more,
        },
        details={
            "side": int(backbone.manifest.details["side"]),
            "backbone": "backbone-lite0",
            "backbone_sha256": backbone.manifest.weights_sha256,
        },
        labels=CATEGORIES,
        thresholds={"hate": 0.5},
    )
    return store


@torch.inference_mode()
def _bright(backbone: StoredModel) -> tuple[np.ndarray, np.ndarray]:
    """Weights and mean for which a white picture scores +2 and a black one -2."""
    features = Lite0Features().eval()
    features.load_state_dict({name: value.float() for name, value in load_file(backbone.weights).items()})
    side = int(backbone.manifest.details["side"])
    source = PictureInput(side, backbone.manifest.preprocessing, device="cpu", dtype=torch.float32)
    pictures = [np.full((side, side, 3), value, np.uint8) for value in (0, 255)]
    black, white = features(source.tensor(pictures)).double().numpy()
    apart = white - black
    return (4 * apart / (apart @ apart)).astype(np.float32), ((black + white) / 2).astype(np.float32)


def _linear(weights: dict[str, float] = WORDS, bias: float = 0.0) -> LinearModel:
    config = BlockConfig("words", "words", value="present")
    words = sorted(weights, key=digest)
    return LinearModel(
        [
            Block(
                config,
                np.array([digest(word) for word in words], np.int64),
                np.ones(len(words), np.float32),
                np.array([weights[word] for word in words], np.float32),
            )
        ],
        bias=bias,
    )


def _publish(store: Path, arrays: dict[str, np.ndarray], **fields: Any) -> StoredModel:
    manifest = Manifest(
        version=1,
        capability="hate_classifier",
        description="two words",
        license="none",
        dtype="float32",
        parameters=0,
        **fields,
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, weights)
        return publish(store, manifest, weights)
