"""From a world to published models: everything is trained, asked, drawn and exported, on very little."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interplay.models.image_embedding import Lite0Features
from interplay.predictors.locsens.image import ImageTagger
from interplay.predictors.locsens.retriever import ImageRanker
from interplay.predictors.locsens.tagger import PlaceTagger
from interplay.store import Manifest, publish, resolve
from training.locsens import experiment, export
from training.locsens.data import load_photos
from training.locsens.methods import ByTag
from training.locsens.near import near_tags
from training.locsens.protocol import tagging_scores
from training.locsens.scorer_task import SIGMAS
from training.locsens.world import World, save_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZES = {"train": 300, "val": 40, "test": 120}
METHODS = ("Upper bound", "MLC", "MCC", "HER (GloVe)", "LocSens, zeroed", "LocSens, raw", "LocSens, dropout")


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world with its features, and the experiment made on it."""
    root = tmp_path_factory.mktemp("experiment")
    small = replace(world, splits={split: list(world.splits[split])[:size] for split, size in SIZES.items()})
    save_world(small, root / "world")
    (root / "features").mkdir()
    rng = np.random.default_rng(0)
    for split in SIZES:
        count = len(load_photos(root / "world", split).photos)
        features = np.abs(rng.normal(size=(count, 1, 1280))).astype(np.float16)
        np.save(root / "features" / f"{split}.npy", features)
    run(root)
    return root


def run(root: Path) -> None:
    arguments = [
        "experiment",
        "--world",
        root / "world",
        "--features",
        root / "features",
        "--out",
        root / "out",
    ]
    arguments += ["--image-steps", "10", "--steps", "20", "--tagging-steps", "20"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(argument) for argument in arguments])
        experiment.main()


def test_every_method_is_asked(folder: Path) -> None:
    results = json.loads((folder / "out" / "results.json").read_text())
    sampling = {f"LocSens, sampling {sigma:g}" for sigma in SIGMAS}
    assert set(results["retrieval"]) == {*METHODS, *sampling}
    assert set(results["tagging"]) == {
        "Global frequency", "MLC", "MCC", "HER (GloVe)", "LocSens, zeroed", "LocSens, raw",
    }  # fmt: skip
    for scores in results["retrieval"].values():
        for own in ("without_own", "with_own"):
            means = [value["mean"] for value in scores[own]]
            assert len(means) == 6 and all(0 <= mean <= 1 for mean in means)
            assert means == sorted(means, reverse=True)  # a smaller circle holds no more
    bound = results["retrieval"]["Upper bound"]["without_own"]
    for scores in results["retrieval"].values():
        for value, best in zip(scores["without_own"], bound, strict=True):
            assert value["mean"] <= best["mean"] + 1e-9
    assert results["simulated"] is True and results["part"] == "test"


def test_tables_and_curves_are_written(folder: Path) -> None:
    tables = (folder / "out" / "tables.md").read_text()
    assert "a simulated world" in tables
    assert tables.count("| LocSens, sampling 0.05 |") == 2 and tables.count("| Global frequency |") == 1
    assert (folder / "out" / "sigma.png").read_bytes().startswith(b"\x89PNG")


def test_schedules_say_everything_that_a_model_has_gone_through(folder: Path) -> None:
    schedules = json.loads((folder / "out" / "results.json").read_text())["schedules"]
    assert [stage["sigma"] for stage in schedules["retrieval sampling 0"]] == list(SIGMAS)
    assert [stage["sigma"] for stage in schedules["retrieval sampling 0.1"]] == [1.0, 0.1]
    assert [stage["location_dropout"] for stage in schedules["retrieval dropout"]] == [0, 0.5, 0.5]


def test_called_again_it_trains_nothing(folder: Path) -> None:
    def weights() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in (folder / "out").rglob("ema.safetensors")}

    before, results = weights(), (folder / "out" / "results.json").read_text()
    run(folder)
    assert weights() == before and len(before) == 13
    assert json.loads((folder / "out" / "results.json").read_text()) == json.loads(results)


def test_what_is_published_is_what_was_measured(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    weights = tmp_path / "backbone.safetensors"
    save_file(Lite0Features().state_dict(), weights)
    backbone = Manifest(
        name="backbone-lite0", version=1, capability="embedding", architecture="image_backbone",
        description="", license="", parameters=0, details={"side": 224},
    )  # fmt: skip
    publish(store, backbone, weights)
    results = json.loads((folder / "out" / "results.json").read_text())
    photos = load_photos(folder / "world", "train")
    published = export.export(store, folder / "out", photos, results, version=1)
    assert [stored.manifest.name for stored in published] == [
        "locsens-image", "locsens-retrieval", "locsens-tagging",
    ]  # fmt: skip

    image = resolve(store, "locsens-image").manifest
    assert image.labels == tuple(photos.vocabulary) and sum(image.details["photos"]) > 0
    tagger = ImageTagger.open(store, device="cpu")
    test = load_photos(folder / "world", "test")
    features = np.load(folder / "features" / "test.npy")[:, 0].astype(np.float32)
    found = tagger.tag_features(torch.from_numpy(features))
    best = ByTag(np.stack([image.chances for image in found])).best_tags()
    measured = results["tagging"]["MCC"]["at_10"][0]["mean"]
    assert tagging_scores(test.protocol, best).at_10.mean() == pytest.approx(measured, abs=0.05)
    retrieval = ImageRanker.open(store, image, tagger.tag_vectors, device="cpu")
    assert (
        retrieval.manifest.training["task"]["schedule"]
        == results["schedules"][f"retrieval {export.RETRIEVAL}"]
    )
    PlaceTagger.open(store, image, tagger.tag_vectors, device="cpu").warm_up()


def test_tags_near_places_are_those_used_there(folder: Path) -> None:
    photos = load_photos(folder / "world", "train")
    near = near_tags(photos, tags=20)
    centres, tags = near["near.centres"], near["near.tags"]
    assert len(centres) == len(tags) and tags.shape[1] == 20 and tags.dtype == np.int16
    assert (tags >= 0).any(1).all()
    used = {tag for row in tags for tag in row if tag >= 0}
    assert used <= {int(tag) for own in photos.tags for tag in own}


def test_an_experiment_that_was_not_made_cannot_be_exported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    shutil.copy(folder / "out" / "results.json", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        export.trained(tmp_path / "out" / "images" / "mcc")
