"""The shipped models are those that the servers ask for, whole, and described."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from safetensors import safe_open

from interplay.capabilities import CAPABILITIES
from interplay.media.images import decode
from interplay.predictors.text_detection.regions import RegionParams, regions_from_heatmap
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import Manifest, StoredModel, list_models, resolve
from tests.conftest import REPOSITORY_ROOT

STORE = REPOSITORY_ROOT / "model_store"
SERVED = [(capability.name, name) for capability in CAPABILITIES for name in capability.models]
SHIPPED = [
    pytest.param(manifest, id=f"{manifest.name}-{manifest.version}") for manifest in list_models(STORE)
]


@pytest.mark.parametrize("capability, name", SERVED)
def test_served_models_are_shipped(capability: str, name: str) -> None:
    assert resolve(STORE, name).manifest.capability == capability


@pytest.mark.parametrize("manifest", SHIPPED)
def test_shipped_version_is_whole_and_described(manifest: Manifest) -> None:
    stored = resolve(STORE, manifest.name, manifest.version)
    assert stored.weights.stat().st_size == manifest.weights_bytes
    assert manifest.capability in {capability.name for capability in CAPABILITIES}
    for fact in (manifest.description, manifest.license, manifest.training, manifest.data):
        assert fact
    # A perceptual network gives losses, a backbone features: they have no quality of their own to measure.
    assert manifest.metrics or manifest.architecture in ("perceptual", "image_backbone")
    assert all(data.get("license") for data in manifest.data)
    assert not re.search(r'"/|/root|/home|/tmp', manifest.model_dump_json())


@pytest.mark.parametrize("manifest", SHIPPED)
def test_weights_are_numbers_of_the_type_and_count_that_the_manifest_says(manifest: Manifest) -> None:
    with safe_open(resolve(STORE, manifest.name, manifest.version).weights, framework="numpy") as weights:
        tensors = [weights.get_tensor(name) for name in weights.keys()]  # noqa: SIM118
    floats = [tensor for tensor in tensors if tensor.dtype.kind == "f"]
    assert {str(tensor.dtype) for tensor in floats} == {manifest.dtype}
    assert all(np.isfinite(tensor).all() for tensor in floats)
    total = sum(math.prod(tensor.shape) for tensor in floats)
    assert manifest.parameters <= total <= 1.1 * manifest.parameters  # running statistics are no parameters


@pytest.fixture(scope="module")
def heatmap_model() -> StoredModel:
    (capability,) = (c for c in CAPABILITIES if c.name == "text_detection")
    return resolve(STORE, capability.models[0])


def test_heatmap_model_has_what_its_server_needs(heatmap_model: StoredModel) -> None:
    manifest = heatmap_model.manifest
    assert {"pixel", "core", "score"} <= manifest.thresholds.keys()
    assert all(0 < manifest.thresholds[name] < 1 for name in ("pixel", "core", "score"))
    assert manifest.labels[0] == "background"


def test_heatmap_model_finds_a_sign(heatmap_model: StoredModel) -> None:
    """One word on a plain wall: not a measure of quality, only that weights and thresholds fit."""
    picture = PillowImage.new("RGB", (420, 220), (20, 60, 120))
    ImageDraw.Draw(picture).text((60, 80), "STATION", fill="white", font=ImageFont.load_default(size=56))
    segmenter = TextSegmenter.load(heatmap_model, device="cpu")
    (heatmap,) = segmenter.predict([np.array(picture)])
    inside, outside = heatmap.text[90:130, 70:300].mean(), heatmap.text[170:, :].mean()
    assert inside > 0.5 > outside
    regions = regions_from_heatmap(heatmap, RegionParams.from_manifest(heatmap_model.manifest))
    centres = [region.polygon.mean(axis=0) for region in regions]
    assert any(100 < x < 280 and 90 < y < 135 for x, y in centres)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_heatmap_model_gives_its_golden_output(heatmap_model: StoredModel, dtype: str) -> None:
    """The example photo of the README through shipped version 1; a new version gets figures of its own."""
    image = decode((REPOSITORY_ROOT / "examples" / "street.jpg").read_bytes())
    (heatmap,) = TextSegmenter.load(heatmap_model, device="cpu", dtype=dtype).predict([image])
    assert heatmap.core is not None
    assert heatmap.text.mean() == pytest.approx(0.0543, abs=5e-4)
    assert heatmap.core.mean() == pytest.approx(0.0241, abs=5e-4)
    regions = regions_from_heatmap(heatmap, RegionParams.from_manifest(heatmap_model.manifest))
    assert len(regions) == 19
    assert sum(region.score for region in regions) == pytest.approx(17.5, abs=0.2)
