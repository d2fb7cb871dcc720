"""What the README promises, on the whole system with the shipped model."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import wait_until
from tests.e2e.system import System, street_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def post(system: System, path: str, photo: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{system.url}{path}",
        files={"image": ("photo.jpg", photo)},
        headers=headers,
        timeout=60,
        trust_env=False,
    )


def test_a_photo_goes_in_and_its_text_comes_out(system: System) -> None:
    answer = post(system, "/v1/text:read", street_photo("HARBOUR"))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["text"].strip().upper() == "HARBOUR"
    (word,) = body["words"]
    xs, ys = zip(*word["polygon"], strict=True)
    assert 60 < min(xs) < 200 and 440 < max(xs) < 580 and 80 < min(ys) < max(ys) < 200
    assert body["model"]["name"] == "textfcn-compact" and body["model"]["digest"].startswith("sha256:")
    assert "infer" in answer.headers["server-timing"]


def test_pictures_come_back_when_they_are_asked_for(system: System) -> None:
    photo = street_photo("HARBOUR")
    heat = Image.open(io.BytesIO(post(system, "/v1/text:segment", photo, accept="image/png").content))
    values = np.asarray(heat)
    assert heat.mode == "L" and heat.size == (640, 360)
    assert values[100:170, 220:420].mean() > 128 > 20 > values[290:].mean()
    drawn = post(system, "/v1/text:read", photo, accept="image/png")
    assert drawn.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(drawn.content)).convert("RGB")).astype(int)
    original = np.asarray(Image.open(io.BytesIO(photo))).astype(int)
    assert np.abs(picture - original).max() > 60  # something was drawn


def test_one_request_id_runs_through_all_logs(system: System) -> None:
    answer = post(system, "/v1/text:presence", street_photo(), **{"x-request-id": "trace-me-42"})
    assert answer.headers["x-request-id"] == "trace-me-42"
    for part in ("gateway", "text_detection"):
        log = system.state / "logs" / f"{part}.log"
        wait_until(lambda log=log: "trace-me-42" in log.read_text(), what=f"the id in {log.name}")  # type: ignore[misc]


def test_models_tell_their_limits(system: System) -> None:
    body = httpx.get(f"{system.url}/v1/models", timeout=10, trust_env=False).json()
    assert "textfcn-compact" in json.dumps(body) and "max_image_pixels" in json.dumps(body)


def test_metrics_show_every_stage(system: System) -> None:
    post(system, "/v1/text:read", street_photo())
    text = httpx.get(f"{system.url}/metrics", timeout=10, trust_env=False).text
    assert 'interplay_http_requests_total{code="2xx",method="POST",route="/v1/text:read"}' in text


def photos_folder(system: System) -> Path:
    return system.state.parent / "photos"


def submit(system: System, **params: Any) -> dict[str, Any]:
    answer = httpx.post(
        f"{system.url}/v1/jobs",
        json={"kind": "filter_text_images", "params": params},
        headers={"x-request-id": "job-trace-7"},
        timeout=10,
        trust_env=False,
    )
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def finished(system: System, job_id: str) -> dict[str, Any]:
    state: dict[str, Any] = {}

    def over() -> bool:
        state.update(httpx.get(f"{system.url}/v1/jobs/{job_id}", timeout=10, trust_env=False).json())
        return state["state"] in ("succeeded", "failed", "cancelled")

    wait_until(over, timeout_s=120, what="the job ends")
    return state


def names(path: Path) -> list[str]:
    return sorted(Path(json.loads(line)["image"]).name for line in path.read_text().splitlines())


def test_a_data_set_is_filtered_by_its_text(system: System) -> None:
    folder = photos_folder(system) / "mixed"
    folder.mkdir()
    for number in range(3):
        (folder / f"text{number}.jpg").write_bytes(street_photo("SALE " * 2, size=(320, 96)))
        (folder / f"plain{number}.jpg").write_bytes(street_photo("", size=(320, 240)))
    (folder / "broken.jpg").write_bytes(street_photo()[:500])
    rule = {"measure": "text_area_ratio", "threshold": 0.05, "keep": "without_text"}
    job = submit(system, input=str(folder), output=str(photos_folder(system) / "out"), rule=rule)
    ended = finished(system, job["id"])
    assert ended["state"] == "succeeded", ended
    out = photos_folder(system) / "out"
    assert names(out / "kept.jsonl") == ["plain0.jpg", "plain1.jpg", "plain2.jpg"]
    assert names(out / "dropped.jsonl") == ["text0.jpg", "text1.jpg", "text2.jpg"]
    assert names(out / "failed.jsonl") == ["broken.jpg"]
    assert Image.open(io.BytesIO((out / "contact_sheet.jpg").read_bytes())).width > 300
    assert "job-trace-7" in (system.state / "logs" / "worker.log").read_text()


def test_a_worker_killed_in_mid_job_costs_nothing(system: System) -> None:
    folder = photos_folder(system) / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02}.jpg").write_bytes(street_photo(str(number), size=(480, 270)))
    out = photos_folder(system) / "many_out"
    job = submit(system, input=str(folder), output=str(out), batch_size=4)

    def some_done() -> bool:
        body = httpx.get(f"{system.url}/v1/jobs/{job['id']}", timeout=10, trust_env=False).json()
        return bool(body["progress"]["done"] >= 4)

    wait_until(some_done, timeout_s=60, what="first progress")
    os.kill(system.part_pid("services.worker"), signal.SIGKILL)
    assert finished(system, job["id"])["state"] == "succeeded"
    listed = names(out / "kept.jsonl") + names(out / "dropped.jsonl")
    assert sorted(listed) == [f"{number:02}.jpg" for number in range(60)]


def test_the_command_line_reads_a_photo(system: System, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(street_photo("HARBOUR"))
    command = [
        sys.executable,
        "-m",
        "interplay.cli",
        "text",
        "read",
        str(photo),
        "--url",
        system.url,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"].strip().upper() == "HARBOUR"
