"""Perceptual networks: values of the losses by hand, and that published weights land where they belong."""

import pytest
import torch
import torchvision
from torch import nn

from interplay.models.perceptual import (
    CONFIGS,
    build_perceptual,
    content_losses,
    from_torchvision_vgg16,
    from_vgg19_part,
    gram,
    relative_style_losses,
    structural_loss,
)
from tests.style_models import random_perceptual


def test_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[0.0, -1.0]]]])  # (1, 2, 1, 2)
    assert gram(features).tolist() == [[[2.5, -1.0], [-1.0, 0.5]]]


def test_gram_does_not_depend_on_where_things_are_or_how_many() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 4, 6, 5)
    shuffled = features.flatten(2)[:, :, torch.randperm(30)].reshape(2, 4, 5, 6)
    torch.testing.assert_close(gram(shuffled), gram(features))
    torch.testing.assert_close(gram(features.repeat(1, 1, 2, 3)), gram(features))
    assert gram(features.half()).dtype == torch.float32


def test_gram_of_a_part() -> None:
    """Weights of any size; those of 0 and 1 cut a part out, and none at all leaves nothing."""
    features = torch.randn(2, 4, 6, 8)
    where = torch.zeros(2, 12, 16)
    where[:, :, :8] = 1
    torch.testing.assert_close(gram(features, where), gram(features[..., :4]))
    assert gram(features, torch.zeros(2, 6, 8)).abs().max() == 0


def test_relative_style_losses_by_hand() -> None:
    target = {"a": torch.tensor([[[3.0, 0.0], [0.0, 4.0]]]), "b": torch.tensor([[[2.0]]])}
    same = relative_style_losses(target, target)
    assert same.tolist() == [[0.0, 0.0]]
    empty = {name: torch.zeros_like(value) for name, value in target.items()}
    assert relative_style_losses(empty, target).tolist() == [[1.0, 1.0]]
    other = {"a": torch.tensor([[[3.0, 5.0], [0.0, 4.0]]]), "b": torch.tensor([[[3.0]]]), "c": target["a"]}
    assert relative_style_losses(other, target).tolist() == [[1.0, 0.25]]


def test_structure_survives_colour_and_contrast_but_not_inversion() -> None:
    torch.manual_seed(0)
    before = torch.randn(2, 3, 8, 8)
    scale, shift = torch.tensor([0.2, 1.0, 7.0])[:, None, None], torch.tensor([5.0, -1.0, 0.0])[:, None, None]
    torch.testing.assert_close(
        structural_loss(before * scale + shift, before), torch.zeros(2), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        structural_loss(shift - before * scale, before), torch.full((2,), 2.0), rtol=0, atol=1e-4
    )
    unrelated = structural_loss(torch.randn(2, 3, 100, 100), torch.randn(2, 3, 100, 100))
    torch.testing.assert_close(unrelated, torch.ones(2), rtol=0, atol=0.1)


def test_structure_counts_channels_by_their_variance() -> None:
    torch.manual_seed(0)
    before = torch.randn(1, 2, 16, 16) * torch.tensor([3.0, 1.0])[:, None, None]
    after = before.clone()
    after[:, 1] *= -1  # inverted: loss 2 with the part of the variance that it has
    variance = before.var((2, 3), correction=0)[0]
    expected = 2 * variance[1] / variance.sum()
    torch.testing.assert_close(structural_loss(after, before), expected[None], rtol=0, atol=1e-4)


