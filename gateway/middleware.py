"""What happens to every request before it meets a route, as plain ASGI so that nothing is buffered.

From the outside in: ``RequestContext`` (request id, metrics, access log, last resort for errors),
``Gatekeeper`` (who is it, and is it too often), ``BodyLimit`` (how much may arrive).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admission import Admission
from gateway.deps import AppState, Caller
from gateway.dialects import COMMENTS, DISCOVERY, note_path
from gateway.problems import RefusedBody, problem_response, response_to_exception
from gateway.settings import GatewaySettings, is_loopback
from interplay.api_keys import SCOPES, ApiKey
from interplay.errors import InterplayError, PayloadTooLarge, PermissionDenied, Unauthenticated, UploadTimeout
from interplay.telemetry.context import HTTP_HEADER, accept_request_id, set_request_id
from interplay.telemetry.logging import get_logger
from interplay.telemetry.metrics import (
    AUTH_FAILURES,
    HTTP_DURATION,
    HTTP_INFLIGHT,
    HTTP_REQUESTS,
    RATE_LIMITED,
)

log = get_logger(__name__)

# Without a key: probes and the description of the API.
OPEN_PATHS = frozenset(
    {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/docs", DISCOVERY}
)
UNLIMITED_PATHS = OPEN_PATHS | {"/metrics"}
# What takes images: /v1/noun:verb, searches, vectors, moderations, entries of indexes, tensors. The rest has
# the small limit.
_IMAGE_PATH = re.compile(
    r"^/v1/([a-z-]+:[a-z-]+|search|embeddings|moderations|indexes/[^/]+/entries)$"
    r"|^/v2/models/[^/]+/(versions/[^/]+/)?infer$"
)
# A snapshot's file is passed on as it comes, never held.
_STREAM_PATH = re.compile(r"^/v1/indexes/[^/]+/restore$")
_STREAM_TYPE = "application/octet-stream"
_STREAM_HELD_BYTES = 1024 * 1024

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LINGER_S = 2.0


class RequestContext:
    """Request id, metrics, access log; turns whatever is left of an exception into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = accept_request_id(Headers(scope=scope).get(HTTP_HEADER))
        set_request_id(request_id)
        note_path(scope["path"])
        started = scope["interplay.started"] = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent[HTTP_HEADER] = request_id
                sent["X-Content-Type-Options"] = "nosniff"
            await send(message)

        HTTP_INFLIGHT.inc()
        try:
            await self.app(scope, receive, send_with_id)
        except Exception as exception:
            if status:  # too late for another answer; the server closes the connection
                raise
            response = response_to_exception(exception, Request(scope))
            await response(scope, receive, send_with_id)
        finally:
            HTTP_INFLIGHT.dec()
            _record(scope, status or 499, time.perf_counter() - started)


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    HTTP_REQUESTS.labels(route, method, f"{status // 100}xx").inc()
    HTTP_DURATION.labels(route, method).observe(seconds)
    caller = scope.get("interplay.caller")
    emit = log.debug if scope["path"] in UNLIMITED_PATHS else log.info
    emit(
        "http_request",
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        caller=caller.id if caller else None,
        **scope.get("interplay.log", {}),
    )


