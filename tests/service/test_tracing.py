"""One request, followed through gateway, Celery, worker and gRPC by its trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY_ROOT
from tests.service.traced_job import PARENT_ID, TRACE_ID

pytestmark = pytest.mark.slow


def test_one_trace_from_the_caller_to_the_model_server(tmp_path: Path, redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.service.traced_job", str(tmp_path), redis_url],
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout, done.stderr
    spans = json.loads(done.stdout.splitlines()[-1])
    ours: list[dict[str, Any]] = [s for s in spans if s["context"]["trace_id"] == f"0x{TRACE_ID}"]
    by_id = {span["context"]["span_id"]: span for span in ours}

    def path(span: dict[str, Any]) -> list[str]:
        """Names from the caller's span down to this one."""
        parent = by_id.get(span["parent_id"])
        return [*(path(parent) if parent else []), span["name"]]

    (call,) = [s for s in ours if s["name"] == "interplay.text_detection.v1.TextDetectionService/ProcessBulk"]
    names = path(call)
    first = next(span for span in ours if span["name"] == names[0])
    assert first["parent_id"] == f"0x{PARENT_ID}" and first["kind"] == "SpanKind.SERVER"
    assert "/v1/jobs" in names[0]
    assert names[-2:] == ["interplay.run_job", call["name"]] and call["kind"] == "SpanKind.SERVER"
    job = next(span for span in ours if span["name"] == "interplay.run_job")
    assert len(job["attributes"]["interplay.job_id"]) == 32
