"""Posts unlike those that the text models learnt from: not believed, and all reasons agree with that."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from interplay.errors import InternalError
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.fusion import ALIKE, WITH_TEXT, WITHOUT_TEXT, alike
from tests.conftest import REPOSITORY_ROOT
from tests.hate_models import BIAS, GENERAL_BIAS, REST, publish_small_models

WHITE = np.full((40, 60, 3), 255, dtype=np.uint8)
UNKNOWN = 1 / (1 + math.exp(-BIAS))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> HateClassifier:
    return HateClassifier.open(publish_small_models(tmp_path_factory.mktemp("plain")), device="cpu")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> HateClassifier:
    store = publish_small_models(tmp_path_factory.mktemp("store"), likeness=True)
    return HateClassifier.open(store, device="cpu")


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> HateClassifier:
    store = publish_small_models(tmp_path_factory.mktemp("general"), likeness=True, general=True)
    return HateClassifier.open(store, device="cpu")


@pytest.fixture(scope="module")
def shipped() -> HateClassifier:
    return HateClassifier.open(REPOSITORY_ROOT / "model_store", device="cpu", threads=1)


def answer(classifier: HateClassifier, item: PostItem) -> PostAnswer:
    (found,) = classifier.predict([item]).results
    assert isinstance(found, PostAnswer), found
    return found


@pytest.mark.parametrize(
    ("text", "share"),
    [("awful table", UNKNOWN), ("😀", UNKNOWN), ("bad table", 1 / (1 + math.exp(-BIAS - 6)))],
)
def test_text_is_believed_as_far_as_it_is_alike(
    plain: HateClassifier, classifier: HateClassifier, text: str, share: float
) -> None:
    believed, found = answer(plain, PostItem(text)), answer(classifier, PostItem(text))
    for name in ("probability", "low", "high"):
        expected = share * getattr(believed, name) + (1 - share) * REST
        assert getattr(found, name) == pytest.approx(expected, abs=1e-3)
    assert found.baseline == believed.baseline


def logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize(
    ("text", "share", "general_logit"),
    [
        ("awful table", 0.0, GENERAL_BIAS),
        ("vile table", 0.0, GENERAL_BIAS + 4),
        ("a bad vile table", (logistic(BIAS + 6) - UNKNOWN) / (1 - UNKNOWN), GENERAL_BIAS + 4),
        ("a bad kind table", (logistic(BIAS + 6) - UNKNOWN) / (1 - UNKNOWN), GENERAL_BIAS - 2),
    ],
)
def test_general_model_judges_what_is_not_alike(
    plain: HateClassifier, general: HateClassifier, text: str, share: float, general_logit: float
) -> None:
    models, found = answer(plain, PostItem(text)), answer(general, PostItem(text))
    for name in ("probability", "low", "high"):
        expected = share * getattr(models, name) + (1 - share) * logistic(general_logit)
        assert getattr(found, name) == pytest.approx(expected, abs=1e-3)
    assert sum(found.categories.values()) == pytest.approx(found.probability)
    assert found.baseline + sum(found.contributions.values()) == pytest.approx(found.probability, abs=1e-12)


def test_general_model_reads_the_image_text_too(general: HateClassifier) -> None:
    alone = answer(general, PostItem("a table", "vile words"))
    assert alone.probability == pytest.approx(logistic(GENERAL_BIAS + 4), abs=1e-3)  # the worse one counts
    assert alone.contributions["image_text"] != 0
    found = answer(general, PostItem("a vile table", words=True))
    weight = {"a vile table"[word.start : word.end]: word.weight for word in found.words}
    assert weight["vile"] == pytest.approx(logistic(2.0) - logistic(-2.0), abs=1e-3)
    assert weight["table"] == pytest.approx(0, abs=1e-6)


def test_general_model_whose_arrays_are_missing_is_refused(tmp_path: Path) -> None:
    store = publish_small_models(tmp_path, likeness=True, general=True)
    file = store / "hate-classifier" / "1" / "manifest.json"
    head, tail = file.read_text().rsplit('"general"', 1)
    file.write_text(head + '"general"' + tail.replace('"name": "words"', '"name": "other"', 1))
    with pytest.raises(InternalError, match="other"):
        HateClassifier.open(store, device="cpu")


@pytest.mark.parametrize(
    "item", [PostItem("", "awful words"), PostItem(image=WHITE), PostItem("", "awful words", WHITE)]
)
def test_posts_without_text_are_as_before(
    plain: HateClassifier, classifier: HateClassifier, item: PostItem
) -> None:
    before, now = answer(plain, item), answer(classifier, item)
    assert now.probability == pytest.approx(before.probability, abs=1e-3)
    assert now.contributions == pytest.approx(before.contributions, abs=1e-3)


@pytest.mark.parametrize(
    "item",
    [
        PostItem("awful thing"),
        PostItem("bad", "good"),
        PostItem("awful", "bad"),
        PostItem("good", None, WHITE),
        PostItem("awful", "table", WHITE),
    ],
)
def test_reasons_add_up(classifier: HateClassifier, item: PostItem) -> None:
    found = answer(classifier, item)
    assert found.low <= found.probability <= found.high
    assert found.baseline + sum(found.contributions.values()) == pytest.approx(found.probability, abs=1e-12)
    assert sum(found.categories.values()) == pytest.approx(found.probability)
    for name in found.contributions:
        parts = {"text": item.text, "image_text": item.image_text, "image": item.image}
        alone = PostItem(**{name: parts[name]})  # type: ignore[arg-type]
        assert found.alone[name] == pytest.approx(answer(classifier, alone).probability, abs=1e-3)


def test_words_weigh_what_leaving_them_out_changes(classifier: HateClassifier) -> None:
    text = "an awful bad table"
    found = answer(classifier, PostItem(text, words=True))
    for word in found.words:
        rest = text[: word.start] + " " + text[word.end :]
        assert word.weight == pytest.approx(
            found.probability - answer(classifier, PostItem(rest)).probability, abs=1e-3
        )
    weight = {text[word.start : word.end]: word.weight for word in found.words}
    assert weight["bad"] > 0.6  # without it nothing would be believed, "awful" or not
    assert abs(weight["table"]) < 0.05


def test_region_is_believed_as_far_as_the_text(plain: HateClassifier, classifier: HateClassifier) -> None:
    item = PostItem("awful", None, WHITE, region=True)
    before, now = answer(plain, item).region, answer(classifier, item).region
    assert before is not None and now is not None
    assert now == pytest.approx(UNKNOWN * before, abs=1e-4)


def test_the_text_that_is_more_alike_counts() -> None:
    text, image_text = {WITH_TEXT: 0.0, ALIKE: 0.2}, {WITH_TEXT: 0.0, WITHOUT_TEXT: 0.0, ALIKE: 0.7}
    image = {WITH_TEXT: 0.0, WITHOUT_TEXT: 0.0}
    assert alike({"text": text, "image": image}) == 0.2
    assert alike({"text": text, "image_text": image_text}) == 0.7
    assert alike({"image_text": image_text, "image": image}) == 1.0
    assert alike({"text": {WITH_TEXT: 0.0}}) == 1.0


def test_store_entry_without_its_arrays_is_refused(tmp_path: Path) -> None:
    store = publish_small_models(tmp_path, likeness=True)
    file = store / "hate-classifier" / "1" / "manifest.json"
    head, tail = file.read_text().rsplit('"likeness"', 1)
    file.write_text(head + '"likeness"' + tail.replace('"name": "words"', '"name": "other"', 1))
    with pytest.raises(InternalError, match="other"):
        HateClassifier.open(store, device="cpu")


@pytest.mark.parametrize(
    "text",
    ["Have a nice day", "hello", "I love my dog", "Women deserve equal pay", "Happy birthday! 🎉"]
    + ["I am a gay man and proud", "Jews celebrate Hanukkah in December", "this bug kills me"],
)
def test_shipped_model_does_not_call_ordinary_posts_hate(shipped: HateClassifier, text: str) -> None:
    assert answer(shipped, PostItem(text)).probability < shipped.threshold


@pytest.mark.parametrize(
    "text",
    ["kill all jews", "gay people are disgusting", "immigrants should be shot", "muslims are vermin"],
)
def test_shipped_model_finds_hate_without_a_slur(shipped: HateClassifier, text: str) -> None:
    assert answer(shipped, PostItem(text)).probability >= shipped.threshold


def test_shipped_model_is_not_calmed_by_harmless_words(shipped: HateClassifier) -> None:
    scores = [
        shipped.likeness.score(text)
        for text in ("you retard", "you retard, have a nice day with your dog in the lovely weather")
    ] if shipped.likeness else []  # fmt: skip
    assert scores and scores[1] >= scores[0] > 0
