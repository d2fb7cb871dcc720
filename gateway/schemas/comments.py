"""Bodies of ``/v1alpha1/comments:analyze``, in the form of the Perspective API."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.dialects import ERROR_TYPE
from gateway.posts import MAX_CHARACTERS, MAX_POSTS
from gateway.schemas.common import Exemplified
from interplay.errors import InvalidParameter

# What Perspective calls "negative or hateful comments targeting someone because of their identity".
ATTRIBUTE = "IDENTITY_ATTACK"
LANGUAGE = "en"
# The comment itself is judged, too.
MAX_SPANS = MAX_POSTS - 1
_SENTENCE = re.compile(r"\S.*?(?:[.!?…。!?؟]+(?=\s|$)|[。!?]|\n|$)", re.DOTALL)


class _Part(BaseModel):
    """Part of a request; unknown fields are refused, as Perspective does."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class TextEntryBody(_Part):
    """A text."""

    text: str = ""
    type: Literal["PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED"] = "PLAIN_TEXT"


class ContextBody(_Part):
    """What the comment answers; not taken into account, as in Perspective."""

    entries: list[TextEntryBody] = Field(default_factory=list)
    articleAndParentComment: dict[str, TextEntryBody] = Field(default_factory=dict)


class AttributeBody(_Part):
    """How an attribute is wanted."""

    scoreType: Literal["PROBABILITY", "SCORE_TYPE_UNSPECIFIED"] = "PROBABILITY"
    scoreThreshold: float = Field(0.0, ge=0, le=1, description="Lower scores are left out.")


class CommentBody(_Part, Exemplified):
    """A comment to analyse."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "comment": {"text": "What kind of idiot are you?"},
        "languages": [LANGUAGE],
        "requestedAttributes": {ATTRIBUTE: {}},
        "spanAnnotations": True,
        "doNotStore": True,
    }

    comment: TextEntryBody
    requestedAttributes: dict[str, AttributeBody] = Field(
        min_length=1, description=f"{ATTRIBUTE} is judged; others are refused, or left out where wanted."
    )
    languages: list[str] = Field(
        default_factory=list, max_length=16, description="English alone is judged; taken for it if unset."
    )
    spanAnnotations: bool = Field(False, description="Score each sentence, too, as if it stood alone.")
    dropUnsupportedAttributes: bool = Field(
        False, description="Leave out attributes that are not judged, instead of refusing them."
    )
    doNotStore: bool = Field(False, description="Nothing is ever stored, whatever is said here.")
    clientToken: str = Field("", max_length=1000, description="Given back as it came.")
    sessionId: str = Field("", max_length=1000, description="Not used.")
    communityId: str = Field("", max_length=1000, description="Not used.")
    context: ContextBody | None = None

    def wanted(self) -> dict[str, AttributeBody]:
        """The attributes to answer with.

        Raises:
            InvalidParameter: One that is not judged, or not in this language, and may not be left out.
        """
        other = [code for code in self.languages if code.lower().partition("-")[0] != LANGUAGE]
        wanted = {}
        for name, attribute in self.requestedAttributes.items():
            if name == ATTRIBUTE and not other:
                wanted[name] = attribute
            elif self.dropUnsupportedAttributes:
                continue
            elif name == ATTRIBUTE:
                raise InvalidParameter(
                    f"Attribute {name} does not support request languages: {', '.join(other)[:100]}",
                    field="languages",
                    metadata={ERROR_TYPE: "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"},
                )
            else:
                raise InvalidParameter(
                    f"Attribute {name[:80]} is not judged here; supported: {ATTRIBUTE}. "
                    "dropUnsupportedAttributes leaves it out",
                    field=f"requestedAttributes.{name[:80]}",
                )
        return wanted

    def spans(self) -> list[tuple[int, int]]:
        """Beginning and end of what is scored beside the whole: the sentences, or nothing.

        Raises:
            InvalidParameter: The comment is empty or too long.
        """
        text = self.comment.text
        if not text.strip():
            raise InvalidParameter(
                "Comment must be non-empty.", field="comment.text", metadata={ERROR_TYPE: "COMMENT_EMPTY"}
            )
        if len(text) > MAX_CHARACTERS:
            raise InvalidParameter(
                f"Comment text has {len(text)} characters; at most {MAX_CHARACTERS} are taken.",
                field="comment.text",
                metadata={ERROR_TYPE: "COMMENT_TOO_LONG"},
            )
        return sentences(text, MAX_SPANS) if self.spanAnnotations else []


def sentences(text: str, most: int) -> list[tuple[int, int]]:
    """Beginning and end of each sentence, in characters, without the space around it.

    Args:
        text: With anything in it but space.
        most: If there are more, the last span holds all the rest.
    """
    found = [(match.start(), match.start() + len(match[0].rstrip())) for match in _SENTENCE.finditer(text)]
    if len(found) > most:
        found[most - 1 :] = [(found[most - 1][0], found[-1][1])]
    return found


class ProbabilityBody(BaseModel):
    """A probability."""

    value: float
    type: Literal["PROBABILITY"]


class SpanScoreBody(BaseModel):
    """The score of a part of the comment."""

    begin: int = Field(description="In characters (Unicode code points).")
    end: int = Field(description="Exclusive.")
    score: ProbabilityBody


class AttributeScoresBody(BaseModel):
    """The scores of an attribute."""

    spanScores: list[SpanScoreBody] = Field(description="Of each sentence, or of the whole comment.")
    summaryScore: ProbabilityBody = Field(description="Of the whole comment.")

    @classmethod
    def of(
        cls, text: str, whole: float, spans: list[tuple[int, int]], scores: list[float]
    ) -> AttributeScoresBody:
        """From the probability of a comment and those of its spans; without any, the whole is one."""
        if not spans:
            spans, scores = [(0, len(text))], [whole]
        return cls.model_construct(
            spanScores=[
                SpanScoreBody.model_construct(begin=begin, end=end, score=_score(value))
                for (begin, end), value in zip(spans, scores, strict=True)
            ],
            summaryScore=_score(whole),
        )


def _score(value: float) -> ProbabilityBody:
    return ProbabilityBody.model_construct(value=value, type="PROBABILITY")


class CommentAnswer(Exemplified):
    """What is said of the comment."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "attributeScores": {
            ATTRIBUTE: {
                "spanScores": [{"begin": 0, "end": 27, "score": {"value": 0.3187, "type": "PROBABILITY"}}],
                "summaryScore": {"value": 0.3187, "type": "PROBABILITY"},
            }
        },
        "languages": [LANGUAGE],
        "clientToken": "",
    }

    attributeScores: dict[str, AttributeScoresBody]
    languages: list[str]
    clientToken: str
