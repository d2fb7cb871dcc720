"""``/v1/moderations``: the hate classifier for clients of OpenAI's moderation endpoint."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.answers import json_answer, timings_of
from gateway.deps import StateDep, require_scope
from gateway.dialects import MODERATIONS
from gateway.image_input import parse_body
from gateway.openapi_parts import IMAGE_ERRORS, json_operation
from gateway.posts import CAPABILITY, judge_posts, raise_first_error
from gateway.schemas.moderations import ModerationBody, ModerationsAnswer, ModerationsBody
from gateway.upstream import Deadline
from interplay.telemetry.context import get_request_id

router = APIRouter(tags=[CAPABILITY], dependencies=[Depends(require_scope("infer"))])


@router.post(MODERATIONS, **json_operation(ModerationsAnswer, *IMAGE_ERRORS, body=ModerationsBody))
async def create_moderation(request: Request, state: StateDep, timeout_s: Deadline) -> Response:
    """Moderate texts, or one post of texts and an image, as OpenAI's clients ask it.

    Only the category `hate` is judged; all others are false and 0. Errors have OpenAI's `error` beside the
    fields of a problem, and what is wrong with a request has the status 400.
    """
    body = await parse_body(request, state, CAPABILITY, ModerationsBody)
    posts, names = body.posts()
    judged, response = await judge_posts(request, state, posts, None, timeout_s)
    answers = raise_first_error(judged, names)
    return json_answer(
        ModerationsAnswer.model_construct(
            id=f"modr-{get_request_id()}",
            model=f"{response.model.name}-{response.model.version}",
            results=[ModerationBody.from_proto(answer) for answer in answers],
        ),
        timings_of(request, response.timings),
    )
