"""The whole of it on made-up posts: trained, published, served, and its figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interplay.models.hate import LstmConfig
from interplay.predictors.hate_classifier.answers import CATEGORIES, PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.fusion import WITH_TEXT, WITHOUT_TEXT
from interplay.store import resolve
from tests.hate_models import publish_small_models
from training.datasets.posts import Post
from training.hate_classifier import lstm
from training.hate_classifier.errors import error_rates, table
from training.hate_classifier.export import calibration_error, cross_thresholds, probabilities, publish_fitted
from training.hate_classifier.figures import draw_reliability, draw_scores, reliability
from training.hate_classifier.fit import Fitted, bins, fit_classifier
from training.hate_classifier.linear import RECIPES
from training.hate_classifier.metrics import auc, choose_thresholds, evaluate
from training.hate_classifier.table import markdown, paired_tests, permutation_p, unseen

FILLER = ["river", "table", "window", "garden", "letter", "music", "winter", "bottle", "paper", "summer"]
FEATURES = 1280


def _posts(number: int, *, memes: bool) -> list[Post]:
    rng, posts = np.random.default_rng(int(memes)), []
    for one in range(number):
        hate = bool(one % 2)
        words = rng.choice(FILLER, size=6).tolist() + [f"tag{one}"]
        words[2] = "awful" if hate != (rng.random() < 0.2) else "lovely"
        text = " ".join(words)
        labels = ("Sexist", "Sexist", "NotHate") if hate else ("NotHate",) * 3
        texts = (
            {"text": "", "image_text": text}
            if memes
            else {"text": text, "image_text": "window" * (one % 3 == 0)}
        )
        posts.append(Post(f"{memes}{one}", labels=labels, label=hate, **texts))
    return posts


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    memes = _posts(60, memes=True)
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, FEATURES)).astype(np.float32)
    features[:, :200] += np.array([[float(bool(meme.label))] for meme in memes])
    options = replace(lstm.COMPACT, network=LstmConfig(vector=8, hidden=8, kinds=len(CATEGORIES)), epochs=2)
    return fit_classifier(
        _posts(150, memes=False), memes, features, {}, options=options, recipes={"nb": RECIPES["nb"]}
    )


def test_scores_out_of_fold_know_the_word(fitted: Fitted) -> None:
    labels = np.array([bool(post.label) for post in _posts(150, memes=False)])
    assert 0.65 < auc(labels, fitted.tweets) < 0.95
    assert abs(fitted.tweets.mean() - labels.mean()) < 0.02
    memes = np.array([bool(post.label) for post in _posts(60, memes=True)])
    assert auc(memes, fitted.memes) > auc(memes, fitted.memes_text)
    assert fitted.fusion.kinds[WITHOUT_TEXT].weights["image"] > 0


def test_published_model_says_what_was_trained(fitted: Fitted, tmp_path: Path) -> None:
    store = publish_small_models(tmp_path)
    posts = _posts(150, memes=False)
    labels = np.array([bool(post.label) for post in posts])
    thresholds = choose_thresholds(labels, fitted.tweets)
    facts = {"training": {"recipe": "test"}, "metrics": {"auc": 1.0}, "details": {"split_sha256": "0"}}
    stored = publish_fitted(store, fitted, thresholds, version=2, **facts)
    manifest = stored.manifest
    assert manifest.dtype == "float16" and manifest.details["split_sha256"] == "0"
    assert manifest.thresholds["hate"] == thresholds.balanced_accuracy
    assert all(row["license"] for row in manifest.data)
    classifier = HateClassifier.open(store, device="cpu")
    assert classifier.manifest.version == 2 and classifier.threshold == thresholds.balanced_accuracy
    found, answers = probabilities(classifier, [PostItem(post.text, post.image_text) for post in posts])
    said, _ = fitted.text.score([post.text for post in posts])
    plain = np.array([not post.image_text for post in posts])
    weighing = fitted.fusion.kinds[WITH_TEXT]
    expected = 1 / (1 + np.exp(-(weighing.bias + weighing.weights["text"] * said)))
    assert found[plain] == pytest.approx(expected[plain], abs=0.01)  # sixteen bits
    assert auc(labels, found) > 0.75
    assert isinstance(answers[0], PostAnswer)
    assert sum(answers[0].categories.values()) == pytest.approx(answers[0].probability)
    assert resolve(store, "hate-classifier", 2).manifest.weights_bytes < 500_000


def test_threshold_of_a_post_comes_from_the_other_folds() -> None:
    labels = np.array([False, True] * 20)
    scores, fold = labels + 0.0, np.repeat([0, 1], 20)
    scores[:20] += 10
    found = cross_thresholds(labels, scores, fold)
    assert (found[:20] < 5).all() and (found[20:] > 5).all()


def test_calibration_error_and_bins() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(4000)
    labels = rng.random(4000) < probability
    assert calibration_error(labels, probability) < 0.04
    assert calibration_error(labels, probability**3) > 0.1
    found = bins(probability, labels, 8)
    assert [one.upto for one in found] == sorted(one.upto for one in found) and found[-1].upto == 1.0
    assert sum(one.posts for one in found) == 4000 and sum(one.hate for one in found) == labels.sum()


def test_error_rates_by_group_show_no_posts() -> None:
    posts = [
        Post(str(n), f"two women and {n} more", labels=("NotHate",) * 3, label=False) for n in range(20)
    ] + [Post(f"m{n}", f"the mosque of muslims {n}", labels=("Religion",) * 3, label=True) for n in range(20)]
    probability = np.array([0.9] * 5 + [0.1] * 15 + [0.9] * 16 + [0.1] * 4)
    rows = {row["name"]: row for row in error_rates(posts, probability, 0.5)}
    assert rows["all posts"]["posts"] == 40
    assert rows["women"]["false_alarms"][0] == 0.25 and rows["women"]["misses"] is None
    assert rows["muslims"]["misses"][0] == pytest.approx(0.2)
    assert rows["Religion"]["posts"] == 20 and rows["jews"]["posts"] == 0
    shown = table(list(rows.values()))
    assert "| women | 20 | 0 | 0.25 [" in shown and "jews" not in shown and "mosque" not in shown


def test_paired_tests_tell_a_better_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(300) < 0.5
    noise = rng.normal(size=300)
    scores = {
        "FCM | TT, IT": labels * 0.5 + noise,
        "FCM | TT, IT, I": labels * 1.5 + noise,
        "SCM | TT, IT": labels + noise,
        "SCM | TT, IT, I": labels + noise + rng.normal(size=300) * 0.01,
    }
    found = paired_tests(labels, scores)
    assert found["FCM"]["difference"] > 0.1 and found["FCM"]["permutation_p"] < 0.01
    assert found["FCM"]["p"] < 0.01 and found["SCM"]["permutation_p"] > 0.05
    assert permutation_p(labels, noise, noise) == 1.0
    fold = np.arange(300) % 5
    rows = {
        name: evaluate(labels, values, cross_thresholds(labels, values, fold), bootstrap=20)
        for name, values in scores.items()
    }
    assert markdown(rows).count("\n") == 5


def test_figures_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(200)
    labels = rng.random(200) < probability
    rows = reliability(probability, labels, 5)
    assert rows.shape == (5, 4) and (np.diff(rows[:, 0]) > 0).all()
    assert ((rows[:, 2] <= rows[:, 1]) & (rows[:, 1] <= rows[:, 3])).all()
    draw_reliability({"a": (probability, labels)}, tmp_path / "a.png")
    draw_scores(probability, labels, tmp_path / "b.png")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("a.png", "b.png"))


def test_posts_that_training_has_seen_are_left_out() -> None:
    train = [Post("1", "one two three four five"), Post("2", "something else altogether")]
    posts = [Post("3", "five four three two one"), Post("4", "quite another thing"), Post("5", "")]
    assert [post.id for post in unseen(posts, train)] == ["4", "5"]
