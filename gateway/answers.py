"""Answers with the timings that every model call has."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from gateway.negotiation import JSON, MULTIPART, PNG
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


def picture_answer(content: bytes, timings: TimingsBody, media_type: str = PNG) -> Response:
    """A picture as the answer; where the time went is in ``Server-Timing`` alone."""
    return Response(content, media_type=media_type, headers=_headers(timings))


def multipart_answer(parts: Iterable[tuple[Mapping[str, str], bytes]], timings: TimingsBody) -> Response:
    """Several contents as one answer (RFC 2046), each with headers of its own.

    Args:
        parts: Headers, in ASCII, and content.
        timings: For ``Server-Timing``.
    """
    boundary = secrets.token_hex(16)  # 128 random bits: no content holds them
    pieces: list[bytes] = []
    for headers, content in parts:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces += (f"--{boundary}\r\n{lines}\r\n".encode("ascii"), content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    media_type = f"{MULTIPART}; boundary={boundary}"
    return Response(b"".join(pieces), media_type=media_type, headers=_headers(timings))


def _headers(timings: TimingsBody) -> dict[str, str]:
    return {"Server-Timing": timings.server_timing(), "Vary": "Accept"}
