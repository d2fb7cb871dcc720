"""Learning a style: the loss falls, and nothing but the new style's two rows comes of it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from interplay.predictors.style_transfer.learner import content_crop, learn_style
from interplay.predictors.style_transfer.words import draw_words
from tests.style_models import random_network, random_perceptual

PICTURE = draw_words("Neon", 48, (240, 40, 200), (10, 10, 60)).image


def learn(steps: int = 12, **options: object) -> tuple:
    network, perceptual = random_network(3), random_perceptual(width=8)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    reports: list[tuple[int, dict[str, float]]] = []
    learned = learn_style(
        network,
        perceptual,
        PICTURE,
        steps=steps,
        size=64,
        report=lambda step, losses: reports.append((step, losses)),
        **options,  # type: ignore[arg-type]
    )
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    return network, learned, reports


def test_the_loss_falls_and_the_network_stays() -> None:
    network, learned, reports = learn(30)
    assert [step for step, _ in reports] == list(range(1, 31))
    assert all(np.isfinite([losses["style"], losses["content"]]).all() for _, losses in reports)
    _, untrained, _ = learn(0)
    assert untrained.loss_before == learned.loss_before
    assert learned.loss_after < 0.9 * untrained.loss_after < 0.1 * learned.loss_before
    assert learned.gamma.shape == learned.beta.shape == (sum(network.channels),)
    assert not learned.gamma.requires_grad and learned.gamma.isfinite().all()
    assert not torch.equal(learned.gamma, network.gamma[learned.started_from])


def test_without_steps_it_is_the_nearest_style_in_the_picture_s_colours() -> None:
    network, learned, reports = learn(0)
    assert reports == [] and learned.started_from in range(3)
    assert torch.equal(learned.gamma[:-3], network.gamma[learned.started_from][:-3])
    assert torch.equal(learned.beta[:-3], network.beta[learned.started_from][:-3])
    colours = torch.sigmoid(learned.beta[-3:])
    assert colours[2] > colours[0] > colours[1]  # as on the whole in the picture


def test_the_nearest_style_is_a_style_s_own_picture() -> None:
    """Of three styles, one leaves the paper's colour as in the picture and the others the opposite."""
    network = random_network(3)
    with torch.no_grad():
        network.beta[:, -3:] = torch.tensor([[4.0, 4.0, 4.0], [-3.0, -3.0, -1.2], [4.0, -4.0, -4.0]])
        network.gamma[:, -3:] = 0.3
    assert learn_style(network, random_perceptual(), PICTURE, steps=0, size=64).started_from == 1


def test_the_same_seed_gives_the_same_style() -> None:
    _, first, _ = learn(3)
    _, again, _ = learn(3)
    _, other, _ = learn(3, seed=1)
    assert torch.equal(first.gamma, again.gamma) and first.loss_after == again.loss_after
    assert not torch.equal(first.gamma, other.gamma)


def test_photos_are_content_too() -> None:
    photos = [np.random.default_rng(n).integers(0, 256, (50 + n, 90, 3), dtype=np.uint8) for n in range(3)]
    _, plain, _ = learn(3)
    _, learned, _ = learn(3, photos=photos)
    assert not torch.equal(plain.gamma, learned.gamma)


@pytest.mark.parametrize("shape", [(16, 16), (200, 16), (16, 600)])
def test_pictures_of_any_shape(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    learned = learn_style(random_network(1), random_perceptual(width=8), picture, steps=1, size=48)
    assert np.isfinite([learned.loss_before, learned.loss_after]).all()


@pytest.mark.parametrize("with_photos", [False, True])
def test_content_is_words_on_something(with_photos: bool) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (90, 300, 3), dtype=np.uint8)] if with_photos else []
    for seed in range(10):
        crop = content_crop(random.Random(seed), 96, photos)
        assert crop.shape == (96, 96, 3) and crop.dtype == np.uint8
        assert crop.reshape(-1, 3).std(axis=0).max() > 5
        np.testing.assert_array_equal(crop, content_crop(random.Random(seed), 96, photos))
    assert not np.array_equal(content_crop(random.Random(0), 96), content_crop(random.Random(1), 96))
