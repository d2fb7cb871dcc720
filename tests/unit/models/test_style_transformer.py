"""The style transformer: its shortcuts give what the plain formulas give, and its tiles have no seams."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.style_transformer import (
    EPS,
    StyleConfig,
    StyleTransformer,
    UpConvolution,
    _affine,
    build_style_transformer,
)
from tests.style_models import random_network


def lively(network: StyleTransformer) -> StyleTransformer:
    """In float64, with filters wide enough that far pixels matter."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
    return network.double()


def picture(height: int, width: int, *, count: int = 1) -> torch.Tensor:
    return torch.rand(
        count, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )


def one_hot(*rows: int, styles: int) -> torch.Tensor:
    return F.one_hot(torch.tensor(rows), styles).double()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 9)])
def test_up_convolution_is_upsampling_reflection_and_convolution(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = UpConvolution(5, 7).double()
    nn.init.normal_(layer.conv.weight)
    nn.init.normal_(layer.conv.bias)
    x = torch.randn(2, 5, *size, dtype=torch.float64)
    upsampled = F.interpolate(x, scale_factor=2, mode="nearest")
    expected = layer.conv(F.pad(upsampled, (1, 1, 1, 1), mode="reflect"))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_up_convolution_learns_as_the_plain_one_does() -> None:
    torch.manual_seed(0)
    layer = UpConvolution(2, 3).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    layer(x).square().sum().backward()
    found = layer.conv.weight.grad.clone()
    layer.zero_grad()
    layer.conv(
        F.pad(F.interpolate(x, scale_factor=2), (1, 1, 1, 1), mode="reflect")
    ).square().sum().backward()
    torch.testing.assert_close(found, layer.conv.weight.grad, rtol=0, atol=1e-12)


def test_affine_is_the_formula() -> None:
    torch.manual_seed(0)
    y, gamma, beta = torch.randn(2, 4, 5, 6), torch.randn(2, 4), torch.randn(2, 4)
    variance, mean = torch.var_mean(y, (2, 3), correction=0)
    expected = F.instance_norm(y, eps=EPS) * gamma[..., None, None] + beta[..., None, None]
    torch.testing.assert_close(_affine(y, mean, variance, gamma, beta), expected, rtol=0, atol=1e-5)


def test_images_of_a_batch_are_normalised_each_by_itself() -> None:
    """The CPU goes image by image with another kernel; the batch at once, as on a GPU, gives the same."""
    network = lively(random_network(3))
    x, weights = picture(24, 36, count=2), one_hot(0, 2, styles=3)
    with torch.inference_mode():
        together = network(x, weights)
        at_once, _ = network._run(x, weights, None, None)
        for index in range(2):
            alone = network(x[index : index + 1], weights[index : index + 1])
            torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=0)
            torch.testing.assert_close(at_once[index : index + 1], alone, rtol=0, atol=1e-5)


def test_a_gated_batch_keeps_its_gates_apart() -> None:
    network = lively(random_network(2, gate=True))
    x, weights = picture(24, 24, count=2), one_hot(0, 1, styles=2)
    with torch.inference_mode():
        styled, gates = network.parts(x, weights)
        assert gates is not None and gates.shape == (2, 1, 24, 24)
        torch.testing.assert_close(network(x, weights), x + (styled - x) * gates, rtol=0, atol=0)
        assert not torch.equal(gates[0], gates[1])


