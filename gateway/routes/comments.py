"""``/v1alpha1/comments:analyze``: the hate classifier for clients of the Perspective API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gateway.answers import json_answer, timings_of
from gateway.deps import StateDep, require_scope
from gateway.dialects import COMMENTS, DISCOVERY
from gateway.discovery import discovery_document
from gateway.image_input import parse_body
from gateway.openapi_parts import UPSTREAM_ERRORS, json_operation
from gateway.posts import CAPABILITY, judge_posts, raise_first_error
from gateway.schemas.comments import LANGUAGE, AttributeScoresBody, CommentAnswer, CommentBody
from gateway.upstream import Deadline
from interplay.errors import (
    InvalidInput,
    InvalidParameter,
    ModelFailed,
    NotFound,
    UnsupportedMedia,
    UploadTimeout,
)
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb

router = APIRouter(tags=[CAPABILITY])


@router.post(
    COMMENTS,
    dependencies=[Depends(require_scope("infer"))],
    **json_operation(
        CommentAnswer,
        InvalidInput,
        InvalidParameter,
        UnsupportedMedia,
        UploadTimeout,
        ModelFailed,
        *UPSTREAM_ERRORS,
        body=CommentBody,
    ),
)
async def analyze_comment(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Score a comment, as Perspective's clients ask it; their API key may be in `?key=`.

    Of Perspective's attributes `IDENTITY_ATTACK` is judged, in English. Errors have Google's `error` beside
    the fields of a problem, and what is wrong with a request has the status 400. Nothing is stored.
    """
    body = await parse_body(request, state, CAPABILITY, CommentBody)
    text, spans, wanted = body.comment.text, body.spans(), body.wanted()
    posts = [pb.Post(text=text), *(pb.Post(text=text[begin:end]) for begin, end in spans)]
    judged, response = await judge_posts(request, state, posts, None, timeout_s)
    answers = raise_first_error(judged, ["comment.text"] * len(posts))
    whole, *scores = (round(answer.probability, 6) for answer in answers)
    return json_answer(
        CommentAnswer.model_construct(
            attributeScores={
                name: AttributeScoresBody.of(text, whole, spans, scores)
                for name, attribute in wanted.items()
                if whole >= attribute.scoreThreshold
            },
            languages=body.languages or [LANGUAGE],
            clientToken=body.clientToken,
        ),
        timings_of(request, response.timings),
    )


@router.get(DISCOVERY, include_in_schema=False)
async def discover(
    request: Request, version: Annotated[str, Query(description="Of the API.")] = "v1alpha1"
) -> dict[str, Any]:
    """The description that Google's API clients build themselves from, for `comments:analyze`."""
    if version != "v1alpha1":
        raise NotFound(f"there is no version {version[:40]!r} of commentanalyzer; known: v1alpha1")
    return discovery_document(str(request.base_url))
