"""`build_index` against a real embedding server: built, rebuilt, killed on the way, searched meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interplay.capabilities import CAPABILITIES, get_capability
from interplay.datasets import Datasets
from interplay.errors import Conflict, InvalidParameter, Unavailable
from interplay.jobs.build_index import KIND, BuildIndex, BuildIndexWork
from interplay.jobs.index_sources import read_image
from interplay.jobs.work import DoneUnit, JobContext, JobResult, ModelServers
from interplay.media.images import decode, encode_png
from interplay.rpc.clients import SyncModelServerClient
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from tests.embedding_models import COLOURS, make_embedding_store, plain
from tests.service.embedding_process import EmbeddingProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[EmbeddingProcess]:
    (tmp_path / "server").mkdir()
    process = EmbeddingProcess(tmp_path / "server", store)
    process.wait_until_serving()
    yield process
    process.end()


def context_of(server: EmbeddingProcess, root: Path, job: str = "ab12-cd") -> JobContext:
    models = ModelServers({"embedding": f"127.0.0.1:{server.port}"})
    return JobContext(job, Datasets([str(root)]), models)


def work_on(context: JobContext, **params: Any) -> BuildIndexWork:
    checked = KIND.validate({"index": "walls", "input": "in", "output": "out", "batch_size": 8, **params})
    assert isinstance(checked, BuildIndex)
    return BuildIndexWork(checked, context)


def run(work: BuildIndexWork) -> JobResult:
    return work.finish([DoneUnit(items, work.run_unit(items)) for items in work.plan()])


def save(folder: Path, count: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(first, first + count):
        colour = tuple(COLOURS)[number % 4]
        (folder / f"{colour}-{number}.png").write_bytes(encode_png(plain(colour, width=400, seed=number)))
        lines.append({"image": f"{colour}-{number}.png", "caption": f"a {colour} wall", "tags": [colour],
                      "latitude": 41 + number / 100, "longitude": 2.0, "n": number})  # fmt: skip
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def search(server: EmbeddingProcess, text: str, limit: int = 10) -> pb.SearchResponse:
    request = pb.SearchRequest(index="walls", query=[pb.QueryPart(text=pb.Text(content=text))], limit=limit)
    return server.client.call(server.client.stub.Search, request)


def test_a_list_becomes_an_index(server: EmbeddingProcess, tmp_path: Path) -> None:
    save(tmp_path / "in", 40)
    (tmp_path / "in" / "red-0.png").write_bytes(b"no picture")
    (tmp_path / "in" / "blue-2.png").unlink()
    context = context_of(server, tmp_path)
    result = run(work_on(context, input="in/list.jsonl"))
    out = tmp_path / "out"
    assert result.summary | {"space": ""} == {
        "index": "walls", "generation": "job-ab12cd", "added": 38, "failed": 2, "entries": 38,
        "input": "in/list.jsonl", "space": "",
        "capabilities": {"embedding": {"added": 38, "entries": 38, "space": result.summary["space"]}},
    }  # fmt: skip
    assert json.loads((out / "summary.json").read_text()) == result.summary
    assert [file.name for file in result.files] == ["failed.jsonl", "summary.json", "contact_sheet.jpg"]
    failed = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
    assert [(line["id"], line["error"]["reason"]) for line in failed] == [
        ("red-0.png", "UNSUPPORTED_MEDIA"), ("blue-2.png", "NOT_FOUND"),
    ]  # fmt: skip
    response = search(server, "green")
    assert response.candidates == 38 and all(hit.entry.id.startswith("green") for hit in response.hits)
    entry = response.hits[0].entry
    assert entry.caption == "a green wall" and list(entry.tags) == ["green"] and entry.place.longitude == 2
    assert json.loads(entry.extra_json)["n"] % 4 == 1
    height, width = decode(Path(entry.thumbnail).read_bytes()).shape[:2]
    assert (max(height, width), Path(entry.thumbnail).is_relative_to(out / "thumbnails")) == (256, True)
    with pytest.raises(Conflict, match="holds the lists of an earlier job"):
        work_on(context).plan()
    context.models.close()


def test_a_rebuild_replaces_what_was_built(server: EmbeddingProcess, tmp_path: Path) -> None:
    save(tmp_path / "in", 12)
    first, second = (context_of(server, tmp_path, job) for job in ("one", "two"))
    run(work_on(first))
    save(tmp_path / "more", 6, first=100)
    work = work_on(second, input="more", output="out2", thumbnail_px=0)
    units = [DoneUnit(items, work.run_unit(items)) for items in work.plan()]
    assert search(server, "red").candidates == 12  # until it is published
    work.finish(units)
    response = search(server, "red")
    assert response.candidates == 6 and response.hits[0].entry.thumbnail == ""
    assert work.finish(units).summary["entries"] == 6  # told again, the same
    for context in (first, second):
        context.models.close()


def test_a_build_goes_on_after_worker_and_server_were_killed(store: Path, tmp_path: Path) -> None:
    save(tmp_path / "in", 32)
    (tmp_path / "server").mkdir()
    first = EmbeddingProcess(tmp_path / "server", store)
    first.wait_until_serving()
    context = context_of(first, tmp_path)
    work = work_on(context)
    plan = work.plan()
    done = [DoneUnit(items, work.run_unit(items)) for items in plan[:2]]
    work.run_unit(plan[2])  # written, and never committed by the job: it comes again
    first.kill()
    with pytest.raises(Unavailable):
        work.run_unit(plan[3])
    context.models.close()
    second = EmbeddingProcess(tmp_path / "server", store)
    second.wait_until_serving()
    context = context_of(second, tmp_path)
    work = work_on(context)
    done += [DoneUnit(items, work.run_unit(items)) for items in plan[2:]]
    assert work.finish(done).summary["entries"] == 32
    context.models.close()
    assert second.end() == 0


def test_the_old_index_answers_while_the_new_one_is_built(server: EmbeddingProcess, tmp_path: Path) -> None:
    save(tmp_path / "in", 40)
    context = context_of(server, tmp_path, "one")
    run(work_on(context))
    over, failures, answers = threading.Event(), [], []

    def read() -> None:
        while not over.is_set():
            try:
                answers.append(len(search(server, "blue", 5).hits))
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for job in ("two", "three"):
        run(work_on(context_of(server, tmp_path, job), output=f"out-{job}"))
    over.set()
    reader.join()
    assert failures == [] and len(answers) > 5 and set(answers) == {5}
    context.models.close()


def test_inputs_that_cannot_be_indexed(server: EmbeddingProcess, tmp_path: Path) -> None:
    context = context_of(server, tmp_path)
    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidParameter, match="there are no images in 'in'"):
        work_on(context).plan()
    for params, message in (
        ({"index": "No Way"}, "params.index"),
        ({"thumbnail_px": 513}, "params.thumbnail_px"),
        ({"format": "zip"}, "params.format"),
        ({"capabilities": []}, "params.capabilities"),
        (
            {"capabilities": ["nope"]},
            "must be a capability that keeps indexes: embedding, locsens, got 'nope'",
        ),
        ({"capabilities": ["embedding", "embedding"]}, "'embedding' is there more than once"),
    ):
        with pytest.raises(InvalidParameter, match=message):
            work_on(context, **params)
    context.models.close()


# Several capabilities


class Servers(ModelServers):
    """Embedding servers by the name of the capability that they stand for."""

    def __init__(self, **servers: EmbeddingProcess) -> None:
        super().__init__({})
        self._each = {
            name: ModelServers({"embedding": f"127.0.0.1:{process.port}"})
            for name, process in servers.items()
        }

    def client(self, name: str) -> SyncModelServerClient:
        return self._each[name].client("embedding")

    def close(self) -> None:
        for servers in self._each.values():
            servers.close()


@pytest.fixture
def twin(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingProcess]:
    """The server of a second capability that keeps indexes; it takes no large pictures."""
    row = replace(get_capability("embedding"), name="twin")
    monkeypatch.setattr("interplay.capabilities.CAPABILITIES", (*CAPABILITIES, row))
    process = start_twin(store, tmp_path / "twin")
    yield process
    process.end()


def start_twin(store: Path, folder: Path) -> EmbeddingProcess:
    folder.mkdir(exist_ok=True)
    process = EmbeddingProcess(folder, store, max_image_pixels=20_000)
    process.wait_until_serving()
    return process


@pytest.mark.parametrize("order", [("embedding", "twin"), ("twin", "embedding")])
def test_one_reading_feeds_several_capabilities(
    server: EmbeddingProcess,
    twin: EmbeddingProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    order: tuple[str, str],
) -> None:
    save(tmp_path / "in", 20)
    (tmp_path / "in" / "red-0.png").write_bytes(b"no picture")
    (tmp_path / "in" / "blue-2.png").write_bytes(encode_png(plain("blue", width=700, seed=2)))
    read: list[str] = []

    def counted(datasets: Datasets, where: dict[str, Any]) -> bytes:
        read.append(where["file"].rpartition("/")[2])
        return read_image(datasets, where)

    monkeypatch.setattr("interplay.jobs.build_index.read_image", counted)
    context = JobContext("ab", Datasets([str(tmp_path)]), Servers(embedding=server, twin=twin))
    result = run(work_on(context, input="in/list.jsonl", capabilities=list(order)))
    assert len(read) == len(set(read)) == 20
    summary = result.summary
    assert (summary["added"], summary["failed"]) == (18, 2)
    assert list(summary["capabilities"]) == list(order)
    counts = {name: (each["added"], each["entries"]) for name, each in summary["capabilities"].items()}
    both = order[0] == "embedding"  # the twin's refusal keeps the image from those after it alone
    assert counts == {"embedding": (19, 19) if both else (18, 18), "twin": (18, 18)}
    assert summary["entries"] == counts[order[0]][1]
    failed = [json.loads(line)["error"] for line in (tmp_path / "out/failed.jsonl").read_text().splitlines()]
    assert [(error["reason"], error.get("capability")) for error in failed] == [
        ("UNSUPPORTED_MEDIA", None), ("PAYLOAD_TOO_LARGE", "twin"),
    ]  # fmt: skip
    for process, name in ((server, "embedding"), (twin, "twin")):
        response = search(process, "green", 50)
        assert response.candidates == counts[name][0]
        thumbnails = [Path(hit.entry.thumbnail) for hit in response.hits]
        assert all(decode(file.read_bytes()).shape[1] == 256 for file in thumbnails)
    context.models.close()


def test_publishing_goes_on_where_it_was_killed(
    server: EmbeddingProcess, twin: EmbeddingProcess, store: Path, tmp_path: Path
) -> None:
    save(tmp_path / "in", 12)
    both = {"capabilities": ["embedding", "twin"]}
    context = JobContext("ab", Datasets([str(tmp_path)]), Servers(embedding=server, twin=twin))
    work = work_on(context, **both)
    done = [DoneUnit(items, work.run_unit(items)) for items in work.plan()]
    twin.kill()
    with pytest.raises(Unavailable):
        work.finish(done)
    context.models.close()
    assert search(server, "red").candidates == 12
    assert not (tmp_path / "out/summary.json").exists()
    again = start_twin(store, tmp_path / "twin")
    context = JobContext("ab", Datasets([str(tmp_path)]), Servers(embedding=server, twin=again))
    summary = work_on(context, **both).finish(done).summary
    assert {each["entries"] for each in summary["capabilities"].values()} == {12}
    assert search(again, "red").candidates == search(server, "red").candidates == 12
    context.models.close()
    assert again.end() == 0
