"""Publishing style models: what serves is what was trained, and the manifest says what it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from interplay.errors import Conflict
from interplay.models.style_transformer import build_style_transformer
from interplay.predictors.style_transfer.describer import load_perceptual
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.store import StoredModel, resolve
from tests.style_models import random_network, random_perceptual
from training.engine import EngineConfig, train
from training.style_transfer.data import ContentSources
from training.style_transfer.export import (
    DATA,
    DESCRIPTION,
    HEAT_FLOOR,
    export_perceptual,
    export_run,
    export_weights,
)
from training.style_transfer.sources import MODELS
from training.style_transfer.styles import StyleImage
from training.style_transfer.task import StyleTask, StyleTaskOptions

PAPER = {"widths": (32, 64, 128), "blocks": 5}


def export(store: Path, model: str, styles: list[StyleImage], *, version: int = 1) -> StoredModel:
    network = random_network(len(styles), gate=model == "selective", **PAPER)
    return export_weights(
        network.state_dict(), store, model=model, version=version, styles=styles,
        training={"steps": 0}, commit="abc", metrics={"style_fall": 0.9},
    )  # fmt: skip


@pytest.mark.parametrize("model", ["scene", "selective"])
def test_what_serves_is_what_was_trained(tmp_path: Path, model: str, styles: list[StyleImage]) -> None:
    """But for the weights' rounding to float16."""
    stored = export(tmp_path, model, styles)
    stylist = Stylist.load(resolve(tmp_path, f"style-{model}"), device="cpu", dtype="float32")
    trained = Stylist(random_network(2, gate=model == "selective", **PAPER), stored.manifest)
    image = np.random.default_rng(0).integers(0, 256, (100, 130, 3), dtype=np.uint8)
    for mix in ({"neon": 1.0}, {"neon": 0.3, "chalk": 1.2}):
        found, expected = stylist.stylize(image, mix), trained.stylize(image, mix)
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 6 and difference.mean() < 0.6
        assert (expected != image).any()


@pytest.mark.parametrize("model", [*MODELS, "selective"])
def test_manifest_says_what_serving_needs(tmp_path: Path, model: str, styles: list[StyleImage]) -> None:
    export(tmp_path, model, styles)
    manifest = resolve(tmp_path, f"style-{model}").manifest
    assert (manifest.capability, manifest.architecture) == ("style_transfer", "style_transformer")
    network = build_style_transformer(manifest.config)
    assert network.config.styles == 2 and (network.gate is not None) == (model == "selective")
    assert manifest.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert manifest.labels == ("neon", "chalk")
    assert manifest.thresholds == {"heat_floor": HEAT_FLOOR} and 0 < HEAT_FLOOR < 1
    assert manifest.details["domain"] == "scene"
    neon, chalk = manifest.details["styles"]
    assert neon["source"] == "drawn neon"
    np.testing.assert_allclose(neon["ink"], (240, 40, 200), atol=12)  # thin strokes are never full
    np.testing.assert_allclose(chalk["paper"], (30, 80, 50), atol=3)
    assert manifest.dtype == "float16" and manifest.parent_commit == "abc"
    assert manifest.metrics == {"style_fall": 0.9}


def test_every_model_is_described_and_its_data_have_licences() -> None:
    assert set(DATA) == set(DESCRIPTION) == {*MODELS, "selective"}
    for rows in DATA.values():
        assert all({"name", "license", "use"} <= set(row) for row in rows)


def test_a_version_is_published_once_and_weights_must_fit(tmp_path: Path, styles: list[StyleImage]) -> None:
    export(tmp_path, "scene", styles)
    with pytest.raises(Conflict, match="already"):
        export(tmp_path, "scene", styles)
    assert export(tmp_path, "scene", styles, version=2).manifest.version == 2
    with pytest.raises(RuntimeError, match="size mismatch for gamma"):
        export_weights(
            random_network(1, **PAPER).state_dict(), tmp_path, model="scene", version=3, styles=styles,
            training={}, commit=None,
        )  # fmt: skip
    with pytest.raises(RuntimeError, match="Missing key"):
        export_weights(
            random_network(2, **PAPER).state_dict(), tmp_path, model="selective", version=1, styles=styles,
            training={}, commit=None,
        )  # fmt: skip
    assert not (tmp_path / "style-selective" / "1").exists()


def test_a_run_s_averaged_weights_are_published(
    tmp_path: Path, styles: list[StyleImage], word_files: list[Path]
) -> None:
    content = ContentSources(words=word_files, weights={"words": 1.0})
    options = StyleTaskOptions(styles=("neon", "chalk"), size=32, batch_size=1)
    task = StyleTask(options, styles, random_perceptual(width=8), content, content, 0)
    config = EngineConfig(
        out=tmp_path / "run", steps=2, precision="fp32", device="cpu", workers=0, weight_decay=0.0,
        checkpoint_every=100, evaluate_every=100,
    )  # fmt: skip
    checkpoint = train(task, config)
    with pytest.raises(ValueError, match=r"was trained for the styles \['neon', 'chalk'\], not \['chalk'"):
        export_run(tmp_path / "run", tmp_path / "store", model="scene", version=1, styles=styles[::-1])
    stored = export_run(
        tmp_path / "run", tmp_path / "store", model="scene", version=1, styles=styles, metrics={"a": 1}
    )
    training = stored.manifest.training
    assert (training["steps"], training["seed"], training["data_digest"]) == (2, 0, task.data_digest)
    assert training["task"]["styles"] == ["neon", "chalk"] and stored.manifest.metrics == {"a": 1}
    assert stored.manifest.parent_commit == json.loads((checkpoint / "state.json").read_text())["commit"]
    averaged = load_file(checkpoint / "ema.safetensors")
    for key, value in load_file(stored.weights).items():
        assert value.dtype == torch.float16 and torch.equal(value, averaged[key].half())
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        export_run(tmp_path / "none", tmp_path / "store", model="scene", version=2, styles=styles)


def test_the_perceptual_network_is_published(tmp_path: Path) -> None:
    network = random_perceptual(seed=6)
    file = tmp_path / "vgg.pth"
    torch.save({f"layer{n}": value for n, value in enumerate(network.state_dict().values())}, file)
    stored = export_perceptual(file, tmp_path / "store", 1)
    assert (stored.manifest.name, stored.manifest.config) == ("perceptual-vgg19", {"kind": "vgg19_part"})
    assert stored.manifest.parameters == 555_340
    assert all(row.get("license") for row in stored.manifest.data)
    loaded = load_perceptual(resolve(tmp_path / "store", "perceptual-vgg19"))
    for found, expected in zip(loaded.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
