"""Indexing and searching on the whole system with the shipped models: what the README's commands promise."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY_ROOT
from tests.e2e.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def interplay(system: System, *arguments: str) -> str:
    """Output of a command; fails with what it said."""
    command = [sys.executable, "-m", "interplay.cli", *arguments, "--url", system.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def search(system: System, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(interplay(system, "search", *arguments, "--index", "e2e", "--json"))
    return answer


@pytest.fixture(scope="module")
def index(system: System) -> str:
    """An index of a drawn street and of pictures that show nothing, built by the job."""
    folder = system.state.parent / "photos" / "to-index"
    folder.mkdir()
    shutil.copy(REPOSITORY_ROOT / "examples" / "street.jpg", folder / "street.jpg")
    rng = np.random.default_rng(0)
    lines: list[dict[str, Any]] = [
        {"image": "street.jpg", "caption": "A street corner with shops", "tags": ["street"],
         "latitude": 41.38, "longitude": 2.17, "time": "2020-06-01T12:00:00Z", "stars": 5}
    ]  # fmt: skip
    for number in range(20):
        picture = rng.integers(0, 256, 3) + rng.normal(0, 12, (120, 160, 3))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"plain-{number}.jpg")
        lines.append({"image": f"plain-{number}.jpg", "tags": ["plain"]})
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    lines.append({"image": "broken.jpg"})
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    interplay(
        system, "jobs", "submit", "build_index", "-p", "index=e2e", "-p", "input=to-index/list.jsonl",
        "-p", "output=e2e-index", "--watch",
    )  # fmt: skip
    return "e2e"


def test_words_find_the_photo(system: System, index: str) -> None:
    answer = search(system, "street building:0.5 beach:-0.5", "--limit", "3")
    assert [hit["id"] for hit in answer["hits"]][0] == "street.jpg" and answer["candidates"] == 21
    catalan = search(system, "edifici", "--lang", "ca", "--limit", "1")
    assert catalan["understood"]["read_as"] and catalan["hits"][0]["id"] == "street.jpg"
    shown = interplay(system, "search", "street", "--index", "e2e", "--limit", "2")
    assert "street.jpg" in shown and "41.3800,2.1700" in shown


def test_a_photo_finds_itself_and_filters_hold(system: System, index: str) -> None:
    photo = str(REPOSITORY_ROOT / "examples" / "street.jpg")
    (hit, *_) = search(system, "--image", photo)["hits"]
    assert hit["id"] == "street.jpg" and hit["score"] > 0.99 and hit["extra"] == {"stars": 5}
    near = search(system, "street", "--near", "41.4,2.2", "--radius", "10km", "--where", "stars=5")
    assert [hit["id"] for hit in near["hits"]] == ["street.jpg"] and near["candidates"] == 1
    assert search(system, "street", "--tag", "plain")["candidates"] == 20
    assert search(system, "street", "--after", "2021-01-01T00:00:00Z")["hits"] == []


def test_thumbnails_and_contact_sheets_can_be_seen(system: System, index: str) -> None:
    hit = search(system, "street", "--limit", "1")["hits"][0]
    thumbnail = httpx.get(f"{system.url}{hit['thumbnail']}", trust_env=False)
    assert thumbnail.status_code == 200 and max(Image.open(io.BytesIO(thumbnail.content)).size) == 256
    sheet = httpx.post(
        f"{system.url}/v1/search",
        json={"index": "e2e", "query": "street"},
        headers={"Accept": "image/png"},
        timeout=60,
        trust_env=False,
    )
    assert sheet.status_code == 200 and Image.open(io.BytesIO(sheet.content)).format == "PNG"


def test_photos_come_and_go_online(system: System, index: str, tmp_path: Path) -> None:
    photo = tmp_path / "new.jpg"
    shutil.copy(REPOSITORY_ROOT / "examples" / "street.jpg", photo)
    assert "e2e: 1 added" in interplay(system, "index", "add", "e2e", str(photo), "--tag", "new")
    answer = search(system, "--image", str(photo), "--group-duplicates", "--limit", "2")
    assert {answer["hits"][0]["id"], *answer["hits"][0]["duplicates"]} == {"street.jpg", photo.as_posix()}
    assert "e2e: 1 removed" in interplay(system, "index", "remove", "e2e", photo.as_posix())
    assert search(system, "street", "--tag", "new")["candidates"] == 0


def test_an_index_goes_into_a_file_and_back(system: System, index: str, tmp_path: Path) -> None:
    file = tmp_path / "e2e.index"
    assert "e2e: 21 photos" in interplay(system, "index", "snapshot", index, "--out", str(file))
    assert "no snapshot yet" in interplay(system, "index", "snapshots", index)
    interplay(system, "index", "remove", index, "street.jpg")
    assert search(system, "street")["candidates"] == 20
    assert "e2e: 21 photos" in interplay(system, "index", "restore", index, str(file), "--replace")
    (hit, *_) = search(system, "street", "--limit", "1")["hits"]
    assert hit["id"] == "street.jpg" and hit["thumbnail"] and hit["extra"] == {"stars": 5}
    file.write_bytes(file.read_bytes()[:-1])
    command = [
        sys.executable,
        "-m",
        "interplay.cli",
        "index",
        "restore",
        "other",
        str(file),
        "--url",
        system.url,
    ]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert refused.returncode == 1 and "the snapshot is damaged: it is truncated" in refused.stderr


def test_embeddings_in_the_shape_of_openai(system: System) -> None:
    body = {"input": ["a dog", "puppies"], "encoding_format": "float"}
    answer = httpx.post(f"{system.url}/v1/embeddings", json=body, timeout=60, trust_env=False).json()
    vectors = np.array([row["embedding"] for row in answer["data"]])
    assert vectors.shape == (2, 300) and np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-3)
