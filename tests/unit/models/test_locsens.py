"""The triplet scorer: shapes, what silences a place, and the shared first layer."""

from __future__ import annotations

import pytest
import torch

from interplay.models.locsens import (
    COMPACT,
    MAX_SCALES,
    PAPER,
    LocSens,
    LocSensConfig,
    PlaceWaves,
    build_locsens,
)

SMALL = LocSensConfig(image=12, tag=10, modality=8, widths=(64, 32), groups=4)


def triplets(config: LocSensConfig, count: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    image, tag = torch.randn(count, config.image), torch.randn(count, config.tag)
    return image / image.norm(dim=1, keepdim=True), tag / tag.norm(dim=1, keepdim=True), torch.rand(count, 2)


def trained(config: LocSensConfig) -> LocSens:
    """Weights of a size that lets each modality be seen in the scores."""
    torch.manual_seed(2)
    model = LocSens(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_the_thesis_counts() -> None:
    """300 a modality, 900 together, 2048-2048-2048-1024-512-1 (facts 8.4)."""
    model = LocSens(PAPER)
    assert [tuple(layer.weight.shape) for layer in model.layers] == [
        (2048, 900), (2048, 2048), (2048, 2048), (1024, 2048), (512, 1024),
    ]  # fmt: skip
    assert {(norm.num_groups, norm.eps) for norm in model.norms} == {(32, 1e-3)}
    assert model.layers[0].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not model.layers[0].bias.any()


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("config", [SMALL, COMPACT])
def test_the_parts_give_the_same_scores(config: LocSensConfig, ready: bool) -> None:
    model, (image, tag, place) = trained(config), triplets(config)
    with torch.no_grad():
        if ready:
            model.rest_to(torch.float32)
        plain = model(image, tag[:1].expand_as(tag), place[:1].expand_as(place))
        one = model.tag_part(tag[:1]) + model.place_part(place[:1])
        images = model.score(model.centred(model.image_part(image)), one)
        plain_tags = model(image[:1].expand_as(image), tag, place[:1].expand_as(place))
        one = model.image_part(image[:1]) + model.place_part(place[:1])
        tags = model.score(model.centred(model.tag_part(tag)), one)
    assert plain.shape == (9,)
    assert plain.std() > 0.01
    torch.testing.assert_close(images, plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tags, plain_tags, atol=1e-4, rtol=1e-4)


def at(*degrees: tuple[float, float]) -> torch.Tensor:
    """(N, 2) as the network takes places, of latitudes and longitudes."""
    return (torch.tensor(degrees, dtype=torch.float64) / torch.tensor([180.0, 360.0]) + 0.5).float()


def test_waves_have_no_seam() -> None:
    """The date line and a pole's longitudes are one place; its waves may not know in which form it came."""
    waves = PlaceWaves(13)
    for one, other in (
        ((12.5, 180.0), (12.5, -180.0)),
        ((90.0, 10.0), (90.0, -130.0)),
        ((-90.0, 1.0), (-90.0, 77.0)),
    ):
        torch.testing.assert_close(waves(at(one)), waves(at(other)), atol=2e-3, rtol=0)


def test_waves_tell_near_places_apart_and_know_far_ones() -> None:
    waves = PlaceWaves(13)
    here, next_door, town, country, beyond = waves(
        at((41.38, 2.17), (41.381, 2.171), (41.40, 2.20), (43.0, -2.0), (-33.9, 151.2))
    )
    assert waves.outputs == len(here) == 3 + 2 * 13 * 16
    distances = [float((here - other).norm()) for other in (next_door, town, country, beyond)]
    assert distances == sorted(distances) and distances[0] > 0.3 and distances[2] > 1.1 * distances[1]
    torch.testing.assert_close(here[:3].norm(), torch.tensor(1.0))
    # The shortest wave is 6.2 km long: four radii, halved twelve times.
    assert 2 * torch.pi * 6371.0 / float(waves.waves.norm(dim=0).max()) == pytest.approx(6.22, abs=0.01)


def test_scales_have_a_limit() -> None:
    with pytest.raises(ValueError, match=f"scales must be 0 to {MAX_SCALES}, not 17"):
        LocSensConfig(scales=17)
    with pytest.raises(ValueError, match="not -1"):
        build_locsens({"scales": -1})


def test_a_silenced_place_says_nothing() -> None:
    model, (image, tag, place) = trained(SMALL), triplets(SMALL)
    with torch.no_grad():
        here, there = model(image, tag, place), model(image, tag, 1 - place)
        silent = [model(image, tag, where, 0.0) for where in (place, 1 - place)]
        half = model(image, tag, place, torch.tensor([[1.0]] * 4 + [[0.0]] * 5))
    assert not torch.allclose(here, there)
    assert torch.equal(*silent)
    torch.testing.assert_close(half[:4], here[:4])
    torch.testing.assert_close(half[4:], silent[0][4:])


def test_a_modality_that_is_rectified_to_nothing_is_finite() -> None:
    model, (image, tag, place) = trained(SMALL), triplets(SMALL)
    torch.nn.init.constant_(model.image.bias, -1e3)
    assert model(image, tag, place).isfinite().all()


def test_configurations() -> None:
    assert build_locsens({"image": 12, "widths": [64], "groups": 4}).config.widths == (64,)
    with pytest.raises(ValueError, match="multiples of 32 groups"):
        build_locsens({"widths": [100]})
    with pytest.raises(ValueError, match="not the configuration"):
        build_locsens({"width": 3})
