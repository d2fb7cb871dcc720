"""The analyses against a real embedding server: activations, dreams, and the four jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interplay import errors
from interplay.datasets import Datasets
from interplay.jobs.kinds import Kinds
from interplay.jobs.work import DoneUnit, JobContext, JobResult, ModelServers, Work
from interplay.media.images import decode, encode_png
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import analysis_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2
from interplay.rpc.embedding.v1.analysis_pb2_grpc import EmbeddingAnalysisServiceStub
from tests.conftest import REPOSITORY_ROOT
from tests.embedding_models import COLOURS, make_embedding_store, plain
from tests.service.embedding_process import EmbeddingProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingProcess]:
    process = EmbeddingProcess(tmp_path_factory.mktemp("server"), store, max_image_pixels=300_000)
    process.wait_until_serving()
    yield process
    assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())


@pytest.fixture
def stub(server: EmbeddingProcess) -> Any:
    return EmbeddingAnalysisServiceStub(server.client.channel)  # type: ignore[no-untyped-call]


def image(colour: str, seed: int = 0, width: int = 60) -> common_pb2.Image:
    return common_pb2.Image(content=encode_png(plain(colour, seed=seed, width=width)))


# Over gRPC


def test_activations_of_many_images_in_order_with_maps(server: EmbeddingProcess, stub: Any) -> None:
    images = [image(colour, seed) for seed in range(5) for colour in COLOURS]
    images[3] = common_pb2.Image(content=b"nothing")
    response = server.client.call(stub.Activations, pb.ActivationsRequest(images=images, units=[5, 1279]))
    assert [result.WhichOneof("result") for result in response.results].count("error") == 1
    assert response.results[3].error.reason == "UNSUPPORTED_MEDIA"
    (alone,) = server.client.call(
        stub.Activations, pb.ActivationsRequest(images=[images[4]], units=[1279])
    ).results
    values = np.frombuffer(response.results[4].activations.pooled, "<f4")
    assert values.shape == (1280,) and values.min() >= 0 and values.max() > 0
    assert np.frombuffer(alone.activations.pooled, "<f4") == pytest.approx(values, abs=2e-2)
    maps = response.results[4].activations.maps
    assert [(m.unit, m.height, m.width) for m in maps] == [(5, 1, 1), (1279, 1, 1)]
    assert np.frombuffer(maps[1].values, "<f4").mean() == pytest.approx(values[1279], abs=2e-2)
    assert response.model.name == "embedding-image" and response.timings.infer_ns > 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "images has 0 items; it must have 1 to 64"),
        ({"images": 1, "units": [1280]}, "units.0. is 1280; it must be 0 to 1279"),
        ({"images": 1, "units": [-1]}, "units.0. is -1; it must be 0 to 1279"),
        ({"images": 1, "units": [0] * 65}, "units has 65 items; at most 64"),
    ],
)
def test_activations_that_are_refused(
    server: EmbeddingProcess, stub: Any, fields: dict[str, Any], told: str
) -> None:
    images = [image("red")] * fields.pop("images", 0)
    with pytest.raises(errors.InvalidParameter, match=told):
        server.client.call(stub.Activations, pb.ActivationsRequest(images=images, **fields))
    with pytest.raises(errors.UnsupportedMedia):
        server.client.call(stub.Activations, pb.ActivationsRequest(images=[common_pb2.Image(content=b"x")]))


def dream(server: EmbeddingProcess, stub: Any, **fields: Any) -> list[pb.DreamResponse]:
    wanted = {"image": image("white", 3, 90), "side": 90, "octaves": 2, "steps": 3, "jitter": 4}
    wanted |= {"octave_scale": 1.25, **fields}
    return list(server.client.stream(stub.Dream, pb.DreamRequest(**wanted)))


def test_a_dream_tells_of_each_step_and_ends_in_a_picture(server: EmbeddingProcess, stub: Any) -> None:
    answers = dream(server, stub, layer=3)
    assert [(a.done, a.total) for a in answers] == [(done, 6) for done in range(1, 7)]
    assert [bool(a.picture) for a in answers] == [False, False, True, False, False, True]
    assert decode(answers[2].picture).shape == (32, 72, 3)
    assert decode(answers[-1].picture).shape == (40, 90, 3)
    assert answers[-1].score > answers[0].score and answers[-1].model.name == "embedding-image"
    assert dream(server, stub, layer=3)[-1].picture == answers[-1].picture
    for aim in ({"unit": 7}, {"text": embedding_pb2.Text(content="red")}):
        other = dream(server, stub, until=1, **aim)
        assert len(other) == 1 and -1 <= other[0].score <= 6 and other[0].picture


def test_a_dream_is_taken_up_where_it_was(server: EmbeddingProcess, stub: Any) -> None:
    whole = decode(dream(server, stub, layer=4)[-1].picture).astype(int)
    first = dream(server, stub, layer=4, until=2)
    assert [a.done for a in first] == [1, 2] and first[-1].picture
    rest = dream(server, stub, layer=4, done=2, picture=common_pb2.Image(content=first[-1].picture))
    assert [a.done for a in rest] == [3, 4, 5, 6]
    assert np.abs(decode(rest[-1].picture).astype(int) - whole).mean() < 4  # but for rounding to a PNG


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "neither layer, unit nor text"),
        ({"layer": 9}, "layer is 9; it must be 1 to 8"),
        ({"unit": 1280}, "unit is 1280; it must be 0 to 1279"),
        ({"text": embedding_pb2.Text(content="zzzz")}, "the model knows nothing of 'zzzz'"),
        ({"layer": 1, "side": 2000}, "side is 2000; it must be 64 to 1024"),
        ({"layer": 1, "octaves": 9}, "octaves is 9; it must be 1 to 8"),
        ({"layer": 1, "octaves": 8}, "the smallest of 8 octaves has a side of"),
        ({"layer": 1, "steps": 101}, "steps is 101; it must be 1 to 100"),
        ({"layer": 1, "rate": float("nan")}, "rate is nan; it must be 0.01 to 20"),
        ({"layer": 1, "octave_scale": 3}, "octave_scale is 3; it must be 1.1 to 2"),
        ({"layer": 1, "jitter": 65}, "jitter is 65; it must be 0 to 64"),
        ({"layer": 1, "until": 7}, "until is 7; it must be 1 to 6"),
        ({"layer": 1, "done": 6}, "done is 6; it must be 0 to 5"),
        ({"layer": 1, "done": 2}, "done is 2, and there is no picture to go on with"),
        ({"layer": 1, "done": 2, "picture": image("red")}, "the picture has 60×40 pixels; after 2 steps"),
    ],
)
def test_dreams_that_are_refused(
    server: EmbeddingProcess, stub: Any, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.InvalidParameter, match=told):
        dream(server, stub, **fields)


def test_bad_images_deadlines_and_callers_that_leave(server: EmbeddingProcess, stub: Any) -> None:
    with pytest.raises(errors.UnsupportedMedia):
        dream(server, stub, layer=2, image=common_pb2.Image(content=b"nothing"))
    with pytest.raises(errors.PayloadTooLarge, match="300,000"):
        dream(server, stub, layer=2, image=image("red", 0, 8000))
    long = pb.DreamRequest(image=image("red", 0, 90), layer=2, side=1000, octaves=8, steps=100,
                           octave_scale=1.1)  # fmt: skip
    with pytest.raises(errors.DeadlineExceeded):
        list(server.client.stream(stub.Dream, long, timeout_s=1.5))
    answers = server.client.stream(stub.Dream, long, timeout_s=60)
    assert next(answers).total == 800
    answers.close()  # type: ignore[attr-defined]
    started = time.monotonic()  # nothing of it is left to wait for
    server.client.call(stub.Activations, pb.ActivationsRequest(images=[image("red")]))
    assert time.monotonic() - started < 10


# As jobs


def context_of(port: int, root: Path, job: str = "ab12") -> JobContext:
    return JobContext(job, Datasets([str(root)]), ModelServers({"embedding": f"127.0.0.1:{port}"}))


def start(kind: str, context: JobContext, **params: Any) -> Work:
    row = Kinds().get(kind)
    return row.start(row.validate(params), context)


def run(work: Work) -> JobResult:
    return work.finish([DoneUnit(items, work.run_unit(items)) for items in work.plan()])


def save(folder: Path, count: int = 40) -> None:
    folder.mkdir(parents=True)
    lines = []
    for number in range(count):
        colour = tuple(COLOURS)[number % 4]
        (folder / f"{colour}-{number}.png").write_bytes(encode_png(plain(colour, seed=number)))
        lines.append({"image": f"{colour}-{number}.png", "caption": f"a {colour} wall"})
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "red-0.png").write_bytes(b"no picture")
    (folder / "blue-2.png").unlink()


def report_of(result: JobResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(result.output) / "report.json").read_text())
    return found


def test_a_map_of_a_set(server: EmbeddingProcess, tmp_path: Path) -> None:
    save(tmp_path / "in")
    context = context_of(server.port, tmp_path)
    params = {"input": "in/list.jsonl", "words": ["red", "blue"], "canvas_px": 800, "thumbnail_px": 40}
    result = run(start("map_embedding", context, batch_size=7, **params))
    assert result.summary["images"] == 38 and result.summary["failed"] == 2
    assert result.output == str(tmp_path / "analysis" / "ab12")
    assert [file.name for file in result.files] == ["map.jpg", "report.json", "failed.jsonl"]
    failed = (Path(result.output) / "failed.jsonl").read_text().splitlines()
    assert [json.loads(line)["error"]["reason"] for line in failed] == ["UNSUPPORTED_MEDIA", "NOT_FOUND"]
    assert decode((Path(result.output) / "map.jpg").read_bytes()).shape == (800, 800, 3)
    report = report_of(result)
    assert len(report["entries"]) == 40 and report["shown"] + report["omitted"] == 38
    shown = [entry for entry in report["entries"] if entry["box"]]
    assert len(shown) == report["shown"] + report["words_shown"] and report["words_shown"] >= 1
    taken = np.zeros((800, 800), int)
    for entry in shown:
        left, top, right, bottom = entry["box"]
        taken[top:bottom, left:right] += 1
    assert taken.max() == 1
    with pytest.raises(errors.Conflict, match="holds the report of an earlier job"):
        start("map_embedding", context, **params).plan()
    with pytest.raises(errors.InvalidParameter, match="the model knows nothing of 'zzzz'"):
        start("map_embedding", context, **params | {"words": ["red", "zzzz"], "output": "o"}).plan()
    context.models.close()


def test_distances_of_a_set(server: EmbeddingProcess, tmp_path: Path) -> None:
    save(tmp_path / "in")
    context = context_of(server.port, tmp_path)
    result = run(start("compare_distances", context, input="in/list.jsonl", pairs=600, output="d"))
    # The colour is all that captions and pictures say: distances of both are 0 or the largest.
    assert result.summary["r2"] > 0.8 and result.summary["pairs"] == 600
    groups = report_of(result)["by_shared_tags"]
    assert set(groups) == {"0", "1"} and groups["1"]["median_image_distance"] < 0.2
    assert groups["0"]["median_text_distance"] == 1 and report_of(result)["tags"] == "words of the captions"
    (tmp_path / "in" / "list.jsonl").write_text('{"image": "red-4.png"}\n{"image": "red-8.png"}\n')
    with pytest.raises(errors.InvalidInput, match="of 2 images 0 could be used; .* no caption and no tags"):
        run(start("compare_distances", context, input="in/list.jsonl", output="e"))
    context.models.close()


def test_units_of_a_set(tmp_path: Path) -> None:
    """With the shipped models: the answers of a network that learnt nothing are too faint to compare."""
    save(tmp_path / "in")
    (tmp_path / "server").mkdir()
    shipped = EmbeddingProcess(tmp_path / "server", REPOSITORY_ROOT / "model_store")
    shipped.wait_until_serving()
    context = context_of(shipped.port, tmp_path)
    result = run(start("show_units", context, input="in/list.jsonl", count=2, top=3, output="u"))
    report = report_of(result)
    assert len(report["shown"]) == 2 and all(len(unit["images"]) == 3 for unit in report["shown"])
    strengths = [one["activation"] for one in report["shown"][0]["images"]]
    assert strengths == sorted(strengths, reverse=True) and strengths[0] > 0
    for unit in report["shown"]:  # pictures of one colour
        assert unit["coherence"] > 0.4 and len({one["id"].split("-")[0] for one in unit["images"]}) == 1
    sheet = decode((tmp_path / "u" / "units.jpg").read_bytes())
    assert sheet.shape == (2 * (22 + 2 * 182 + 12), 3 * 186 + 6, 3)
    named = run(start("show_units", context, input="in/list.jsonl", units=[9, 2], top=1, output="v"))
    assert named.summary["units"] == [9, 2]
    context.models.close()
    assert shipped.end() == 0


def test_a_dream_as_a_job_goes_on_after_its_server_was_killed(store: Path, tmp_path: Path) -> None:
    (tmp_path / "white.png").write_bytes(encode_png(plain("white", seed=1)))
    params = {"image": "white.png", "layer": 3, "side_px": 96, "octaves": 2, "steps": 7, "output": "d"}
    processes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        processes.append(EmbeddingProcess(tmp_path / name, store))
    first, second = processes
    first.wait_until_serving()
    work = start("deep_dream", context_of(first.port, tmp_path), **params)
    plan = work.plan()
    assert plan == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9, 10, 11], [12, 13]]
    done = [DoneUnit(items, work.run_unit(items)) for items in plan[:2]]
    first.kill()
    with pytest.raises(errors.Unavailable):
        work.run_unit(plan[2])
    second.wait_until_serving()
    work = start("deep_dream", context_of(second.port, tmp_path), **params)
    done += [DoneUnit(items, work.run_unit(items)) for items in plan[2:]]
    result = work.finish(done)
    assert result.summary | {"score": 0} == {"width": 96, "height": 64, "steps": 14, "score": 0}
    assert [file.name for file in result.files] == ["dream.jpg", "report.json"]
    scores = report_of(result)["scores"]
    assert len(scores) == 14 and scores[-1] > scores[0]
    with pytest.raises(errors.NotFound):
        start(
            "deep_dream", context_of(second.port, tmp_path), **params | {"image": "no.png", "output": "e"}
        ).plan()
    assert second.end() == 0
