"""Answers with the timings that every model call has."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from gateway.negotiation import JSON, PNG
from gateway.schemas.common import TimingsBody


def timings_of(request: Request, proto: Any) -> TimingsBody:
    """The server's stage times and the time since the request came in; also noted for the access log.

    Args:
        request: The HTTP request.
        proto: ``interplay.common.v1.Timings`` of the server's response.
    """
    total_ms = (time.perf_counter() - request.scope["interplay.started"]) * 1000
    timings = TimingsBody.from_proto(proto, total_ms)
    request.scope["interplay.log"] = timings.model_dump()
    return timings


def json_answer(answer: BaseModel, timings: TimingsBody) -> Response:
    """A JSON answer; written by pydantic at once, without FastAPI's second validation."""
    return Response(answer.model_dump_json(), media_type=JSON, headers=_headers(timings))


def png_answer(content: bytes, timings: TimingsBody) -> Response:
    """A picture as the answer; where the time went is in ``Server-Timing`` alone."""
    return Response(content, media_type=PNG, headers=_headers(timings))


def _headers(timings: TimingsBody) -> dict[str, str]:
    return {"Server-Timing": timings.server_timing(), "Vary": "Accept"}
