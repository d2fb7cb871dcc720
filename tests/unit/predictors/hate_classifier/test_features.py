"""Features of a text: n-grams and the numbers of Davidson et al."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.predictors.hate_classifier.features import (
    GRAMS,
    NUMBERS,
    letter_grams,
    numbers,
    stem_grams,
    tag_grams,
    tags,
    word_grams,
)


def test_runs_of_words() -> None:
    assert word_grams("a big @x", 1, 2) == ["a", "big", "<user>", "a big", "big <user>"]
    assert word_grams("one", 2, 3) == []


def test_letters_are_those_of_scikit_learn_within_words() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    text = "a short and sweet line of words"
    theirs = CountVectorizer(analyzer="char_wb", ngram_range=(2, 5)).build_analyzer()(text)
    assert sorted(letter_grams(text, 2, 5)) == sorted(theirs)


def test_stems() -> None:
    assert stem_grams("running dogs, running 😂 https://a.b", 1, 1) == ["run", "dog", "run", "<url>"]


def test_parts_of_speech() -> None:
    assert tags("this is a big dog") == ["DT", "VBZ", "DT", "JJ", "NN"]
    assert tag_grams("a big dog", 2, 2) == ["DT JJ", "JJ NN"]
    assert len(tags("@x #")) == 1
    assert tags("") == []


def test_numbers_of_a_known_text() -> None:
    text = "RT @someone: a wonderful day, a day! #sun https://t.co/x"
    facts = dict(zip(NUMBERS, numbers(text), strict=True))
    # Words: rt a wonderful day a day sun; won-der-ful has three syllables, the others one.
    assert facts["words"] == 7
    assert facts["different_words"] == 5
    assert facts["syllables"] == 9
    assert facts["syllables_per_word"] == pytest.approx(9 / 7)
    assert facts["grade_level"] == pytest.approx(0.39 * 7 + 11.8 * 9 / 7 - 15.59)
    assert facts["reading_ease"] == pytest.approx(206.835 - 1.015 * 7 - 84.6 * 9 / 7)
    assert facts["letters"] == len("rtawonderfuldayadaysun")
    assert facts["characters"] == len(text)
    assert facts["terms"] == 9
    assert (facts["hashtags"], facts["users"], facts["urls"], facts["retweet"]) == (1, 1, 1, 1)
    assert facts["compound"] > 0.5
    assert dict(zip(NUMBERS, numbers("a terrible day"), strict=True))["compound"] < -0.3


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None)))
def test_any_string_has_features(text: str) -> None:
    found = numbers(text)
    assert found.shape == (17,) and np.isfinite(found).all()
    for grams in GRAMS.values():
        assert all(isinstance(gram, str) for gram in grams(text, 1, 3))
