"""The stylist: photos of any size in, photos of that size out; tiles without seams, bytes that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interplay.errors import InternalError
from interplay.predictors.style_transfer import stylist as stylist_module
from interplay.predictors.style_transfer.stylist import (
    GATE_FLOOR,
    SINGLE_PASS_PIXELS,
    StyleItem,
    Stylist,
    _enlarged,
    _padded,
)
from interplay.store import StoredModel
from tests.style_models import STYLES, publish_style_model, random_network, style_manifest

MIX = {"neon": 0.8, "chalk": 0.5}


def make(model: str = "scene", **changes: Any) -> Stylist:
    network = random_network(len(STYLES[model]), gate=model == "selective")
    return Stylist(network, style_manifest(model, network), **changes)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    return publish_style_model(tmp_path_factory.mktemp("store"), "scene")


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Patches and noise, so that near and far parts differ."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (height // 50 + 1, width // 50 + 1, 3), dtype=np.uint8)
    image = patches.repeat(50, 0).repeat(50, 1)[:height, :width]
    return np.clip(image + rng.normal(0, 20, image.shape), 0, 255).astype(np.uint8)


def count_runs(stylist: Stylist, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of what goes through the network from now on, measuring apart."""
    sizes: list[tuple[int, int]] = []
    original = stylist._model.parts

    def parts(x: torch.Tensor, *args: Any) -> Any:
        sizes.append((x.shape[2], x.shape[3]))
        return original(x, *args)

    monkeypatch.setattr(stylist._model, "parts", parts)
    return sizes


@pytest.mark.parametrize("model", ["scene", "selective"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (33, 47), (96, 96), (97, 131), (200, 50)])
def test_any_size(model: str, size: tuple[int, int]) -> None:
    result = make(model).stylize(photo(*size), MIX)
    assert result.shape == (*size, 3) and result.dtype == np.uint8


def test_very_long_pictures_cost_no_more_than_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    stylist = make(single_pass_pixels=10_000_000)
    sizes = count_runs(stylist, monkeypatch)
    assert stylist.stylize(photo(5, 2000), MIX).shape == (5, 2000, 3)
    assert len(sizes) == 1 and sizes[0][0] * sizes[0][1] <= SINGLE_PASS_PIXELS
    for height, width in ((1, 20_000), (20_000, 1), (2, 20_000), (40, 20_000), (1, 300)):
        larger, (inner_height, inner_width) = _enlarged(np.zeros((height, width, 3), dtype=np.uint8))
        assert min(larger.shape[:2]) == 96
        assert larger.shape[0] * larger.shape[1] <= max(SINGLE_PASS_PIXELS, 96 * max(height, width))
        assert inner_height >= height and inner_width >= width


def test_small_pictures_are_enlarged_and_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stylist = make()
    sizes = count_runs(stylist, monkeypatch)
    stylist.stylize(photo(24, 40), MIX)
    stylist.stylize(photo(97, 131), MIX)
    assert sizes == [(96, 160), (100, 132)]


