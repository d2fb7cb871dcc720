"""Structured logs: JSON lines on standard error, or aligned text for people.

Every line carries ``service`` and, inside a request, ``request_id`` and the trace's ids. Payloads
(image bytes, recognised text, posts) are never logged.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
from opentelemetry import trace

from interplay.telemetry.context import get_request_id

LogFormat = Literal["json", "console"]


def configure_logging(service: str, *, level: str = "INFO", log_format: LogFormat = "json") -> None:
    """Send structlog and standard-library logs of this process to standard error.

    Args:
        service: Name in every line.
        level: Standard level name.
        log_format: ``json`` for machines, ``console`` for people.
    """

    def add_ids(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", service)
        if request_id := get_request_id():
            event.setdefault("request_id", request_id)
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            event.setdefault("trace_id", f"{span.trace_id:032x}")
            event.setdefault("span_id", f"{span.span_id:016x}")
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        add_ids,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("uvicorn.access", "httpx", "asyncio", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Logger that takes an event name and keyword facts: ``log.info("request", code="OK")``."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
