"""Tracing: nothing without an endpoint; with one, a trace goes through client, server and logs.

A process has one tracer provider for good, so each case is a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY_ROOT = Path(__file__).resolve().parents[3]

OFF = """
from opentelemetry import trace
from interplay.telemetry.tracing import configure_tracing, tracer
assert configure_tracing("gateway", None) is False
assert configure_tracing("gateway", "") is False
with tracer.start_as_current_span("nothing") as span:
    assert not span.is_recording()
import sys
assert not any(name.startswith("opentelemetry.exporter") for name in sys.modules)
"""

ON = """
import asyncio, json
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from interplay.errors import NotFound
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.telemetry.context import set_request_id
from interplay.telemetry.logging import configure_logging
from interplay.telemetry.tracing import configure_tracing, tracer
from tests.scripted_service import CAPABILITY, scripted_server

async def main():
    async def act(request, context):
        with tracer.start_as_current_span("work"):
            pass
    async with scripted_server(act) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        set_request_id("request-1")
        with tracer.start_as_current_span("caller"):
            await client.call(client.stub.Presence, pb.PresenceRequest())
        await client.close()

exporter = InMemorySpanExporter()
configure_logging("text_detection")
assert configure_tracing("text_detection", None, exporter=exporter) is True
asyncio.run(main())
trace.get_tracer_provider().force_flush()
print(json.dumps([json.loads(span.to_json()) for span in exporter.get_finished_spans()]))
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(
        command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_off_without_an_endpoint() -> None:
    result = run(OFF)
    assert result.returncode == 0, result.stderr


def test_one_trace_from_caller_to_the_servers_log() -> None:
    result = run(ON)
    assert result.returncode == 0, result.stderr
    spans: dict[str, dict[str, Any]] = {span["name"]: span for span in json.loads(result.stdout)}
    caller, work = spans["caller"], spans["work"]
    server = spans["interplay.text_detection.v1.TextDetectionService/Presence"]
    assert server["kind"] == "SpanKind.SERVER"
    assert server["parent_id"] == caller["context"]["span_id"]
    assert work["parent_id"] == server["context"]["span_id"]
    assert len({span["context"]["trace_id"] for span in spans.values()}) == 1
    assert server["attributes"]["rpc.method"] == "Presence"
    assert server["resource"]["attributes"]["service.name"] == "interplay-text_detection"
    (line,) = [json.loads(text) for text in result.stderr.splitlines() if '"event": "call"' in text]
    assert line["request_id"] == "request-1"
    assert f"0x{line['trace_id']}" == server["context"]["trace_id"]
    assert f"0x{line['span_id']}" == server["context"]["span_id"]