class Gatekeeper:
    """Authentication and rate limit, before any of the body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer why not."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        state: AppState = scope["app"].state.gateway
        caller, refusal = _identify(scope, state)
        scope["interplay.caller"] = caller
        limited = scope["path"] not in UNLIMITED_PATHS
        # A refused key costs a token of its address, so that guessing is slow.
        allowance = await state.limiter.take(caller.id, caller.rate) if limited else None
        headers = allowance.headers() if allowance else {}
        if allowance and (exhausted := allowance.refusal()):
            RATE_LIMITED.labels("rate").inc()
            refusal = exhausted
        if refusal is not None:
            await problem_response(refusal, headers=headers)(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self.app(scope, receive, send_with_limits if headers else send)


def _identify(scope: Scope, state: AppState) -> tuple[Caller, InterplayError | None]:
    """The caller, and why it is refused if it is."""
    address = f"address:{scope['client'][0] if scope.get('client') else 'unknown'}"
    stranger = Caller(address, frozenset())
    headers = Headers(scope=scope)
    if not state.keys.required:
        # A web page can make its own name resolve to 127.0.0.1 and so talk to this port from a browser here.
        if not is_loopback(_host_name(headers.get("host", ""))):
            AUTH_FAILURES.labels("host").inc()
            return stranger, PermissionDenied(
                "without API keys, only requests to localhost or 127.0.0.1 are answered"
            )
        return Caller(address, frozenset(SCOPES)), None
    secret = headers.get("x-api-key")
    if secret is None and scope["path"] == COMMENTS:
        secret = headers.get("x-goog-api-key") or QueryParams(scope["query_string"]).get("key")
    if secret is None:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        secret = value.strip() if scheme.lower() == "bearer" else None
    if not secret:
        AUTH_FAILURES.labels("missing").inc()
        return stranger, Unauthenticated("no API key; send it as X-API-Key or as Authorization: Bearer")
    key: ApiKey | None = state.keys.find(secret)
    if key is None:
        AUTH_FAILURES.labels("unknown").inc()
        return stranger, Unauthenticated("this API key is not valid")
    return Caller(f"key:{key.id}", key.scopes, key.rate), None


def _host_name(header: str) -> str:
    """Host header without its port and without the brackets of IPv6."""
    name = header[: header.rfind("]") + 1] or header.partition(":")[0]
    return name.strip("[]").lower()


class BodyLimit:
    """Counts the body while it arrives and stops at the limit, whatever Content-Length said.

    Args:
        app: Next application.
        settings: Limits in bytes and seconds.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request with a counted ``receive``."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        content_type = headers.get("content-type", "").lower()
        streamed = _STREAM_PATH.match(scope["path"]) is not None and content_type.startswith(_STREAM_TYPE)
        limit = self.settings.max_snapshot_bytes if streamed else self._limit(scope["path"], content_type)
        timeout_s = self.settings.upload_timeout_s
        now = asyncio.get_running_loop().time
        deadline = now() + (self.settings.snapshot_timeout_s if streamed else timeout_s)
        received = 0
        complete = refused = False

        async def counted_receive() -> Message:
            nonlocal received, complete, refused
            if complete:  # whoever still waits, waits for the disconnect
                return await receive()
            try:
                # What is streamed has longer in all, but must not stand still.
                async with asyncio.timeout_at(min(deadline, now() + timeout_s)):
                    message = await receive()
            except TimeoutError as error:
                refused = True
                fault = UploadTimeout(
                    f"the body did not arrive within {timeout_s:g} s; {received:,} bytes came"
                )
                raise RefusedBody(fault) from error
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                refused = True
                raise RefusedBody(_too_large(f"more than {limit:,}", limit, received))
            return message

        async def lingering_send(message: Message) -> None:
            # A server may have refused what is streamed before all of it came.
            if not refused and (complete or not streamed):
                await send(message)
            elif message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
            else:
                await _send_last(message, receive, send)

        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0  # the HTTP parser has refused anything else
        if declared > limit:
            refused = True
            await problem_response(_too_large(f"{declared:,}", limit, declared))(
                scope, receive, lingering_send
            )
            return
        held = limit if "transfer-encoding" in headers else declared
        admission: Admission = scope["app"].state.gateway.admission
        with admission.body(min(held, _STREAM_HELD_BYTES) if streamed else held):
            await self.app(scope, counted_receive, lingering_send)

    def _limit(self, path: str, content_type: str) -> int:
        if not _IMAGE_PATH.match(path):
            return self.settings.max_json_bytes
        if content_type.startswith("multipart/form-data"):
            return self.settings.max_form_bytes
        return self.settings.max_image_json_bytes


def _too_large(seen: str, limit: int, value: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the request body has {seen} bytes; the limit is {limit:,}",
        field="body",
        metadata={"limit": str(limit), "value": str(value)},
    )


async def _send_last(message: Message, receive: Receive, send: Send) -> None:
    """Send the answer, then read on for a moment before the connection closes.

    Closing at once would reset the connection, and a client that is still sending would see the
    reset instead of the answer.
    """
    await send({**message, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
