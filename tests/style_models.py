"""Style models with small random networks: every code path of the real ones for a hundredth of the work."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import nn

from interplay.models import perceptual as perceptual_module
from interplay.models.perceptual import Perceptual, build_perceptual
from interplay.models.style_transformer import StyleTransformer, build_style_transformer
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish

NETWORK = {"preset": "paper", "widths": [8, 8, 8], "blocks": 1}
# Styles by model, with the colours of ink and paper of each; the selective model has some of the scene's.
STYLES = {
    "scene": {
        "neon": ((230, 40, 200), (20, 10, 40)),
        "gold": ((200, 160, 30), (60, 30, 10)),
        "chalk": ((240, 240, 240), (30, 80, 50)),
    },
    "print": {"serif": ((0, 0, 0), (255, 255, 255)), "mono": ((40, 40, 40), (250, 250, 240))},
    "handwriting": {
        "writer-1": ((60, 60, 60), (230, 230, 230)),
        "writer-2": ((30, 30, 30), (245, 245, 245)),
    },
}
STYLES["selective"] = STYLES["scene"]
HEAT_FLOOR = 0.3


def random_network(styles: int, *, gate: bool = False, seed: int = 0, **changes: Any) -> StyleTransformer:
    """A network whose styles differ visibly; a gate of its own is neither open nor shut anywhere."""
    torch.manual_seed(seed)
    network = build_style_transformer({**NETWORK, **changes, "styles": styles, "gate": gate})
    with torch.no_grad():
        network.gamma.uniform_(0.5, 1.5)
        network.beta.normal_(std=0.5)
    return network.eval()


def random_perceptual(seed: int = 0, *, width: int | None = None) -> Perceptual:
    """VGG-19's part with random filters; a ``width`` makes all its layers that wide."""
    torch.manual_seed(seed)
    widths = {} if width is None else dict.fromkeys("1234", width)
    with mock.patch.dict(perceptual_module._WIDTH, widths):
        network = build_perceptual({"kind": "vgg19_part"})
    network.colour.weight.copy_(8 * torch.eye(3)[..., None, None])  # activations near one
    network.colour.bias.fill_(-4.0)
    for layer in network.convolutions:
        nn.init.kaiming_normal_(layer.weight)
    return network


def manifest_of(
    name: str, config: dict[str, Any], network: nn.Module, labels: Sequence[str] = (), **fields: Any
) -> Manifest:
    """A manifest as ``training.style_transfer.export`` writes it."""
    return Manifest(
        name=name,
        version=1,
        capability="style_transfer",
        description="random weights",
        license="none",
        config=config,
        labels=tuple(labels),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        training={"recipe": "none", "steps": 0},
        **fields,
    )


def style_manifest(model: str, network: StyleTransformer) -> Manifest:
    """Manifest of one of the models of ``STYLES``."""
    facts = [
        {"source": f"picture of {name}", "ink": list(ink), "paper": list(paper)}
        for name, (ink, paper) in STYLES[model].items()
    ]
    config = {**NETWORK, "styles": len(STYLES[model])}
    return manifest_of(
        f"style-{model}",
        {**config, "gate": True} if model == "selective" else config,
        network,
        tuple(STYLES[model]),
        architecture="style_transformer",
        details={"domain": "scene" if model == "selective" else model, "styles": facts},
        thresholds={"heat_floor": HEAT_FLOOR},
    )


def publish_network(store: Path, manifest: Manifest, network: nn.Module) -> StoredModel:
    """Publish a network's weights as float16."""
    half = {key: value.detach().contiguous().half() for key, value in network.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file(half, weights)
        return publish(store, manifest, weights)


def publish_style_model(store: Path, model: str, *, seed: int = 0) -> StoredModel:
    """Publish one of the models of ``STYLES``."""
    network = random_network(len(STYLES[model]), gate=model == "selective", seed=seed)
    return publish_network(store, style_manifest(model, network), network)


def publish_perceptual(store: Path) -> StoredModel:
    """Publish a random perceptual network."""
    network = random_perceptual()
    manifest = manifest_of("perceptual-vgg19", {"kind": "vgg19_part"}, network, architecture="perceptual")
    return publish_network(store, manifest, network)


def make_style_store(store: Path) -> Path:
    """Publish everything that the style transfer server loads."""
    for seed, model in enumerate(STYLES):
        publish_style_model(store, model, seed=seed)
    publish_perceptual(store)
    return store
