"""Bodies of ``/v1/moderations``, in the form of OpenAI's moderation endpoint."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from gateway.posts import MAX_POSTS
from gateway.schemas.common import Exemplified
from gateway.schemas.entries import JsonBody
from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb

HATE = "hate"
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    HATE,
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
MAX_PARTS = 32
_DATA_URL, _BASE64 = "data:image/", ";base64,"

_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
_IMAGE_PART = {
    "type": "object",
    "properties": {
        "type": {"const": "image_url"},
        "image_url": {
            "type": "object",
            "properties": {"url": {"type": "string", "description": "data:image/…;base64,…"}},
            "required": ["url"],
        },
    },
    "required": ["type", "image_url"],
}
_INPUT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_POSTS},
        {
            "type": "array",
            "items": {"anyOf": [_TEXT_PART, _IMAGE_PART]},
            "minItems": 1,
            "maxItems": MAX_PARTS,
        },
    ],
}

InputType = Literal["text", "image"]
ModelName = Literal[
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
    "hate-classifier",
]


class ModerationsBody(JsonBody, Exemplified):
    """What to moderate."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "model": "omni-moderation-latest",
        "input": [
            {"type": "text", "text": "Look at this"},
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ…"}},
        ],
    }

    input: Annotated[Any, WithJsonSchema(_INPUT_SCHEMA)] = Field(
        description="A string, a list of strings with a result each, or a list of parts of one post: texts, "
        "and an image as a `data:` URL. Remote URLs are refused."
    )
    model: ModelName = Field(
        "omni-moderation-latest",
        description="Taken for compatibility: whichever is named, the hate classifier judges.",
    )

    def posts(self) -> tuple[list[pb.Post], list[str]]:
        """The posts, and where each is in the body.

        Raises:
            InvalidParameter: The input has none of the three forms, or names a remote image.
        """
        given = self.input
        if isinstance(given, str):
            return [pb.Post(text=_plain(given, "input"))], ["input"]
        if not isinstance(given, list) or not given:
            raise InvalidParameter(
                "input must be a string, a list of strings or a list of parts of one post", field="input"
            )
        if all(isinstance(entry, str) for entry in given):
            if len(given) > MAX_POSTS:
                raise InvalidParameter(
                    f"input has {len(given)} strings; at most {MAX_POSTS} are taken", field="input"
                )
            names = [f"input[{number}]" for number in range(len(given))]
            return [pb.Post(text=_plain(text, name)) for text, name in zip(given, names, strict=True)], names
        return [_post_of_parts(given)], ["input"]


def _post_of_parts(parts: list[Any]) -> pb.Post:
    if len(parts) > MAX_PARTS:
        raise InvalidParameter(f"input has {len(parts)} parts; at most {MAX_PARTS} are taken", field="input")
    texts: list[str] = []
    image: bytes | None = None
    for number, part in enumerate(parts):
        name = f"input[{number}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(_plain(part.get("text"), f"{name}.text"))
        elif kind == "image_url":
            if image is not None:
                raise InvalidParameter("input has more than one image; one is taken", field=name)
            source = part.get("image_url")
            url = source.get("url") if isinstance(source, dict) else source
            image = _image_of(url, f"{name}.image_url.url")
        else:
            raise InvalidParameter(
                f'{name} must be {{"type": "text", "text": …}} or {{"type": "image_url", "image_url": '
                f'{{"url": …}}}}; strings and parts do not go together',
                field=name,
            )
    return pb.Post(text="\n".join(texts), image=None if image is None else common_pb2.Image(content=image))


def _plain(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise InvalidParameter(f"{name} must be a string", field=name)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidParameter(f"{name} holds half of a surrogate pair", field=name) from None
    return text


def _image_of(url: object, name: str) -> bytes:
    text = _plain(url, name)
    if not text.lower().startswith("data:"):
        scheme = text.partition(":")[0][:20]
        raise InvalidParameter(
            f"{name} is a remote URL ({scheme}:…), and remote images are not fetched; send the image as "
            f"{_DATA_URL}…{_BASE64}…",
            field=name,
        )
    head, found, content = text.partition(_BASE64)
    if not found or not head.lower().startswith(_DATA_URL):
        raise InvalidParameter(f"{name} must be {_DATA_URL}…{_BASE64}…", field=name)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"{name} is not base64: {str(error)[:80]}", field=name) from None


class ModerationBody(BaseModel):
    """The result of one post. Only `hate` is judged; all other categories are false and 0."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[InputType]] = Field(
        description="Of `hate`: the inputs that drove its score up. Words in the image count as image."
    )

    @classmethod
    def from_proto(cls, answer: pb.PostAnswer) -> ModerationBody:
        """From the server's answer."""
        flagged = answer.label == pb.LABEL_HATE
        drove: dict[InputType, float] = {"text": 0.0, "image": 0.0}
        for effect in answer.inputs:
            drove["text" if effect.input == pb.INPUT_TEXT else "image"] += effect.contribution
        types = [name for name, contribution in drove.items() if contribution > 0]
        none: list[InputType] = []
        return cls.model_construct(
            flagged=flagged,
            categories={name: flagged and name == HATE for name in CATEGORIES},
            category_scores={
                name: round(answer.probability, 6) if name == HATE else 0.0 for name in CATEGORIES
            },
            category_applied_input_types={name: types if name == HATE else none for name in CATEGORIES},
        )


class ModerationsAnswer(Exemplified):
    """The results, in the order of the input."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "id": "modr-4bf92f3577b34da6a3ce929d0e0e4736",
        "model": "hate-classifier-1",
        "results": [
            {
                "flagged": True,
                "categories": {name: name == HATE for name in CATEGORIES},
                "category_scores": {name: 0.8124 if name == HATE else 0.0 for name in CATEGORIES},
                "category_applied_input_types": {
                    name: ["text", "image"] if name == HATE else [] for name in CATEGORIES
                },
            }
        ],
    }

    id: str
    model: str = Field(description="The model that judged, and its version.")
    results: list[ModerationBody]
