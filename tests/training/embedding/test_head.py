"""Heads on features that were computed once: every loss learns; words can be tuned; runs are published."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from interplay.models.image_embedding import Lite0Features
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.predictors.embedding.text import TextEmbedder
from interplay.predictors.embedding.word_table import WordTable
from interplay.store import resolve
from training.datasets.captions import CaptionedImage
from training.embedding.export import export_backbone, export_embedding, read_run
from training.embedding.queries import Relevance, frequent_queries, lemma
from training.embedding.scores import average_precision, bootstrap, fit_odds, group_bootstrap, precision_at
from training.embedding.task import LONGEST_CAPTION, LOSSES, FeatureSet, HeadTaskOptions, Pairs, to_unit_range
from training.embedding.text.train import SavedText
from training.embedding.train import SearchSet, prepare, query_vector, train_head
from training.engine import EngineConfig
from training.imagenet import load_lite0

WORDS = ("dog", "cat", "car", "bus", "beach", "snow", "pizza", "bridge")


@pytest.fixture(scope="module")
def world() -> tuple[list[CaptionedImage], np.ndarray, SavedText]:
    """Photos of two things each, whose features are noisy sums of what is in them."""
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(len(WORDS), 40)).astype(np.float32)
    vectors = rng.normal(size=(len(WORDS), 12)).astype(np.float32)
    items, features = [], []
    for number in range(300):
        pair = rng.choice(len(WORDS), 2, replace=False)
        items.append(CaptionedImage(str(number), b"", (f"a {WORDS[pair[0]]} by the {WORDS[pair[1]]}",)))
        features.append(looks[pair].sum(0) + rng.normal(scale=0.3, size=(2, 40)))
    table = WordTable(WORDS, vectors, np.ones(len(WORDS), np.float32))
    targets = np.stack([table.pool(table.rows(item.captions[0].split())) for item in items])
    return items, np.stack(features).astype(np.float16), SavedText("glove-mean", table, targets)


def run(
    world: tuple, options: HeadTaskOptions, out: Path, steps: int = 150
) -> tuple[dict[str, float], SearchSet]:
    items, features, text = world
    dev = SearchSet.of(items, features, queries=8)
    config = EngineConfig(out=out, steps=steps, warmup_steps=5, precision="fp32", workers=0, ema_decay=0.9,
                          evaluate_every=steps, checkpoint_every=steps)  # fmt: skip
    train_head(text, options, items, features, dev, config)
    model, table, _ = read_run(out, text)
    return {name: float(scores.mean()) for name, scores in dev.scores(model, table).items()}, dev


OPTIONS = HeadTaskOptions(batch_size=32, rate=1e-2, dropout=0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_to_find(world: tuple, loss: str, tmp_path: Path) -> None:
    scores, _ = run(world, replace(OPTIONS, loss=loss, tune_words=loss == "words"), tmp_path)
    assert scores["single"] > 0.9 and scores["two"] > 0.6


def test_tuned_words_are_what_is_published(world: tuple, tmp_path: Path) -> None:
    options = replace(OPTIONS, tune_words=True, word_rate=1e-2, hidden=16)
    scores, _ = run(world, options, tmp_path)
    assert scores["single"] > 0.9
    _, table, facts = read_run(tmp_path, world[2])
    before, _ = prepare(world[2], "contrastive")
    assert facts["task"]["tune_words"] and table.words == WORDS
    assert (
        np.abs(
            table.vectors / np.linalg.norm(table.vectors) - before.vectors / np.linalg.norm(before.vectors)
        ).max()
        > 0.01
    )


def test_noise_makes_it_worse(world: tuple, tmp_path: Path) -> None:
    clean, _ = run(world, OPTIONS, tmp_path / "clean", steps=60)
    noisy, _ = run(world, replace(OPTIONS, noise=1.0), tmp_path / "noisy", steps=60)
    assert noisy["single"] < clean["single"] - 0.3


def test_a_published_run_embeds_words_and_features_alike(world: tuple, tmp_path: Path) -> None:
    """Head of 40 features on a backbone of 1,280: only the words' half can be loaded whole here."""
    run(world, OPTIONS, tmp_path / "run", steps=5)
    model, table, facts = read_run(tmp_path / "run", world[2])
    store = tmp_path / "store"
    backbone = export_backbone(store, 1)
    words, image = export_embedding(
        model.head, table, store, version=1, odds=(9.0, -4.0), training={}, commit=facts["commit"],
        dictionaries={"es": {"perro": ["dog", "hound"], "gata": ["tabby"]}},
    )  # fmt: skip
    embedder = TextEmbedder.load(resolve(store, "embedding-words"))
    assert embedder.embed("perro", "es").read_as == {"perro": ("dog",)}
    assert embedder.embed("gata", "es").unknown == ("gata",)
    expected = table.vectors[0] / np.linalg.norm(table.vectors[0])
    np.testing.assert_allclose(embedder.embed("the dog").vector, expected, atol=2e-3)
    details = image.manifest.details
    assert details["backbone_sha256"] == backbone.manifest.weights_sha256
    assert details["words_sha256"] == words.manifest.weights_sha256
    assert backbone.manifest.weights_bytes < 10e6
    with pytest.raises(Exception, match="was trained on the backbone"):
        ImageEmbedder.load(image, None)


