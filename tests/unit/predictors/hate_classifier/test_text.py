"""Text of posts as tokens: classes, scripts, and any string at all."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interplay.predictors.hate_classifier.text import content_words, normalize, spans, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://t.co/Ab1… now", "see <url> now"),
        ("www.example.org/a?b=1", "<url>"),
        ("hi @some_one, @другой", "hi <user> , <user>"),
        ("write a.person@mail.example.org", "write <user>"),
        ("half past 8@noon", "half past <number> @ noon"),
        ("#BuildBridges", "<hashtag> build bridges"),
        ("#goodmorning", "<hashtag> good morning"),
        ("#GOODMORNING", "<hashtag> good morning"),
        ("#summer_2019", "<hashtag> summer <number>"),
        ("#БелыйСнег", "<hashtag> белый снег"),
        ("item#5", "item # <number>"),
        ("soooo coooool", "soo <elong> cool <elong>"),
        ("all too well", "all too well"),
        ("LOUD word", "loud <allcaps> word"),
        ("I am", "i am"),
        ("stop!!!", "stop ! <repeat>"),
        ("1,000.50 or 12:30", "<number> or <number>"),
        ("3rd k9", "3rd k9"),
        (":-) :( <3 <33", "<smile> <sad> <heart> <heart>"),
        ("mp3:dance", "mp3 : dance"),
        ("don’t w*rd w$$d", "don't w*rd w$$d"),
        ("a &amp; b &lt;3", "a & b <heart>"),
        ("good👍🏽", "good :thumbs_up_medium_skin_tone:"),
        ("🇪🇸", ":spain:"),
        ("👨‍👩‍👧", ":family_man_woman_girl:"),
        ("ｆｕｌｌ ﬁt", "full fit"),
        ("你好 world", "你 好 world"),
        ("ありがとう", "あ り が と う"),
        ("مرحبا بالعالم", "مرحبا بالعالم"),
        ("שָׁלוֹם", unicodedata.normalize("NFKC", "שָׁלוֹם")),
        ("हिन्दी में", "हिन्दी में"),
        ("cafe\u0301", "café"),
        ("zero\u200bwidth", "zero width"),
        ("lone \ud800 half", "lone half"),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert normalize(text) == expected


# The texts that break things: signs of each class beside each other, all scripts, halves of pairs.
pieces = st.sampled_from(
    [
        "@",
        "#",
        "#a",
        "@b",
        "http://",
        "www.",
        "😂",
        "👍🏿",
        "<3",
        ":)",
        "&#",
        "&amp;",
        "aaa",
        "A",
        "9",
        "'",
        "_",
    ]
)
anything = st.one_of(
    st.text(), st.text(st.characters(codec=None)), st.lists(st.one_of(pieces, st.text())).map("".join)
)


@settings(max_examples=500, deadline=None)
@given(anything)
@example("\ud83d\ude02")
@example("&#xD800;&#1114112;")
def test_any_string_gives_tokens(text: str) -> None:
    found = tokens(text)
    assert all(token and not any(char.isspace() for char in token) for token in found)
    assert not any(0xD800 <= ord(char) <= 0xDFFF for token in found for char in token)
    assert found == tokens(text)
    assert content_words(found) == [word for word in found if word in content_words(found)]


@settings(max_examples=300, deadline=None)
@given(st.text(), st.from_regex(r"[a-z0-9_]{4,15}", fullmatch=True), st.text())
def test_no_name_survives(before: str, name: str, after: str) -> None:
    secret = f"{name}q7z"
    assert not any(secret in token for token in tokens(f"{before} @{secret} {after}"))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="ascii")))
def test_tokens_of_tokens_are_the_same(text: str) -> None:
    once = tokens(text)
    assert tokens(" ".join(once)) == once


def test_long_texts_take_no_quadratic_time() -> None:
    for piece in ("a", "#", "@", "a@", "<", "http", ":-", "1,", "é", "!", "a.", "😂", "#ab"):
        tokens(piece * (20_000 // len(piece)))
    assert len(tokens("#" + "abc" * 5_000)) == 2


def test_words_of_content() -> None:
    assert content_words(tokens("@a sees 2 GOOD #things !!! 😂 狗")) == ["sees", "good", "things", "狗"]


def test_spans_are_of_the_text_as_given() -> None:
    text = "Hi @bob 😀👨‍👩‍👧 #LoveIt &amp; 漢字 don’t!! https://t.co/x مرحبا 1,000"
    assert [text[start:end] for start, end in spans(text)] == [
        "Hi", "@bob", "😀", "👨‍👩‍👧", "#LoveIt", "漢", "字", "don’t", "https://t.co/x", "مرحبا", "1,000",
    ]  # fmt: skip


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_spans_of_any_text_are_in_order_and_inside(text: str) -> None:
    found = spans(text)
    ends = [end for span in found for end in span]
    assert ends == sorted(ends) and all(0 <= end <= len(text) for end in ends)
    assert all(start < end for start, end in found)


def test_emoji_are_looked_for_only_where_there_may_be_some() -> None:
    for name in ("©", "1️⃣", "🇪🇸", "☺"):
        assert any(token[0] == ":" for token in tokens(name)), name
