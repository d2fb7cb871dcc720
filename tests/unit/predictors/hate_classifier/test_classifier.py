"""The classifier on a small model: what adds up, what is refused, and posts of every odd kind."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from interplay.errors import InternalError, InvalidInput, InvalidParameter
from interplay.predictors.hate_classifier.answers import CATEGORIES, PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import LONGEST_TEXT, MOST_PIECES, HateClassifier
from tests.hate_models import publish_small_models

WHITE, BLACK = (np.full((40, 60, 3), value, dtype=np.uint8) for value in (255, 0))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> HateClassifier:
    return HateClassifier.open(publish_small_models(tmp_path_factory.mktemp("store")), device="cpu")


def answer(classifier: HateClassifier, item: PostItem) -> PostAnswer:
    (found,) = classifier.predict([item]).results
    assert isinstance(found, PostAnswer), found
    return found


def test_words_and_brightness_count(classifier: HateClassifier) -> None:
    texts = [answer(classifier, PostItem(text)).probability for text in ("good", "table", "bad")]
    assert texts == sorted(texts) and texts[0] < 0.3 and texts[2] > 0.7
    images = [answer(classifier, PostItem(image=image)).probability for image in (BLACK, WHITE)]
    assert images[0] < 0.4 and images[1] > 0.6


@pytest.mark.parametrize(
    "item",
    [
        PostItem("bad thing"),
        PostItem("bad", "good"),
        PostItem("", "good", WHITE),
        PostItem("good", None, WHITE),
        PostItem("bad", "awful", WHITE),
    ],
)
def test_reasons_add_up(classifier: HateClassifier, item: PostItem) -> None:
    found = answer(classifier, item)
    assert found.low <= found.probability <= found.high
    assert found.baseline + sum(found.contributions.values()) == pytest.approx(found.probability)
    assert sum(found.categories.values()) == pytest.approx(found.probability)
    assert tuple(found.categories) == CATEGORIES
    given = [name for name, has in (
        ("text", item.text), ("image_text", item.image_text), ("image", item.image is not None)
    ) if has]  # fmt: skip
    assert list(found.contributions) == list(found.alone) == list(found.without) == given
    if len(given) == 1:
        assert found.alone[given[0]] == found.probability
        assert found.without[given[0]] == found.baseline


def test_taking_an_input_away_is_the_answer_without_it(classifier: HateClassifier) -> None:
    whole = answer(classifier, PostItem("bad", "good", WHITE))
    assert whole.without["image"] == pytest.approx(answer(classifier, PostItem("bad", "good")).probability)
    assert whole.without["text"] == pytest.approx(
        answer(classifier, PostItem("", "good", WHITE)).probability, abs=1e-4
    )
    assert whole.alone["image"] == pytest.approx(
        answer(classifier, PostItem(image=WHITE)).probability, abs=1e-4
    )


def test_words_are_found_where_the_caller_wrote_them(classifier: HateClassifier) -> None:
    text, image_text = "😀 #GoodDay &amp; a BAD, awful day", "goooood"
    found = answer(classifier, PostItem(text, image_text, words=True))
    sources = {"text": text, "image_text": image_text}
    words = [(word.source, sources[word.source][word.start : word.end]) for word in found.words]
    assert words == [
        ("text", "😀"), ("text", "#GoodDay"), ("text", "a"), ("text", "BAD"), ("text", "awful"),
        ("text", "day"), ("image_text", "goooood"),
    ]  # fmt: skip
    weight = {word: each.weight for (_, word), each in zip(words, found.words, strict=True)}
    assert weight["BAD"] > 0.1 > abs(weight["day"])
    assert weight["#GoodDay"] < -0.1


def test_only_word_leaves_the_other_inputs(classifier: HateClassifier) -> None:
    found = answer(classifier, PostItem("bad", "good", words=True))
    assert found.words[0].weight == pytest.approx(found.probability - found.without["text"])


def test_region_tells_bright_from_dark(classifier: HateClassifier) -> None:
    found = answer(classifier, PostItem(image=WHITE, region=True))
    assert found.region is not None and found.region.dtype == np.float32 and found.region.ndim == 2
    assert found.region.mean() > 0
    dark = answer(classifier, PostItem(image=BLACK, region=True)).region
    assert dark is not None and dark.mean() < 0
    assert answer(classifier, PostItem(image=WHITE)).region is None


@pytest.mark.parametrize(
    "text",
    [
        "😀😀👨‍👩‍👧", "مرحبا بكم هنا", "שלום לכולם", "今天天气很好", "ありがとう", "zxqv wvutx", "!!!", "a",
        "\x00bad\ud800", "e\u0301" * 300, "#" * 500, "@" * 500, "&amp;" * 100,
    ],
)  # fmt: skip
def test_any_text_has_an_answer(classifier: HateClassifier, text: str) -> None:
    found = answer(classifier, PostItem(text, words=True))
    assert 0 < found.probability < 1
    assert all(0 <= word.start < word.end <= len(text) for word in found.words)
    assert all(np.isfinite(word.weight) for word in found.words)


@pytest.mark.parametrize("text", ["word " * 2000, "a" * 10_000, "漢" * 10_000, "bad. " * 2000, "😀" * 10_000])
def test_long_text_takes_bounded_time(classifier: HateClassifier, text: str) -> None:
    started = time.process_time()
    found = answer(classifier, PostItem(text, words=True))
    assert time.process_time() - started < 15
    assert 0 < len(found.words) <= MOST_PIECES
    ends = [(word.start, word.end) for word in found.words]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    ("item", "kind", "said"),
    [
        (PostItem(), InvalidInput, "neither text, nor image text, nor image"),
        (PostItem("  \n", ""), InvalidInput, "nothing to classify"),
        (PostItem("\u200b\u2060"), InvalidInput, "nothing to classify"),
        (PostItem("a" * (LONGEST_TEXT + 1)), InvalidParameter, f"{LONGEST_TEXT + 1} characters"),
        (PostItem("a", "b" * (LONGEST_TEXT + 1)), InvalidParameter, "image_text"),
        (PostItem("a", region=True), InvalidInput, "without an image"),
    ],
)
def test_impossible_post_is_refused_by_name(
    classifier: HateClassifier, item: PostItem, kind: type[Exception], said: str
) -> None:
    good, refused = classifier.predict([PostItem("good"), item]).results
    assert isinstance(good, PostAnswer)
    assert type(refused) is kind and said in str(refused)


def test_text_without_content_beside_an_image_is_no_text(classifier: HateClassifier) -> None:
    found = answer(classifier, PostItem("  ", "", WHITE))
    assert list(found.contributions) == ["image"]


def test_batch_gives_what_single_posts_get(classifier: HateClassifier) -> None:
    items = [
        PostItem("bad day"),
        PostItem("", "good words here", WHITE),
        PostItem("x " * 90),
        PostItem("good", None, BLACK),
    ]
    together = classifier.predict(items * 10)
    assert together.preprocess_s > 0 and together.infer_s > 0 and together.postprocess_s > 0
    for item, found in zip(items * 10, together.results, strict=True):
        assert isinstance(found, PostAnswer)
        assert found.probability == pytest.approx(answer(classifier, item).probability, abs=2e-3)
    assert classifier.predict([]).results == []


def test_model_of_another_backbone_is_refused(tmp_path: Path) -> None:
    store = publish_small_models(tmp_path)
    file = store / "hate-classifier" / "1" / "manifest.json"
    manifest = file.read_text()
    digest = manifest.split('"backbone_sha256": "')[1][:64]
    file.write_text(manifest.replace(digest, "0" * 64))
    with pytest.raises(InternalError, match="backbone"):
        HateClassifier.open(store, device="cpu")
    file.write_text(manifest.replace('"text_weight"', '"other"'))
    with pytest.raises(InternalError, match="text_weight"):
        HateClassifier.open(store, device="cpu")