def maps_of(features: np.ndarray) -> np.ndarray:
    """(P, 1, 112, 3, 3) maps that show in every place what a photo's features say."""
    maps = np.zeros((len(features), 1, 112, 3, 3), np.float16)
    maps[:, :, :40] = features[:, :1, :, None, None]
    return maps


def test_a_backbone_is_trained_from_a_run_on(world: tuple, tmp_path: Path) -> None:
    items, features, text = world
    maps = maps_of(features)
    dev = SearchSet.of(items[:60], maps[:60], queries=8)
    options = replace(OPTIONS, loss="words", tune_words=True, backbone_rate=1e-3)
    config = EngineConfig(out=tmp_path / "first", steps=2, warmup_steps=1, precision="fp32", workers=0,
                          ema_decay=0.5, evaluate_every=2, checkpoint_every=2)  # fmt: skip
    train_head(text, options, items, maps, dev, config, tune_backbone=True)
    train_head(
        text, options, items, maps, dev, replace(config, out=tmp_path / "then", steps=3),
        tune_backbone=True, start=tmp_path / "first",
    )  # fmt: skip
    model, _, facts = read_run(tmp_path / "then", text)
    assert facts["task"]["backbone"] and model.head.config.inputs == 1280
    plain = Lite0Features()
    load_lite0(plain)
    before, after = plain.state_dict(), model.backbone.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("widen") for name in moved) and any(".stages.6." in name for name in moved)
    frozen = ("trunk.stem", *(f"trunk.stages.{stage}." for stage in range(5)))
    assert not [name for name in moved if name.startswith(frozen) or "running" in name]
    vectors = model.embed(dev.features)
    assert vectors.shape == (60, 12) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    published = export_backbone(tmp_path / "store", 1, model.backbone, {"recipe": "x"}, facts["commit"])
    assert "last two stages were trained" in published.manifest.description
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        train_head(text, options, items, maps, dev, config, start=tmp_path / "none", tune_backbone=True)


def test_maps_are_what_pooled_goes_on_from() -> None:
    torch.manual_seed(0)
    network = Lite0Features().eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        maps = network.maps(x)
        assert maps.shape == (2, 112, 4, 6)
        torch.testing.assert_close(network.pooled(maps), network(x))


def test_maps_are_cut(world: tuple) -> None:
    items, features, text = world
    maps = maps_of(features) + np.float16(100)
    pairs = Pairs(maps, np.arange(len(items)), text.targets, [[0]] * len(items))
    shown = [FeatureSet(pairs, len(WORDS), seed=1)[number]["features"][0] > 50 for number in range(40)]
    parts = {int(part.sum()) for part in shown}
    assert parts == {4, 6, 9}  # cut-outs of 2 or 3 places a side


