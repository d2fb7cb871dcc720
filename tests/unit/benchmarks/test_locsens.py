"""``benchmarks.locsens``: a tiny run, the plain way, and what it calls quality."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import locsens, locsens_quality
from benchmarks.locsens_ways import Plain, floor, layers
from benchmarks.locsens_world import Models, Photos, random_photos, synthetic_tagger, untrained_models
from interplay.predictors.locsens.image import TaggedImage

pytestmark = pytest.mark.slow


@pytest.fixture
def models() -> Models:
    return untrained_models(0)


@pytest.fixture
def world(models: Models) -> Photos:
    """300 photos, each with the two tags that are likest to it; the first 100 are the test part."""
    photos = random_photos(300, models.tags.shape[1], 0)
    tags = list(np.argsort(-(photos.vectors @ models.tags[:20].T), axis=1)[:, :2].astype(np.int64))
    return Photos(photos.vectors, photos.places, tags, 100, np.zeros((100, 8), np.float16))


def test_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out, drawn = tmp_path / "figures.json", tmp_path / "curve.png"
    words = (
        f"--sizes 300 1200 --vocabularies 1500 --queries 3 --tagged 3 --threads 1 --out {out} --plot {drawn}"
    )
    monkeypatch.setattr(sys, "argv", ["locsens", *words.split()])
    threads = torch.get_num_threads()
    try:
        locsens.main()
    finally:
        torch.set_num_threads(threads)
    figures = json.loads(out.read_text())
    assert figures["machine"]["processor"] and figures["threads"] == 1 and not figures["trained"]
    small, large = figures["speed"]["sizes"]
    assert (small["images"], large["images"]) == (300, 1200)
    for row in (small, large):
        assert row["largest_difference"] < 1e-3
        assert 0 < row["scored_by_fast"] <= row["images"] and 0 <= row["found_by_fast"] <= 1
        assert row["exact_over_plain"] == pytest.approx(row["plain"]["ms"] / row["exact"]["ms"])
    assert large["plain"]["ms"] > small["plain"]["ms"]
    assert [row["tags"] for row in figures["tagging"]] == [1000, 1500]
    assert drawn.stat().st_size > 10_000
    assert "| 1,200 |" in capsys.readouterr().out


def test_plain_is_torchs_own(models: Models, world: Photos) -> None:
    scorer = models.ranker.scorer
    plain = Plain(scorer.model, models.tags)
    assert all(type(norm) is nn.GroupNorm for norm in plain.model.norms)
    place = np.array([41.38, 2.17])
    plain.chunk = 64
    scores = plain.score(world.vectors, 7, place)
    expected = scorer.score_images(scorer.image_parts(world.vectors), (7,), place)
    assert expected.std() > 1e-3 * abs(expected.mean())
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert plain.tune(world.vectors, 1) in (128, 256)


def test_what_a_query_costs(models: Models) -> None:
    model = models.ranker.scorer.model
    assert layers(model, all_of_them=False) == [(512, 64), (64, 64), (64, 1)]
    assert layers(model, all_of_them=True)[:4] == [(2, 128), (128, 128), (128, 128), (384, 512)]
    seconds, gflops = floor([(512, 64)], rows=512)
    assert gflops == pytest.approx(2 * 512 * 64 / seconds / 1e9)


def test_more_photos_than_there_are(world: Photos) -> None:
    fewer, more = world.grown(50, 3), world.grown(400, 3)
    rows = {vector.tobytes() for vector in world.vectors}
    assert all(vector.tobytes() in rows for vector in fewer.vectors)
    assert sum(vector.tobytes() in rows for vector in more.vectors) == 300
    np.testing.assert_allclose(np.linalg.norm(more.vectors, axis=1), 1, atol=1e-5)
    assert (np.abs(more.places) <= (90, 180)).all()
    assert np.array_equal(more.vectors, world.grown(400, 3).vectors)


def test_quality_of_retrieval(models: Models, world: Photos, tmp_path: Path) -> None:
    """Few photos are all candidates: nothing is lost."""
    judged = locsens_quality.retrieval(models, world, 100, "photos", 30, 0, tmp_path)
    assert 0 < judged["queries"] <= 30 and judged["exact"]["agnostic"] > 0
    assert judged["fast"] == judged["exact"] and set(judged["kept"].values()) == {1.0}
    assert judged["found"] == 1.0


def test_quality_of_tagging(models: Models, world: Photos) -> None:
    class Image:
        """The image model: likes the tags that are likest to a photo."""

        def tag_features(self, features: torch.Tensor) -> list[TaggedImage]:
            vectors = world.vectors[: len(features)]
            chances = np.exp(9 * vectors @ models.tags.T)
            return [TaggedImage(*pair) for pair in zip(vectors, chances, strict=True)]

    tagger, _ = synthetic_tagger(models, world, len(models.tags), 0)
    tagged = locsens_quality.tagging(replace(models, tagger=tagger, image=Image()), world, 40)  # type: ignore[arg-type]
    assert tagged["photos"] == 40 and set(tagged["kept"]) == {"at_1", "at_10", "predicted", "rightly"}
    # An untrained scorer ranks at random: candidates that the image suggests are better than that.
    assert tagged["fast"]["at_10"] > tagged["exact"]["at_10"]


def test_a_ratio_needs_something_to_keep() -> None:
    kept = locsens_quality.ratio(np.array([0.1, 0.3, 0.0]), np.array([0.2, 0.0, 0.0]))
    np.testing.assert_allclose(kept, [0.5, 1, 1])


def test_a_world_needs_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["locsens", "--world", "world", "--features", "features"])
    with pytest.raises(SystemExit):
        locsens.parse()
