"""Scores of heatmaps, and publishing: what is measured is what is served."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from interplay.errors import Conflict
from interplay.models.textfcn import build_textfcn
from interplay.predictors.text_detection.regions import RegionParams
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import StoredModel, resolve
from interplay.types import Heatmap
from training.datasets.sample import Sample, WordLabel
from training.text_detection.evaluate import evaluate, score_pixels, score_words
from training.text_detection.export import DATA, export_weights, read_recipe
from training.text_detection.labels import draw_labels
from training.text_detection.scripts import score_script
from training.text_detection.tune import with_scale

WORDS = [
    np.float32([[20, 30], [120, 30], [120, 60], [20, 60]]),
    np.float32([[20, 90], [90, 90], [90, 120], [20, 120]]),
]


def perfect(legible: list[bool]) -> tuple[Sample, Heatmap]:
    """A photo's words and the heatmap that says exactly that."""
    labels, _ = draw_labels(WORDS, [True, True], size=160, stride=1, ratio=0.6)
    words = tuple(WordLabel(polygon, "", ok) for polygon, ok in zip(WORDS, legible, strict=True))
    return Sample(Path("photo.jpg"), words), Heatmap(
        (labels > 0).astype(np.float32), (labels == 2).astype(np.float32)
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    torch.manual_seed(0)
    config = {"preset": "compact", "stages": 4, "fusion_channels": 8, "level_channels": 8, "head_channels": 8}
    return export_weights(
        build_textfcn(config).state_dict(),
        config,
        tmp_path_factory.mktemp("store"),
        name="textfcn-compact",
        version=1,
        training={"steps": 0},
        commit="abc",
        data=DATA,
    )


def test_labels_and_regions_are_each_other_s_inverse() -> None:
    sample, heatmap = perfect([True, True])
    score = score_words([sample], [heatmap], RegionParams(core_ratio=0.6))
    assert (score.recalled, score.truths, score.detections) == (2, 2, 2)


def test_words_that_do_not_count_do_not_hurt() -> None:
    sample, heatmap = perfect([True, False])
    assert score_words([sample], [heatmap], RegionParams(core_ratio=0.6)).f_score == 1.0
    pixels = score_pixels([sample], [heatmap], 0.5)
    assert pixels["precision"] > 0.98 and pixels["recall"] > 0.98


def test_pixel_scores_by_hand() -> None:
    truth = np.float32([[0, 0], [9, 0], [9, 9], [0, 9]])  # 100 pixels
    sample = Sample(Path("photo.jpg"), (WordLabel(truth, "", True),))
    text = np.zeros((20, 20), np.float32)
    text[:10, 5:15] = 0.9  # half of it, and as much beside it
    assert score_pixels([sample], [Heatmap(text)], 0.5) == pytest.approx(
        {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    )


def test_manifest_says_what_serving_needs(stored: StoredModel) -> None:
    manifest = resolve(stored.directory.parents[1], "textfcn-compact").manifest
    assert manifest.thresholds == read_recipe()["thresholds"]
    assert manifest.labels == ("background", "text border", "word core")
    assert manifest.parent_commit == "abc" and all(
        {"name", "license", "use"} <= set(row) for row in manifest.data
    )
    assert RegionParams.from_manifest(manifest).core_ratio == manifest.thresholds["core_ratio"]


def test_a_version_is_published_once(stored: StoredModel) -> None:
    config = stored.manifest.config
    state = build_textfcn(config).state_dict()
    options = {"name": "textfcn-compact", "version": 1, "training": {}, "commit": None, "data": []}
    with pytest.raises(Conflict, match="already"):
        export_weights(state, config, stored.directory.parents[1], **options)
    with pytest.raises(RuntimeError, match="Missing key"):
        export_weights({}, config, stored.directory.parents[1], **{**options, "version": 2})


def test_scale_reaches_the_predictor(stored: StoredModel) -> None:
    preprocessing = with_scale(stored, 1.25).manifest.preprocessing
    assert (preprocessing.scale, preprocessing.max_side) == (1.25, 1600)
    assert with_scale(stored, 0.5).manifest.preprocessing.max_side == 1280


def test_reports_go_through_the_predictor(stored: StoredModel, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((160, 160, 3), 90, np.uint8))
    sample = Sample(photo, perfect([True, True])[0].words)
    segmenter = TextSegmenter.load(stored, device="cpu")
    report = evaluate(segmenter, [sample], [photo])
    assert report["photos"] == 1 and report["words"]["truths"] == 2
    assert 0 <= report["text_free"]["mean"] <= 1 and report["speed"]["width"] == 160


def test_scripts_are_scored_alone(stored: StoredModel, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), np.full((300, 300, 3), 90, np.uint8))
    segmenter = TextSegmenter.load(stored, device="cpu")
    font = [None]  # Pillow's own
    scores = score_script(segmenter, "latin", font, [photo], count=1)
    assert set(scores) == {"precision", "recall", "f1"}
