"""Tags at a place: all scored, or candidates; and the ranking of images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from interplay.errors import InternalError
from interplay.models.locsens import CentredParts
from interplay.predictors.locsens import tagger as tagger_module
from interplay.predictors.locsens.image import ImageTagger
from interplay.predictors.locsens.retriever import (
    ImageRanker,
    PartsItem,
    PreferenceItem,
    ScoreItem,
    preference,
)
from interplay.predictors.locsens.scorer import TripletItem
from interplay.predictors.locsens.tagger import PlaceTagger, TagItem
from interplay.store import resolve
from tests.locsens_models import DIMENSION, TAGS, make_locsens_store

BARCELONA = np.array([41.38, 2.17])
CHANCES = np.array([9, 8, 7, 1, 1, 1, 1, 1, 1], np.float32) / 30


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_locsens_store(tmp_path_factory.mktemp("model") / "store")


def opened(store: Path) -> tuple[PlaceTagger, ImageRanker]:
    image, vectors = resolve(store, "locsens-image").manifest, ImageTagger.open_tag_vectors(store)
    return (
        PlaceTagger.open(store, image, vectors, device="cpu"),
        ImageRanker.open(store, image, vectors, device="cpu"),
    )


def vectors(count: int) -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(count, DIMENSION)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_all_tags_in_order(store: Path) -> None:
    tagger, _ = opened(store)
    found = tagger.tag(TagItem(vectors(1)[0], CHANCES, BARCELONA, exact=True))
    assert sorted(found.tags) == list(range(len(TAGS)))
    assert (np.diff(found.scores) <= 0).all() and np.ptp(found.scores) > 0
    triplets = TripletItem(vectors(1).repeat(len(TAGS), 0), found.tags, BARCELONA[None].repeat(len(TAGS), 0))
    np.testing.assert_allclose(tagger.scorer.score_triplets(triplets), found.scores, atol=1e-4)


def test_candidates_are_what_the_image_suggests_and_what_is_used_there(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagger_module, "CANDIDATES", 3)
    tagger, _ = opened(store)
    found = tagger.tag(TagItem(vectors(1)[0], CHANCES, BARCELONA))
    assert {TAGS[tag] for tag in found.tags} == {"red", "green", "blue", "barcelona", "sea"}
    exact = tagger.tag(TagItem(vectors(1)[0], CHANCES, BARCELONA, exact=True))
    scores = dict(zip(exact.tags.tolist(), exact.scores, strict=True))
    np.testing.assert_allclose(found.scores, [scores[tag] for tag in found.tags], atol=1e-5)


def test_images_are_scored_from_vectors_or_from_parts(store: Path) -> None:
    _, ranker = opened(store)
    images = vectors(700)
    output = ranker.predict_batch([PartsItem(images), ScoreItem(images, (2, 5), BARCELONA)])
    parts, scores = output.results
    assert isinstance(parts, CentredParts) and isinstance(scores, np.ndarray)
    again = ranker.predict_batch([ScoreItem(parts, (2, 5), BARCELONA)]).results[0]
    np.testing.assert_array_equal(again, scores)
    both = [
        ranker.scorer.score_triplets(
            TripletItem(images, np.full(700, tag), BARCELONA[None].repeat(700, 0))
        )
        for tag in (2, 5)
    ]  # fmt: skip
    np.testing.assert_allclose(scores, np.mean(both, axis=0), atol=1e-4)


def test_warming_up(store: Path) -> None:
    for predictor in opened(store):
        predictor.warm_up()


@pytest.mark.parametrize("name", ["locsens-tagging", "locsens-retrieval"])
def test_a_scorer_of_another_image_model_is_refused(tmp_path: Path, name: str) -> None:
    store = make_locsens_store(tmp_path / "store")
    file = store / name / "1" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["details"]["image_sha256"] = "0" * 64
    file.write_text(json.dumps(manifest))
    with pytest.raises(InternalError, match="was trained on the image model 000"):
        opened(store)


def test_the_direction_in_which_scores_grow(store: Path) -> None:
    images, wanted = vectors(400), np.eye(DIMENSION, dtype=np.float32)[3]
    item = PreferenceItem(images, 7 * images @ wanted - 2)
    found = preference(item)
    assert found @ wanted > 0.98 and np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    (answer,) = opened(store)[1].predict_batch([item]).results
    np.testing.assert_array_equal(answer, found)
    level = preference(PreferenceItem(images, np.full(400, 3, np.float32)))
    np.testing.assert_array_equal(level, images[0])


def test_the_best_say_where_better_ones_are() -> None:
    rng, axes = np.random.default_rng(0), np.eye(DIMENSION, dtype=np.float32)
    many = rng.normal(size=(300, DIMENSION)).astype(np.float32)
    few = rng.normal(size=(40, DIMENSION)).astype(np.float32)
    scores = np.concatenate([many @ axes[0], 6 + 2 * (few @ axes[1])])
    found = preference(PreferenceItem(np.concatenate([many, few]), scores.astype(np.float32)))
    assert found @ axes[1] > found @ axes[0] + 0.3


def test_triplets_of_a_batch_are_scored_together_and_told_apart(store: Path) -> None:
    images, tagger, ranker = vectors(9), *opened(store)
    sizes = (4, 1, 3, 1)
    ends = np.cumsum(sizes)
    items = [
        TripletItem(images[end - size : end], np.arange(size), BARCELONA[None].repeat(size, 0) + size)
        for size, end in zip(sizes, ends, strict=True)
    ]
    for predictor, other in (
        (tagger, TagItem(images[0], CHANCES, BARCELONA)),
        (ranker, ScoreItem(images, (2,), BARCELONA)),
    ):
        results = predictor.predict_batch([items[0], other, *items[1:]]).results
        for item, scores in zip(items, (results[0], *results[2:]), strict=True):
            assert scores.dtype == np.float32
            np.testing.assert_allclose(scores, predictor.scorer.score_triplets(item), atol=1e-5)
        alone = predictor.predict_batch([other]).results[0]
        if isinstance(alone, np.ndarray):
            np.testing.assert_array_equal(results[1], alone)
        else:
            np.testing.assert_array_equal(results[1].scores, alone.scores)