def test_padding_leaves_no_trace() -> None:
    """A side that is no multiple of four is grown for the network and cut off again."""
    stylist, image = make(), photo(102, 129)
    padded = np.pad(image, ((0, 2), (0, 3), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(stylist.stylize(image, MIX), stylist.stylize(padded, MIX)[:102, :129])


def test_photo_and_result_are_read_off_as_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    stylist, image = make(), photo(96, 96)

    def invert(x: torch.Tensor, *args: Any) -> Any:
        assert x.shape == (1, 3, 96, 96) and x.min() >= 0 and x.max() <= 1
        return 1 - x, None

    monkeypatch.setattr(stylist._model, "parts", invert)
    np.testing.assert_array_equal(stylist.stylize(image, MIX), 255 - image)


def test_repeated_calls_agree() -> None:
    stylist, image = make("selective"), photo(120, 97)
    np.testing.assert_array_equal(stylist.stylize(image, MIX), stylist.stylize(image, MIX))


def test_each_of_a_batch_is_what_it_is_alone() -> None:
    stylist = make()
    items = [
        StyleItem(photo(96, 100, 1), stylist.weights({"gold": 1.0})),
        StyleItem(photo(96, 100, 2), stylist.weights(MIX), np.full((96, 100), 0.5, dtype=np.float32)),
    ]
    output = stylist.predict_batch(items)
    assert output.infer_s > 0 and output.postprocess_s > 0
    for item, result in zip(items, output.results, strict=True):
        np.testing.assert_array_equal(result, stylist.predict_batch([item]).results[0])
    assert stylist.predict_batch([]).results == []


def test_weights_are_in_the_order_of_the_manifest() -> None:
    stylist = make()
    assert stylist.styles == ("neon", "gold", "chalk")
    assert stylist.weights({"chalk": 2.0, "neon": 0.25}).tolist() == [0.25, 0, 2]
    with pytest.raises(KeyError, match="comic"):
        stylist.weights({"comic": 1.0})


# Masks


def test_with_an_empty_mask_the_network_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stylist, image = make(), photo(130, 90)
    sizes = count_runs(stylist, monkeypatch)
    result = stylist.stylize(image, MIX, np.zeros((130, 90), dtype=np.float32))
    np.testing.assert_array_equal(result, image)
    assert sizes == [] and not np.shares_memory(result, image)


@pytest.mark.parametrize("size", [(130, 110), (40, 60)])
def test_mask_says_how_much_to_take(size: tuple[int, int]) -> None:
    stylist, image = make(), photo(*size)
    mask = np.zeros(size, dtype=np.float32)
    mask[10:30, 10:30], mask[10:30, 30:50] = 1.0, 0.5
    result, whole = stylist.stylize(image, MIX, mask), stylist.stylize(image, MIX)
    np.testing.assert_array_equal(result[mask == 0], image[mask == 0])
    np.testing.assert_array_equal(result[mask == 1], whole[mask == 1])
    half = (image[mask == 0.5].astype(float) + whole[mask == 0.5]) / 2
    assert np.abs(result[mask == 0.5] - half).max() <= 0.5


def test_gate_leaves_closed_pixels_to_the_bit() -> None:
    stylist, image = make("selective"), photo(112, 144)
    network = stylist._model.gate
    assert network is not None
    with torch.no_grad():  # logits about 0, far enough apart
        network.score.bias.zero_()
        network.score.weight.mul_(4 / network(stylist._tensor(image[None])).std())
        network.score.bias.sub_(network(stylist._tensor(image[None])).mean())
    _, gate = stylist._run(image, torch.from_numpy(stylist.weights(MIX))[None], None)
    assert gate is not None and 0.1 < (gate == 0).mean() < 0.9
    assert not ((gate > 0) & (gate < GATE_FLOOR)).any()
    result = stylist.stylize(image, MIX)
    np.testing.assert_array_equal(result[gate == 0], image[gate == 0])
    assert (result[gate > 0.5] != image[gate > 0.5]).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("size", [(112, 140), (40, 60)])
def test_gate_and_mask_are_multiplied(size: tuple[int, int]) -> None:
    stylist, image = make("selective"), photo(*size)
    mask = np.zeros(size, dtype=np.float32)
    mask[:20] = 1
    result, whole = stylist.stylize(image, MIX, mask), stylist.stylize(image, MIX)
    np.testing.assert_array_equal(result[20:], image[20:])
    np.testing.assert_array_equal(result[:20], whole[:20])
    assert (whole[20:] != image[20:]).any()


# Large photos


@pytest.mark.parametrize("model", ["scene", "selective"])
@pytest.mark.parametrize("core", [64, 144, 640])
def test_tiles_have_no_seams(model: str, core: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tiles' size, the result is that of one pass with the same statistics."""
    monkeypatch.setattr(stylist_module, "_CORE", core)
    stylist, image = make(model, single_pass_pixels=70_000), photo(300, 410)
    result = stylist.stylize(image, MIX)
    weights = torch.from_numpy(stylist.weights(MIX))[None]
    padded = _padded(image, stylist._model.multiple)
    with torch.inference_mode():
        styled, gate = stylist._run(padded, weights, stylist._measure(padded, weights))
    whole = styled[:300, :410]
    if gate is not None:
        whole = stylist_module.blend(image, whole, gate[:300, :410])
    assert np.abs(result.astype(int) - whole).max() <= 1


def test_statistics_of_samples_are_near_those_of_the_whole_photo() -> None:
    image = photo(300, 412)
    result = make(single_pass_pixels=70_000).stylize(image, MIX)
    whole = make().stylize(image, MIX)
    assert np.abs(result.astype(int) - whole).mean() < 20
    assert (result != whole).any()


def test_tiles_without_mask_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stylist_module, "_CORE", 100)
    stylist, image = make(single_pass_pixels=70_000), photo(300, 410)
    everything = stylist.stylize(image, MIX)
    sizes = count_runs(stylist, monkeypatch)
    mask = np.zeros((300, 410), dtype=np.float32)
    mask[120:140, 205:207], mask[299, 409] = 1.0, 1.0
    result = stylist.stylize(image, MIX, mask)
    halo = stylist._model.halo
    assert sizes == [(100 + 2 * halo, 100 + 2 * halo), (100 + halo, 12 + halo)]
    np.testing.assert_array_equal(result[mask == 0], image[mask == 0])
    np.testing.assert_array_equal(result[mask == 1], everything[mask == 1])


# Loading


def test_a_stored_model_is_loaded(stored: StoredModel) -> None:
    before = torch.get_num_threads()
    try:
        stylist = Stylist.load(stored, device="cpu", threads=1, dtype="float32")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert (stylist.device, stylist.dtype, stylist.manifest) == ("cpu", "float32", stored.manifest)
    stylist.warm_up()
    image = photo(96, 120)
    near = make().stylize(image, MIX)  # the same seed, before its weights were rounded to float16
    assert np.abs(stylist.stylize(image, MIX).astype(int) - near).max() <= 3


@pytest.mark.parametrize("model", ["scene", "selective"])
def test_half_precision_comes_near(model: str) -> None:
    """What a GPU, or a CPU with bfloat16 of its own, takes: the gate, too."""
    image = photo(120, 100)
    exact = make(model).stylize(image, MIX).astype(int)
    half = make(model, dtype="bfloat16").stylize(image, MIX)
    assert np.abs(half - exact).mean() < 3


def test_weights_of_another_network_are_refused(stored: StoredModel) -> None:
    manifest = stored.manifest.model_copy(update={"config": {**stored.manifest.config, "blocks": 2}})
    with pytest.raises(InternalError, match="does not hold a style transformer"):
        Stylist.load(StoredModel(manifest, Path(stored.directory)), device="cpu")
    manifest = stored.manifest.model_copy(update={"config": {"preset": "huge"}})
    with pytest.raises(InternalError, match="unknown style transformer preset 'huge'"):
        Stylist.load(StoredModel(manifest, Path(stored.directory)), device="cpu")


def test_names_must_be_as_many_as_styles(stored: StoredModel) -> None:
    manifest = stored.manifest.model_copy(update={"labels": ("neon", "gold")})
    with pytest.raises(InternalError, match="names 2 styles and has 3"):
        Stylist.load(StoredModel(manifest, Path(stored.directory)), device="cpu")
