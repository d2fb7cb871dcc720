"""Likeness, learnt on made-up posts: words of the posts trained on count, others do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.fusion import Fusion
from interplay.predictors.hate_classifier.linear import LinearModel
from interplay.predictors.hate_classifier.members import ImageScorer
from interplay.store import resolve
from tests.hate_models import publish_small_models
from training.datasets.posts import Post
from training.hate_classifier import ordinary
from training.hate_classifier.export import publish_fitted
from training.hate_classifier.fit import Fitted, read_fitted
from training.hate_classifier.metrics import Thresholds, auc
from training.hate_classifier.ordinary import add_likeness, fit_likeness, shares, table
from training.hate_classifier.sets import Sets, Text

PLAIN = ["day", "we", "meet", "house", "people", "again", "with", "running", "lovely", "weather"]


def _texts(number: int, seed: int, extra: list[str]) -> list[str]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        words = rng.choice(PLAIN, 5).tolist()
        words.insert(2, str(rng.choice(extra)))
        found.append(" ".join(words))
    return found


ALIKE = _texts(150, 0, ["bad", "awful", "bad @name"])
ORDINARY = _texts(150, 1, ["sunny", "tasty", "https://t.co/x"])


@pytest.fixture
def fitted(tmp_path: Path) -> Fitted:
    """The small models, with scores of `POSTS` that know half of it."""
    rng = np.random.default_rng(0)
    labels = np.array([bool(post.label) for post in POSTS])
    tweets = np.clip(0.5 + 0.2 * (labels - 0.5) + rng.normal(size=len(labels)) * 0.1, 0.01, 0.99)
    stored = resolve(publish_small_models(tmp_path), "hate-classifier")
    found = read_fitted(stored, tweets, np.zeros(2), np.zeros(2))
    small = np.full(1280, 1e-3, dtype=np.float32)  # the other's numbers do not fit into sixteen bits
    return replace(found, image=ImageScorer(small, small, 0.0))


POSTS = [
    Post(str(number), text, image_text="awful" if number % 3 == 0 else None, label=number % 2 == 0)
    for number, text in enumerate(_texts(120, 2, ["bad", "awful", "good"]))
]
SETS = Sets(alike=ALIKE, ordinary=ORDINARY, reported={"plain": ORDINARY[:20], "alike": ALIKE[:20]})


def test_words_speak_for_likeness_and_never_against() -> None:
    model = fit_likeness(ALIKE, ORDINARY)
    assert isinstance(model, LinearModel)
    (block,) = model.blocks
    assert len(block.keys) == 2 and (block.weights > 0).all()  # "bad" and "awful": no classes, no others
    assert model.score("bad") > 1 > 0 > model.score("table")
    assert model.score("table") == model.score("sunny lovely") == model.bias
    assert model.score("bad, sunny lovely weather") == model.score("bad")
    assert len(fit_likeness(ALIKE, ORDINARY, strength=10.0).blocks[0].keys) == 0


def test_likeness_costs_little_of_the_auc(fitted: Fitted) -> None:
    labels = np.array([bool(post.label) for post in POSTS])
    found, facts = add_likeness(fitted, POSTS, SETS)
    assert auc(labels, found.tweets) >= auc(labels, fitted.tweets) - ordinary.LOSS
    assert facts["auc_cross_validated"]["with"] == auc(labels, found.tweets)
    assert found.fusion.rest == ordinary.REST and facts["words"] > 0
    assert found.general is None and facts["general_ngrams"] == 0
    assert found.likeness is not None and fitted.likeness is None and fitted.fusion.rest == 0.0
    plain = fit_likeness([post.text for post in POSTS] + ALIKE, ORDINARY)
    assert found.likeness.score("bad") == pytest.approx(plain.score("bad") + facts["shift"])
    hopeless = replace(fitted, tweets=labels * 0.02 + np.arange(len(labels)) % 97 * 1e-4 + 0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordinary, "LOSS", -1.0)
        with pytest.raises(ValueError, match="costs"):
            add_likeness(hopeless, POSTS, SETS)


def test_published_classifier_has_it(fitted: Fitted, tmp_path: Path) -> None:
    found, _ = add_likeness(fitted, POSTS, SETS)
    found = replace(found, likeness=fit_likeness(ALIKE, ORDINARY))
    publish_fitted(tmp_path, found, Thresholds(0.5, 0.5), version=2)
    classifier = HateClassifier.open(tmp_path, device="cpu")
    assert classifier.fusion.rest == ordinary.REST and classifier.likeness is not None
    assert Fusion.from_config(classifier.fusion.config()) == classifier.fusion
    rows = shares(classifier, SETS.reported, threshold=0.3, without=0.3)
    assert rows["plain"]["without"] > 0.9 and rows["plain"]["with"] == 0.0
    assert rows["alike"]["with"] == rows["alike"]["without"] > 0.9
    assert "| plain | 20 | 100.0 % | 0.0 % |" in table(rows)
    before = resolve(tmp_path, "hate-classifier", 1)
    old = HateClassifier.open(tmp_path, before.manifest.version, device="cpu")
    said = [each.predict([PostItem("", "awful words")]).results[0] for each in (old, classifier)]
    assert said[0].probability == pytest.approx(said[1].probability, abs=0.01)  # type: ignore[union-attr]


def test_general_model_judges_what_is_not_alike(fitted: Fitted, tmp_path: Path) -> None:
    texts = [Text(f"{text} women", 1.0, "ToxiGen", text) for text in _texts(60, 3, ["vile", "nasty"])]
    texts += [Text(f"{text} women", 0.0, "ToxiGen", text) for text in _texts(60, 4, ["kind", "clever"])]
    found, facts = add_likeness(fitted, POSTS, replace(SETS, general=texts))
    assert found.general is not None and facts["general_ngrams"] == len(found.general.blocks[0].keys) > 0
    assert facts["texts"]["general"] == 120
    found = replace(found, likeness=fit_likeness(ALIKE, ORDINARY))
    publish_fitted(tmp_path, found, Thresholds(0.5, 0.5), version=2)
    classifier = HateClassifier.open(tmp_path, device="cpu")
    said = [
        answer.probability
        for answer in classifier.predict([PostItem("vile jews"), PostItem("kind jews")]).results
        if isinstance(answer, PostAnswer)
    ]
    assert said[0] > 0.5 > 0.3 > said[1]  # learnt of women, holds for jews