def test_content_is_compared_in_several_layers() -> None:
    torch.manual_seed(0)
    before = {"fine": torch.randn(2, 3, 16, 16), "coarse": torch.randn(2, 4, 8, 8), "other": torch.ones(1)}
    after = {"fine": before["fine"] * 3, "coarse": -before["coarse"], "other": torch.zeros(1)}
    torch.testing.assert_close(
        content_losses(after, before, ("fine", "coarse")), torch.ones(2), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(content_losses(after, before, ("fine",)), torch.zeros(2), rtol=0, atol=1e-4)


def test_structure_of_even_pictures_is_a_number() -> None:
    flat, other = torch.full((1, 2, 4, 4), 3.0), torch.randn(1, 2, 4, 4)
    for after, before in ((flat, flat), (flat, other), (other, flat)):
        assert structural_loss(after, before).isfinite().all()


@pytest.mark.parametrize("kind, pools", [("vgg19_part", 2), ("vgg16", 3)])
def test_features_of_every_compared_layer(kind: str, pools: int) -> None:
    network = build_perceptual({"kind": kind})
    features = network(torch.rand(2, 3, 32, 48))
    assert set(features) == {*CONFIGS[kind].content, *CONFIGS[kind].style}
    for name, value in features.items():
        block = int(name[4])
        assert value.shape == (2, 64 * 2 ** (block - 1), 32 >> (block - 1), 48 >> (block - 1))
        assert value.min() >= 0
    assert min(value.shape[2] for value in features.values()) == 32 >> pools
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_vgg16_computes_what_torchvision_s_does() -> None:
    """With average pooling for maximum, on an input normalised the way torchvision's weights want it."""
    torch.manual_seed(0)
    original = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])  # vgg16's features
    for layer in original:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    state = {f"features.{key}": value for key, value in original.state_dict().items()}
    state |= {"classifier.0.weight": torch.zeros(1), "classifier.0.bias": torch.zeros(1)}
    network = build_perceptual({"kind": "vgg16"})
    network.load_state_dict(from_torchvision_vgg16(state))
    image = torch.rand(1, 3, 32, 48)
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    x, expected, block, number = normalise(image), {}, 1, 0
    for layer in original:
        if isinstance(layer, nn.MaxPool2d):
            x, block, number = nn.functional.avg_pool2d(x, 2), block + 1, 0
            continue
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            number += 1
            expected[f"relu{block}_{number}"] = x.clone()
    with torch.inference_mode():
        found = network(image)
    assert set(found) == {"relu1_2", "relu2_2", "relu3_3", "relu4_3"}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-4)


def published_vgg19() -> dict[str, torch.Tensor]:
    """A file's content: the colour layer and five convolutions under names of its own."""
    state = random_perceptual(seed=3).state_dict()
    return {f"{number}.x": value for number, value in enumerate(state.values())}


def test_vgg19_part_is_taken_in_order() -> None:
    state = from_vgg19_part(published_vgg19())
    network = build_perceptual({"kind": "vgg19_part"})
    network.load_state_dict(state)
    for ours, theirs in zip(network.state_dict().values(), published_vgg19().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert list(state)[:2] == ["colour.weight", "colour.bias"]
    assert [layer.out_channels for layer in network.convolutions] == [64, 64, 128, 128, 256]


def test_vgg19_part_pads_by_reflection() -> None:
    """An even picture has even features, also at its border; with zeros around it had not."""
    features = random_perceptual()(torch.full((1, 3, 16, 16), 0.5))
    assert all(float(value.std((2, 3)).max()) < 1e-5 for value in features.values())
    vgg16 = build_perceptual({"kind": "vgg16"})(torch.full((1, 3, 16, 16), 0.5))
    assert float(vgg16["relu1_2"].std((2, 3)).max()) > 1e-4


def test_wrong_files_and_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown perceptual network 'resnet'; known: vgg19_part, vgg16"):
        build_perceptual({"kind": "resnet"})
    with pytest.raises(ValueError, match="unknown perceptual network None"):
        build_perceptual({})
    with pytest.raises(ValueError, match="expected 12 tensors, found 11"):
        from_vgg19_part(dict(list(published_vgg19().items())[:-1]))
    with pytest.raises(ValueError, match="expected 20 tensors, found 0"):
        from_torchvision_vgg16({"weights": torch.zeros(1)})
