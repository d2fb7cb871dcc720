"""The segmenter: published model in, one heatmap a photo out, alone as in company."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interplay.errors import InternalError
from interplay.models.textfcn import build_textfcn
from interplay.predictors.text_detection.segmenter import TextSegmenter, input_size, scaled_size
from interplay.store import Manifest, Preprocessing, StoredModel, publish


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    """A small random model in a store."""
    folder = tmp_path_factory.mktemp("segmenter")
    torch.manual_seed(0)
    config = {
        "preset": "compact",
        "stages": 4,
        "fusion_channels": 16,
        "level_channels": 8,
        "head_channels": 8,
    }
    weights = folder / "weights.safetensors"
    state = build_textfcn(config).state_dict()
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in state.items()}, weights
    )
    manifest = Manifest(
        name="tiny",
        version=1,
        capability="text_detection",
        architecture="textfcn",
        config=config,
        description="random",
        license="none",
        preprocessing=Preprocessing(max_side=160),
        thresholds={"pixel": 0.5},
        parameters=1,
    )
    return publish(folder / "store", manifest, weights)


@pytest.fixture(scope="module")
def segmenter(stored: StoredModel) -> TextSegmenter:
    return TextSegmenter.load(stored, device="cpu")


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 96), (97, 131), (400, 640)])
def test_heatmaps_have_the_photo_s_size(segmenter: TextSegmenter, size: tuple[int, int]) -> None:
    (heatmap,) = segmenter.predict([photo(*size)])
    assert heatmap.text.shape == size and heatmap.text.dtype == np.float32
    assert heatmap.core is not None and heatmap.core.shape == size
    assert heatmap.text.min() >= 0 and heatmap.text.max() <= 1
    assert (heatmap.core <= heatmap.text + 1e-5).all()


def test_company_does_not_change_a_heatmap(segmenter: TextSegmenter) -> None:
    photos = [photo(90, 120, 1), photo(96, 128, 2), photo(70, 110, 3), photo(64, 64, 4)]
    together = segmenter.predict(photos)
    for image, heatmap in zip(photos, together, strict=True):
        (alone,) = segmenter.predict([image])
        np.testing.assert_allclose(heatmap.text, alone.text, atol=1e-3)


def test_repeated_calls_agree(segmenter: TextSegmenter) -> None:
    image = photo(64, 96)
    np.testing.assert_array_equal(segmenter.predict([image])[0].text, segmenter.predict([image])[0].text)


def test_no_photos_give_no_heatmaps(segmenter: TextSegmenter) -> None:
    assert segmenter.predict([]) == []


def test_a_mixed_batch_is_refused(segmenter: TextSegmenter) -> None:
    with pytest.raises(InternalError, match="mixes input sizes"):
        segmenter.predict_batch([photo(32, 32), photo(64, 64)])


def test_large_photos_are_scaled_down_and_padded() -> None:
    preprocessing = Preprocessing(max_side=1280)
    assert scaled_size(3000, 4000, preprocessing) == (960, 1280)
    assert input_size(720, 1280, preprocessing) == (736, 1280)
    assert input_size(34, 32, preprocessing) == (64, 32)


def test_weights_of_another_network_are_refused(stored: StoredModel) -> None:
    manifest = stored.manifest.model_copy(update={"config": {"preset": "compact"}})
    with pytest.raises(InternalError, match="does not hold a TextFCN"):
        TextSegmenter.load(StoredModel(manifest, Path(stored.directory)), device="cpu")


class RecordingNetwork(torch.nn.Module):
    """Keeps what it is given; answers even odds at half resolution."""

    seen: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return torch.zeros(len(x), 3, x.shape[2] // 2, x.shape[3] // 2)


def test_pixels_are_normalised_as_the_manifest_says_and_padded_with_zeros(stored: StoredModel) -> None:
    preprocessing = Preprocessing(mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.4), max_side=160)
    manifest = stored.manifest.model_copy(update={"preprocessing": preprocessing})
    network = RecordingNetwork()
    image = photo(40, 62)
    TextSegmenter(network, manifest).predict([image])
    expected = (image / 255.0 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    assert network.seen.shape == (1, 3, 64, 64)
    np.testing.assert_allclose(network.seen[0, :, :40, :62].permute(1, 2, 0), expected, atol=1e-5)
    assert (network.seen[0, :, 40:] == 0).all() and (network.seen[0, :, :, 62:] == 0).all()
