"""What an index can be built from: every form gives the same images and facts; what is broken is named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interplay.datasets import Datasets
from interplay.errors import InvalidParameter, NotFound, PayloadTooLarge, PermissionDenied
from interplay.jobs.build_index import entry_of
from interplay.jobs.index_sources import IndexItem, list_items, read_image
from interplay.settings import MAX_IMAGE_BYTES

PICTURES = {name: b"\xff\xd8\xff picture " + name.encode() for name in ("a", "b", "c")}


@pytest.fixture
def datasets(tmp_path: Path) -> Datasets:
    return Datasets([str(tmp_path)])


def write(file: Path, content: bytes | str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def write_tar(file: Path, members: dict[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def found(datasets: Datasets, url: str, form: str = "auto") -> list[tuple[str, bytes, dict[str, Any]]]:
    items = list(list_items(datasets, url, form))
    assert json.loads(json.dumps([item.where for item in items])) == [item.where for item in items]
    return [(item.id, read_image(datasets, item.where), item.facts) for item in items]


def test_a_folder(datasets: Datasets, tmp_path: Path) -> None:
    for name, content in PICTURES.items():
        write(tmp_path / "in" / "sub" / f"{name}.jpg", content)
    write(tmp_path / "in" / "notes.txt", "no picture")
    assert found(datasets, "in") == [(f"sub/{name}.jpg", content, {}) for name, content in PICTURES.items()]


def test_jsonl_with_facts(datasets: Datasets, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.jpg", PICTURES["a"])
    write(tmp_path / "in" / "list.jsonl", '{"image": "a.jpg", "id": "x", "caption": "sea", "latitude": 1}\n')
    assert found(datasets, "in/list.jsonl") == [("x", PICTURES["a"], {"caption": "sea", "latitude": 1})]


@pytest.mark.parametrize("folder", ["", "images/"])
def test_coco_captions(datasets: Datasets, tmp_path: Path, folder: str) -> None:
    write(tmp_path / "in" / f"{folder}5.jpg", PICTURES["a"])
    content = {
        "images": [{"id": 5, "file_name": "5.jpg"}],
        "annotations": [{"image_id": 5, "caption": "one "}, {"image_id": 5, "caption": "two"}],
    }
    write(tmp_path / "in" / "captions.json", json.dumps(content))
    assert found(datasets, "in/captions.json") == [("5", PICTURES["a"], {"caption": "one two"})]
    write(tmp_path / "in" / "bad.json", "[]")
    with pytest.raises(InvalidParameter, match="is not a JSON object"):
        found(datasets, "in/bad.json")
    write(tmp_path / "in" / "bad.json", '{"images": [{"id": 1}]}')
    with pytest.raises(InvalidParameter, match="is not COCO's captions JSON"):
        found(datasets, "in/bad.json")


def test_webdataset_shards(datasets: Datasets, tmp_path: Path) -> None:
    write_tar(
        tmp_path / "in" / "0.tar",
        {
            "a.jpg": PICTURES["a"],
            "a.txt": b"sea ",
            "x.txt": b"alone",
            "s/b.json": b'{"tags": ["t"]}',
            "s/b.png": PICTURES["b"],
        },
    )
    write_tar(tmp_path / "in" / "1.tar", {"c.jpg": PICTURES["c"]})
    expected = [("a", PICTURES["a"], {"caption": "sea"}), ("s/b", PICTURES["b"], {"tags": ["t"]})]
    assert found(datasets, "in/0.tar") == expected
    assert found(datasets, "in") == [*expected, ("c", PICTURES["c"], {})]
    write_tar(tmp_path / "bad.tar", {"a.json": b"{", "a.jpg": b"x"})
    with pytest.raises(InvalidParameter, match="'a.json' in .* cannot be read"):
        found(datasets, "bad.tar")
    write(tmp_path / "none.tar", "no tar" * 200)
    with pytest.raises(InvalidParameter, match="is not a tar file"):
        found(datasets, "none.tar")


@pytest.mark.parametrize("kind", ["path", "bytes", "struct"])
def test_parquet(datasets: Datasets, tmp_path: Path, kind: str) -> None:
    columns: dict[str, Any] = {"caption": ["sea", None, "hill"], "stars": [1, 2, None]}
    if kind == "path":
        columns["image"] = [f"{name}.jpg" for name in PICTURES]
        for name, content in PICTURES.items():
            write(tmp_path / "in" / f"{name}.jpg", content)
    elif kind == "bytes":
        columns["image"] = list(PICTURES.values())
    else:
        columns["image"] = [{"bytes": content, "path": "x"} for content in PICTURES.values()]
    (tmp_path / "in").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), tmp_path / "in" / "part.parquet", row_group_size=2)
    got = found(datasets, "in/part.parquet")
    assert [content for _, content, _ in got] == list(PICTURES.values())
    assert [facts for *_, facts in got] == [{"caption": "sea", "stars": 1}, {"stars": 2}, {"caption": "hill"}]
    assert [name for name, *_ in got] == ["part-0-0", "part-0-1", "part-1-0"]
    pq.write_table(pa.table({"picture": [b"x"]}), tmp_path / "other.parquet")
    with pytest.raises(InvalidParameter, match="has no column 'image'; it has picture"):
        found(datasets, "other.parquet")
    write(tmp_path / "none.parquet", "nothing")
    with pytest.raises(InvalidParameter, match="is not a Parquet file"):
        found(datasets, "none.parquet")


def test_inputs_that_are_not_there(datasets: Datasets, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no folder or file 'nope'"):
        found(datasets, "nope")
    with pytest.raises(PermissionDenied):
        found(datasets, "/etc")
    write(tmp_path / "empty" / "x.txt", "")
    for form in ("webdataset", "parquet"):
        with pytest.raises(InvalidParameter, match=r"there are no \.\w+ files in"):
            found(datasets, "empty", form)
    with pytest.raises(PayloadTooLarge, match="the limit is"):
        read_image(datasets, {"tar": "x.tar", "at": 0, "size": MAX_IMAGE_BYTES + 1})


def test_facts_become_an_entry() -> None:
    facts = {
        "caption": ["a", "b"],
        "tags": "x y",
        "latitude": 41.5,
        "longitude": 2,
        "time": "2020-01-02T03:04:05+01:00",
        "stars": 4,
        "uri": "s3://x",
    }
    entry = entry_of(IndexItem("i", {"file": "/f.jpg"}, facts), "t.jpg")
    assert (entry.id, entry.uri, entry.caption, entry.thumbnail) == ("i", "s3://x", "a b", "t.jpg")
    assert list(entry.tags) == ["x", "y"]
    assert (entry.place.latitude, entry.place.longitude) == (41.5, 2)
    assert entry.time.ToJsonString() == "2020-01-02T02:04:05Z" and json.loads(entry.extra_json) == {
        "stars": 4
    }
    plain = entry_of(IndexItem("i", {"file": "/f.jpg"}, {"place": {"lat": 1, "lon": 2}}), "")
    assert plain.uri == "/f.jpg" and plain.place.latitude == 1 and not plain.HasField("time")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"time": "yesterday"}, "a fact of 'i' cannot be used"),
        ({"time": "2020-01-02"}, "has no offset from UTC"),
        ({"latitude": "north", "longitude": 1}, "cannot be used"),
        ({"place": "Paris"}, "cannot be used"),
    ],
)
def test_facts_that_cannot_be_used(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        entry_of(IndexItem("i", {"file": "/f.jpg"}, facts), "")
