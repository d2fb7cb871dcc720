"""Bodies of ``/v1/embeddings``, to and from the protos."""

from __future__ import annotations

import base64
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from gateway.schemas.common import Exemplified, ImageSource
from gateway.schemas.entries import JsonBody
from interplay.rpc.common.v1 import index_pb2

MAX_TEXTS = 256
MAX_IMAGES = 64


class EmbeddingsBody(JsonBody, Exemplified):
    """The shape of OpenAI's embeddings, with images beside texts."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "input": ["a dog on the beach", "sunset"],
        "encoding_format": "float",
    }

    input: str | list[str] = Field(default_factory=list, description="A text, or up to 256.")
    images: list[ImageSource] = Field(
        default_factory=list,
        max_length=MAX_IMAGES,
        description="Images; their vectors follow those of the texts.",
    )
    model: str = Field(
        "", max_length=100, description="Taken for compatibility; the answer says which model it was."
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64: little-endian 32-bit floats."
    )
    dimensions: int | None = Field(None, ge=1, description="Must be the model's if it is set.")
    language: str = Field("", max_length=16, description="Read words as this language's first, e.g. `es`.")
    user: str = Field("", max_length=200, description="Taken for compatibility; of no effect.")

    @property
    def texts(self) -> list[str]:
        """The texts as a list."""
        return [self.input] if isinstance(self.input, str) else self.input

    @model_validator(mode="after")
    def _check_counts(self) -> EmbeddingsBody:
        if not self.texts and not self.images:
            raise ValueError("there is nothing to embed: neither input nor images")
        if len(self.texts) > MAX_TEXTS:
            raise ValueError(f"input has {len(self.texts)} texts; the limit is {MAX_TEXTS}")
        return self


class EmbeddingBody(BaseModel):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Place in the request: texts first, then images.")
    embedding: list[float] | str = Field(
        description="Of length one; zeros if the model knows none of the words."
    )
    modality: Literal["text", "image"]
    unknown: list[str] = Field(description="Words of the text that were left out.")


class UsageBody(BaseModel):
    """Words that counted."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Exemplified):
    """Vectors, in the order of the request."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": 0,
                "embedding": [0.021, -0.104],
                "modality": "text",
                "unknown": [],
            }
        ],
        "model": "embedding-words",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }

    object: Literal["list"] = "list"
    data: list[EmbeddingBody]
    model: str
    usage: UsageBody


def encoded(vector: index_pb2.Vector, encoding_format: str) -> list[float] | str:
    """A vector as ``encoding_format`` says."""
    if encoding_format == "base64":
        return base64.b64encode(vector.values).decode()
    return [round(float(value), 7) for value in np.frombuffer(vector.values, dtype="<f4")]
