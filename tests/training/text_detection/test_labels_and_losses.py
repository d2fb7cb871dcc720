"""Pixel labels and the losses on them."""

import numpy as np
import pytest
import torch

from interplay.models.textfcn import BACKGROUND, BORDER, CORE
from training.text_detection.labels import GAP_WEIGHT, draw_labels, shrink
from training.text_detection.losses import IGNORED, dice_loss, paper_loss, text_loss

WORD = np.float32([[20, 20], [100, 20], [100, 44], [20, 44]])


def test_shrinking_follows_the_vatti_offset() -> None:
    (core,) = shrink(WORD, 0.6)
    offset = 80 * 24 * (1 - 0.36) / (2 * (80 + 24))
    np.testing.assert_allclose(np.sort(core[:, 0])[[0, -1]], [20 + offset, 100 - offset], atol=0.05)
    np.testing.assert_allclose(np.sort(core[:, 1])[[0, -1]], [20 + offset, 44 - offset], atol=0.05)
    assert shrink(np.float32([[0, 0], [1, 1], [2, 2]]), 0.5) == []


def test_labels_nest_core_in_border_in_background() -> None:
    labels, weights = draw_labels([WORD], [True], size=128, stride=2, ratio=0.6)
    assert labels.shape == weights.shape == (64, 64)
    assert labels[16, 30] == CORE and labels[11, 30] == BORDER and labels[2, 2] == BACKGROUND
    assert (labels != BACKGROUND).sum() == pytest.approx(80 * 24 / 4, rel=0.12)
    assert weights[2, 2] == 1.0


def test_small_words_weigh_more_a_pixel() -> None:
    small = WORD * 0.3
    _, weights = draw_labels([WORD, small + 80], [True, True], size=128, stride=1, ratio=0.6)
    assert weights[int(32 * 0.3 + 80), int(60 * 0.3 + 80)] > weights[32, 60]


def test_illegible_and_tiny_words_are_ignored_but_never_hide_others() -> None:
    tiny = np.float32([[5, 100], [60, 100], [60, 103], [5, 103]])
    labels, _ = draw_labels([WORD, WORD + 10, tiny], [True, False, True], size=128, stride=1, ratio=0.6)
    assert labels[32, 60] == CORE
    assert labels[50, 100] == IGNORED and labels[101, 30] == IGNORED


def perfect_logits(labels: torch.Tensor) -> torch.Tensor:
    clean = torch.where(labels == IGNORED, 0, labels).long()
    return torch.nn.functional.one_hot(clean, 3).permute(0, 3, 1, 2).float() * 20


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    labels, weights = draw_labels([WORD, WORD + 60], [True, False], size=128, stride=2, ratio=0.6)
    return torch.from_numpy(labels)[None], torch.from_numpy(weights)[None]


def test_a_perfect_answer_costs_nothing() -> None:
    labels, weights = batch()
    loss, parts = text_loss(perfect_logits(labels), labels, weights)
    assert loss < 0.01 and set(parts) == {"entropy", "ground", "dice_text", "dice_core"}


def test_ignored_pixels_do_not_matter() -> None:
    labels, weights = batch()
    logits = perfect_logits(labels)
    other = logits.clone()
    other.movedim(1, -1)[labels == IGNORED] = torch.tensor([-20.0, 0.0, 20.0])
    assert (labels == IGNORED).any()
    assert torch.equal(text_loss(logits, labels, weights)[0], text_loss(other, labels, weights)[0])


def test_false_text_costs_more_than_doubt() -> None:
    labels, weights = batch()
    logits = perfect_logits(labels)
    wrong, unsure = logits.clone(), logits.clone()
    wrong[:, :, :4] = torch.tensor([-10.0, 0.0, 10.0])[None, :, None, None]
    unsure[:, :, :4] = 0.0
    costs = [float(text_loss(x, labels, weights)[0]) for x in (logits, unsure, wrong)]
    assert costs == sorted(costs) and costs[2] > costs[1] > costs[0]


@pytest.mark.parametrize("value", [BACKGROUND, IGNORED])
def test_pictures_without_text_are_fine(value: int) -> None:
    labels = torch.full((1, 16, 16), value, dtype=torch.uint8)
    logits = torch.randn(1, 3, 16, 16, requires_grad=True)
    loss, _ = text_loss(logits, labels, torch.ones(1, 16, 16))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_dice_is_zero_for_equal_masks_and_near_one_for_disjoint_ones() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :4] = True
    everywhere = torch.ones_like(mask)
    assert dice_loss(mask.float(), mask, everywhere, torch.ones(1, 8, 8)) == pytest.approx(0, abs=1e-6)
    assert dice_loss((~mask).float(), mask, everywhere, torch.ones(1, 8, 8)) > 0.9


def test_paper_loss_is_the_mean_cross_entropy() -> None:
    labels = torch.tensor([[[0, 1], [1, IGNORED]]], dtype=torch.uint8)
    loss, _ = paper_loss(torch.zeros(1, 2, 2, 2), labels, torch.ones(1, 2, 2))
    assert loss == pytest.approx(np.log(2), abs=1e-6)


def test_pixels_between_neighbouring_words_weigh_most() -> None:
    left, right = WORD, WORD + np.float32([86, 0])  # six pixels apart, 24 high
    labels, weights = draw_labels([left, right], [True, True], size=256, stride=1, ratio=0.6)
    assert weights[32, 103] == GAP_WEIGHT
    assert weights[32, 60] < GAP_WEIGHT and weights[150, 103] == 1.0
    assert (weights[labels == CORE] < GAP_WEIGHT).all()
    _, far = draw_labels([left, right + 40], [True, True], size=256, stride=1, ratio=0.6)
    assert far.max() < GAP_WEIGHT
