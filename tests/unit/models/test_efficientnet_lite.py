"""The backbone: shapes, frozen statistics and folding."""

import pytest
import torch
from torch import nn

from interplay.models.efficientnet_lite import (
    ConvUnit,
    EfficientNetLite,
    EfficientNetLiteConfig,
    fold_batch_norm,
    freeze_statistics,
)


def shake_statistics(model: nn.Module, seed: int = 0) -> None:
    """Gives every batch norm weights and statistics that matter."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)


def test_one_map_a_stride() -> None:
    backbone = EfficientNetLite(EfficientNetLiteConfig()).eval()
    assert backbone.strides == (2, 4, 8, 16, 32)
    assert backbone.channels == (16, 24, 40, 112, 320)
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]


def test_fewer_stages_drop_the_coarsest_maps() -> None:
    backbone = EfficientNetLite(EfficientNetLiteConfig(stages=5))
    assert backbone.strides == (2, 4, 8, 16)
    with pytest.raises(ValueError, match="stages must be 1 to 7"):
        EfficientNetLiteConfig(stages=8)


def test_folding_keeps_the_output() -> None:
    torch.manual_seed(0)
    model = EfficientNetLite(EfficientNetLiteConfig(stages=4)).eval()
    shake_statistics(model)
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = model(x)
        after = fold_batch_norm(model)(x)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_frozen_statistics_equal_batch_norm_in_eval_mode() -> None:
    torch.manual_seed(0)
    unit = ConvUnit(4, 6, 3, act=False)
    shake_statistics(unit)
    assert unit.bn is not None
    x = torch.randn(2, 4, 8, 8)
    unit.eval()
    reference = unit.bn(unit.conv(x))
    expected = torch.autograd.grad(reference.square().sum(), [unit.conv.weight, unit.bn.weight, unit.bn.bias])
    freeze_statistics(unit)
    unit.train()
    mean = unit.bn.running_mean.clone()
    y = unit(x)
    found = torch.autograd.grad(y.square().sum(), [unit.conv.weight, unit.bn.weight, unit.bn.bias])
    torch.testing.assert_close(y, reference, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(unit.bn.running_mean, mean)


def test_folding_twice_is_harmless_but_folded_weights_are_gone() -> None:
    unit = fold_batch_norm(fold_batch_norm(ConvUnit(3, 4, 1).eval()))
    with pytest.raises(ValueError, match="already folded"):
        unit.folded()
