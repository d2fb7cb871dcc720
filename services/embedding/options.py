"""Request fields to domain values and back, with limits checked and clear errors."""

from __future__ import annotations

from collections.abc import Sequence

from interplay.errors import InvalidParameter
from interplay.predictors.embedding.text import TextVector
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.serving.checks import check_length

MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 2000
MAX_IMAGES = 64
MAX_PARTS = 32
MAX_WEIGHT = 10.0


def check_text(text: pb.Text, languages: Sequence[str], field: str) -> tuple[str, str | None]:
    """A text and its language; None for English.

    Raises:
        InvalidParameter: Too long, or a language that the model does not know.
    """
    check_length(text.content, MAX_TEXT_CHARACTERS, f"{field}.content")
    language = text.language.lower() or None
    if language == "en":
        language = None
    if language is not None and language not in languages:
        known = ", ".join(("en", *sorted(languages)))
        raise InvalidParameter(
            f"unknown language {text.language!r}; known: {known}", field=f"{field}.language"
        )
    return text.content, language


def weight_of(part: pb.QueryPart, field: str) -> float:
    """Weight of a part.

    Raises:
        InvalidParameter: Zero, not finite, or beyond the limits.
    """
    weight = part.weight if part.HasField("weight") else 1.0
    if not 0 < abs(weight) <= MAX_WEIGHT:  # also true for NaN
        raise InvalidParameter(
            f"weight is {weight:g}; it must be between -{MAX_WEIGHT:g} and {MAX_WEIGHT:g}, and not 0",
            field=f"{field}.weight",
        )
    return float(weight)


def understood_message(text: TextVector) -> pb.Understood:
    """How a text was understood."""
    read_as = [pb.ReadAs(word=word, stand_ins=found) for word, found in text.read_as.items()]
    return pb.Understood(words=text.words, read_as=read_as, unknown=text.unknown)
