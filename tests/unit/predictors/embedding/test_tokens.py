"""Words of any script, as training and serving split them."""

from __future__ import annotations

import pytest

from interplay.predictors.embedding.tokens import tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red Car, parked!", ["red", "car", "parked"]),
        ("#sunset#beach @me", ["sunset", "beach", "me"]),
        ("black-and-white", ["black", "and", "white"]),
        ("don't", ["don"]),
        ("L'església de la Sagrada Família", ["església", "de", "la", "sagrada", "família"]),
        ("Cafe\u0301 STRASSE İstanbul", ["café", "strasse", "i̇stanbul"]),
        ("Пляж и море", ["пляж", "море"]),
        ("海灘 海", ["海灘", "海"]),
        ("हिन्दी", ["हिन्दी"]),
        ("ﬁne ２０２６", ["fine", "2026"]),
        ("x" * 15 + " " + "y" * 16, ["x" * 15]),
        ("😀 !? _", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


def test_stop_words_are_left_out() -> None:
    assert tokenize("The dog on the sofa", {"the", "on"}) == ["dog", "sofa"]
