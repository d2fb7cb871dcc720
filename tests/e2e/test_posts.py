"""Posts on the whole system with the shipped models: form, official client, command line, job."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import httpx
import openai
import pytest

from tests.conftest import wait_until
from tests.e2e.system import System, street_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def interplay(system: System, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "interplay.cli", *arguments, "--url", system.url],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_post_with_an_image_that_is_read(system: System) -> None:
    answer = httpx.post(
        f"{system.url}/v1/posts:classify",
        files={"image": ("photo.jpg", street_photo("HARBOUR"))},
        data={"text": "what a lovely day", "words": "true", "region": "true"},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    found = result["answer"]
    assert found["image_text"]["source"] == "read" and "HARBOUR" in found["image_text"]["text"].upper()
    assert [effect["input"] for effect in found["inputs"]] == ["text", "image_text", "image"]
    total = found["baseline"] + sum(effect["contribution"] for effect in found["inputs"])
    assert total == pytest.approx(found["probability"], abs=2e-3)
    low, high = found["interval"]
    assert 0 <= low <= found["probability"] <= high <= 1
    words = [found["words"][n] for n in range(4)]
    assert ["what a lovely day"[word["start"] : word["end"]] for word in words] == [
        "what",
        "a",
        "lovely",
        "day",
    ]
    assert base64.b64decode(found["region"]["overlay"]).startswith(b"\x89PNG")


def test_insults_score_higher_than_kindness(system: System) -> None:
    """Whatever the weights are: slurs against groups are worse than thanks."""
    with openai.OpenAI(base_url=f"{system.url}/v1", api_key="none") as client:
        results = client.moderations.create(
            input=["All faggots and niggers are disgusting, go away", "Thank you all, this was a lovely day"]
        ).results
    hateful, friendly = (result.category_scores.hate for result in results)
    assert hateful > friendly + 0.2 and results[0].flagged


def test_the_command_line_and_the_job(system: System) -> None:
    shown = interplay(system, "hate", "classify", "--text", "have a nice day", "--words")
    assert "baseline" in shown and "nice" in shown and "kinds:" in shown
    folder: Path = system.state.parent / "photos"
    (folder / "memes").mkdir(exist_ok=True)
    (folder / "memes/a.jpg").write_bytes(street_photo())
    lines = [{"id": "t", "text": "hello"}, {"id": "i", "image": "memes/a.jpg"}, {"id": "none"}]
    (folder / "posts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    submitted = interplay(
        system, "jobs", "submit", "classify_dataset", "-p", "input=posts.jsonl", "-p", "output=classified"
    )
    job_id = submitted.split()[0]

    def ended() -> bool:
        job = httpx.get(f"{system.url}/v1/jobs/{job_id}", timeout=20, trust_env=False).json()
        return job["state"] in ("succeeded", "failed")

    wait_until(ended, timeout_s=120, what="the job ends")
    report = httpx.get(f"{system.url}/v1/jobs/{job_id}/result/report.html", timeout=20, trust_env=False)
    assert report.status_code == 200 and "highest scored posts" in report.text
    scored = (folder / "classified/scored.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in scored] == ["t", "i"]
    assert json.loads(scored[1])["words_of_image"] == "read"
