"""Log lines: JSON on standard error with the ids that join them to requests and traces."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
import structlog
from opentelemetry import trace

from interplay.telemetry.context import set_request_id
from interplay.telemetry.logging import configure_logging, get_logger


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_line_has_the_standard_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text_detection")
    get_logger("a.module").info("call", code="OK", seconds=0.5)
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "call",
        "code": "OK",
        "seconds": 0.5,
        "level": "info",
        "logger": "a.module",
        "service": "text_detection",
    }


def test_request_and_trace_ids(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("gateway")

    def work() -> None:
        set_request_id("request-1")
        span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))
        with trace.use_span(span):
            get_logger("x").info("inside")
            logging.getLogger("library").warning("also %s", "inside")

    copy_context().run(work)
    get_logger("x").info("outside")
    ours, library, outside = lines(capsys)
    for line in (ours, library):
        assert line["request_id"] == "request-1"
        assert line["trace_id"] == f"{0xABC:032x}"
        assert line["span_id"] == f"{0xDEF:016x}"
        assert line["service"] == "gateway"
    assert library["event"] == "also inside"
    assert not {"request_id", "trace_id", "span_id"} & outside.keys()


def test_exception_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("gateway")
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        get_logger("x").exception("failed")
    (line,) = lines(capsys)
    assert line["level"] == "error"
    assert "ValueError: broken\nin two lines" in line["exception"]


def test_level_holds_for_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("gateway", level="WARNING")
    get_logger("x").info("no")
    logging.getLogger("library").info("no")
    get_logger("x").warning("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_chatty_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("gateway", level="DEBUG")
    for name in ("uvicorn.access", "httpx", "asyncio", "PIL.PngImagePlugin"):
        logging.getLogger(name).info("no")
    assert lines(capsys) == []


def test_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("gateway", log_format="console")
    get_logger("x").info("ready", port=8080)
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("x").exception("failed")
    first, *rest = capsys.readouterr().err.splitlines()
    assert "ready" in first
    assert "port=8080" in first
    assert "service=gateway" in first
    assert not first.startswith("{")
    assert any("ValueError: broken" in line for line in rest)


def test_configuring_twice_writes_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("one")
    configure_logging("two")
    get_logger("x").info("event")
    assert [line["service"] for line in lines(capsys)] == ["two"]
