"""Backbones: what they give, and by which names they are known."""

import pytest
import torch

from interplay.models.image_embedding import BACKBONES, RESNET50_FEATURES, ResNet50Features, build_backbone


def test_resnet50_gives_pooled_features() -> None:
    network = build_backbone({"backbone": "resnet50"}).eval()
    assert isinstance(network, ResNet50Features)
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        features = network(x)
        last = {}
        network.trunk.layer4.register_forward_hook(lambda _, __, maps: last.update(maps=maps))
        network(x)
    assert features.shape == (2, RESNET50_FEATURES)
    torch.testing.assert_close(features, last["maps"].mean((2, 3)))
    assert not [key for key in network.state_dict() if ".fc." in key]


def test_unknown_backbones_are_refused_with_the_known_ones() -> None:
    assert set(BACKBONES) == {"efficientnet_lite0", "googlenet", "resnet50"}
    with pytest.raises(
        ValueError, match="unknown backbone 'vgg'; known: efficientnet_lite0, googlenet, resnet50"
    ):
        build_backbone({"backbone": "vgg"})
