"""Both presets of TextFCN: shapes, alignment, the VGG-16 transplant."""

import pytest
import torch
import torch.nn.functional as F

from interplay.models.textfcn import (
    CompactTextFCN,
    PaperConfig,
    PaperTextFCN,
    bilinear_kernel,
    build_textfcn,
    transplant_vgg16,
)


def test_compact_answers_at_half_resolution() -> None:
    model = build_textfcn({"preset": "compact"}).eval()
    assert isinstance(model, CompactTextFCN)
    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 3, 32, 48)


@pytest.mark.parametrize("size", [(1, 1), (31, 64), (100, 77)])
def test_paper_takes_any_size(size: tuple[int, int]) -> None:
    model = build_textfcn({"preset": "paper", "hidden": 8}).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, *size)).shape == (1, 2, *size)


def test_paper_starts_undecided() -> None:
    model = build_textfcn({"preset": "paper", "hidden": 8}).eval()
    with torch.inference_mode():
        assert torch.equal(model(torch.randn(1, 3, 40, 40)), torch.zeros(1, 2, 40, 40))


@pytest.mark.parametrize("path", ["score", "score_pool4", "score_pool3"])
@pytest.mark.parametrize("spot", [(64, 56), (58, 61)])
def test_paper_paths_are_aligned_with_the_image(path: str, spot: tuple[int, int]) -> None:
    """With averaging filters each path blurs a bright spot, but must leave it where it is."""
    model = PaperTextFCN(PaperConfig(hidden=4)).eval()
    with torch.inference_mode():
        for layer in [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]:
            layer.weight.fill_(1.0 / layer.weight[0].numel())
            layer.bias.zero_()
        for other in {"score", "score_pool4", "score_pool3"} - {path}:
            getattr(model, other).weight.zero_()
        image = torch.zeros(1, 3, 128, 112)
        y, x = spot
        image[..., y - 4 : y + 4, x - 4 : x + 4] = 1.0
        heat = model(image)[0, 1].double()
    heat = heat / heat.sum()
    centre_y = float((heat.sum(1) * torch.arange(128)).sum())
    centre_x = float((heat.sum(0) * torch.arange(112)).sum())
    slack = {"score": 8, "score_pool4": 4, "score_pool3": 2}[path]  # a quarter of each path's stride
    assert abs(centre_y - (y - 0.5)) < slack
    assert abs(centre_x - (x - 0.5)) < slack


def test_bilinear_kernel_keeps_constants_and_ramps() -> None:
    ramp = torch.arange(8.0).repeat(8, 1)[None, None]
    up = F.conv_transpose2d(ramp, bilinear_kernel(1, 4), stride=2)[0, 0]
    inner = up[4:-4, 4:-4]
    torch.testing.assert_close(inner.diff(dim=1), torch.full((inner.shape[0], inner.shape[1] - 1), 0.5))
    torch.testing.assert_close(inner.diff(dim=0), torch.zeros(inner.shape[0] - 1, inner.shape[1]))


def fake_vgg16(hidden: int) -> dict[str, torch.Tensor]:
    """A state dict with torchvision's names and shapes, but a narrow classifier."""
    generator = torch.Generator().manual_seed(0)
    state, inputs = {}, 3
    positions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    widths = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    for position, width in zip(positions, widths, strict=True):
        state[f"features.{position}.weight"] = torch.randn(width, inputs, 3, 3, generator=generator)
        state[f"features.{position}.bias"] = torch.randn(width, generator=generator)
        inputs = width
    for position, shape in ((0, (hidden, 512 * 49)), (3, (hidden, hidden)), (6, (1000, hidden))):
        state[f"classifier.{position}.weight"] = torch.randn(shape, generator=generator)
        state[f"classifier.{position}.bias"] = torch.randn(shape[0], generator=generator)
    return state


def test_transplanted_layers_compute_what_vgg16_computes() -> None:
    state = fake_vgg16(hidden=16)
    model = PaperTextFCN(PaperConfig(hidden=16)).eval()
    transplant_vgg16(model, state)
    pooled = torch.randn(1, 512, 7, 7)
    expected = F.linear(pooled.flatten(1), state["classifier.0.weight"], state["classifier.0.bias"])
    found = model.fc6(pooled).flatten(1)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-4)
    expected = F.linear(expected, state["classifier.3.weight"], state["classifier.3.bias"])
    torch.testing.assert_close(model.fc7(model.fc6(pooled)).flatten(1), expected, atol=5e-2, rtol=1e-3)
    assert torch.equal(model.blocks[4][4].weight, state["features.28.weight"])


def test_after_the_transplant_fc6_learns() -> None:
    """The published code left fc6 and fc7 at zero, so that nothing below them ever learned."""
    model = PaperTextFCN(PaperConfig(hidden=16, dropout=0.0))
    state = {key: value * 0.02 for key, value in fake_vgg16(hidden=16).items()}
    transplant_vgg16(model, state)
    image = torch.randn(1, 3, 16, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(2):  # the score layers leave zero in the first step
        optimizer.zero_grad()
        F.cross_entropy(model(image), torch.ones(1, 16, 16, dtype=torch.long)).backward()
        optimizer.step()
    assert model.fc6.weight.grad.abs().max() > 0


def test_wrong_weights_and_options_are_refused() -> None:
    model = PaperTextFCN(PaperConfig(hidden=8))
    with pytest.raises(ValueError, match="does not fit"):
        transplant_vgg16(model, fake_vgg16(hidden=16))
    with pytest.raises(ValueError, match="expected 13 convolutions"):
        transplant_vgg16(model, {})
    with pytest.raises(ValueError, match="known: compact, paper"):
        build_textfcn({"preset": "large"})
    with pytest.raises(ValueError, match="unknown fields"):
        build_textfcn({"preset": "compact", "width": 3})
