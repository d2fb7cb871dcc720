from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.errors import (
    Conflict,
    InternalError,
    InvalidParameter,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unavailable,
)
from interplay.jobs.filter_text_images import (
    KIND,
    FilterTextImages,
    FilterTextImagesWork,
    Mmhs150kRule,
    ThresholdRule,
)
from interplay.jobs.work import DoneUnit, JobContext, JobResult, ModelServers
from interplay.launcher.ports import free_port
from interplay.media.images import decode
from tests.fake_text_detection import FakeTextDetection, picture


@pytest.fixture
def server() -> Iterator[FakeTextDetection]:
    server = FakeTextDetection(free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(tmp_path: Path, server: FakeTextDetection) -> Iterator[JobContext]:
    models = ModelServers({"text_detection": server.target})
    yield JobContext("job", Datasets([str(tmp_path)]), models)
    models.close()


def work_on(context: JobContext, **params: Any) -> FilterTextImagesWork:
    checked = KIND.validate({"input": "in", "output": "out", **params})
    assert isinstance(checked, FilterTextImages)
    return FilterTextImagesWork(checked, context)


def run(work: FilterTextImagesWork) -> JobResult:
    return work.finish([DoneUnit(items, work.run_unit(items)) for items in work.plan()])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def save(folder: Path, pictures: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)


RULE = {"keep": "without_text", "measure": "mean_probability", "threshold": 0.5}


def test_folder_is_sorted_into_lists(context: JobContext, tmp_path: Path) -> None:
    save(tmp_path / "in", {f"{n}.png": picture(n / 10, number=n) for n in range(10)})
    save(
        tmp_path / "in",
        {"broken.jpg": b"\xff\xd8\xff broken", "text.png": b"no image", "bad.png": picture(0, number=255)},
    )
    result = run(work_on(context, rule=RULE, batch_size=4))
    out = tmp_path / "out"
    assert [line["id"] for line in lines(out / "kept.jsonl")] == [f"{n}.png" for n in range(5)]
    assert [line["id"] for line in lines(out / "dropped.jsonl")] == [f"{n}.png" for n in range(5, 10)]
    failed = {line["id"]: line["error"]["reason"] for line in lines(out / "failed.jsonl")}
    assert failed == {
        "broken.jpg": "UNREADABLE_IMAGE",
        "text.png": "UNSUPPORTED_MEDIA",
        "bad.png": "MODEL_FAILED",
    }
    first = lines(out / "kept.jsonl")[1]
    assert first["image"] == str(tmp_path / "in/1.png")
    assert first["mean_probability"] == pytest.approx(0.1, abs=0.01)
    assert set(first) == {
        "id",
        "image",
        "mean_probability",
        "max_probability",
        "text_area_ratio",
        "mean_brightness",
    }
    summary = json.loads((out / "summary.json").read_text())
    assert summary == result.summary
    assert (summary["images"], summary["kept"], summary["dropped"], summary["failed"]) == (13, 5, 5, 3)
    assert summary["models"] == ["fake 1"]
    assert sum(summary["histogram"]["counts"]) == 10
    assert result.output == str(out)
    assert {file.name for file in result.files} == {p.name for p in out.iterdir()}
    assert all(file.bytes == (out / file.name).stat().st_size for file in result.files)


def test_contact_sheet_shows_the_images_next_to_the_threshold(context: JobContext, tmp_path: Path) -> None:
    save(tmp_path / "in", {f"{n:02}.png": picture(n / 20, brightness=0) for n in range(20)})
    work = work_on(context, rule=RULE, examples=4)
    drawn: list[tuple[int, list[str]]] = []

    def sheet(images: Any, captions: Any, columns: int = 6) -> Any:
        drawn.append((len(images), list(captions)))
        return images[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interplay.jobs.filter_text_images.contact_sheet", sheet)
        run(work)
    ((count, captions),) = drawn
    assert count == 4
    assert [caption.split()[0] for caption in captions] == ["kept", "kept", "dropped", "dropped"]
    assert [float(caption.split()[1]) for caption in captions] == pytest.approx(
        [0.4, 0.45, 0.5, 0.55], abs=0.01
    )


def test_contact_sheet_is_a_picture(context: JobContext, tmp_path: Path) -> None:
    save(tmp_path / "in", {f"{n}.png": picture(n / 10) for n in range(9)})
    run(work_on(context, rule=RULE))
    assert decode((tmp_path / "out/contact_sheet.jpg").read_bytes()).shape[1] > 400


def test_no_examples_no_sheet(context: JobContext, tmp_path: Path) -> None:
    save(tmp_path / "in", {"a.png": picture(0.1)})
    result = run(work_on(context, examples=0))
    assert "contact_sheet.jpg" not in {file.name for file in result.files}
    assert result.summary["kept"] == 1


def test_lists_can_be_filtered_again_and_keep_their_fields(context: JobContext, tmp_path: Path) -> None:
    save(tmp_path / "in", {"a.png": picture(0.1, number=1), "b.png": picture(0.3, number=2)})
    (tmp_path / "set.jsonl").write_text(
        "\n".join(json.dumps({"image": f"in/{n}.png", "id": n * 2, "label": n}) for n in "ab")
    )
    run(work_on(context, input="set.jsonl", rule=RULE))
    assert [(line["id"], line["label"]) for line in lines(tmp_path / "out/kept.jsonl")] == [
        ("aa", "a"),
        ("bb", "b"),
    ]
    run(work_on(context, input="out/kept.jsonl", output="out2", rule={"threshold": 0.2}))
    assert [(line["id"], line["label"]) for line in lines(tmp_path / "out2/kept.jsonl")] == [("aa", "a")]


def test_escape_in_a_list_fails_that_image_alone(context: JobContext, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(0.1))
    (tmp_path / "set.jsonl").write_text(
        '{"image": "a.png"}\n{"image": "/etc/passwd"}\n{"image": "gone.png"}\n'
    )
    run(work_on(context, input="set.jsonl"))
    failed = {line["id"]: line["error"]["reason"] for line in lines(tmp_path / "out/failed.jsonl")}
    assert failed == {"/etc/passwd": "PERMISSION_DENIED", "gone.png": "NOT_FOUND"}


@pytest.mark.parametrize(
    "text, brightness, kept",
    [
        (0.29, 149, True),
        (0.31, 149, False),
        (0.19, 150, True),
        (0.21, 150, False),
        (0.19, 199, True),
        (0.0, 200, False),
        (0.0, 255, False),
    ],
)
def test_rule_of_mmhs150k(text: float, brightness: int, kept: bool) -> None:
    scores = {"mean_probability": text, "mean_brightness": float(brightness)}
    assert Mmhs150kRule().keeps(scores) is kept
    assert (Mmhs150kRule().margin(scores) > 0) is kept


def test_threshold_itself_counts_as_text() -> None:
    scores = {"text_area_ratio": 0.5}
    assert not ThresholdRule(keep="without_text", measure="text_area_ratio", threshold=0.5).keeps(scores)
    assert ThresholdRule(keep="with_text", measure="text_area_ratio", threshold=0.5).keeps(scores)
    below = {"text_area_ratio": 0.49}
    assert ThresholdRule(keep="without_text", measure="text_area_ratio", threshold=0.5).keeps(below)
    assert not ThresholdRule(keep="with_text", measure="text_area_ratio", threshold=0.5).keeps(below)


def test_overload_and_breaks_of_the_server_are_for_the_runner(
    context: JobContext, server: FakeTextDetection, tmp_path: Path
) -> None:
    save(tmp_path / "in", {"a.png": picture(0.1)})
    work = work_on(context)
    (items,) = work.plan()
    server.overloads = 1
    with pytest.raises(Overloaded):
        work.run_unit(items)
    server.failures = 1
    with pytest.raises(InternalError):
        work.run_unit(items)
    server.stop()
    with pytest.raises(Unavailable):
        work.run_unit(items)
    server.start()


def test_storage_trouble_is_not_blamed_on_the_image(
    context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "in", {f"{n}.png": picture(0.1) for n in range(3)})
    work = work_on(context)
    (items,) = work.plan()

    def broken(*_: Any, **__: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(context.datasets, "read_bytes", broken)
    with pytest.raises(OSError, match="Input/output"):
        work.run_unit(items)


def test_plan_refuses_what_cannot_work(context: JobContext, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    save(tmp_path / "in", {"a.png": picture(0.1)})
    with pytest.raises(NotFound):
        work_on(context, input="nowhere").plan()
    with pytest.raises(InvalidParameter, match="no images"):
        work_on(context, input="empty").plan()
    with pytest.raises(InvalidParameter, match="cannot be written"):
        work_on(context, output="file/out").plan()
    with pytest.raises(PermissionDenied):
        work_on(context, output="../out").plan()


def test_lists_of_another_job_are_not_overwritten_by_accident(context: JobContext, tmp_path: Path) -> None:
    save(tmp_path / "in", {"a.png": picture(0.1)})
    run(work_on(context))
    with pytest.raises(Conflict, match="overwrite"):
        work_on(context).plan()
    assert run(work_on(context, overwrite=True)).summary["images"] == 1


def test_both_models_are_told_when_one_was_rolled_out_meanwhile(
    context: JobContext, server: FakeTextDetection, tmp_path: Path
) -> None:
    save(tmp_path / "in", {f"{n}.png": picture(0.1) for n in range(2)})
    work = work_on(context, batch_size=1)
    first, second = work.plan()
    units = [DoneUnit(first, work.run_unit(first))]
    server.model_version = "2"
    units.append(DoneUnit(second, work.run_unit(second)))
    assert work.finish(units).summary["models"] == ["fake 1", "fake 2"]


@pytest.mark.parametrize(
    "change, field",
    [
        ({"rule": "other"}, "params.rule"),
        ({"rule": {"threshold": 2}}, "params.rule"),
        ({"rule": {"threshold": float("nan")}}, "params.rule"),
        ({"rule": {}}, "params.rule"),
        ({"rule": {"threshold": 0.1, "x": 1}}, "params.rule"),
        ({"batch_size": 0}, "params.batch_size"),
        ({"batch_size": "many"}, "params.batch_size"),
        ({"batch_size": "8"}, "params.batch_size"),
        ({"batch_size": True}, "params.batch_size"),
        ({"overwrite": "yes"}, "params.overwrite"),
        ({"examples": 1000}, "params.examples"),
        ({"input": ""}, "params.input"),
        ({"input": 7}, "params.input"),
        ({"output": None}, "params.output"),
        ({"unknown": 1}, "params.unknown"),
    ],
)
def test_bad_params_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        KIND.validate({"input": "a", "output": "b", **change})
    assert (caught.value.field or "").startswith(field)


def test_the_example_is_valid() -> None:
    KIND.validate(KIND.example)
