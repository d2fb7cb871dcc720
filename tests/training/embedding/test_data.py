"""Parts of the training data: nothing that is reported on is trained on."""

import csv
from pathlib import Path

import pytest

from training.embedding.data import load_captions, load_part


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "captions").mkdir()
    with (tmp_path / "captions" / "flickr8k_captions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "caption"])
        for number in range(60):
            writer.writerows([[f"{number}.jpg", f"number {number}"], [f"{number}.jpg", f"again {number}"]])
    (tmp_path / "coco_captions").mkdir()
    (tmp_path / "coco_captions" / "captions.jsonl").write_text("")
    (tmp_path / "coco_captions" / "held_out_ids.txt").write_text("")
    return tmp_path


def test_flickr_photos_are_parted(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(0, 60, 2):
        (photos / f"{number}.jpg").touch()
    monkeypatch.setenv("INTERPLAY_FLICKR_PHOTOS", str(photos))
    trained = {item.id: item for item in load_part("flickr_train", data)}
    tested = {item.id: item for item in load_part("flickr_test", data)}
    assert len(trained) > len(tested) > 3 and not trained.keys() & tested.keys()
    assert trained.keys() | tested.keys() == {f"{number}.jpg" for number in range(0, 60, 2)}
    assert all(len(item.captions) == 2 and item.image.is_file() for item in tested.values())
    captions = set(load_captions(data, sources=["flickr_train"]))
    assert not captions & {text for item in tested.values() for text in item.captions}
    assert captions >= {text for item in trained.values() for text in item.captions}
    assert captions < set(load_captions(data, sources=["flickr8k"]))


def test_what_is_missing_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERPLAY_FLICKR_PHOTOS", raising=False)
    monkeypatch.delenv("INTERPLAY_EXTRA_PHOTOS", raising=False)
    with pytest.raises(FileNotFoundError, match="set INTERPLAY_FLICKR_PHOTOS"):
        load_part("flickr_test", data)
    with pytest.raises(FileNotFoundError, match="set INTERPLAY_EXTRA_PHOTOS"):
        load_captions(data)
    with pytest.raises(ValueError, match="source must be one of coco, flickr8k, flickr_train, not 'web'"):
        load_captions(data, sources=["web"])
