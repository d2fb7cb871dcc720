"""Images to vectors: the same alone and in a batch, in the space that the manifest says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interplay.errors import InternalError
from interplay.models.image_embedding import (
    LITE0_FEATURES,
    EmbeddingHead,
    HeadConfig,
    ImageEmbedding,
    Lite0Features,
    build_backbone,
    build_head,
)
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish

SIDE = 64


def store_model(store: Path, name: str, state: dict[str, torch.Tensor], **fields: object) -> StoredModel:
    manifest = Manifest(
        name=name, version=1, capability="embedding", description="random", license="none", parameters=0,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    weights = store / WEIGHTS_FILE
    save_file({key: value.contiguous().half() for key, value in state.items()}, weights)
    return publish(store, manifest, weights)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoredModel, StoredModel]:
    """A random head and a random backbone."""
    store = tmp_path_factory.mktemp("store")
    torch.manual_seed(0)
    backbone = store_model(
        store, "backbone-lite0", Lite0Features().state_dict(), architecture="image_backbone"
    )
    head = EmbeddingHead(HeadConfig(LITE0_FEATURES, 16, hidden=8))
    config = {"backbone": "efficientnet_lite0", "inputs": LITE0_FEATURES, "dimension": 16, "hidden": 8}
    details = {
        "side": SIDE,
        "backbone": "backbone-lite0",
        "backbone_sha256": backbone.manifest.weights_sha256,
    }
    state = {f"head.{key}": value for key, value in head.state_dict().items()}
    image = store_model(
        store, "embedding-image", state, architecture="embedding_head", config=config, details=details
    )
    return image, backbone


@pytest.fixture(scope="module")
def embedder(stored: tuple[StoredModel, StoredModel]) -> ImageEmbedder:
    return ImageEmbedder.load(*stored, device="cpu", dtype="float32")


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in
            ((64, 64), (40, 90), (200, 120), (64, 64))]  # fmt: skip


def test_a_batch_gives_what_each_image_gives_alone(embedder: ImageEmbedder) -> None:
    together = embedder.predict(pictures())
    for picture, result in zip(pictures(), together, strict=True):
        (alone,) = embedder.predict([picture])
        np.testing.assert_allclose(alone.vector, result.vector, atol=1e-5)
        np.testing.assert_allclose(alone.features, result.features, atol=1e-4)


def test_vectors_have_length_one_and_features_the_backbones_width(embedder: ImageEmbedder) -> None:
    for result in embedder.predict(pictures()):
        assert result.vector.shape == (16,) and result.features.shape == (LITE0_FEATURES,)
        assert np.linalg.norm(result.vector) == pytest.approx(1, abs=1e-5)


def test_input_is_normalised_as_the_manifest_says(embedder: ImageEmbedder) -> None:
    picture = pictures()[0]
    norm = embedder.manifest.preprocessing
    x = (picture / 255.0 - np.array(norm.mean)) / np.array(norm.std)
    tensor = torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = embedder.model.backbone(tensor).numpy()[0]
    np.testing.assert_allclose(embedder.predict([picture])[0].features, expected, atol=1e-3)


def test_features_give_the_same_vectors_as_their_image(embedder: ImageEmbedder) -> None:
    (result,) = embedder.predict(pictures()[:1])
    vectors = embedder.embed_features(torch.from_numpy(result.features[None]))
    np.testing.assert_allclose(vectors[0], result.vector, atol=1e-6)


def test_warming_up_runs_the_whole_path(embedder: ImageEmbedder) -> None:
    embedder.warm_up()


def test_a_head_is_not_put_on_another_backbone(
    stored: tuple[StoredModel, StoredModel], tmp_path: Path
) -> None:
    image, _ = stored
    torch.manual_seed(1)
    other = store_model(
        tmp_path, "backbone-lite0", Lite0Features().state_dict(), architecture="image_backbone"
    )
    for backbone in (other, None):
        with pytest.raises(InternalError, match="was trained on the backbone"):
            ImageEmbedder.load(image, backbone, device="cpu")


def test_spaces_of_heads() -> None:
    torch.manual_seed(0)
    features = torch.randn(5, 12)
    unit = EmbeddingHead(HeadConfig(12, 4)).eval()(features)
    assert torch.allclose(unit.norm(dim=1), torch.ones(5), atol=1e-5)
    sigmoid = EmbeddingHead(HeadConfig(12, 4, space="sigmoid")).eval()(features)
    assert ((sigmoid > 0) & (sigmoid < 1)).all()
    with pytest.raises(ValueError, match="space must be unit or sigmoid, not 'ball'"):
        HeadConfig(12, 4, space="ball")


def test_configurations_that_are_none() -> None:
    with pytest.raises(ValueError, match="unknown backbone 'vgg'; known: efficientnet_lite0, googlenet"):
        build_backbone({"backbone": "vgg"})
    with pytest.raises(ValueError, match="not the configuration of an embedding head"):
        build_head({"backbone": "googlenet", "inputs": 4, "depth": 3})


@pytest.mark.slow
def test_the_papers_network_embeds() -> None:
    config = {"backbone": "googlenet", "inputs": 1024, "dimension": 400, "space": "sigmoid"}
    model = ImageEmbedding(build_backbone(config), build_head(config)).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 224, 224)).shape == (2, 400)