def test_items_are_functions_of_their_number(world: tuple) -> None:
    items, features, text = world
    captions = [text.table.rows(item.captions[0].split()) for item in items]
    captions[7] = list(range(8)) * 5
    pairs = Pairs(features, np.arange(len(items)), text.targets, captions)
    one, other = (FeatureSet(pairs, len(WORDS), seed=3) for _ in range(2))
    seen = set()
    for number in range(len(items)):
        item = one[number]
        for name, value in other[number].items():
            assert torch.equal(value, item[name])
        assert item["words"].shape == (LONGEST_CAPTION,)
        seen.add(item["target"].numpy().tobytes())
    assert len(seen) == len({row.tobytes() for row in text.targets})  # an epoch has every caption
    assert not torch.equal(one[0]["features"], one[len(items)]["features"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "l1"}, "loss must be one of"),
        ({"loss": "words"}, "the loss words needs tune_words"),
        ({"noise": 1.5}, "noise is 1.5; it must be between 0 and 1"),
        ({"loss": "cosine", "tune_words": True}, "words cannot be tuned with the loss cosine"),
    ],
)
def test_options_that_are_none(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeadTaskOptions(**changes)


def test_the_thesis_brings_targets_to_zero_and_one() -> None:
    unit = to_unit_range(np.array([[-1.0, 0, 3], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(unit, [[0, 0.25, 1], [0, 0, 0]], atol=1e-6)


def test_targets_by_loss(world: tuple) -> None:
    text = world[2]
    table, targets = prepare(text, "sigmoid")
    assert table is text.table and targets.min() == 0 and targets.max() == 1
    lda = SavedText("lda-200", text.table, np.full((2, 12), 1 / 12, np.float32))
    assert (prepare(lda, "sigmoid")[1] == lda.targets).all()
    table, targets = prepare(text, "contrastive")
    assert np.abs(targets.mean(0)).max() < 1e-5
    np.testing.assert_allclose(
        table.vectors[0] - table.vectors[1], text.table.vectors[0] - text.table.vectors[1], atol=1e-5
    )


def test_lemmas_make_photos_right() -> None:
    relevance = Relevance.of([["Two dogs on skis."], ["A man riding", "a horse"], ["A Dog sits"]])
    assert lemma("children") == "child"
    assert relevance.right(["dog"]).tolist() == [True, False, True]
    assert relevance.right(["men", "horses"]).tolist() == [False, True, False]
    assert relevance.right(["dog", "ski"]).tolist() == [True, False, False]


def test_queries_are_the_most_frequent() -> None:
    captions = [["dogs on the beach"], ["a dog on a beach"], ["dogs run"], ["a cat"]]
    assert frequent_queries(captions, frozenset({"on", "the"}), 1, 2) == [("dogs",), ("beach",)]
    assert frequent_queries(captions, frozenset({"on", "the"}), 2, 1) == [("beach", "dogs")]


def test_precision_and_its_interval() -> None:
    relevance = Relevance.of([["dog"], ["dog"], ["cat"], ["cat"]])
    images = np.eye(4, dtype=np.float32)
    vectors = {"dog": np.array([3, 1, 2, 0]), "cat": np.array([0, 0, 2, 1]), "cow": np.zeros(4)}
    scores = precision_at(
        [("dog",), ("cat",), ("cow",)], lambda query: vectors[query[0]], images, relevance, k=2
    )
    assert scores.tolist() == [0.5, 1.0, 0.0]
    queries = [("dog",), ("cat",), ("cow",), ("owl",)]
    averages = average_precision(queries, lambda query: vectors.get(query[0], np.ones(4)), images, relevance)
    assert averages == pytest.approx([(1 / 1 + 2 / 3) / 2, 1.0, 0.0, 0.0])  # no vector; no right photo
    low, high = bootstrap(np.array([0.0, 1.0] * 50))
    assert 0.38 < low < 0.45 and 0.55 < high < 0.62


def test_groups_of_queries_that_are_alike_make_the_interval_wider() -> None:
    scores, groups = np.repeat([0.0, 1.0] * 5, 10), np.repeat(np.arange(10), 10)
    low, high = group_bootstrap(scores, groups)
    alone = bootstrap(scores)
    assert low < 0.3 and high > 0.7 and high - low > 2 * (alone[1] - alone[0])
    np.testing.assert_allclose(group_bootstrap(scores, np.arange(100)), alone, atol=0.03)


def test_odds_are_those_of_the_data() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1, 1, 20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-(6 * scores - 3)))
    slope, offset = fit_odds(scores, right)
    assert slope == pytest.approx(6, abs=0.3) and offset == pytest.approx(-3, abs=0.2)
    with pytest.raises(ValueError, match="some that are not"):
        fit_odds(scores, np.ones_like(right))


def test_a_query_is_the_sum_of_its_words() -> None:
    table = WordTable(("aa", "bb"), np.array([[3, 4], [0, 2]], np.float32), np.array([5, 1], np.float32))
    np.testing.assert_allclose(query_vector(table, "unit")(["aa", "bb", "zz"]), [0.6, 1.8], atol=1e-6)
    np.testing.assert_allclose(query_vector(table, "sigmoid")(["aa", "bb"]), [0, 2], atol=1e-6)
    assert not query_vector(table, "unit")(["zz"]).any()
