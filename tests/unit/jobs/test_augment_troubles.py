"""What ``augment_dataset`` refuses, survives, lists or warns of."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from interplay.errors import (
    Cancelled,
    Conflict,
    InternalError,
    InvalidParameter,
    ModelFailed,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unavailable,
)
from interplay.jobs.augment_dataset import KIND
from interplay.jobs.work import DoneUnit, JobContext
from interplay.media.images import decode
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from tests.fake_stylist import FakeStylist, photo
from tests.unit.jobs.augment_setup import (
    coco,
    context,
    icdar,
    lines,
    run,
    server,
    truth,
    work_on,
)
from training.datasets.icdar import read_icdar2015

__all__ = ["context", "server"]  # fixtures


@pytest.mark.parametrize(
    ("params", "field", "told"),
    [
        ({"styles": ["gold", "golf"]}, "params.styles", "'golf'; known: gold, red-neon, typewriter"),
        ({"exclude": ["golf"]}, "params.exclude", "'golf'; known: gold, red-neon, typewriter"),
        ({"exclude": ["gold", "red-neon"]}, "params.exclude", "no style is left"),
        ({"domain": "handwriting"}, "params.domain", "of domain handwriting"),
        ({"mode": "end_to_end", "styles": ["gold"]}, "params.styles", "end_to_end has no style 'gold'"),
        ({"mode": "end_to_end", "domain": "print"}, "params.domain", "no style is left"),
    ],
)
def test_styles_that_cannot_be_drawn(
    context: JobContext, tmp_path: Path, params: dict[str, Any], field: str, told: str
) -> None:
    icdar(tmp_path / "in", 1)
    with pytest.raises(InvalidParameter, match=told) as caught:
        work_on(context, **params).plan()
    assert caught.value.field == field
    assert not (tmp_path / "out").exists()


def test_bad_files_are_listed_and_left_out(
    context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = icdar(tmp_path / "in", 5)
    (folder / "images/img_2.jpg").write_bytes(photo(2)[:200])
    (folder / "images/img_3.jpg").write_bytes(b"no image")
    (folder / "images/img_4.jpg").write_bytes(photo(4) + b"\0" * 30_000)
    monkeypatch.setattr("interplay.jobs.augment_dataset.MAX_IMAGE_BYTES", 30_000)
    (folder / "gt/gt_img_5.txt").unlink()
    result = run(context, batch_size=2)
    failed = {line["id"]: line["error"]["reason"] for line in lines(tmp_path / "out/failed.jsonl")}
    assert failed == {
        "images/img_2.jpg": "UNREADABLE_IMAGE",
        "images/img_3.jpg": "UNSUPPORTED_MEDIA",
        "images/img_4.jpg": "PAYLOAD_TOO_LARGE",
        "images/img_5.jpg": "NOT_FOUND",
    }
    assert [sample.image.name for sample in read_icdar2015(tmp_path / "out/images", tmp_path / "out/gt")] == [
        "img_1.jpg",
        "img_1_s1.jpg",
    ]
    assert (result.summary["images"], result.summary["failed"], result.summary["variants"]) == (5, 4, 1)


def test_bad_files_are_not_in_the_annotations(context: JobContext, tmp_path: Path) -> None:
    coco(tmp_path / "in")
    (tmp_path / "in/11.png").unlink()
    (tmp_path / "in/set.jsonl").write_text('{"image": "3.png"}\n{"image": "/etc/passwd"}\n')
    run(context, input="in/coco.json")
    content = json.loads((tmp_path / "out/coco.json").read_text())
    assert content["imgs"].keys() == {"3", "12"}
    assert (content["anns"], content["imgToAnns"]) == ({}, {})
    run(context, input="in/set.jsonl", output="two")
    assert [line["image"] for line in lines(tmp_path / "two/set.jsonl")] == ["3.png", "3_s1.png"]
    (failed,) = lines(tmp_path / "two/failed.jsonl")
    assert failed["error"]["reason"] == "PERMISSION_DENIED"


def test_image_that_the_model_fails_on_is_listed(
    context: JobContext, server: FakeStylist, tmp_path: Path
) -> None:
    icdar(tmp_path / "in", 2)
    server.error = ModelFailed("inference raised")
    units = None
    with pytest.MonkeyPatch.context() as patch:
        styles = [pb.Style(name="gold", domain="scene")]
        patch.setattr("interplay.jobs.augment_styles.StyleClient.list_styles", lambda _: styles)
        units = work_on(context).plan()
    work = work_on(context)
    result = work.finish([DoneUnit(items, work.run_unit(items)) for items in units])
    assert result.summary["failed"] == 2
    assert result.summary["warnings"] == ["no image could be restyled: failed.jsonl has the reasons"]
    assert not (tmp_path / "out/images").exists()
    assert "contact_sheet.jpg" not in {file.name for file in result.files}


@pytest.mark.parametrize(("hidden", "told"), [(3, "such a set trains nothing"), (1, "1 of 3 images")])
def test_words_that_nobody_can_read_are_told(
    context: JobContext, tmp_path: Path, hidden: int, told: str
) -> None:
    icdar(tmp_path / "in", hidden, word="###")
    icdar(tmp_path / "in", 3 - hidden, first=hidden + 1)
    (warning,) = run(context).summary["warnings"]
    assert told in warning
    assert "'###'" in warning


def test_what_else_is_worth_a_warning(
    context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icdar(tmp_path / "in", 3)
    (tmp_path / "in/gt/gt_img_1.txt").write_bytes(truth(1) + b"nonsense\n")
    work = work_on(context)
    (items,) = work.plan()
    results = work.run_unit(items)
    results[0]["turned"] = True
    results[1]["images"][1]["styled_ratio"] = 0.0
    results[2]["images"][1]["model"]["version"] = "3"
    warnings = work.finish([DoneUnit(items, results)]).summary["warnings"]
    told = ["lines of another form", "1 of 3 variants are unchanged", "upright", "fake-scene was replaced"]
    assert [fact in warning for fact, warning in zip(told, warnings, strict=True)] == [True] * 4


def test_photo_that_is_turned_upright_is_told(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 1)
    turned = io.BytesIO()
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.fromarray(decode(photo(1))).save(turned, "JPEG", exif=exif)
    (tmp_path / "in/images/img_1.jpg").write_bytes(turned.getvalue())
    (warning,) = run(context).summary["warnings"]
    assert "EXIF" in warning
    assert decode((tmp_path / "out/images/img_1_s1.jpg").read_bytes()).shape[:2] == (24, 16)


def test_full_server_is_waited_for_within_the_unit(
    context: JobContext, server: FakeStylist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interplay.jobs.augment_styles._FIRST_WAIT_S", 0.01)
    icdar(tmp_path / "in", 6)
    server.overloads = 5
    assert run(context).summary["variants"] == 6
    assert server.calls == 11
    assert set(server.made.values()) == {1}


def test_server_that_stays_full_is_for_the_runner(
    context: JobContext, server: FakeStylist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interplay.jobs.augment_styles._PATIENCE_S", 0.0)
    icdar(tmp_path / "in", 6)
    work = work_on(context)
    (items,) = work.plan()
    server.overloads = 1
    with pytest.raises(Overloaded):
        work.run_unit(items)
    made = dict(server.made)
    results = work.run_unit(items)
    assert [len(result["images"]) for result in results] == [2] * 6
    # What was made before is not made again.
    assert set(server.made.values()) == {1}
    assert made.items() <= server.made.items()


def test_breaks_of_the_server_are_for_the_runner(
    context: JobContext, server: FakeStylist, tmp_path: Path
) -> None:
    icdar(tmp_path / "in", 2)
    work = work_on(context)
    (items,) = work.plan()
    server.broken = 1
    with pytest.raises(InternalError):
        work.run_unit(items)
    server.stop()
    with pytest.raises(Unavailable):
        work_on(context).run_unit(items)
    server.start()
    server.error = Cancelled("the server is going")
    with pytest.raises(Unavailable):
        work_on(context).run_unit(items)


def test_server_that_is_stopped_in_mid_call_is_unavailable(
    context: JobContext, server: FakeStylist, tmp_path: Path
) -> None:
    icdar(tmp_path / "in", 4)
    work = work_on(context)
    (items,) = work.plan()
    server.delay_s = 0.5
    timer = threading.Timer(0.2, server.stop)
    timer.start()
    with pytest.raises(Unavailable):
        work.run_unit(items)
    timer.join()


def test_storage_trouble_is_not_blamed_on_the_image(
    context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icdar(tmp_path / "in", 3)
    work = work_on(context)
    (items,) = work.plan()

    def broken(*_: Any, **__: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(context.datasets, "read_bytes", broken)
    with pytest.raises(OSError, match="Input/output"):
        work.run_unit(items)


@pytest.mark.parametrize("output", ["in", "in/out", "in/images", "."])
def test_input_and_output_must_lie_apart(context: JobContext, tmp_path: Path, output: str) -> None:
    icdar(tmp_path / "in", 1)
    with pytest.raises(InvalidParameter, match="choose a folder beside it") as caught:
        work_on(context, output=str(tmp_path / output)).plan()
    assert caught.value.field == "params.output"


def test_list_in_its_output_is_refused(context: JobContext, tmp_path: Path) -> None:
    coco(tmp_path / "in")
    (tmp_path / "set.jsonl").write_text('{"image": "in/3.png"}\n')
    with pytest.raises(InvalidParameter, match="is or holds the input"):
        work_on(context, input="in/coco.json", output="in").plan()
    with pytest.raises(InvalidParameter, match="which is of the input"):
        work_on(context, input="set.jsonl", output="in").plan()
    assert run(context, input="in/coco.json", output="in/styled").summary["variants"] == 2


def test_plan_refuses_what_cannot_work(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 1)
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(NotFound):
        work_on(context, input="nowhere").plan()
    with pytest.raises(InvalidParameter, match="no images"):
        work_on(context, input="empty.jsonl").plan()
    with pytest.raises(InvalidParameter, match="cannot be written"):
        work_on(context, output="file/out").plan()
    with pytest.raises(PermissionDenied):
        work_on(context, output="../out").plan()
    (tmp_path / "in/images/img_1_s1.jpg").write_bytes(photo(1))
    (tmp_path / "in/gt/gt_img_1_s1.txt").write_bytes(truth(1))
    with pytest.raises(InvalidParameter, match="img_1_s1.jpg"):
        work_on(context).plan()


def test_set_of_another_job_is_not_overwritten_by_accident(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 1)
    run(context)
    with pytest.raises(Conflict, match="overwrite"):
        work_on(context).plan()
    assert run(context, overwrite=True, seed=3).summary["seed"] == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": "voc"}, "params.format"),
        ({"variants": 0}, "params.variants"),
        ({"variants": 17}, "params.variants"),
        ({"variants": "2"}, "params.variants"),
        ({"seed": 1.5}, "params.seed"),
        ({"styles": []}, "params.styles"),
        ({"styles": [1]}, "params.styles"),
        ({"exclude": "gold"}, "params.exclude"),
        ({"domain": "neon"}, "params.domain"),
        ({"mode": "some"}, "params.mode"),
        ({"heat_floor": 1.0}, "params.heat_floor"),
        ({"heat_floor": 0.5, "mode": "whole"}, "params.heat_floor"),
        ({"image_format": "gif"}, "params.image_format"),
        ({"quality": 0}, "params.quality"),
        ({"batch_size": 0}, "params.batch_size"),
        ({"examples": 41}, "params.examples"),
        ({"originals": "yes"}, "params.originals"),
        ({"input": ""}, "params.input"),
        ({"unknown": 1}, "params.unknown"),
    ],
)
def test_bad_params_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        KIND.validate({"input": "a", "output": "b", **change})
    assert (caught.value.field or "").startswith(field)
