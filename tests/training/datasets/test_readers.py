"""Readers of the public formats, on small files written here."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.datasets.coco_text import read_coco_text
from training.datasets.icdar import parse_icdar2013, parse_icdar2015, read_icdar2013, read_icdar2015
from training.datasets.total_text import parse_total_text, read_total_text

BOX = [[10, 20], [50, 20], [50, 40], [10, 40]]


def test_icdar2015_line_by_line() -> None:
    words = parse_icdar2015("\ufeff10,20,50,20,50,40,10,40,Genaxis, Theatre\r\n1,2,3,2,3,4,1,4,###\r\n\r\n")
    assert [word.transcription for word in words] == ["Genaxis, Theatre", "###"]
    assert [word.legible for word in words] == [True, False]
    np.testing.assert_array_equal(words[0].polygon, BOX)
    assert words[0].polygon.dtype == np.float32


@pytest.mark.parametrize("line", ["10,20,50,20,50,40,10,40", "a,b,c,d,e,f,g,h,word"])
def test_icdar2015_refuses_other_lines(line: str) -> None:
    with pytest.raises(ValueError):
        parse_icdar2015(line)


def test_icdar2015_folder(tmp_path: Path) -> None:
    for number in (10, 2):
        (tmp_path / f"img_{number}.jpg").write_bytes(b"")
        (tmp_path / f"gt_img_{number}.txt").write_text(f"1,2,3,2,3,4,1,4,n{number}", encoding="utf-8-sig")
    samples = read_icdar2015(tmp_path, tmp_path)
    assert [sample.image.name for sample in samples] == ["img_2.jpg", "img_10.jpg"]
    assert samples[1].words[0].transcription == "n10"
    (tmp_path / "gt_img_3.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="img_3"):
        read_icdar2015(tmp_path, tmp_path)


@pytest.mark.parametrize("line", ['10, 20, 50, 40, "say \\"hi\\""', '10 20 50 40 "say \\"hi\\""'])
def test_icdar2013_commas_or_spaces(line: str) -> None:
    (word,) = parse_icdar2013(line + "\r\n")
    np.testing.assert_array_equal(word.polygon, BOX)
    assert word.transcription == 'say "hi"' and word.legible
    with pytest.raises(ValueError, match="line 1"):
        parse_icdar2013("10, 20, 50")


@pytest.mark.parametrize(("truth", "image"), [("gt_7.txt", "7.jpg"), ("gt_img_7.txt", "img_7.png")])
def test_icdar2013_folder(tmp_path: Path, truth: str, image: str) -> None:
    (tmp_path / truth).write_text('1, 2, 3, 4, "###"')
    (tmp_path / image).write_bytes(b"")
    (sample,) = read_icdar2013(tmp_path, tmp_path)
    assert sample.image.name == image and not sample.words[0].legible


def coco_text(version: int) -> dict:
    legible = {
        "id": 1,
        "image_id": 9,
        "legibility": "legible",
        "utf8_string": "STOP",
        "bbox": [10, 20, 40, 20],
    }
    if version == 2:
        legible["mask"] = [10, 20, 50, 20, 50, 40, 10, 40]
    illegible = {"id": 2, "image_id": 9, "legibility": "illegible", "bbox": [0, 0, 5, 5]}
    images = {
        str(i): {"id": i, "file_name": f"COCO_train2014_{i:012d}.jpg", "set": part}
        for i, part in ((9, "train"), (10, "val"), (11, "train"))
    }
    return {
        "info": {},
        "cats": {},
        "imgs": images,
        "anns": {"1": legible, "2": illegible},
        "imgToAnns": {"9": [1, 2], "10": [], "11": []},
    }


@pytest.mark.parametrize("version", [1, 2])
def test_coco_text(tmp_path: Path, version: int) -> None:
    file = tmp_path / "cocotext.json"
    file.write_text(json.dumps(coco_text(version)))
    samples = read_coco_text(file, tmp_path, "train")
    assert [sample.image.name for sample in samples] == [
        "COCO_train2014_000000000009.jpg",
        "COCO_train2014_000000000011.jpg",
    ]
    word, blurred = samples[0].words
    np.testing.assert_array_equal(word.polygon, BOX)
    assert word.transcription == "STOP" and word.legible and not blurred.legible
    assert len(read_coco_text(file, tmp_path)) == 3
    assert len(read_coco_text(file, tmp_path, "train", only_with_legible=True)) == 1


def test_coco_text_nested_masks_and_wrong_files(tmp_path: Path) -> None:
    content = coco_text(2)
    content["anns"]["1"]["mask"] = [[10, 20, 50, 20, 30, 40]]
    file = tmp_path / "cocotext.json"
    file.write_text(json.dumps(content))
    assert read_coco_text(file, tmp_path, "train")[0].words[0].polygon.shape == (3, 2)
    del content["anns"]["2"]["bbox"]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="annotation 2"):
        read_coco_text(file, tmp_path)
    file.write_text("[]")
    with pytest.raises(ValueError, match="not COCO-Text"):
        read_coco_text(file, tmp_path)


TOTAL_TEXT = """x: [[115 503 494
 115]], y: [[322 346 426 404]], ornt: [u'm'], transcriptions: [u'nauGHTY']
x: [[1 2 3]], y: [[4 5 6]], ornt: [u'#'], transcriptions: [u'#']
x: [[1 2 3]], y: [[4 5 6]], ornt: [u'h'], transcriptions: [u"L'OR"]
"""


def test_total_text(tmp_path: Path) -> None:
    words = parse_total_text(TOTAL_TEXT)
    assert [word.transcription for word in words] == ["nauGHTY", "#", "L'OR"]
    assert [word.legible for word in words] == [True, False, True]
    np.testing.assert_array_equal(words[0].polygon, [[115, 322], [503, 346], [494, 426], [115, 404]])
    (tmp_path / "img5.jpg").write_bytes(b"")
    (tmp_path / "poly_gt_img5.txt").write_text(TOTAL_TEXT)
    (sample,) = read_total_text(tmp_path, tmp_path)
    assert len(sample.words) == 3


@pytest.mark.parametrize(
    "text", ["hello", "x: [[1 2]], y: [[1 2]], ornt: [u'm'], transcriptions: [u'a']", TOTAL_TEXT + "rest"]
)
def test_total_text_refuses_other_files(text: str) -> None:
    with pytest.raises(ValueError):
        parse_total_text(text)
