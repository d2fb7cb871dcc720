"""``/v1/posts:classify``: whether posts are hate speech, and what in them says so."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.answers import json_answer, picture_answer, timings_of
from gateway.deps import AppState, StateDep, require_scope
from gateway.image_input import image_content, parse_body, receive_image
from gateway.negotiation import JSON, PNG, best_media_type
from gateway.openapi_parts import image_operation
from gateway.posts import CAPABILITY, judge_posts, raise_first_error
from gateway.schemas.common import ModelBody
from gateway.schemas.posts import ClassifyAnswer, ClassifyBody, PostBody, PostOptions, PostResultBody
from gateway.upstream import Deadline
from interplay.errors import InterplayError, InvalidParameter
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb

router = APIRouter(prefix="/v1", tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])


def _operation() -> dict[str, Any]:
    """One post as a form, or many in JSON."""
    operation = image_operation(PostOptions, ClassifyAnswer, (JSON, PNG), image_required=False)
    operation["openapi_extra"]["requestBody"]["content"][JSON] = {
        "schema": {"$ref": f"#/components/schemas/{ClassifyBody.__name__}"},
        "example": ClassifyBody.EXAMPLE,
    }
    return operation


@router.post("/posts:classify", **_operation())
async def classify_posts(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Whether posts are hate speech: calibrated probabilities, kinds of hate, and what says so.

    JSON takes many posts, each with an answer or an error of its own. A form takes one, whose error is that
    of the request; with `region` and `Accept: image/png` its answer is the image with the region laid over
    it. Words in an image are read by the text detection server; the answer says so if that could not be.
    Posts are neither stored nor logged.
    """
    media_type = best_media_type(request.headers.get("accept"), (JSON, PNG))
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        content, options = await receive_image(request, state, CAPABILITY, PostOptions, required=False)
        if media_type == PNG and not options.region:
            raise InvalidParameter(
                f"Accept: {PNG} asks for the region, so it needs region=true", field="region"
            )
        message = options.to_request(content)
        judged, response = await judge_posts(request, state, message.posts, options.threshold, timeout_s)
        (answer,) = raise_first_error(judged, [""])
        if media_type == PNG:
            return picture_answer(answer.region.overlay, timings_of(request, response.timings))
    else:
        if media_type == PNG:
            raise InvalidParameter(f"Accept: {PNG} is for a form with one post", field="Accept")
        body = await parse_body(request, state, CAPABILITY, ClassifyBody)
        posts = await asyncio.gather(*(_post(state, post, number) for number, post in enumerate(body.posts)))
        judged, response = await judge_posts(request, state, posts, body.threshold, timeout_s)
    timings = timings_of(request, response.timings)
    return json_answer(
        ClassifyAnswer.model_construct(
            results=[PostResultBody.of(outcome) for outcome in judged],
            threshold=response.threshold,
            model=ModelBody.from_proto(response.model),
            timings=timings,
        ),
        timings,
    )


async def _post(state: AppState, post: PostBody, number: int) -> pb.Post | InterplayError:
    """The post with its image, or why there is none."""
    try:
        content = await image_content(state, post.image, f"posts[{number}].image") if post.image else None
    except InterplayError as error:
        return error
    return post.to_proto(content)
