"""``interplay style learn``: a model's next version with one more style, and what is refused before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from interplay.errors import Conflict, InterplayError, InvalidParameter, UnsupportedMedia
from interplay.media.images import decode, encode_png
from interplay.predictors.style_transfer import learn
from interplay.predictors.style_transfer.learner import Learned
from interplay.predictors.style_transfer.stylist import Stylist
from interplay.predictors.style_transfer.words import draw_words
from interplay.store import StoredModel, resolve
from tests.conftest import REPOSITORY_ROOT
from tests.style_models import STYLES, make_style_store, publish_style_model

INK, PAPER = (240, 40, 200), (10, 10, 60)
PICTURE = draw_words("Neon", 40, INK, PAPER).image


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_style_store(tmp_path_factory.mktemp("store"))


def file(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(encode_png(image))
    return path


def learned(base: StoredModel) -> Learned:
    channels = load_file(base.weights)["gamma"].shape[1]
    return Learned(torch.full((channels,), 0.3), torch.linspace(-1, 1, channels), 0, 2.0, 0.5)


def check_old_styles_are_unchanged(base: StoredModel, new: StoredModel) -> None:
    """All tensors to the bit, and one row more."""
    before, after = load_file(base.weights), load_file(new.weights)
    assert before.keys() == after.keys()
    for key, value in before.items():
        found = after[key][: len(value)] if key in ("gamma", "beta") else after[key]
        assert found.dtype == value.dtype and torch.equal(found.view(torch.int16), value.view(torch.int16))
    assert len(after["gamma"]) == len(after["beta"]) == len(before["gamma"]) + 1


@pytest.mark.parametrize(
    "name", ["", "-neon", "Neon", "neon light", "neon_light", "néon", "a" * 65, "neon\n"]
)
def test_malformed_names(store: Path, name: str) -> None:
    with pytest.raises(InvalidParameter, match="must be 1 to 64 lower-case letters, digits and hyphens"):
        learn.check_name(store, name)


@pytest.mark.parametrize("name", ["gold", "mono", "writer-2"])
def test_taken_names_of_any_model(store: Path, name: str) -> None:
    with pytest.raises(Conflict, match=f"style-.* version 1 has a style '{name}' already"):
        learn.check_name(store, name)


def test_free_names(store: Path, tmp_path: Path) -> None:
    for name in ("a", "0", "neon-2", "a" * 64):
        learn.check_name(store, name)
    learn.check_name(tmp_path, "gold")  # nothing there at all


def test_only_the_newest_version_takes_names(tmp_path: Path) -> None:
    base = publish_style_model(tmp_path, "scene")
    learn.publish_with(tmp_path, base, "mine", PICTURE, learned(base), {})
    with pytest.raises(Conflict, match="style-scene version 2 has a style 'mine' already"):
        learn.check_name(tmp_path, "mine")


def test_pictures_that_hold_no_style(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 300, 3), dtype=np.uint8)
    assert learn.read_picture(file(tmp_path / "fits.png", noise)).shape == (16, 300, 3)
    with pytest.raises(InvalidParameter, match=r"low.png has 300x15 pixels; a style needs 16 on each side"):
        learn.read_picture(file(tmp_path / "low.png", noise[:15]))
    with pytest.raises(InvalidParameter, match="even.png is of one colour"):
        learn.read_picture(file(tmp_path / "even.png", noise[:, :, :1] // 20 + np.uint8([[[90, 20, 0]]])))
    with pytest.raises(InterplayError, match="2,?010x2000 = 4,020,000 pixels; the limit is 4,000,000"):
        learn.read_picture(file(tmp_path / "large.png", np.zeros((2000, 2010, 3), np.uint8)))
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(UnsupportedMedia):
        learn.read_picture(text)
    with pytest.raises(FileNotFoundError):
        learn.read_picture(tmp_path / "missing.png")


def test_the_next_version_has_one_style_more(tmp_path: Path) -> None:
    base = publish_style_model(tmp_path, "scene")
    new = learn.publish_with(tmp_path, base, "mine", PICTURE, learned(base), {"name": "mine", "steps": 3})
    newest = resolve(tmp_path, "style-scene")
    assert newest.manifest == new.manifest and newest.manifest.version == 2
    assert newest.manifest.labels == (*STYLES["scene"], "mine")
    assert newest.manifest.config == {**base.manifest.config, "styles": 4}
    channels = load_file(base.weights)["gamma"].shape[1]
    assert newest.manifest.parameters == base.manifest.parameters + 2 * channels
    facts = newest.manifest.details["styles"]
    assert facts[:3] == base.manifest.details["styles"] and newest.manifest.details["domain"] == "scene"
    np.testing.assert_allclose(facts[3]["ink"], INK, atol=3)
    np.testing.assert_allclose(facts[3]["paper"], PAPER, atol=3)
    assert newest.manifest.training["learned"] == [{"name": "mine", "steps": 3}]
    assert newest.manifest.training["recipe"] == base.manifest.training["recipe"]
    check_old_styles_are_unchanged(base, newest)
    row = load_file(newest.weights)["gamma"][3]
    torch.testing.assert_close(row.float(), learned(base).gamma, rtol=0, atol=1e-3)
    third = learn.publish_with(tmp_path, newest, "next", PICTURE, learned(base), {"name": "next"})
    assert [entry["name"] for entry in third.manifest.training["learned"]] == ["mine", "next"]
    assert resolve(tmp_path, "style-scene", 1).manifest == base.manifest


def test_a_version_that_another_published_meanwhile_stays(tmp_path: Path) -> None:
    base = publish_style_model(tmp_path, "scene")
    first = learn.publish_with(tmp_path, base, "mine", PICTURE, learned(base), {})
    with pytest.raises(Conflict, match="version 2 is already in"):
        learn.publish_with(tmp_path, base, "other", PICTURE, learned(base), {})
    assert resolve(tmp_path, "style-scene").manifest == first.manifest


def run(store: Path, image: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "interplay.predictors.style_transfer.learn", "--store", str(store)]
    return subprocess.run(
        [*command, "--image", str(image), "--threads", "1", *options],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.slow
def test_as_a_process(tmp_path: Path) -> None:
    """The whole way once, with photos and a preview; then what is wrong is told in one line."""
    store = make_style_store(tmp_path / "store")
    image, photos = file(tmp_path / "word.png", PICTURE), tmp_path / "photos"
    photos.mkdir()
    file(photos / "a.png", np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    preview = tmp_path / "preview.png"
    done = run(
        store, image, "--name", "mine", "--model", "print", "--steps", "2", "--photos", str(photos),
        "--preview", str(preview),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "style-print version 2 has the style mine: style loss" in done.stdout
    base, new = resolve(store, "style-print", 1), resolve(store, "style-print")
    check_old_styles_are_unchanged(base, new)
    (facts,) = new.manifest.training["learned"]
    assert (facts["name"], facts["steps"], facts["photos"]) == ("mine", 2, 1)
    assert facts["started_from"] in base.manifest.labels
    assert str(tmp_path) not in new.manifest.model_dump_json()
    plain, styled = np.split(decode(preview.read_bytes()), 2, axis=1)
    assert plain.shape == (256, 256, 3)
    stylist = Stylist.load(new, device="cpu")
    # The process had one thread: its sums are rounded otherwise.
    difference = np.abs(stylist.stylize(plain, {"mine": 1.0}).astype(int) - styled)
    assert difference.mean() < 0.2 and difference.max() <= 8

    again = run(store, image, "--name", "mine", "--steps", "2")
    assert again.returncode == 1
    assert again.stderr == "error: style-print version 2 has a style 'mine' already\n"
    missing = run(store, tmp_path / "missing.png", "--name", "other")
    assert (
        missing.returncode == 1 and missing.stderr.startswith("error: ") and missing.stderr.count("\n") == 1
    )
    (photos / "a.png").unlink()
    empty = run(store, image, "--name", "other", "--photos", str(photos))
    assert (empty.returncode, empty.stderr) == (1, f"error: there are no photos in {photos}\n")
