"""Asking the hate classifier about posts, for all doors that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import Request

from gateway.deps import AppState
from gateway.upstream import call_server
from interplay.errors import InterplayError, error_from_reason
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.rpc.status import error_from_item

CAPABILITY = "hate_classifier"
MAX_POSTS, MAX_CHARACTERS = 64, 10_000
InputName = Literal["text", "image_text", "image"]
INPUT_NAMES: dict[pb.Input, InputName] = {
    pb.INPUT_TEXT: "text",
    pb.INPUT_IMAGE_TEXT: "image_text",
    pb.INPUT_IMAGE: "image",
}

Judged = list[pb.PostAnswer | InterplayError]


async def judge_posts(
    request: Request,
    state: AppState,
    posts: Sequence[pb.Post | InterplayError],
    threshold: float | None,
    timeout_s: float,
) -> tuple[Judged, Any]:
    """What becomes of posts, in order.

    Args:
        request: HTTP request whose body has been read.
        state: The process's state.
        posts: The posts; errors in the place of those that are wrong already.
        threshold: For the labels; None for the model's.
        timeout_s: Deadline in seconds.

    Returns:
        An answer or an error of each post, and the server's response.

    Raises:
        InterplayError: The first post's own, where all are wrong already; what the call raised.
    """
    sound = [post for post in posts if isinstance(post, pb.Post)]
    if not sound:
        assert isinstance(posts[0], InterplayError)
        raise posts[0]
    message = pb.ClassifyRequest(posts=sound, threshold=threshold)
    response = await call_server(request, state, CAPABILITY, "Classify", message, timeout_s)
    answers = iter(response.results)
    return [post if isinstance(post, InterplayError) else _outcome(next(answers)) for post in posts], response


def raise_first_error(judged: Judged, names: Sequence[str]) -> list[pb.PostAnswer]:
    """The answers, where one bad post spoils its whole request.

    Args:
        judged: Of ``judge_posts``.
        names: What the caller calls each post, to lead the message.

    Raises:
        InterplayError: The first post's that has one.
    """
    answers = []
    for name, outcome in zip(names, judged, strict=True):
        if isinstance(outcome, InterplayError):
            message = f"{name}: {outcome.message}" if name else outcome.message
            raise error_from_reason(
                outcome.row.reason, message, field=name or outcome.field, retry_after_s=outcome.retry_after_s
            )
        answers.append(outcome)
    return answers


def _outcome(result: pb.PostResult) -> pb.PostAnswer | InterplayError:
    return error_from_item(result.error) if result.HasField("error") else result.answer
