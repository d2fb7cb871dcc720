from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from interplay.datasets import Datasets
from interplay.errors import InvalidParameter, NotFound, PayloadTooLarge, PermissionDenied
from interplay.media.images import encode_jpeg, encode_png

JPEG = encode_jpeg(np.zeros((4, 4, 3), np.uint8))
PNG = encode_png(np.zeros((4, 4, 3), np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "a.jpg").write_bytes(JPEG)
    return folder


@pytest.fixture
def datasets(root: Path) -> Datasets:
    return Datasets([str(root)])


@pytest.fixture
def memory() -> Iterator[Datasets]:
    yield Datasets(["memory://bucket/sets"])
    fsspec.filesystem("memory").store.clear()


def test_relative_absolute_and_file_urls_mean_the_same(datasets: Datasets, root: Path) -> None:
    expected = str(root / "a" / "b.jpg")
    for url in ("a/b.jpg", expected, f"file://{expected}", f"local://{expected}", "a/./x/../b.jpg"):
        assert datasets.resolve(url).path == expected


def test_the_root_itself_is_inside(datasets: Datasets, root: Path) -> None:
    assert datasets.resolve(str(root)).path == str(root)
    assert datasets.resolve(f"{root}/").path == str(root)


@pytest.mark.parametrize(
    "url",
    [
        "../secret.jpg",
        "a/../../secret.jpg",
        "..",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://../secret.jpg",
        "FILE:///etc/passwd",
        "{root}/../secret.jpg",
        "{root}-beside/a.jpg",
        "~/x",
        "s3://bucket/a.jpg",
        "memory://bucket/a.jpg",
        "https://example.org/a.jpg",
        "simplecache::file:///etc/passwd",
        "zip://a.jpg::file://{root}/a.zip",
        "a\0b",
        "",
        "\ud800",
    ],
)
def test_outside_is_refused(datasets: Datasets, root: Path, url: str) -> None:
    url = url.replace("{root}", str(root))
    if url == "~/x":  # no home folder is meant: it is a name like any other
        assert datasets.resolve(url).path == str(root / "~" / "x")
        return
    with pytest.raises(PermissionDenied) as caught:
        datasets.resolve(url, name="params.input")
    assert caught.value.field == "params.input"


def test_refusal_names_the_rule(datasets: Datasets, root: Path) -> None:
    with pytest.raises(PermissionDenied, match="symbolic links are followed") as caught:
        datasets.resolve("../x")
    assert str(root) in caught.value.message
    with pytest.raises(PermissionDenied, match="scheme 's3'"):
        datasets.resolve("s3://b/x")


def test_links_out_of_the_root_are_refused(datasets: Datasets, root: Path) -> None:
    (root / "file.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "folder").symlink_to(root.parent)
    (root / "dangling").symlink_to(root.parent / "new.jpg")
    for url in ("file.jpg", "folder/secret.jpg", "folder/new/deep.jpg", "dangling"):
        with pytest.raises(PermissionDenied):
            datasets.resolve(url)
        with pytest.raises(PermissionDenied):
            datasets.read_bytes(url, max_bytes=1000)
        with pytest.raises(PermissionDenied), datasets.write(url) as stream:
            stream.write(b"x")
    assert not (root.parent / "new.jpg").exists()


def test_links_inside_the_root_are_followed(datasets: Datasets, root: Path) -> None:
    (root / "a.jpg").write_bytes(JPEG)
    (root / "b.jpg").symlink_to(root / "a.jpg")
    assert datasets.read_bytes("b.jpg", max_bytes=10_000) == JPEG


def test_a_root_that_is_a_link_works(root: Path, tmp_path: Path) -> None:
    (root / "a.jpg").write_bytes(JPEG)
    link = tmp_path / "link"
    link.symlink_to(root)
    datasets = Datasets([str(link)])
    assert datasets.read_bytes(f"{link}/a.jpg", max_bytes=10_000) == JPEG
    assert datasets.read_bytes("a.jpg", max_bytes=10_000) == JPEG


def test_without_roots_everything_is_refused() -> None:
    with pytest.raises(PermissionDenied, match="INTERPLAY_DATASET_ROOTS"):
        Datasets([]).resolve("a")


def test_remote_roots(memory: Datasets) -> None:
    with memory.write("memory://bucket/sets/a/b.txt") as stream:
        stream.write(b"hello")
    assert memory.read_bytes("a/b.txt", max_bytes=10) == b"hello"
    assert memory.size("memory://bucket/sets/a/b.txt") == 5
    place = memory.resolve("a/b.txt")
    assert memory.resolve(place.url) == place
    for url in (
        "memory://bucket/other",
        "memory://bucket/sets/../other",
        "memory://bucket/sets2/x",
        "/etc/passwd",
    ):
        with pytest.raises(PermissionDenied):
            memory.resolve(url)


def test_several_roots(root: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "b.jpg").write_bytes(JPEG)
    datasets = Datasets([str(root), str(second), "memory://m"])
    assert datasets.read_bytes(str(second / "b.jpg"), max_bytes=10_000) == JPEG
    assert datasets.resolve("x").path == str(root / "x")


def test_reading_stops_at_the_limit(datasets: Datasets, root: Path) -> None:
    (root / "big").write_bytes(b"x" * 101)
    assert len(datasets.read_bytes("big", max_bytes=101)) == 101
    with pytest.raises(PayloadTooLarge):
        datasets.read_bytes("big", max_bytes=100)


def test_missing_files_and_folders(datasets: Datasets, root: Path) -> None:
    (root / "folder").mkdir()
    for url in ("nope.jpg", "folder", "folder/x/y", "x" * 300):
        with pytest.raises(NotFound):
            datasets.read_bytes(url, max_bytes=10)
    assert datasets.size("nope.jpg") is None
    with pytest.raises(NotFound):
        list(datasets.images("nope"))


def test_writing_is_whole_or_not_at_all(datasets: Datasets, root: Path) -> None:
    with datasets.write("out/a.txt") as stream:
        stream.write(b"one")
    with pytest.raises(RuntimeError), datasets.write("out/a.txt") as stream:
        stream.write(b"half of tw")
        raise RuntimeError
    assert (root / "out/a.txt").read_bytes() == b"one"
    with datasets.write("out/a.txt") as stream:
        stream.write(b"two")
    assert (root / "out/a.txt").read_bytes() == b"two"
    assert os.listdir(root / "out") == ["a.txt"]


@pytest.mark.parametrize("url", ["taken/a.txt", "x" * 300 + "/a.txt"])
def test_writing_where_it_cannot_be(datasets: Datasets, root: Path, url: str) -> None:
    (root / "taken").write_bytes(b"a file")
    with pytest.raises(InvalidParameter, match="cannot be written"), datasets.write(url) as stream:
        stream.write(b"x")
    with pytest.raises(InvalidParameter, match="cannot be written"):
        datasets.make_folder(url)


def test_images_of_a_folder(datasets: Datasets, root: Path) -> None:
    (root / "set/deep/er").mkdir(parents=True)
    (root / "set/b.JPG").write_bytes(b"broken, but named as an image")
    (root / "set/deep/a.png").write_bytes(PNG)
    (root / "set/deep/er/no_extension").write_bytes(JPEG)
    (root / "set/notes.txt").write_text("no image")
    (root / "set/.hidden.jpg").write_bytes(JPEG)
    (root / "set/out.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "set/loop").symlink_to(root / "set")
    items = list(datasets.images("set"))
    assert [item.id for item in items] == ["b.JPG", "deep/a.png", "deep/er/no_extension"]
    assert [item.image for item in items] == [str(root / "set" / item.id) for item in items]


def test_images_of_a_remote_folder(memory: Datasets) -> None:
    for name in ("b.jpg", "deep/a.png", "notes.txt"):
        with memory.write(f"set/{name}") as stream:
            stream.write(JPEG if not name.endswith("txt") else b"no image")
    items = list(memory.images("set"))
    assert [item.id for item in items] == ["b.jpg", "deep/a.png"]
    assert memory.read_bytes(items[1].image, max_bytes=10_000) == JPEG


def write_lines(path: Path, *lines: object) -> None:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))


def test_images_of_a_jsonl_file(datasets: Datasets, root: Path) -> None:
    (root / "lists").mkdir()
    write_lines(
        root / "lists/set.jsonl",
        {"image": "a.jpg"},
        "",
        {"image": str(root / "b.jpg"), "id": "two", "label": 1, "tweet": "ü"},
        {"image": "../../secret.jpg", "id": 3},
    )
    items = list(datasets.images("lists/set.jsonl"))
    assert [item.id for item in items] == ["a.jpg", "two", "3"]
    assert items[0].image == str(root / "lists/a.jpg")
    assert items[1].extra == {"label": 1, "tweet": "ü"}
    with pytest.raises(PermissionDenied):  # listed, and refused when it is opened
        datasets.read_bytes(items[2].image, max_bytes=10_000)


@pytest.mark.parametrize(
    "line, told",
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 must be an object"),
        ({"path": "a.jpg"}, "line 2 must be an object"),
        ({"image": ""}, "line 2 must be an object"),
        ({"image": "b.jpg", "id": [1]}, 'line 2: "id"'),
        ({"image": "a.jpg"}, "line 2 .* has the id 'a.jpg' of line 1"),
    ],
)
def test_bad_lines_are_told_by_number(datasets: Datasets, root: Path, line: object, told: str) -> None:
    write_lines(root / "set.jsonl", {"image": "a.jpg"}, line)
    with pytest.raises(InvalidParameter, match=told):
        list(datasets.images("set.jsonl"))