def plainly(network: StyleTransformer, x: torch.Tensor, row: int) -> torch.Tensor:
    """The restyled image by the thesis's description, layer by layer, without any shortcut."""
    gammas = network.gamma[row].split(network.channels)
    betas = network.beta[row].split(network.channels)
    layers = iter(zip(gammas, betas, strict=True))

    def normalised(convolution: nn.Conv2d, y: torch.Tensor) -> torch.Tensor:
        y = convolution(F.pad(y, (convolution.kernel_size[0] // 2,) * 4, mode="reflect"))
        gamma, beta = next(layers)
        return F.instance_norm(y, weight=gamma, bias=beta, eps=EPS)

    for layer in network.encoder:
        x = F.relu(normalised(layer.conv, x))
    for number in range(0, len(network.residual), 2):
        inner = F.relu(normalised(network.residual[number].conv, x))
        x = x + normalised(network.residual[number + 1].conv, inner)
    for layer in network.decoder[:-1]:
        x = F.relu(normalised(layer.conv, F.interpolate(x, scale_factor=2, mode="nearest")))
    return torch.sigmoid(normalised(network.decoder[-1].conv, x))


@pytest.mark.parametrize("widths, blocks", [((4, 8, 12), 3), ((8, 8, 8), 0), ((32, 64, 128), 5)])
def test_the_network_is_the_one_described(widths: tuple[int, int, int], blocks: int) -> None:
    network = lively(random_network(2, widths=widths, blocks=blocks))
    x = picture(24, 36)
    with torch.inference_mode():
        for row in range(2):
            found = network(x, one_hot(row, styles=2))
            torch.testing.assert_close(found, plainly(network, x, row), rtol=0, atol=1e-8)


@pytest.mark.parametrize("size", [(20, 20), (24, 36), (96, 20)])
@pytest.mark.parametrize("gate", [False, True])
def test_the_picture_keeps_its_size_and_range(size: tuple[int, int], gate: bool) -> None:
    network = random_network(2, gate=gate)
    with torch.inference_mode():
        y = network(torch.rand(1, 3, *size), torch.tensor([[1.0, 0.0]]))
    assert y.shape == (1, 3, *size)
    assert y.min() >= 0 and y.max() <= 1 and y.std() > 0


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 1.7), (0.0, 0.0, 0.0)])
def test_a_mix_is_the_style_of_the_mixed_rows(weights: tuple[float, float, float]) -> None:
    """The weights need not sum to one: less is paler, more is exaggerated."""
    network = lively(random_network(3))
    row = torch.tensor([weights], dtype=torch.float64)
    single = lively(random_network(1))
    state = network.state_dict()
    single.load_state_dict({**state, "gamma": row @ state["gamma"], "beta": row @ state["beta"]})
    x = picture(24, 24)
    with torch.inference_mode():
        expected = single(x, torch.ones(1, 1, dtype=torch.float64))
        torch.testing.assert_close(network(x, row), expected, rtol=0, atol=1e-9)


def test_a_style_is_its_own_row_alone() -> None:
    network, x = random_network(2), torch.rand(1, 3, 24, 24)
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    with torch.inference_mode():
        before = network(x, first), network(x, second)
        network.gamma[1] += 0.5
        network.beta[1] -= 0.5
        assert torch.equal(network(x, first), before[0])
        assert not torch.allclose(network(x, second), before[1], atol=0.01)


def test_with_its_own_statistics_a_picture_comes_out_as_without() -> None:
    network = lively(random_network(2, gate=True))
    x, weights = picture(40, 28), torch.tensor([[0.4, 0.9]], dtype=torch.float64)
    with torch.inference_mode():
        statistics = network.measure(x, weights)
        assert [mean.shape for mean, _ in statistics] == [(channels,) for channels in network.channels]
        torch.testing.assert_close(network(x, weights, statistics), network(x, weights), rtol=0, atol=1e-5)


