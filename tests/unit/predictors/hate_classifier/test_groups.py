"""Names of groups become one token, and words around them are told apart by side and negation."""

from __future__ import annotations

import pytest

from interplay.predictors.hate_classifier.features import GRAMS
from interplay.predictors.hate_classifier.groups import GROUP, SLUR, group_runs, replaced
from interplay.predictors.hate_classifier.text import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No Jew deserves that", f"no {GROUP} deserves that"),
        ("jewish people's homes", f"{GROUP} homes"),
        ("kill all black women", f"kill all {GROUP}"),
        ("gay Muslim men", GROUP),
        ("The mentally ill are here", f"the {GROUP} are here"),
        ("the blind spot", f"the {GROUP} spot"),
        ("mentally ill people", GROUP),
        ("people with a learning disability", GROUP),
        ("a person with down syndrome", f"a {GROUP}"),
        ("people from Africa", GROUP),
        ("people of colour", GROUP),
        ("illegal immigrants OUT", f"{GROUP} out"),
        ("I am black", f"i am {GROUP}"),
        ("a black dog", "a black dog"),
        ("the colour black", "the colour black"),
        ("old news from the east", "old news from the east"),
        ("people with money", "people with money"),
        ("my friends and lawyers", "my friends and lawyers"),
        ("r" + "etards", SLUR),
        ("h4te the w0men", f"hate the {GROUP}"),
        ("the 7th of may, covid19", "the 7th of may , covid19"),
        ("j e w s", GROUP),
        ("", ""),
    ],
)
def test_names_of_groups_are_one_token(text: str, expected: str) -> None:
    assert " ".join(replaced(tokens(text))) == expected


def test_all_groups_give_the_same_features() -> None:
    of = [
        group_runs(tokens(f"we must kill all {name} now"), 1, 3) for name in ("jews", "gay people", "blacks")
    ]
    assert of[0] == of[1] == of[2]
    assert of[0] != group_runs(tokens("we must kill all processes now"), 1, 3)


def test_sides_and_negation() -> None:
    found = group_runs(tokens("Women rule. I don't hate women, I hate rain"), 1, 2)
    assert {"G>rule", "no:hate>G", "G>no:hate", "G>hate", "G>rain", "no:hate <group>"} <= set(found)
    assert {"no:<worse>>G", "G><worse>", "<worse>"} <= set(found)  # how "hate" sounds
    assert "hate>G" not in found and "rain>G" not in found
    assert "no:rain>G" not in found and "G>no:rain" not in found  # a comma ends what "don't" negates
    assert not any("G>" in gram or ">G" in gram for gram in group_runs(tokens("I hate rain"), 1, 2))


def test_far_words_do_not_count() -> None:
    near, far = (group_runs(tokens(f"kill {'so ' * n} women"), 1, 1) for n in (5, 20))
    assert "kill>G" in near and "kill>G" not in far


def test_kind_of_block() -> None:
    assert GRAMS["groups"]("Jews sing", 1, 2, None) == ["<group>", "sing", "<group> sing", "G>sing"]
    assert GRAMS["groups"]("ignored", 1, 1, ["hello"]) == ["hello"]
