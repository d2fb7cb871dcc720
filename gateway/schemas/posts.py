"""Bodies of ``/v1/posts:classify``: posts and what is said of them, to and from the protos."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from gateway.posts import INPUT_NAMES, MAX_CHARACTERS, MAX_POSTS, InputName
from gateway.schemas.common import EXAMPLE_TIMINGS, Exemplified, ImageSource, ModelBody, Options, TimingsBody
from gateway.schemas.entries import JsonBody
from interplay.errors import InterplayError
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb

_SOURCES: dict[int, Literal["caller", "read", "not_read"]] = {
    pb.IMAGE_TEXT_SOURCE_CALLER: "caller",
    pb.IMAGE_TEXT_SOURCE_READ: "read",
    pb.IMAGE_TEXT_SOURCE_NOT_READ: "not_read",
}

# What a post has beside its image, in forms and in JSON.
Text = Annotated[str, Field(description=f"What its author wrote; at most {MAX_CHARACTERS:,} characters.")]
ImageText = Annotated[
    str | None,
    Field(
        description="The words in its image, empty if there are none. If unset, the text detection server "
        "reads the image."
    ),
]
Words = Annotated[bool, Field(description="Say what each word did: the post is read again without each.")]
Region = Annotated[
    bool, Field(description="Say what each part of the image did, with a picture; needs an image.")
]
ReadImage = Annotated[bool, Field(description="Whether the image is read where `image_text` is unset.")]
Threshold = Annotated[
    float | None,
    Field(ge=0, le=1, description="Probability from which a post is labelled hate; the model's if unset."),
]


class PostOptions(Options):
    """Fields of a form with one post, beside its image."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"text": "Have a nice day", "words": True}

    text: Text = ""
    image_text: ImageText = None
    words: Words = False
    region: Region = False
    read_image: ReadImage = True
    threshold: Threshold = None

    def to_request(self, content: bytes | None) -> pb.ClassifyRequest:
        """``ClassifyRequest`` of the contract, with one post."""
        return pb.ClassifyRequest(posts=[_post(self, content)], threshold=self.threshold)


class PostBody(JsonBody):
    """A post: text, image, words in an image, or several of them."""

    text: Text = ""
    image_text: ImageText = None
    image: ImageSource | None = None
    words: Words = False
    region: Region = False
    read_image: ReadImage = True

    def to_proto(self, content: bytes | None) -> pb.Post:
        """``Post`` of the contract, with this image."""
        return _post(self, content)


class ClassifyBody(JsonBody, Exemplified):
    """Posts to judge."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "posts": [
            {"text": "Have a nice day", "words": True},
            {"text": "Look at this", "image": {"content": "/9j/4AAQ…"}},
        ],
        "threshold": 0.5,
    }

    posts: list[PostBody] = Field(min_length=1, max_length=MAX_POSTS)
    threshold: Threshold = None


def _post(fields: PostOptions | PostBody, content: bytes | None) -> pb.Post:
    return pb.Post(
        text=fields.text,
        image_text=fields.image_text,
        image=None if content is None else common_pb2.Image(content=content),
        words=fields.words,
        region=fields.region,
        skip_reading=not fields.read_image,
    )


class InputBody(BaseModel):
    """What one input of a post did."""

    input: InputName
    alone: float = Field(description="Probability of hate from this input alone.")
    without: float = Field(description="Probability of hate with this input taken away.")
    contribution: float = Field(
        description="Its Shapley value, -1 to 1: with the baseline, those of all inputs add up to the "
        "probability."
    )


class WordBody(BaseModel):
    """A word and what it did."""

    input: InputName
    start: int = Field(description="Where it starts in that text, in characters (Unicode code points).")
    end: int = Field(description="Where it ends, exclusive.")
    weight: float = Field(description="The probability of hate with the word less that without it, -1 to 1.")


class RegionBody(BaseModel):
    """What the parts of an image did."""

    overlay: str = Field(
        description="PNG of the image, base64: what speaks for hate is tinted orange, what speaks against it "
        "blue.",
        json_schema_extra={"format": "byte"},
    )
    width: int = Field(description="Pixels across of the overlay.")
    height: int = Field(description="Pixels down of the overlay.")
    weights: list[list[float]] = Field(
        description="Rows of a grid over the whole image: the probability of hate with that part less that "
        "without it."
    )


class ImageTextBody(BaseModel):
    """The words in an image that were taken into account."""

    text: str
    source: Literal["caller", "read", "not_read"] | None = Field(
        None,
        description="`caller`, `read` by the text detection server, or `not_read`; null without an image.",
    )
    reason: str = Field(description="Why nobody read them; empty unless `not_read`.")


class PostAnswerBody(BaseModel):
    """What is said of a post. Probabilities are calibrated, 0 to 1."""

    probability: float = Field(description="That people call it hate.")
    interval: list[float] = Field(
        description="95 % interval of the share of posts with such a score that people called hate. Of a "
        "text unlike the tweets that were learnt from, a part is another model's, which has no interval."
    )
    label: Literal["hate", "not_hate"] = Field(description="By the threshold.")
    categories: dict[str, float] = Field(description="Probability of each kind of hate.")
    baseline: float = Field(description="Probability where nothing is known of a post.")
    inputs: list[InputBody] = Field(description="What each input that the post has did.")
    words: list[WordBody] = Field(description="What each word did; empty unless asked for.")
    region: RegionBody | None = Field(None, description="What parts of the image did; null unless asked for.")
    image_text: ImageTextBody

    @classmethod
    def from_proto(cls, answer: pb.PostAnswer) -> PostAnswerBody:
        """From the server's answer."""
        return cls.model_construct(
            probability=round(answer.probability, 4),
            interval=[round(answer.low, 4), round(answer.high, 4)],
            label="hate" if answer.label == pb.LABEL_HATE else "not_hate",
            categories={kind.name: round(kind.probability, 4) for kind in answer.categories},
            baseline=round(answer.baseline, 4),
            inputs=[
                InputBody.model_construct(
                    input=INPUT_NAMES[effect.input],
                    alone=round(effect.alone, 4),
                    without=round(effect.without, 4),
                    contribution=round(effect.contribution, 4),
                )
                for effect in answer.inputs
            ],
            words=[
                WordBody.model_construct(
                    input=INPUT_NAMES[word.input],
                    start=word.start,
                    end=word.end,
                    weight=round(word.weight, 4),
                )
                for word in answer.words
            ],
            region=_region(answer.region) if answer.HasField("region") else None,
            image_text=ImageTextBody.model_construct(
                text=answer.image_text.text,
                source=_SOURCES.get(answer.image_text.source),
                reason=answer.image_text.reason,
            ),
        )