def test_parts_are_measured_as_if_they_were_one_picture() -> None:
    network = lively(random_network(1))
    x, weights = picture(24, 24, count=3), torch.ones(1, 1, dtype=torch.float64)
    with torch.inference_mode():
        mean, variance = network.measure(x, weights)[0]
        pixels = network.encoder[0](x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean.double(), pixels.mean(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(variance.double(), pixels.var(1, correction=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("blocks, gate", [(0, False), (1, True), (5, False), (5, True)])
def test_inside_its_halo_a_tile_is_the_picture(blocks: int, gate: bool) -> None:
    network = lively(random_network(2, gate=gate, blocks=blocks))
    step = network.multiple
    start, stop = network.halo + step, network.halo + 5 * step
    x = picture(stop + network.halo + step, stop + network.halo + 2 * step)
    weights = torch.tensor([[0.6, 0.7]], dtype=torch.float64)

    def difference(halo: int) -> float:
        window = x[:, :, start - halo : stop + halo, start - halo : stop + halo]
        tile = network(window, weights, statistics)[:, :, halo:-halo, halo:-halo]
        return float((tile - whole[:, :, start:stop, start:stop]).abs().max())

    with torch.inference_mode():
        statistics = network.measure(x, weights)
        whole = network(x, weights, statistics)
        assert network.halo % network.multiple == 0
        assert difference(network.halo) < 1e-12
        assert difference(network.halo - 2 * step) > 1e-6  # it is no wider than it has to be, by much


def test_at_the_picture_s_border_a_tile_needs_no_halo() -> None:
    network = lively(random_network(1))
    x, weights = picture(80, 84), torch.ones(1, 1, dtype=torch.float64)
    with torch.inference_mode():
        statistics = network.measure(x, weights)
        whole = network(x, weights, statistics)
        corner = network(x[:, :, : 16 + network.halo, : 20 + network.halo], weights, statistics)
    torch.testing.assert_close(corner[:, :, :16, :20], whole[:, :, :16, :20], rtol=0, atol=1e-12)


def test_the_thesis_s_network() -> None:
    network = build_style_transformer({"preset": "paper", "styles": 35})
    assert sum(network.channels) == 1603
    assert network.gamma.shape == network.beta.shape == (35, 1603)
    layers = [
        (3, 32, 9),
        (32, 64, 3),
        (64, 128, 3),
        *[(128, 128, 3)] * 10,
        (128, 64, 3),
        (64, 32, 3),
        (32, 3, 9),
    ]
    convolutions = sum(outputs * (inputs * kernel**2 + 1) for inputs, outputs, kernel in layers)
    assert sum(p.numel() for p in network.parameters()) == convolutions + 2 * 35 * 1603
    assert not [key for key in network.state_dict() if "taps" in key]


def test_a_shut_gate_leaves_the_input_to_the_bit_and_an_open_one_nothing_of_it() -> None:
    network, x = random_network(2, gate=True), torch.rand(1, 3, 24, 24)
    weights = torch.tensor([[1.0, 0.0]])
    with torch.inference_mode():
        network.gate.score.weight.zero_()
        network.gate.score.bias.fill_(-1e4)
        assert torch.equal(network(x, weights), x)
        network.gate.score.bias.fill_(1e4)
        torch.testing.assert_close(network(x, weights), network.parts(x, weights)[0], rtol=0, atol=1e-6)


def test_gate_takes_the_weights_of_a_network_without() -> None:
    plain, gated = random_network(2, seed=1), random_network(2, gate=True, seed=2)
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and all(key.startswith("gate.") for key in missing)
    x, weights = torch.rand(1, 3, 24, 24), torch.tensor([[0.3, 0.7]])
    with torch.inference_mode():
        styled, gate = gated.parts(x, weights)
        torch.testing.assert_close(styled, plain(x, weights))
    assert gate is not None and gate.max() < 0.5  # at first most pixels are no text


def test_starting_with_a_picture_s_colours() -> None:
    network = random_network(2)
    image = torch.randint(60, 200, (16, 40, 3), dtype=torch.uint8)
    image[..., 2] = 90  # a channel without contrast
    before = network.beta.detach().clone(), network.gamma.detach().clone()
    network.start_with_colours(1, image)
    with torch.inference_mode():
        y = network(torch.rand(1, 3, 32, 32), torch.tensor([[0.0, 1.0]]))
    wanted, found = torch.logit(image.float().reshape(-1, 3) / 255), torch.logit(y[0].flatten(1).T)
    torch.testing.assert_close(found.mean(0), wanted.mean(0), rtol=0, atol=1e-3)
    torch.testing.assert_close(found.std(0)[:2], wanted.std(0)[:2], rtol=0, atol=1e-2)
    assert found.std(0)[2] == pytest.approx(0.2, abs=1e-2)
    assert torch.equal(network.beta[0], before[0][0]) and torch.equal(network.gamma[0], before[1][0])
    assert torch.equal(network.beta[1, :-3], before[0][1, :-3])


def test_pure_white_and_black_are_colours_too() -> None:
    network = random_network(1)
    network.start_with_colours(0, torch.tensor([[[0, 255, 255], [0, 255, 0]]], dtype=torch.uint8))
    assert network.gamma.isfinite().all() and network.beta.isfinite().all()


def test_configurations() -> None:
    network = build_style_transformer({"preset": "paper", "styles": 3, "widths": [4, 8, 12], "gate": True})
    assert network.config == StyleConfig(styles=3, widths=(4, 8, 12), gate=True)
    for config in ({"preset": "large", "styles": 1}, {"styles": 1}):
        with pytest.raises(ValueError, match="unknown style transformer preset .*known: paper"):
            build_style_transformer(config)
    with pytest.raises(ValueError, match=r"unknown fields \['depth', 'width'\] .*known: .*'widths'"):
        build_style_transformer({"preset": "paper", "styles": 1, "width": 3, "depth": 2})
