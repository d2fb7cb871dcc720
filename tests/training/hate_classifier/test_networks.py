"""The LSTM and the fusions learn a rule that only they can know, in both presets, with the shared engine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interplay.models.hate import LstmConfig
from interplay.models.hate_fusion import FUSED, FusionConfig
from interplay.predictors.hate_classifier.text import tokens
from training.datasets.posts import Post
from training.hate_classifier import lstm
from training.hate_classifier.fusion import FusionOptions, FusionTask, Inputs, preset, score, train_fusion
from training.hate_classifier.metrics import auc


def _posts(number: int = 120) -> list[Post]:
    """Hate is "cold" before "warm": n-grams of one word cannot tell."""
    rng, posts = np.random.default_rng(0), []
    for one in range(number):
        hate = bool(one % 2)
        words = rng.choice(["blue", "round", "tall"], size=4).tolist()
        words[1:1], words[4:4] = ("cold" if hate else "warm",), ("warm" if hate else "cold",)
        labels = ("Racist", "Racist", "NotHate") if hate else ("NotHate",) * 3
        posts.append(Post(str(one), " ".join(words), labels=labels, label=hate))
    return posts


@pytest.mark.parametrize("soft", [True, False])
def test_lstm_learns_order(tmp_path: Path, soft: bool) -> None:
    posts = _posts()
    options = lstm.LstmOptions(
        network=LstmConfig(vector=8, hidden=16, kinds=5 if soft else 0), soft=soft, epochs=25, rate=2e-2,
        vector_rate=1e-2, batch_size=20,
    )  # fmt: skip
    task = lstm.LstmTask(options, lstm.texts_of(posts, soft=soft), {}, dev=posts)
    model = lstm.train_lstm(task, tmp_path)
    scores, kinds = task.scorer(model).score([tokens(post.text) for post in posts])
    assert auc(np.array([post.label for post in posts]), scores) > 0.95
    assert kinds.shape == (120, 5 if soft else 0)
    if soft:
        assert (kinds.argmax(axis=1)[1::2] == 0).all()
    assert (tmp_path / "run.json").is_file()


def test_soft_labels_are_parts_of_the_annotators() -> None:
    texts = lstm.texts_of([Post("1", "a", labels=("Racist", "NotHate", "OtherHate"), label=True)])
    assert texts.hate.tolist() == [pytest.approx(2 / 3)]
    assert texts.kinds.tolist() == [pytest.approx([1 / 3, 0, 0, 0, 1 / 3])]


def test_batches_are_a_function_of_their_number_and_cover_an_epoch() -> None:
    texts = lstm.texts_of(_posts(10))
    options = replace(lstm.COMPACT, batch_size=5, word_dropout=0.0, network=LstmConfig(vector=4, hidden=4))
    task = lstm.LstmTask(options, texts, {})
    first = [task.batch(step, np.random.default_rng(step))["hate"] for step in (0, 1)]
    again = task.batch(1, np.random.default_rng(1))["hate"]
    assert np.array_equal(first[1], again)
    assert sorted(np.concatenate(first)) == sorted(texts.hate.astype(np.float32))


def test_published_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers, not 100"):
        lstm.LstmTask(lstm.COMPACT, lstm.texts_of(_posts()), {"cold": np.zeros(3, np.float32)})


def test_paper_preset_is_the_thesis_s() -> None:
    assert lstm.PAPER.network == LstmConfig(vector=100, hidden=150)
    assert (lstm.PAPER.batch_size, lstm.PAPER.epochs, lstm.PAPER.soft) == (10, 10, False)
    options = preset("paper", "tkm")
    assert (options.rate, options.batch_size, options.modality_dropout) == (1e-4, 32, 0)
    assert options.network == FusionConfig("tkm", widths=(1024, 512))


def _inputs(kind: str, number: int = 160) -> Inputs:
    """Hate is text and image of one sign: neither tells alone."""
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], size=(number, 2))
    text = (signs[:, :1] * np.ones(6)).astype(np.float32)
    image = (signs[:, 1:] * np.ones(12)).astype(np.float32)
    if kind != "fcm":
        image = np.broadcast_to(image[:, :, None, None], (number, 12, 2, 2)).copy()
    return Inputs(text, np.zeros_like(text), image, (signs.prod(axis=1) > 0).astype(np.float64))


@pytest.mark.parametrize("kind", ["fcm", "scm", "tkm"])
def test_fusion_learns_what_neither_input_tells(tmp_path: Path, kind: str) -> None:
    network = FusionConfig(
        kind, image=12, state=6, mapped=16, widths=(16,), block=32, text_kernels=2, image_text_kernels=1,
        dropout=0.0,
    )  # fmt: skip
    inputs = _inputs(kind)
    options = FusionOptions(network, modality_dropout=0, epochs=30, rate=1e-2)
    model = train_fusion(FusionTask(options, inputs), tmp_path / "all")
    assert auc(inputs.hate > 0.5, score(model, inputs)) > 0.95
    blind = replace(options, network=replace(network, inputs=("text", "image_text")), epochs=3)
    model = train_fusion(FusionTask(blind, inputs), tmp_path / "blind")
    assert auc(inputs.hate > 0.5, score(model, inputs)) < 0.7


def test_paper_fusion_trains(tmp_path: Path) -> None:
    """One step of the thesis's own FCM."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(2, 8, 150)).astype(np.float32)
    inputs = Inputs(*states, rng.normal(size=(8, 2048)).astype(np.float32), np.tile([0.0, 1.0], 4))
    options = replace(preset("paper", "fcm"), batch_size=4, epochs=0.5)
    model = train_fusion(FusionTask(options, inputs), tmp_path)
    assert np.isfinite(score(model, inputs)).all()


def test_modality_dropout_leaves_an_input() -> None:
    inputs = _inputs("fcm")
    network = FusionConfig(image=12, state=6, mapped=4, widths=(4,))
    task = FusionTask(FusionOptions(network, modality_dropout=0.9, batch_size=200), inputs)
    made = task.batch(0, np.random.default_rng(0))
    left = np.stack([made[name].reshape(200, -1).any(axis=1) for name in ("text", "image")])
    assert left.sum() < 200 and set(FUSED) <= made.keys()
    assert not made["text"].all() and not made["image"].all()
