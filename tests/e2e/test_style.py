"""Restyling on the whole system with the shipped models: what the README's commands promise."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.system import System, street_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def png_photo() -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(street_photo("HARBOUR"))).save(buffer, format="PNG")
    return buffer.getvalue()


def test_only_the_text_changes_and_can_still_be_read(system: System) -> None:
    photo = png_photo()
    answer = httpx.post(
        f"{system.url}/v1/style:transfer",
        files={"image": ("photo.png", photo)},
        data={"style": "white-on-azure"},
        headers={"accept": "image/png"},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    before, after = pixels(photo), pixels(answer.content)
    assert after.shape == before.shape
    changed = np.abs(after - before).max(axis=2) > 0
    ys, xs = np.nonzero(changed)
    assert xs.min() > 60 and xs.max() < 580 and ys.min() > 70 and ys.max() < 210
    assert np.abs(after - before)[100:170, 150:490].mean() > 20  # and where it changes, it shows
    read = httpx.post(
        f"{system.url}/v1/text:read",
        files={"image": ("styled.png", answer.content)},
        timeout=60,
        trust_env=False,
    ).json()
    assert read["text"].strip().upper() == "HARBOUR"


def test_every_style_has_a_thumbnail_and_a_domain(system: System) -> None:
    styles = httpx.get(f"{system.url}/v1/styles", timeout=60, trust_env=False).json()["styles"]
    domains = [style["domain"] for style in styles]
    assert domains.count("scene") >= 24 and domains.count("print") == 8 and domains.count("handwriting") == 8
    assert all(style["thumbnail"] for style in styles)


def test_words_are_drawn_in_a_style_and_put_into_a_photo(system: System) -> None:
    alone = httpx.post(
        f"{system.url}/v1/style:render",
        files={"text": (None, "Open"), "style": (None, "red-neon")},
        timeout=60,
        trust_env=False,
    )
    assert alone.status_code == 200, alone.text
    assert Image.open(io.BytesIO(alone.content)).mode == "RGBA"
    placed = httpx.post(
        f"{system.url}/v1/style:render",
        files={"image": ("photo.png", png_photo())},
        data={"text": "SEASIDE"},
        timeout=60,
        trust_env=False,
    )
    assert placed.status_code == 200, placed.text
    read = httpx.post(
        f"{system.url}/v1/text:read",
        files={"image": ("placed.png", placed.content)},
        timeout=60,
        trust_env=False,
    ).json()
    assert read["text"].strip().upper() == "SEASIDE"


def test_the_command_line_does_the_same(system: System, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / "out.png"
    photo.write_bytes(street_photo())
    done = subprocess.run(
        [sys.executable, "-m", "interplay.cli", "style", "transfer", str(photo), "--mode", "selective",
         "--style", "lime-outline:0.7", "--style", "yellow-slab:0.3", "-o", str(out), "--url", system.url],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert pixels(out.read_bytes()).shape == (360, 640, 3)
