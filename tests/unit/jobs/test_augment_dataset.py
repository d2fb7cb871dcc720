from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interplay.jobs.augment_dataset import KIND
from interplay.jobs.augment_styles import Budget, choose_styles, draw_styles
from interplay.jobs.work import DoneUnit, JobContext
from interplay.media.images import decode, probe
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from tests.fake_style_transfer import STYLES
from tests.fake_stylist import FakeStylist, digest, photo
from tests.unit.jobs.augment_setup import (
    SCENE,
    coco,
    context,
    files_of,
    icdar,
    lines,
    run,
    server,
    truth,
    work_on,
)
from training.datasets.coco_text import read_coco_text
from training.datasets.icdar import read_icdar2015

__all__ = ["context", "server"]  # fixtures


def test_icdar_set_with_variants(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in")
    result = run(context, variants=2, batch_size=2)
    out = tmp_path / "out"
    samples = read_icdar2015(out / "images", out / "gt")
    assert [sample.image.name for sample in samples] == [
        f"img_{number}{suffix}.jpg" for number in (1, 2, 3) for suffix in ("", "_s1", "_s2")
    ]
    for index, sample in enumerate(samples):
        number = 1 + index // 3
        assert [word.transcription for word in sample.words] == ["WORD"]
        assert sample.words[0].polygon[0].tolist() == [number, 2]
    assert (out / "images/img_2.jpg").read_bytes() == photo(2)
    assert (out / "gt/gt_img_2_s1.txt").read_bytes() == truth(2)
    assert probe((out / "images/img_2_s1.jpg").read_bytes()).format == "JPEG"
    manifest = lines(out / "manifest.jsonl")
    assert [line["file"] for line in manifest] == [f"images/{sample.image.name}" for sample in samples]
    assert manifest[0] == {
        "file": "images/img_1.jpg",
        "source": str(tmp_path / "in/images/img_1.jpg"),
        "variant": 0,
    }
    (style,) = manifest[1]["mix"]
    assert manifest[1] == {
        "file": "images/img_1_s1.jpg",
        "source": str(tmp_path / "in/images/img_1.jpg"),
        "variant": 1,
        "mix": {style: 1.0},
        "mode": "selective",
        "seed": 0,
        "model": {"name": "fake-scene", "version": "2", "digest": "sha256:" + "c" * 64},
        "detector": {"name": "fake", "version": "3", "digest": "sha256:" + "a" * 64},
        "styled_ratio": 0.5,
    }
    # What the manifest says of styles is what the pixels say.
    for line in manifest:
        if line["variant"]:
            top = decode((out / line["file"]).read_bytes())[:6].mean(axis=(0, 1))
            np.testing.assert_allclose(top, STYLES[next(iter(line["mix"]))][1], atol=4)
    summary = json.loads((out / "summary.json").read_text())
    assert result.summary == summary | {"server_seconds": result.summary["server_seconds"]}
    assert result.summary["server_seconds"] > 0
    assert "server_seconds" not in summary, "two runs would differ"
    assert (summary["images"], summary["originals"], summary["variants"], summary["failed"]) == (3, 3, 6, 0)
    assert summary["styles"] == {"gold": 3, "red-neon": 3}
    assert summary["warnings"] == []
    assert {file.name for file in result.files} == {
        "manifest.jsonl",
        "failed.jsonl",
        "summary.json",
        "contact_sheet.jpg",
    }
    assert decode((out / "contact_sheet.jpg").read_bytes()).shape[1] > 600


def test_coco_text_set_with_variants(context: JobContext, tmp_path: Path) -> None:
    coco(tmp_path / "in")
    result = run(context, input="in/coco.json", variants=2)
    out = tmp_path / "out"
    samples = read_coco_text(out / "coco.json", out)
    assert [s.image.name for s in samples] == [
        "3.png",
        "11.png",
        "3_s1.png",
        "3_s2.png",
        "11_s1.png",
        "11_s2.png",
    ]
    assert all(probe(s.image.read_bytes()).format == "PNG" for s in samples)
    for sample in samples:
        words = [(word.transcription, word.legible, len(word.polygon)) for word in sample.words]
        assert words == ([("A", True, 4), ("", False, 3)] if sample.image.name.startswith("11") else [])
    assert json.loads((out / "coco.json").read_text())["info"] == "made here"
    assert ("coco.json", "application/json") in [(file.name, file.media_type) for file in result.files]


def test_jsonl_set_with_variants(context: JobContext, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / f"photos/{number}.jpg").write_bytes(photo(number))
    rows = [{"image": f"photos/{n}.jpg", "label": n} for n in range(3)]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(context, input="set.jsonl", variants=1, batch_size=1, image_format="webp")
    found = lines(tmp_path / "out/set.jsonl")
    assert [(row["id"], row["image"], row["label"]) for row in found] == [
        (f"photos/{n}.jpg{suffix}", f"photos/{n}{file}", n)
        for n in range(3)
        for suffix, file in (("", ".jpg"), ("_s1", "_s1.webp"))
    ]
    assert [row["style"] for row in found[::2]] == [None] * 3
    assert {row["style"] for row in found[1::2]} <= SCENE
    assert {row["source"] for row in found} == {str(tmp_path / f"photos/{n}.jpg") for n in range(3)}
    assert all((tmp_path / "out" / row["image"]).is_file() for row in found)
    # And what was made can be augmented again, since the list's paths start in its own folder.
    assert run(context, input="out/set.jsonl", output="again", originals=False).summary["variants"] == 6
    assert "set.jsonl" in {file.name for file in result.files}


def test_variants_alone(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in")
    result = run(context, originals=False)
    assert {p.name for p in (tmp_path / "out/images").iterdir()} == {f"img_{n}_s1.jpg" for n in (1, 2, 3)}
    assert {p.name for p in (tmp_path / "out/gt").iterdir()} == {f"gt_img_{n}_s1.txt" for n in (1, 2, 3)}
    assert (result.summary["originals"], result.summary["variants"]) == (0, 3)


def test_same_seed_same_bytes_whatever_the_batches(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 7)
    run(context, variants=2, batch_size=3, seed=5)
    run(context, variants=2, batch_size=1, seed=5, output="two")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "two")
    run(context, variants=2, seed=6, output="three")
    other = files_of(tmp_path / "three")
    assert other["images/img_1.jpg"] == files_of(tmp_path / "out")["images/img_1.jpg"]
    assert other["manifest.jsonl"] != files_of(tmp_path / "out")["manifest.jsonl"]


def test_styles_of_an_image_depend_on_seed_and_name_alone() -> None:
    names = [f"style-{number}" for number in range(10)]
    three = draw_styles(names, 3, seed=1, image="a.jpg")
    assert three == draw_styles(names[::-1], 3, seed=1, image="a.jpg")
    assert three == draw_styles(names, 10, seed=1, image="a.jpg")[:3]
    assert three != draw_styles(names, 3, seed=2, image="a.jpg")
    assert three != draw_styles(names, 3, seed=1, image="b.jpg")
    assert three == ["style-0", "style-7", "style-3"], "sets of earlier releases could not be made again"
    assert sorted(draw_styles(names, 10, seed=1, image="a.jpg")) == names
    many = draw_styles(names[:3], 8, seed=1, image="a.jpg")
    assert [sorted(many[start : start + 3]) for start in (0, 3)] == [names[:3]] * 2
    drawn = {style for number in range(200) for style in draw_styles(names, 1, seed=0, image=str(number))}
    assert drawn == set(names)


def test_a_later_list_of_styles_changes_nothing(
    context: JobContext, server: FakeStylist, tmp_path: Path
) -> None:
    icdar(tmp_path / "in", 6)
    run(context)
    work = work_on(context, output="two")
    units = work.plan()
    server.styles = ["typewriter"]
    work.finish([DoneUnit(items, work_on(context, output="two").run_unit(items)) for items in units])
    assert files_of(tmp_path / "out") == files_of(tmp_path / "two")


def styles_of(folder: Path) -> set[str]:
    return {style for line in lines(folder / "manifest.jsonl") for style in line.get("mix", {})}


@pytest.mark.parametrize(
    ("params", "drawn"),
    [
        ({}, SCENE),
        ({"domain": "print"}, {"typewriter"}),
        ({"exclude": ["gold"]}, {"red-neon"}),
        ({"styles": ["typewriter", "gold"]}, {"typewriter", "gold"}),
        ({"styles": ["typewriter", "gold"], "exclude": ["gold"]}, {"typewriter"}),
        ({"mode": "end_to_end"}, {"red-neon"}),
    ],
)
def test_which_styles_are_drawn(
    context: JobContext, tmp_path: Path, params: dict[str, Any], drawn: set[str]
) -> None:
    icdar(tmp_path / "in", 8)
    run(context, variants=2, **params)
    assert styles_of(tmp_path / "out") == drawn


@pytest.mark.parametrize(
    ("params", "mode", "floor"),
    [
        ({"heat_floor": 0.25}, pb.STYLE_MODE_SELECTIVE, 0.25),
        ({"mode": "whole"}, pb.STYLE_MODE_WHOLE, None),
        ({"mode": "end_to_end"}, pb.STYLE_MODE_END_TO_END, None),
    ],
)
def test_what_the_server_is_asked(
    context: JobContext,
    server: FakeStylist,
    tmp_path: Path,
    params: dict[str, Any],
    mode: int,
    floor: float | None,
) -> None:
    icdar(tmp_path / "in", 1)
    run(context, quality=80, image_format="png", **params)
    (request,) = (request for request in server.requests if isinstance(request, pb.StylizeRequest))
    assert (request.mode, request.quality, request.format) == (mode, 80, pb.PICTURE_FORMAT_PNG)
    assert (request.heat_floor if request.HasField("heat_floor") else None) == floor
    assert [len(mix.parts) for mix in request.mixes] == [1]
    assert (tmp_path / "out/images/img_1_s1.png").is_file()


def test_large_images_are_asked_for_one_variant_at_a_time(
    context: JobContext, server: FakeStylist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icdar(tmp_path / "in", 1)
    run(context, variants=3)
    assert server.calls == 1
    monkeypatch.setattr("interplay.jobs.augment_styles._CALL_PIXELS", 24 * 16 * 2)
    run(context, variants=3, output="two")
    assert server.calls == 3
    monkeypatch.setattr("interplay.jobs.augment_styles._CALL_PIXELS", 1)
    run(context, variants=3, output="three")
    assert server.calls == 6
    assert files_of(tmp_path / "out") == files_of(tmp_path / "two") == files_of(tmp_path / "three")


def test_progress_counts_about_eight_variants(context: JobContext, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 10)
    plans = {
        variants: work_on(context, variants=variants, output=f"out{variants}").plan()
        for variants in (1, 4, 16)
    }
    assert {variants: len(units[0]) for variants, units in plans.items()} == {1: 8, 4: 2, 16: 1}
    assert len(work_on(context, variants=4, batch_size=5, output="own").plan()[0]) == 5


def test_calls_under_way_share_a_budget() -> None:
    """Two small ones at once; one larger than all there is takes all, alone."""
    budget = Budget(10)
    order: list[str] = []
    inside = threading.Semaphore(0)
    leave = threading.Event()

    def hold(name: str, amount: int) -> None:
        with budget.taken(amount):
            order.append(name)
            inside.release()
            leave.wait(10)

    small = [threading.Thread(target=hold, args=(name, 5)) for name in ("a", "b")]
    for thread in small:
        thread.start()
    assert inside.acquire(timeout=10) and inside.acquire(timeout=10)
    large = threading.Thread(target=hold, args=("large", 1000))
    large.start()
    assert not inside.acquire(timeout=0.2)
    leave.set()
    assert inside.acquire(timeout=10)
    for thread in (*small, large):
        thread.join(10)
    assert sorted(order[:2]) == ["a", "b"] and order[2] == "large"


def test_styles_of_two_models_are_asked_for_apart(context: JobContext, tmp_path: Path) -> None:
    models = {name: common_pb2.ModelInfo(digest=domain) for name, (domain, _) in STYLES.items()}
    styles = [pb.Style(name=name, domain=STYLES[name][0], model=model) for name, model in models.items()]
    wanted = ["gold", "typewriter", "red-neon"]
    chosen = choose_styles(styles, wanted=wanted, exclude=[], domain="scene", end_to_end=False)
    assert chosen == {"gold": "scene", "red-neon": "scene", "typewriter": "print"}
    icdar(tmp_path / "in", 1)
    work = work_on(context, variants=3, styles=wanted)
    ((item,),) = work.plan()
    item["styles"] = [[name, chosen[name]] for name in wanted]
    (outcome,) = work.run_unit([item])
    assert [image.get("model", {}).get("name") for image in outcome["images"]] == [
        None,
        "fake-scene",
        "fake-print",
        "fake-scene",
    ]


def test_polygons_of_the_words(context: JobContext, server: FakeStylist, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 1)
    (tmp_path / "in/images/img_9.jpg").write_bytes(photo(9))
    (tmp_path / "in/gt/gt_img_9.txt").write_bytes(b"")
    (tmp_path / "in/images/img_8.jpg").write_bytes(photo(8))
    (tmp_path / "in/gt/gt_img_8.txt").write_bytes(b"nonsense")
    result = run(context, mode="polygons", image_format="png")
    before = decode(photo(1))
    after = decode((tmp_path / "out/images/img_1_s1.png").read_bytes())
    changed = (before != after).any(axis=2)
    assert changed[2:8, 1:9].mean() > 0.9
    changed[2:8, 1:9] = False
    assert not changed.any()
    # Without words there is nothing to restyle, and the image is still of the set.
    assert sorted(p.name for p in (tmp_path / "out/images").iterdir()) == [
        "img_1.jpg",
        "img_1_s1.png",
        "img_9.jpg",
    ]
    assert any("1 images have no annotated words" in warning for warning in result.summary["warnings"])
    (failed,) = lines(tmp_path / "out/failed.jsonl")
    assert failed["id"] == "images/img_8.jpg"
    assert "line 1" in failed["error"]["message"]


def test_polygons_of_the_other_forms(context: JobContext, server: FakeStylist, tmp_path: Path) -> None:
    coco(tmp_path / "in")
    run(context, input="in/coco.json", mode="polygons")
    (request,) = (request for request in server.requests if isinstance(request, pb.StylizeRequest))
    assert [len(polygon.points) for polygon in request.polygons] == [4, 3]
    row = {"image": "3.png", "polygons": [[[1, 1], [5, 1], [5, 5]]] * 201}
    (tmp_path / "in/set.jsonl").write_text(json.dumps(row))
    run(context, input="in/set.jsonl", output="two", mode="polygons")
    (failed,) = lines(tmp_path / "two/failed.jsonl")
    assert failed["error"] == {
        "reason": "PAYLOAD_TOO_LARGE",
        "message": "the image has 201 words; the limit is 200",
    }


def test_several_images_are_asked_for_at_once(
    context: JobContext, server: FakeStylist, tmp_path: Path
) -> None:
    icdar(tmp_path / "in", 8)
    server.delay_s = 0.1
    run(context)
    assert server.most_at_once == 4


def test_unit_that_is_done_again_writes_the_same(
    context: JobContext, server: FakeStylist, tmp_path: Path
) -> None:
    icdar(tmp_path / "in", 3)
    units = work_on(context).plan()
    first = [work_on(context).run_unit(items) for items in units]
    files = files_of(tmp_path / "out")
    assert [work_on(context).run_unit(items) for items in units] == first
    assert files_of(tmp_path / "out") == files


def test_list_named_as_one_of_ours_gets_another_name(context: JobContext, tmp_path: Path) -> None:
    coco(tmp_path / "in")
    (tmp_path / "in/failed.jsonl").write_text('{"image": "3.png"}\n')
    run(context, input="in/failed.jsonl")
    assert [line["image"] for line in lines(tmp_path / "out/augmented_failed.jsonl")] == ["3.png", "3_s1.png"]
    assert lines(tmp_path / "out/failed.jsonl") == []


def test_contact_sheet_has_a_row_for_each_example(
    context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icdar(tmp_path / "in", 9)
    drawn: list[tuple[int, list[str], int]] = []

    def sheet(images: Any, captions: Any, columns: int) -> Any:
        drawn.append((len(images), list(captions), columns))
        return images[0]

    monkeypatch.setattr("interplay.jobs.augment_report.contact_sheet", sheet)
    run(context, variants=2, examples=4, batch_size=2)
    run(context, variants=2, examples=4, batch_size=5, output="two")
    assert drawn[0] == drawn[1]
    ((count, captions, columns), _) = drawn
    assert (count, columns) == (12, 3)
    assert sorted(captions[::3]) == captions[::3]
    assert {*captions[1::3], *captions[2::3]} == SCENE
    run(context, examples=0, output="three")
    assert len(drawn) == 2


def test_hundreds_of_images_come_out_whole(context: JobContext, server: FakeStylist, tmp_path: Path) -> None:
    icdar(tmp_path / "in", 120)
    run(context, batch_size=7)
    assert len(read_icdar2015(tmp_path / "out/images", tmp_path / "out/gt")) == 240
    assert server.made == {digest(photo(number)): 1 for number in range(1, 121)}


def test_the_example_is_valid() -> None:
    KIND.validate(KIND.example)
