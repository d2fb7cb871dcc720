"""Dreams: sizes, taking up again, steps that climb, and gradients that are right."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.errors import InvalidParameter
from interplay.predictors.embedding.dream import DreamPlan, Picture
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.predictors.embedding.inside import LAYERS, UNITS, Aim, DreamItem, ImageNetwork, LookItem
from interplay.store import resolve
from tests.embedding_models import COLOURS, make_embedding_store, plain

PLAN = DreamPlan(60, 90, octaves=3, scale=1.5, steps=4, jitter=5)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> ImageEmbedder:
    store = make_embedding_store(tmp_path_factory.mktemp("model") / "store")
    return ImageEmbedder.load(
        resolve(store, "embedding-image"), resolve(store, "backbone-lite0"), device="cpu", dtype="float32"
    )


@pytest.fixture(scope="module")
def network(embedder: ImageEmbedder) -> ImageNetwork:
    return ImageNetwork(embedder)


def test_sizes_and_ends() -> None:
    assert [PLAN.size(octave) for octave in range(3)] == [(27, 40), (40, 60), (60, 90)]
    assert (PLAN.total, [done for done in range(13) if PLAN.ends_octave(done)]) == (12, [4, 8, 12])
    plan = DreamPlan.for_image(300, 100, 192, octaves=1)
    assert (plan.height, plan.width) == (192, 64)
    with pytest.raises(InvalidParameter, match="the smallest of 4 octaves has a side of 23 pixels"):
        DreamPlan.for_image(300, 100, 192, octaves=4)


def test_detail_is_carried_over_to_the_next_size() -> None:
    image = plain("blue", width=90, height=60)
    assert PLAN.start(image, 0, None).shape == (27, 40, 3)
    small = PLAN.start(image, 0, None)
    small[:13] += 20
    grown = PLAN.start(image, 4, small)
    assert grown.shape == (40, 60, 3)
    ground = np.array(COLOURS["blue"], np.float32)
    assert grown[:15] == pytest.approx(np.broadcast_to(ground + 20, (15, 60, 3)), abs=1.5)
    assert grown[25:] == pytest.approx(np.broadcast_to(ground, (15, 60, 3)), abs=1.5)
    assert (PLAN.start(image, 5, grown) == grown).all()
    with pytest.raises(InvalidParameter, match="the picture has 40×27 pixels; after 5 steps it has 60×40"):
        PLAN.start(image, 5, small)


def test_shifts_are_those_of_the_seed_and_within_the_jitter() -> None:
    shifts = [PLAN.shift(step) for step in range(50)]
    assert shifts == [PLAN.shift(step) for step in range(50)] and len(set(shifts)) > 20
    assert max(abs(part) for shift in shifts for part in shift) == 5
    assert DreamPlan(60, 90, jitter=0).shift(3) == (0, 0)


def test_a_step_changes_by_the_rate_and_stays_a_picture() -> None:
    gradient = np.random.default_rng(0).normal(size=(40, 60, 3)).astype(np.float32)
    picture = np.full((40, 60, 3), 128, np.float32)
    assert np.abs(PLAN.climb(picture, gradient) - picture).mean() == pytest.approx(1.5, rel=0.01)
    end = PLAN.climb(np.full((40, 60, 3), 254.5, np.float32), gradient)
    assert end.max() == 255 and end.min() >= 0
    assert (PLAN.climb(picture, 0 * gradient) == picture).all()


def test_what_units_answer_is_what_the_vectors_are_made_of(
    network: ImageNetwork, embedder: ImageEmbedder
) -> None:
    images = [plain(colour, seed=9) for colour in COLOURS]
    found = network.predict_batch([LookItem(image, (7, 3)) for image in images]).results
    vectors = embedder.predict(images)
    for answer, vector in zip(found, vectors, strict=True):
        assert answer.pooled == pytest.approx(vector.features, abs=1e-5)
        assert answer.maps.shape == (2, 1, 1) and answer.pooled.shape == (UNITS,)
        assert answer.maps.mean((1, 2)) == pytest.approx(answer.pooled[[7, 3]], abs=1e-6)
    plainly = network.predict_batch(images).results
    assert all((a.vector == b.vector).all() for a, b in zip(plainly, vectors, strict=True))


@pytest.mark.parametrize(
    "aim", [Aim(layer=3), Aim(layer=LAYERS), Aim(unit=11), Aim(vector=np.eye(8, dtype=np.float32)[0])]
)
def test_the_gradient_is_that_of_the_score(network: ImageNetwork, aim: Aim) -> None:
    picture = plain("green", width=64, height=64, seed=5).astype(np.float32)
    (step,) = network.predict_batch([DreamItem(picture, aim)]).results
    assert step.gradient.shape == picture.shape and np.abs(step.gradient).max() > 0
    length = 2.0 / float(np.abs(step.gradient).max())
    ahead, behind = (
        network.predict_batch([DreamItem(picture + sign * length * step.gradient, aim)]).results[0].score
        for sign in (1, -1)
    )
    expected = 2 * length * float((step.gradient.astype(np.float64) ** 2).sum())
    assert ahead > step.score > behind
    assert ahead - behind == pytest.approx(expected, rel=0.35)


def test_a_dream_comes_nearer_to_its_aim(network: ImageNetwork) -> None:
    image = plain("white", width=96, height=64, seed=1)
    plan = DreamPlan(64, 96, octaves=1, steps=8, jitter=0)
    aim = Aim(vector=np.eye(8, dtype=np.float32)[0])  # red
    picture: Picture = plan.start(image, 0, None)
    scores = []
    for _ in range(plan.total):
        (step,) = network.predict_batch([DreamItem(picture, aim)]).results
        scores.append(step.score)
        picture = plan.climb(picture, step.gradient)
    assert scores[-1] > scores[0] + 0.02
