"""Readers of captioned images: every layout gives the same pairs; what is broken is named."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from interplay.media.images import encode_jpeg
from training.datasets.captions import (
    read_coco_captions,
    read_csv,
    read_instacities,
    read_jsonl,
    read_webdataset,
    read_webvision,
    unique,
)


def photo(seed: int) -> bytes:
    return encode_jpeg(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8))


def write(file: Path, content: bytes | str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        file.write_text(content, encoding="utf-8")
    else:
        file.write_bytes(content)
    return file


@pytest.mark.parametrize("part", ["", "train/"])
def test_instacities_in_both_layouts(tmp_path: Path, part: str) -> None:
    for city, number in (("london", 1), ("sydney", 2)):
        write(tmp_path / f"img_resized_1M/cities_instagram/{part}{city}/{number}.jpg", photo(number))
        text = f"#{city} at night\n"
        write(tmp_path / f"captions_resized_1M/cities_instagram/{part}{city}/{number}.txt", text)
    write(tmp_path / f"img_resized_1M/cities_instagram/{part}london/9.jpg", photo(9))  # no caption
    items = list(read_instacities(tmp_path))
    assert [(item.captions, item.tags) for item in items] == [
        (("#london at night",), ("london",)),
        (("#sydney at night",), ("sydney",)),
    ]
    assert items[0].content() == photo(1)
    if part:
        assert list(read_instacities(tmp_path, "val")) == []


def test_a_folder_that_is_no_instacities(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no img_resized_1M"):
        list(read_instacities(tmp_path))


def test_webvision_joins_description_title_and_tags(tmp_path: Path) -> None:
    rows = [{"title": "none"}, {"description": "A shark", "title": "great white", "tags": ["sea", "teeth"]}]
    write(tmp_path / "info/flickr/1.json", json.dumps(rows))
    write(tmp_path / "info/train_filelist_flickr.txt", "flickr/q0001/7.jpg 3\n")
    write(tmp_path / "info/train_meta_list_flickr.txt", "info/flickr/1.json 2\n")
    (item,) = read_webvision(tmp_path, "flickr")
    assert item.captions == ("A shark great white sea teeth",) and item.tags == ("3",)
    assert item.image == tmp_path / "flickr/q0001/7.jpg"
    write(tmp_path / "info/train_meta_list_flickr.txt", "")
    with pytest.raises(ValueError, match="1 files and 0 rows"):
        list(read_webvision(tmp_path, "flickr"))


def test_coco_gives_all_captions_of_an_image(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 5, "file_name": "5.jpg"}, {"id": 6, "file_name": "6.jpg"}],
        "annotations": [{"image_id": 5, "caption": " one "}, {"image_id": 5, "caption": "two"}],
    }
    (item,) = read_coco_captions(write(tmp_path / "captions.json", json.dumps(content)), tmp_path)
    assert (item.id, item.image, item.captions) == ("5", tmp_path / "5.jpg", ("one", "two"))


def test_csv_rows_of_one_image_belong_together(tmp_path: Path) -> None:
    file = write(tmp_path / "c.csv", 'image,caption\na.jpg,"one, two"\na.jpg,three\nb.jpg,four\n')
    items = list(read_csv(file, tmp_path))
    assert [(item.id, item.captions) for item in items] == [
        ("a.jpg", ("one, two", "three")),
        ("b.jpg", ("four",)),
    ]
    escaped = write(tmp_path / "e.csv", 'ImageID,Caption\na.jpg,"a /"b/" c"\n')
    (item,) = read_csv(escaped, tmp_path, image="ImageID", caption="Caption", escape="/")
    assert item.captions == ('a "b" c',)
    with pytest.raises(ValueError, match="has no column text; it has"):
        list(read_csv(file, tmp_path, caption="text"))


def test_jsonl_takes_one_caption_or_several(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.jsonl",
        '{"image": "a.jpg", "caption": "x"}\n\n{"image": "b.jpg", "caption": ["y", "z"]}\n',
    )
    assert [item.captions for item in read_jsonl(file, tmp_path)] == [("x",), ("y", "z")]
    with pytest.raises(ValueError, match="line 1: fields 'file' and 'caption' are required"):
        list(read_jsonl(file, tmp_path, image="file"))


def test_webdataset_shards(tmp_path: Path) -> None:
    members = [
        {"a.jpg": photo(1), "a.txt": b"first"},
        {"b.jpg": photo(2), "b.json": b'{"caption": "second"}', "c.txt": b"no picture"},
    ]
    for number, files in enumerate(members):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    for shards in (
        f"{tmp_path}/{{0..1}}.tar",
        f"{tmp_path}/*.tar",
        [f"{tmp_path}/0.tar", f"{tmp_path}/1.tar"],
    ):
        items = list(read_webdataset(shards))
        assert [(item.id, item.captions, item.content()) for item in items] == [
            ("a", ("first",), photo(1)),
            ("b", ("second",), photo(2)),
        ]


def test_images_that_come_twice_are_dropped(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        write(tmp_path / f"{name}.jpg", photo(seed))
    rows = "".join(f'{{"image": "{name}.jpg", "caption": "x"}}\n' for name in "abc")
    items = read_jsonl(write(tmp_path / "c.jsonl", rows), tmp_path)
    assert [item.id for item in unique(items)] == ["a.jpg", "b.jpg"]
