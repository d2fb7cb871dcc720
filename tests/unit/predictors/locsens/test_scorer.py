"""The scorer that serves gives the network's own scores, whatever is computed once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interplay.models.locsens import LocSens, LocSensConfig
from interplay.predictors.locsens.scorer import TripletItem, TripletScorer, normalised

CONFIG = LocSensConfig(image=12, tag=12, modality=16, widths=(64, 32), groups=4)
PLACE = np.array([41.38, 2.17])


def network() -> LocSens:
    torch.manual_seed(2)
    model = LocSens(CONFIG).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def vectors(count: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


IMAGES, TAGS = vectors(1100, 0), vectors(40, 1)  # more than two chunks of images


def plain(images: np.ndarray, tags: np.ndarray, places: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    with torch.inference_mode():
        at = torch.from_numpy(normalised(places))
        return network()(torch.from_numpy(images), torch.from_numpy(tags), at, alpha).numpy()


def test_degrees_to_the_unit_range() -> None:
    corners = np.array([[-45, -90], [45, 90], [0, 0], [41.38, 2.17]])
    expected = [[0.25, 0.25], [0.75, 0.75], [0.5, 0.5], [0.72989, 0.50603]]
    np.testing.assert_allclose(normalised(corners), expected, atol=1e-5)


def test_places_that_are_one_are_one() -> None:
    assert np.ptp(normalised(np.array([[90, -180], [90, 0], [90.0, 77]])), axis=0).max() == 0
    assert np.ptp(normalised(np.array([[10, -180], [10, 180.0]])), axis=0).max() == 0


def test_images_for_a_tag() -> None:
    scorer = TripletScorer(network(), TAGS)
    scores = scorer.score_images(scorer.image_parts(IMAGES), [7], PLACE)
    expected = plain(IMAGES, TAGS[[7] * len(IMAGES)], PLACE[None].repeat(len(IMAGES), 0))
    assert expected.std() > 0.01
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_several_tags_are_averaged() -> None:
    scorer = TripletScorer(network(), TAGS)
    parts = scorer.image_parts(IMAGES[:9])
    one, other = (scorer.score_images(parts, [tag], PLACE) for tag in (3, 8))
    np.testing.assert_allclose(scorer.score_images(parts, [3, 8], PLACE), (one + other) / 2, atol=1e-6)


def test_tags_of_an_image() -> None:
    scorer = TripletScorer(network(), TAGS)
    expected = plain(IMAGES[[5] * 40], TAGS, PLACE[None].repeat(40, 0))
    np.testing.assert_allclose(scorer.score_tags(IMAGES[5], PLACE), expected, atol=1e-4)
    some = np.array([30, 2, 11])
    np.testing.assert_allclose(scorer.score_tags(IMAGES[5], PLACE, some), expected[some], atol=1e-4)


def test_a_place_can_be_silenced() -> None:
    scorer = TripletScorer(network(), TAGS)
    expected = plain(IMAGES[[5] * 40], TAGS, np.zeros((40, 2)), 0.0)
    np.testing.assert_allclose(scorer.score_tags(IMAGES[5], None), expected, atol=1e-4)


def test_triplets() -> None:
    scorer, rng = TripletScorer(network(), TAGS), np.random.default_rng(3)
    rows, places = rng.integers(40, size=25), rng.uniform((-90, -180), (90, 180), size=(25, 2))
    scores = scorer.score_triplets(TripletItem(IMAGES[:25], rows, places))
    np.testing.assert_allclose(scores, plain(IMAGES[:25], TAGS[rows], places), atol=1e-4)


def test_no_images_have_no_scores() -> None:
    scorer = TripletScorer(network(), TAGS)
    parts = scorer.image_parts(IMAGES[:0])
    assert scorer.score_images(parts, [0], PLACE).shape == (0,)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near(dtype: str) -> None:
    scorer = TripletScorer(network(), TAGS, dtype=dtype)
    scores = scorer.score_images(scorer.image_parts(IMAGES), [7], PLACE)
    expected = plain(IMAGES, TAGS[[7] * len(IMAGES)], PLACE[None].repeat(len(IMAGES), 0))
    assert scores.dtype == np.float32
    assert np.corrcoef(scores, expected)[0, 1] > 0.999
