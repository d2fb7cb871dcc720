"""``HateClassifierService``: translation between the contract, the batcher and the classifier."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

import grpc

from interplay.errors import InternalError, InterplayError, InvalidParameter
from interplay.media.draw import draw_influence
from interplay.media.images import encode_png
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2_grpc as pb_grpc
from interplay.rpc.status import item_error
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import time_left, with_patience
from interplay.serving.checks import check_count, check_fraction, check_length
from interplay.serving.model_service import model_info
from interplay.serving.requests import Requests, Work, timings_message
from interplay.telemetry.logging import get_logger
from interplay.types import Image, StageTimings
from services.hate_classifier.reading import MAX_CHARACTERS, ImageReader, ImageWords, not_read

log = get_logger(__name__)

MAX_POSTS, MAX_REGIONS = 64, 8
# Longer side of an overlay: eight of them fit into a message.
OVERLAY_PX = 1024
# What a post with an image weighs in a batch, and one whose words are asked for, which is read many times.
_IMAGE_PIXELS = 224 * 224
_WORDS_PIXELS = 250_000

_INPUTS = {"text": pb.INPUT_TEXT, "image_text": pb.INPUT_IMAGE_TEXT, "image": pb.INPUT_IMAGE}

Classifying = Batcher[PostItem, PostAnswer]
_Judged = tuple[pb.PostResult, StageTimings]


class HateClassifierServicer(pb_grpc.HateClassifierServiceServicer):
    """See ``protos/interplay/hate_classifier/v1/hate_classifier.proto``.

    Args:
        classifier: Batcher of the model.
        reader: Reads images.
        requests: Admission, one post at a time.
    """

    def __init__(self, classifier: Classifying, reader: ImageReader, requests: Requests) -> None:
        self._classifier = classifier
        self._reader = reader
        self._requests = requests

    async def Classify(
        self, request: pb.ClassifyRequest, context: grpc.aio.ServicerContext
    ) -> pb.ClassifyResponse:
        """One or many posts, each with an answer or an error of its own."""
        check_count("posts", len(request.posts), MAX_POSTS)
        regions = sum(post.region for post in request.posts)
        if regions > MAX_REGIONS:
            raise InvalidParameter(
                f"{regions} posts ask for the region; at most {MAX_REGIONS} of a request may", field="posts"
            )
        manifest = self._classifier.runtime.manifest
        threshold = manifest.thresholds["hate"]
        if request.HasField("threshold"):
            threshold = check_fraction(request.threshold, "threshold")
        patient = len(request.posts) > 1
        judged = await asyncio.gather(
            *(self._judge(post, threshold, context, patient=patient) for post in request.posts)
        )
        return pb.ClassifyResponse(
            results=[result for result, _ in judged],
            threshold=threshold,
            model=model_info(manifest),
            timings=timings_message(StageTimings.together([timings for _, timings in judged])),
        )

    async def _judge(
        self, post: pb.Post, threshold: float, context: grpc.aio.ServicerContext, *, patient: bool
    ) -> _Judged:
        """What becomes of a post. One that is alone is refused with its call; of many, each for itself."""

        async def once() -> _Judged:
            return await self._answer(post, threshold, context)

        try:
            check_post(post)
            return await (with_patience(once, time_left(context)) if patient else once())
        except InterplayError as error:
            if error.row.retryable and not patient:
                raise  # the call may be made again, which is not a matter of this post
            return pb.PostResult(error=item_error(error)), StageTimings()
        except Exception as error:  # its text may quote the post, so it is not logged
            log.error("post_failed", error=type(error).__name__)
            fault = InternalError("the server failed on this post")
            return pb.PostResult(error=item_error(fault)), StageTimings()

    async def _answer(self, post: pb.Post, threshold: float, context: grpc.aio.ServicerContext) -> _Judged:
        content = post.image.content if post.HasField("image") else None
        with self._requests.admit(content, context) as work:
            image = await work.decode() if content is not None else None
            words = await self._image_words(post, work)
            item = PostItem(
                text=post.text, image_text=words.text, image=image, words=post.words, region=post.region
            )
            answer = await judge(self._classifier, item, work)
            message = answer_message(answer, threshold, words)
            if image is not None and answer.region is not None:
                message.region.CopyFrom(await work.finish(region_message, image, answer))
        return pb.PostResult(answer=message), work.timings

    async def _image_words(self, post: pb.Post, work: Work) -> ImageWords:
        if post.HasField("image_text"):
            return ImageWords(post.image_text, pb.IMAGE_TEXT_SOURCE_CALLER)
        if not post.HasField("image"):
            return ImageWords(None)
        if post.skip_reading:
            return not_read("the caller did not want the image to be read")
        # At least half of the time is left to the model.
        now = monotonic()
        return await self._reader.read(post.image.content, now + (work.deadline - now) / 2)


async def judge(classifier: Batcher[PostItem, PostAnswer], item: PostItem, work: Work) -> PostAnswer:
    """The classifier's answer; posts with an image, and those with words, weigh more in a batch."""
    with_image = item.image is not None
    return await work.run(
        classifier,
        item,
        bucket=(with_image, item.words),
        pixels=_IMAGE_PIXELS * with_image + _WORDS_PIXELS * item.words,
    )


def check_post(post: pb.Post) -> None:
    """A post has something to judge, and no more than is taken.

    Raises:
        InvalidParameter: It has not; the message names the limit.
    """
    check_length(post.text, MAX_CHARACTERS, "text")
    check_length(post.image_text, MAX_CHARACTERS, "image_text")
    has_image = post.HasField("image")
    if not (has_image or post.text.strip() or post.image_text.strip()):
        raise InvalidParameter("the post has neither text nor image", field="text")
    if post.region and not has_image:
        raise InvalidParameter("region asks for a part of the image, and the post has none", field="region")


def answer_message(answer: PostAnswer, threshold: float, words: ImageWords) -> pb.PostAnswer:
    """``PostAnswer`` of the contract, without the region."""
    return pb.PostAnswer(
        probability=answer.probability,
        low=answer.low,
        high=answer.high,
        label=pb.LABEL_HATE if answer.probability >= threshold else pb.LABEL_NOT_HATE,
        categories=[
            pb.Category(name=name, probability=probability) for name, probability in answer.categories.items()
        ],
        baseline=answer.baseline,
        inputs=[
            pb.InputEffect(
                input=number,
                alone=answer.alone[name],
                without=answer.without[name],
                contribution=answer.contributions[name],
            )
            for name, number in _INPUTS.items()
            if name in answer.contributions
        ],
        words=[
            pb.WordEffect(input=_INPUTS[word.source], start=word.start, end=word.end, weight=word.weight)
            for word in answer.words
        ],
        image_text=pb.ImageText(text=words.text or "", source=words.source, reason=words.reason),
    )


def region_message(image: Image, answer: PostAnswer) -> pb.RegionEffect:
    """``RegionEffect`` of the contract, with the overlay drawn."""
    assert answer.region is not None, "the caller has looked"
    overlay = draw_influence(image, answer.region, OVERLAY_PX)
    rows, columns = answer.region.shape
    weights: Sequence[float] = answer.region.ravel().tolist()
    return pb.RegionEffect(
        overlay=encode_png(overlay),
        width=overlay.shape[1],
        height=overlay.shape[0],
        rows=rows,
        columns=columns,
        weights=weights,
    )