def _region(region: pb.RegionEffect) -> RegionBody:
    weights = [round(weight, 4) for weight in region.weights]
    columns = region.columns
    return RegionBody.model_construct(
        overlay=base64.b64encode(region.overlay).decode("ascii"),
        width=region.width,
        height=region.height,
        weights=[weights[start : start + columns] for start in range(0, len(weights), columns)],
    )


class PostErrorBody(BaseModel):
    """Why a post was not judged, while others were."""

    reason: str = Field(description="Stable constant, e.g. UNREADABLE_IMAGE.")
    message: str = Field(description="For people; names the limit and the value.")


class PostResultBody(BaseModel):
    """What became of a post: one of the two is null."""

    answer: PostAnswerBody | None = None
    error: PostErrorBody | None = None

    @classmethod
    def of(cls, outcome: pb.PostAnswer | InterplayError) -> PostResultBody:
        """From an answer or an error."""
        if isinstance(outcome, InterplayError):
            error = PostErrorBody.model_construct(reason=outcome.row.reason, message=outcome.message)
            return cls.model_construct(answer=None, error=error)
        return cls.model_construct(answer=PostAnswerBody.from_proto(outcome), error=None)


class ClassifyAnswer(Exemplified):
    """What became of the posts, in order."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "results": [
            {
                "answer": {
                    "probability": 0.2413,
                    "interval": [0.1921, 0.2987],
                    "label": "not_hate",
                    "categories": {
                        "racist": 0.0812,
                        "sexist": 0.0721,
                        "homophobe": 0.0204,
                        "religion": 0.0101,
                        "other": 0.0923,
                    },
                    "baseline": 0.3981,
                    "inputs": [
                        {"input": "text", "alone": 0.2413, "without": 0.3981, "contribution": -0.1568}
                    ],
                    "words": [{"input": "text", "start": 7, "end": 11, "weight": -0.0911}],
                    "region": None,
                    "image_text": {"text": "", "source": None, "reason": ""},
                },
                "error": None,
            },
            {
                "answer": None,
                "error": {
                    "reason": "UNREADABLE_IMAGE",
                    "message": "the JPEG data is truncated or corrupt and cannot be decoded",
                },
            },
        ],
        "threshold": 0.5,
        "model": {"name": "hate-classifier", "version": "1", "digest": "sha256:" + "6" * 64},
        "timings": EXAMPLE_TIMINGS,
    }

    results: list[PostResultBody]
    threshold: float = Field(description="Of the labels.")
    model: ModelBody
    timings: TimingsBody
