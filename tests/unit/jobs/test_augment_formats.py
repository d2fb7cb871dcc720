from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.errors import InvalidParameter, NotFound, PermissionDenied
from interplay.jobs.augment_formats import CocoTextForm, JsonlForm, open_form
from interplay.jobs.augment_icdar import IcdarForm, parse_icdar
from interplay.jobs.augment_sources import Form, Source, Written, check_names, variant_file
from tests.fake_stylist import photo

LINE = "10,20,50,20,50,40,10,40,WORD\r\n"


def fill(folder: Path, *files: str) -> None:
    """Make files: text where a name says so, else pictures."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LINE.encode() if name.endswith(".txt") else photo(1))


def opened(root: Path, url: str, name: str = "auto") -> Form:
    return open_form(Datasets([str(root), "memory://sets"]), url, name)


def sources_of(root: Path, url: str, *, with_polygons: bool = False) -> list[Source]:
    return list(opened(root, url).sources(with_polygons=with_polygons))


def pairs(root: Path) -> dict[str, str | None]:
    return {s.file: s.truth[1] if s.truth else None for s in sources_of(root, "in")}


@pytest.mark.parametrize(
    "files",
    [
        ("img_1.jpg", "gt_img_1.txt"),
        ("images/img_1.jpg", "gt/gt_img_1.txt"),
        ("img_1.jpg", "gt/gt_img_1.txt"),
        ("images/img_1.jpg", "gt_img_1.txt"),
        ("a/b/images/1.png", "a/b/gt/gt_1.txt"),
        ("a/b/1.png", "a/gt_1.txt"),
    ],
)
def test_icdar_file_beside_or_nearby(tmp_path: Path, files: tuple[str, str]) -> None:
    fill(tmp_path / "in", *files)
    assert pairs(tmp_path) == {files[0]: files[1]}
    (source,) = sources_of(tmp_path, "in")
    assert source.truth == [str(tmp_path / "in" / files[1]), files[1]]
    assert Source(**json.loads(json.dumps(source.to_json()))) == source


def test_icdar_image_without_file_is_told(tmp_path: Path) -> None:
    fill(tmp_path / "in", "train/1.jpg", "train/gt_1.txt", "train/2.jpg", "test/2.jpg", "test/gt_2.txt")
    assert pairs(tmp_path) == {
        "train/1.jpg": "train/gt_1.txt",
        "train/2.jpg": None,
        "test/2.jpg": "test/gt_2.txt",
    }
    failed = next(source for source in sources_of(tmp_path, "in") if source.error)
    assert failed.error is not None
    assert failed.error["reason"] == "NOT_FOUND"
    assert "gt_2.txt" in failed.error["message"]


def test_icdar_that_is_ambiguous_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "in", "images/1.jpg", "gt_a/gt_1.txt", "gt_b/gt_1.txt")
    with pytest.raises(InvalidParameter, match="gt_a/gt_1.txt.*gt_b/gt_1.txt"):
        sources_of(tmp_path, "in")


def test_icdar_file_of_two_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "in", "1.jpg", "1.png", "gt_1.txt")
    with pytest.raises(InvalidParameter, match="share"):
        sources_of(tmp_path, "in")


def test_folder_without_annotations_is_no_icdar(tmp_path: Path) -> None:
    fill(tmp_path / "in", "1.jpg")
    with pytest.raises(InvalidParameter, match="JSONL"):
        sources_of(tmp_path, "in")


@pytest.mark.parametrize(
    ("text", "words", "legible", "first"),
    [
        ("\ufeff1,2,3,2,3,4,1,4,Genaxis, Theatre\r\n", 1, 1, [[1, 2], [3, 2], [3, 4], [1, 4]]),
        ("1,2,3,2,3,4,1,4,###\n\n5,6,7,6,7,8,5,8,ab\n", 2, 1, [[1, 2], [3, 2], [3, 4], [1, 4]]),
        ('10, 20, 50, 40, "a,b,c,d,e,f"\n', 1, 1, [[10, 20], [50, 20], [50, 40], [10, 40]]),
        ('10 20 50 40 "###"', 1, 0, [[10, 20], [50, 20], [50, 40], [10, 40]]),
        ("", 0, 0, None),
    ],
)
def test_icdar_words(text: str, words: int, legible: int, first: Any) -> None:
    truth = parse_icdar(text.encode())
    assert (truth.words, truth.legible, truth.fault) == (words, legible, None)
    assert not first or truth.polygons[0] == first


@pytest.mark.parametrize("line", ["1,2,3", "a,b,c,d,e,f,g,h,word", "1,2,3,4,5,6,7,nan,word", "\xff\xfe"])
def test_icdar_line_of_another_form_is_told(line: str) -> None:
    truth = parse_icdar(f"{LINE}{line}\n".encode("latin-1"))
    assert truth.words == 1
    assert truth.fault is not None
    assert truth.fault.startswith("line 2 is not")


def test_form_by_name(tmp_path: Path) -> None:
    fill(tmp_path, "folder/1.jpg")
    for name in ("set.json", "set.JSONL", "set.txt"):
        (tmp_path / name).write_text("")
    assert isinstance(opened(tmp_path, "folder"), IcdarForm)
    assert isinstance(opened(tmp_path, "set.json"), CocoTextForm)
    assert isinstance(opened(tmp_path, "set.JSONL"), JsonlForm)
    assert isinstance(opened(tmp_path, "set.txt", "jsonl"), JsonlForm)
    with pytest.raises(InvalidParameter, match="icdar, coco_text, jsonl"):
        opened(tmp_path, "set.txt")
    with pytest.raises(NotFound):
        opened(tmp_path, "nothing.json")
    with pytest.raises(PermissionDenied):
        opened(tmp_path, "../x.json")
    with pytest.raises(InvalidParameter, match="folder"):
        list(opened(tmp_path, "folder", "jsonl").sources(with_polygons=False))
    with pytest.raises(InvalidParameter, match="no folder"):
        list(opened(tmp_path, "set.json", "icdar").sources(with_polygons=False))


def coco(**changes: Any) -> dict[str, Any]:
    content = {
        "info": {"version": 2},
        "cats": {},
        "imgs": {
            "7": {"id": 7, "file_name": "7.jpg", "width": 24, "height": 16, "set": "train"},
            "30": {"id": 30, "file_name": "sub/30.jpg", "width": 24, "height": 16, "set": "val"},
            "4": {"id": 4, "file_name": "4.jpg", "width": 24, "height": 16, "set": "train"},
        },
        "anns": {
            "91": {
                "id": 91,
                "image_id": 7,
                "bbox": [1, 2, 3, 4],
                "utf8_string": "A",
                "legibility": "legible",
            },
            "90": {"id": 90, "image_id": 7, "mask": [1, 1, 5, 1, 5, 5], "language": "english"},
            "12": {"id": 12, "image_id": 30, "mask": [[1, 1, 5, 1, 5, 5, 1, 5]], "class": "handwritten"},
        },
        "imgToAnns": {"7": [91, 90], "30": [12], "4": []},
    }
    return content | changes


def save(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_coco_text_images_and_polygons(tmp_path: Path) -> None:
    save(tmp_path / "in/coco.json", coco())
    sources = sources_of(tmp_path, "in/coco.json", with_polygons=True)
    assert [(s.id, s.image, s.file) for s in sources] == [
        ("4", str(tmp_path / "in/4.jpg"), "4.jpg"),
        ("7", str(tmp_path / "in/7.jpg"), "7.jpg"),
        ("30", str(tmp_path / "in/sub/30.jpg"), "sub/30.jpg"),
    ]
    box, mask = [[1, 2], [4, 2], [4, 6], [1, 6]], [[1, 1], [5, 1], [5, 5]]
    assert [s.polygons for s in sources] == [[], [box, mask], [[*mask, [1, 5]]]]
    assert all(s.polygons is None for s in sources_of(tmp_path, "in/coco.json"))


def rewritten(root: Path, written: dict[str, list[Written]]) -> dict[str, Any]:
    form = opened(root, "in/coco.json")
    for source in form.sources(with_polygons=False):
        if source.id in written:
            assert form.lines(source, written[source.id]) == b""
    return json.loads(b"".join(form.rest()))  # type: ignore[no-any-return]


def test_coco_text_with_variants(tmp_path: Path) -> None:
    save(tmp_path / "in/coco.json", coco())
    images = {
        "4": [Written(0, "4.jpg", None), Written(1, "4_s1.jpg", "gold")],
        "7": [Written(0, "7.jpg", None), Written(1, "7_s1.jpg", "gold"), Written(2, "7_s2.jpg", "neon")],
    }
    found = rewritten(tmp_path, images)  # image 30 failed
    assert list(found) == list(coco())
    assert (found["info"], found["cats"]) == (coco()["info"], {})
    assert {key: image["file_name"] for key, image in found["imgs"].items()} == {
        "4": "4.jpg",
        "31": "4_s1.jpg",
        "7": "7.jpg",
        "32": "7_s1.jpg",
        "33": "7_s2.jpg",
    }
    assert found["imgs"]["33"] == {**coco()["imgs"]["7"], "id": 33, "file_name": "7_s2.jpg"}
    assert found["imgToAnns"] == {"4": [], "31": [], "7": [91, 90], "32": [92, 93], "33": [94, 95]}
    assert found["anns"]["95"] == {**coco()["anns"]["90"], "id": 95, "image_id": 33}
    assert found["anns"]["91"] == coco()["anns"]["91"]
    assert set(found["anns"]) == {"91", "90", "92", "93", "94", "95"}


def test_coco_text_without_originals(tmp_path: Path) -> None:
    save(tmp_path / "in/coco.json", coco())
    found = rewritten(tmp_path, {"30": [Written(1, "sub/30_s1.jpg", "gold")]})
    assert found["imgs"].keys() == {"31"}
    assert found["imgToAnns"] == {"31": [92]}
    assert found["anns"] == {"92": {**coco()["anns"]["12"], "id": 92, "image_id": 31}}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"imgs": {}, "anns": {}},
        coco(imgToAnns={"7": [5000]}),
        coco(imgs={"a": {"file_name": "a.jpg"}}),
        coco(imgs={"1": "a.jpg"}),
        {"images": [], "annotations": [], "categories": []},
    ],
)
def test_other_json_is_no_coco_text(tmp_path: Path, content: Any) -> None:
    save(tmp_path / "in/coco.json", content)
    with pytest.raises(InvalidParameter, match="not COCO-Text"):
        sources_of(tmp_path, "in/coco.json")


def test_no_json_is_no_coco_text(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text("{")
    with pytest.raises(InvalidParameter, match="not COCO-Text"):
        sources_of(tmp_path, "coco.json")


@pytest.mark.parametrize("name", ["../7.jpg", "/etc/passwd", "a/../../7.jpg", "", None])
def test_coco_text_image_elsewhere_is_not_taken(tmp_path: Path, name: str | None) -> None:
    save(tmp_path / "in/coco.json", coco(imgs={"7": {"id": 7, "file_name": name}}))
    (source,) = sources_of(tmp_path, "in/coco.json")
    assert source.error is not None
    assert source.error["reason"] == "INVALID_INPUT"


def test_coco_text_word_without_place_fails_its_image_alone(tmp_path: Path) -> None:
    anns = {"90": {"id": 90}, "91": coco()["anns"]["91"], "12": coco()["anns"]["12"]}
    save(tmp_path / "in/coco.json", coco(anns=anns))
    errors = [s.error for s in sources_of(tmp_path, "in/coco.json", with_polygons=True)]
    assert [error is not None for error in errors] == [False, True, False]


def jsonl(path: Path, *lines: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_jsonl_beside_its_images(tmp_path: Path) -> None:
    jsonl(tmp_path / "in/set.jsonl", {"image": "a/1.jpg", "x": [1]}, {"image": "2.jpg", "id": 5})
    sources = sources_of(tmp_path, "in/set.jsonl")
    assert [(s.id, s.file, s.extra) for s in sources] == [
        ("a/1.jpg", "a/1.jpg", {"x": [1]}),
        ("5", "2.jpg", {}),
    ]


@pytest.mark.parametrize(
    ("images", "files"),
    [
        (["/other/a/1.jpg", "/other/b/1.jpg"], ["a/1.jpg", "b/1.jpg"]),
        (["/other/a/1.jpg", "/other/a/2.jpg"], ["1.jpg", "2.jpg"]),
        (["../images/1.jpg", "../images/x/2.jpg"], ["1.jpg", "x/2.jpg"]),
        (["1.jpg", "/other/1.jpg"], ["in/1.jpg", "other/1.jpg"]),
        (["memory://sets/a/1.jpg", "memory://sets/b/1.jpg"], ["a/1.jpg", "b/1.jpg"]),
    ],
)
def test_jsonl_with_images_elsewhere(tmp_path: Path, images: list[str], files: list[str]) -> None:
    given = [image.replace("/other", str(tmp_path / "other")) for image in images]
    jsonl(tmp_path / "in/set.jsonl", *({"image": image} for image in given))
    assert [s.file for s in sources_of(tmp_path, "in/set.jsonl")] == files


def test_jsonl_lines_keep_their_fields(tmp_path: Path) -> None:
    jsonl(tmp_path / "in/set.jsonl", {"image": "1.jpg", "id": "a", "label": {"é": 1}, "style": "old"})
    form = opened(tmp_path, "in/set.jsonl")
    (source,) = form.sources(with_polygons=False)
    text = form.lines(source, [Written(0, "1.jpg", None), Written(1, "1_s1.png", "gold")]).decode()
    shared = {"label": {"é": 1}, "source": str(tmp_path / "in/1.jpg")}
    assert [json.loads(line) for line in text.splitlines()] == [
        {"id": "a", "image": "1.jpg", "style": None, **shared},
        {"id": "a_s1", "image": "1_s1.png", "style": "gold", **shared},
    ]
    assert list(form.rest()) == []


def test_jsonl_polygons(tmp_path: Path) -> None:
    good = [[[1, 2], [3, 4], [5, 6]]]
    lines = [{"image": f"{n}.jpg", "polygons": p} for n, p in enumerate([good, [], "no", [[1, 2]]])]
    jsonl(tmp_path / "in/set.jsonl", *lines, {"image": "none.jpg"})
    sources = sources_of(tmp_path, "in/set.jsonl", with_polygons=True)
    assert [s.polygons for s in sources] == [good, [], None, None, None]
    assert [s.error is not None for s in sources] == [False, False, True, True, True]
    assert all(s.error is None for s in sources_of(tmp_path, "in/set.jsonl"))


@pytest.mark.parametrize(
    ("file", "image_format", "name"),
    [
        ("a/img_1.jpg", "same", "a/img_1_s2.jpg"),
        ("img_1.JPEG", "jpeg", "img_1_s2.JPEG"),
        ("img_1.png", "jpeg", "img_1_s2.jpg"),
        ("img_1.jpg", "webp", "img_1_s2.webp"),
        ("photo.v2", "same", "photo.v2_s2"),
        ("photo.v2", "png", "photo.v2_s2.png"),
        ("gt/gt_img_1.txt", "same", "gt/gt_img_1_s2.txt"),
    ],
)
def test_names_of_variants(file: str, image_format: str, name: str) -> None:
    assert variant_file(file, 2, image_format) == name


@pytest.mark.parametrize(
    ("files", "options", "told"),
    [
        (["a.jpg", "a_s1.jpg"], {}, "a_s1.jpg"),
        (["a.jpg", "a_s3.jpg"], {}, None),
        (["a.jpg", "a_s1.jpg"], {"originals": False}, None),
        (["a.jpg", "a.png"], {}, None),
        (["a.jpg", "a.png"], {"image_format": "png"}, "a_s1.png"),
        (["a.jpg", "a.jpg"], {}, "a_s1.jpg"),
        (["x/a.jpg", "y/a_s1.jpg"], {}, None),
    ],
)
def test_names_that_collide_are_refused(files: list[str], options: dict[str, Any], told: str | None) -> None:
    sources = [Source(str(number), file, file) for number, file in enumerate(files)]
    settings: dict[str, Any] = {"variants": 2, "image_format": "same", "originals": True, **options}
    if told is None:
        check_names(sources, **settings)
        return
    with pytest.raises(InvalidParameter, match=told):
        check_names(sources, **settings)


def test_names_of_icdar_files_that_collide_are_refused() -> None:
    sources = [Source(n, n, n, truth=["", f"gt_{n[:-4]}.txt"]) for n in ("a.jpg", "a_s1.png")]
    with pytest.raises(InvalidParameter, match="gt_a_s1.txt"):
        check_names(sources, variants=1, image_format="same", originals=True)
