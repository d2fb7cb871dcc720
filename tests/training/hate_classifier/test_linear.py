"""Linear models: what serving scores is what scikit-learn trained, and nothing leaks."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from interplay.predictors.hate_classifier.linear import LinearModel
from interplay.predictors.hate_classifier.text import tokens
from training.datasets.posts import Post
from training.hate_classifier.linear import (
    RECIPES,
    cross_validate,
    fit,
    see,
    train_and_hold_out,
)
from training.hate_classifier.metrics import auc
from training.text_detection.paths import data_dir

BAD, GOOD = ["blarg", "zonk", "frobs"], ["sunny", "kind", "tasty"]
PLAIN = ["day", "we", "the", "meet", "go", "house", "people", "again", "about", "with", "running", "of"]


def made_up(number: int, seed: int = 0, signal: float = 0.5) -> list[Post]:
    """Posts in which made-up words hint at what three annotators say."""
    random = np.random.default_rng(seed)
    found = []
    for index in range(number):
        hate = random.random() < 0.4
        words = list(random.choice(PLAIN, random.integers(6, 14)))
        if random.random() < signal:
            words.insert(3, str(random.choice(BAD if hate else GOOD)))
        votes = random.random(3) < (0.8 if hate else 0.2)
        labels = tuple("Racist" if vote else "NotHate" for vote in votes)
        text = f"@user{index} {' '.join(words)}{random.choice(['!!!', ' 😂', ''])} https://t.co/{index}"
        found.append(Post(f"{seed}-{index}", text, "ZONK" if hate else None, None, labels, sum(votes) >= 2))
    return found


POSTS = made_up(400)
SMALL = {
    name: replace(recipe, blocks=tuple(replace(block, least_posts=2) for block in recipe.blocks))
    for name, recipe in RECIPES.items()
}
# The choice of features leaves no number and no tag of these few posts, and nothing of them would be tested.
SMALL["davidson"] = replace(SMALL["davidson"], select_c=None)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_serving_scores_as_scikit_learn_does(name: str, tmp_path: Path) -> None:
    fitted = fit(POSTS, SMALL[name])
    fitted.export().save(tmp_path)
    served = LinearModel.load(tmp_path)
    assert all(np.abs(block.weights).sum() > 0 for block in served.blocks)
    others = [*made_up(60, seed=1), Post("odd", ""), Post("odd2", "你好 😂 \ud800"), Post("odd3", "Blarg")]
    theirs = fitted.score(see(others, [SMALL[name]]))
    ours = np.array([served.score(post.text, post.image_text) for post in others])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert len(set(np.round(ours, 3))) > 5
    labels = np.array([bool(post.label) for post in others])
    assert auc(labels, ours) > 0.6


def test_tfidf_is_scikit_learns_own_pipeline() -> None:
    """Its words, by TfidfVectorizer and LogisticRegression as anyone would write it."""
    recipe = replace(SMALL["tfidf"], blocks=SMALL["tfidf"].blocks[:1], soft=False)
    vectorizer = TfidfVectorizer(
        tokenizer=tokens, token_pattern=None, lowercase=False, ngram_range=(1, 2), min_df=2, sublinear_tf=True
    )
    matrix = vectorizer.fit_transform([post.text for post in POSTS])
    model = LogisticRegression(C=recipe.c, class_weight="balanced", max_iter=5000, tol=1e-6)
    model.fit(matrix, [post.label for post in POSTS])
    others = made_up(50, seed=2)
    theirs = model.decision_function(vectorizer.transform([post.text for post in others]))
    ours = fit(POSTS, recipe).export()
    np.testing.assert_allclose([ours.score(post.text) for post in others], theirs, atol=1e-4)


def test_classes_weigh_the_same() -> None:
    """Nine in ten posts are not hate: scores of posts that say nothing stay in the middle."""
    few = [post for index, post in enumerate(POSTS) if not post.label or index % 6 == 0]
    assert np.mean([bool(post.label) for post in few]) < 0.15
    for soft in (True, False):
        model = fit(few, replace(SMALL["tfidf"], soft=soft)).export()
        assert abs(model.score("")) < 0.5


def test_soft_labels_matter_and_may_be_missing() -> None:
    soft, hard = (fit(POSTS, replace(SMALL["nb"], soft=flag)).export() for flag in (True, False))
    assert abs(soft.score("blarg zonk") - hard.score("blarg zonk")) > 1e-3
    without = [replace(post, labels=()) for post in POSTS]
    assert fit(without, SMALL["nb"]).export().score("blarg") == hard.score("blarg")
    with pytest.raises(ValueError, match="post '0-0' has no label"):
        fit([replace(POSTS[0], label=None)], SMALL["nb"])
    with pytest.raises(ValueError, match="both classes"):
        fit([replace(post, labels=(), label=True) for post in POSTS], SMALL["nb"])


def test_cross_validation_of_noise_is_chance() -> None:
    """No leak: where text says nothing of the label, neither do the scores."""
    noise = made_up(400, seed=3, signal=0)
    results, scores = cross_validate(noise, {"nb": SMALL["nb"], "tfidf": SMALL["tfidf"]}, 4, bootstrap=50)
    for result in results.values():
        low, high = result.intervals["auc"]
        assert low < 0.5 < high
    np.testing.assert_allclose(scores["mean"], (scores["nb"] + scores["tfidf"]) / 2)


def test_held_out_figures_are_of_the_saved_model() -> None:
    parts = {"train": made_up(300), "dev": made_up(60, seed=4), "held_out": made_up(150, seed=5)}
    found = train_and_hold_out(parts, {"nb": SMALL["nb"], "davidson": SMALL["davidson"]}, 3)
    assert set(found) == {"nb", "davidson", "mean"}
    labels = np.array([bool(post.label) for post in parts["held_out"]])
    for model, thresholds, result in found.values():
        scores = np.array([model.score(post.text) for post in parts["held_out"]])
        assert result.auc == auc(labels, scores) > 0.55
        assert result.f == pytest.approx(
            2 * np.sum(labels & (scores >= thresholds.f)) / (labels.sum() + np.sum(scores >= thresholds.f))
        )
    part = [found[name][0].score(POSTS[0].text) for name in ("nb", "davidson")]
    assert found["mean"][0].score(POSTS[0].text) == pytest.approx(np.mean(part), abs=1e-6)


@pytest.mark.slow
def test_the_command_on_the_tweets_at_hand() -> None:
    if not (data_dir() / "mmhs150k" / "tweets.jsonl").exists():
        pytest.skip("needs mmhs150k/tweets.jsonl in the data folder (INTERPLAY_DATA_DIR)")
    command = [sys.executable, "-m", "training.hate_classifier.linear", "--models", "tfidf", "--folds", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    first, figures = done.stdout.splitlines()[:2]
    assert first == "tfidf: cross-validated on 8000 posts, 3 folds"
    assert 0.71 < float(figures.split()[1]) < 0.75
