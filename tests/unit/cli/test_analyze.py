"""`interplay analyze`: the jobs that are submitted, the files that are fetched, and what people are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interplay.jobs.kinds import Kinds
from tests.unit.cli.conftest import FakeGateway

JOB = {"id": "ab12", "progress": {"done": 2, "total": 2}, "message": "", "error": None}
SUMMARIES: dict[str, dict[str, Any]] = {
    "map": {"images": 9, "failed": 1, "shown": 7, "omitted": 2, "words_shown": 1, "words_omitted": ["cat"]},
    "distances": {"images": 9, "failed": 0, "pairs": 36, "r2": 0.25},
    "units": {"images": 9, "failed": 0, "units": [17, 3]},
    "dream": {"width": 64, "height": 48, "steps": 40, "score": 0.5},
}
PICTURES = {"map": "map.jpg", "distances": "distances.png", "units": "units.jpg", "dream": "dream.jpg"}


def answer(gateway: FakeGateway, command: str, state: str = "succeeded", **fields: Any) -> None:
    """Let the gateway take a job, and end it at once."""
    job = {**JOB, "state": state, **fields}
    gateway.answer_json("/v1/jobs", {**job, "state": "queued"}, status=202)
    events = f"id: 1\ndata: {json.dumps(job)}\n\n".encode()
    gateway.answers["/v1/jobs/ab12/events"] = (200, "text/event-stream", events)
    result = {"summary": SUMMARIES[command], "files": []}
    gateway.answer_json("/v1/jobs/ab12/result", result)
    gateway.answers[f"/v1/jobs/ab12/result/{PICTURES[command]}"] = (200, "image/jpeg", b"the picture")
    gateway.answers["/v1/jobs/ab12/result/report.json"] = (200, "application/json", b"{}")


def submitted(gateway: FakeGateway) -> dict[str, Any]:
    """The job, whose parameters must be valid."""
    (path, _, body), *_ = gateway.asked
    job: dict[str, Any] = json.loads(body)
    assert path == "/v1/jobs"
    Kinds().get(job["kind"]).validate(job["params"])
    return job


@pytest.mark.parametrize(
    ("command", "arguments", "kind", "params", "told"),
    [
        (
            "map", ["in.jsonl", "--words", "ice cream, cat,", "--canvas", "900", "--limit", "50"],
            "map_embedding",
            {"input": "in.jsonl", "words": ["ice cream", "cat"], "canvas_px": 900, "limit": 50},
            ["7 of 9 images, 1 words", "no room for the words cat", "1 images could not be used"],
        ),
        (
            "distances", ["in", "--pairs", "36", "--format", "coco", "--folder", "d", "--overwrite"],
            "compare_distances",
            {"input": "in", "pairs": 36, "format": "coco", "output": "d", "overwrite": True},
            ["36 pairs of 9 images, R² = 0.250"],
        ),
        (
            "units", ["in", "--units", "17, 3", "--top", "4", "--threshold", "0.6", "--seed", "5"],
            "show_units", {"units": [17, 3], "top": 4, "threshold": 0.6, "seed": 5},
            ["units 17, 3, from 9 images"],
        ),
        ("units", ["in"], "show_units", {"count": 5}, ["units 17, 3"]),
        (
            "dream", ["a.jpg", "--word", "dog", "--side", "64", "--octaves", "2", "--rate", "1"],
            "deep_dream", {"image": "a.jpg", "word": "dog", "side_px": 64, "octaves": 2, "rate": 1.0},
            ["64×48, 40 steps"],
        ),
    ],
)  # fmt: skip
def test_a_picture_is_made_and_fetched(
    interplay: Callable[..., Any],
    gateway: FakeGateway,
    tmp_path: Path,
    command: str,
    arguments: list[str],
    kind: str,
    params: dict[str, Any],
    told: list[str],
) -> None:
    answer(gateway, command)
    out, report = tmp_path / "out.bin", tmp_path / "report.json"
    ran = interplay("analyze", command, *arguments, "--out", out, "--report", report, "--url", gateway.url)
    assert ran.code == 0, ran.err
    job = submitted(gateway)
    assert job["kind"] == kind and job["params"].items() >= params.items()
    assert out.read_bytes() == b"the picture" and report.read_text() == "{}"
    assert all(part in ran.out for part in told) and str(out) in ran.out
    assert "succeeded 2/2" in ran.err


def test_a_job_that_fails_leaves_no_picture(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    error = {"reason": "NOT_FOUND", "message": "there is no folder or file 'x'"}
    answer(gateway, "map", "failed", error=error)
    ran = interplay("analyze", "map", "x", "--out", tmp_path / "map.jpg", "--url", gateway.url)
    assert ran.code == 1 and "failed: there is no folder or file 'x'" in ran.err
    assert not (tmp_path / "map.jpg").exists()


def test_what_is_wrong_is_told_before_any_work(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    ran = interplay("analyze", "units", "x", "--units", "3,b", "--url", gateway.url)
    assert ran.code == 2 and "'3,b' are no numbers" in ran.err
    ran = interplay("analyze", "map", "x", "--out", tmp_path / "no" / "map.jpg", "--url", gateway.url)
    assert ran.code == 2 and "there is no folder" in ran.err
    assert gateway.asked == []
    ran = interplay("analyze", "dream", "x", "--url", "http://127.0.0.1:9")
    assert ran.code == 3 and "is `interplay up` running?" in ran.err
