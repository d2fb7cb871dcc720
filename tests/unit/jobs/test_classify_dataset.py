"""Job kind ``classify_dataset``: posts in, lists and a page out, against a server of rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from interplay.datasets import Datasets
from interplay.errors import Conflict, InvalidParameter, NotFound, PermissionDenied, Unavailable
from interplay.jobs.classify_dataset import KIND, ClassifyDataset, ClassifyDatasetWork
from interplay.jobs.work import DoneUnit, JobContext, JobResult, ModelServers
from tests.fake_hate import FakeHate, running_fake
from tests.fake_text_detection import picture

POSTS: list[dict[str, Any]] = [
    {"id": "a", "text": "awful <b>words</b> & more", "hate": True},
    {"id": 2, "text": "hello", "hate": False},
    {"text": "kind 😀 שלום", "hate": False},
    {"id": "d", "text": "see", "image": "red.png", "image_text": "awful", "hate": 1},
    {"id": "too long", "text": "a" * 10_001},
    {"id": "nothing"},
    {"id": "broken", "text": "hello", "image": "broken.png"},
    {"id": "missing", "text": "hello", "image": "no.png"},
    {"id": "outside", "text": "hello", "image": "/etc/hostname"},
    {"id": "number", "text": 5},
    {"id": "half", "text": "\ud800"},
    {"id": "fails", "text": "BOOM"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeHate]:
    yield from running_fake(capability_addresses={"text_detection": "127.0.0.1:9"})


@pytest.fixture
def context(tmp_path: Path, server: FakeHate) -> Iterator[JobContext]:
    server.reset()
    models = ModelServers({"hate_classifier": f"127.0.0.1:{server.port}"})
    yield JobContext("job", Datasets([str(tmp_path)]), models)
    models.close()


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    file = tmp_path / "in/posts.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(json.dumps(post) for post in POSTS) + "\n\n")
    (tmp_path / "in/red.png").write_bytes(picture(1.0))
    (tmp_path / "in/broken.png").write_bytes(picture(1.0)[:-30])
    return file


def work_on(context: JobContext, **params: Any) -> ClassifyDatasetWork:
    checked = KIND.validate({"input": "in/posts.jsonl", "output": "out", "batch_size": 5, **params})
    assert isinstance(checked, ClassifyDataset)
    return ClassifyDatasetWork(checked, context)


def run(work: ClassifyDatasetWork) -> JobResult:
    return work.finish([DoneUnit(items, work.run_unit(items)) for items in work.plan()])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.source = file.read_text()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_each_post_is_scored_or_has_an_error(context: JobContext, posts: Path, tmp_path: Path) -> None:
    result = run(work_on(context))
    scored, failed = lines(tmp_path / "out/scored.jsonl"), lines(tmp_path / "out/failed.jsonl")
    assert [line["id"] for line in scored] == ["a", "2", "line 3", "d"]
    assert [line["probability"] for line in scored] == pytest.approx([0.7, 0.2, 0.1, 0.5], abs=1e-6)
    first, last = scored[0], scored[-1]
    assert (first["label"], first["threshold"], first["interval"]) == ("hate", 0.5, [0.65, 0.75])
    assert first["model"] == "hate-classifier 7" and first["words_of_image"] is None
    assert last["contributions"] == {"text": 0.0, "image_text": 0.2, "image": 0.1}
    assert last["words_of_image"] == "given" and last["categories"]["racist"] == 0.25
    errors = {line["id"]: line["error"]["reason"] for line in failed}
    assert errors == {
        "too long": "INVALID_PARAMETER",
        "nothing": "INVALID_PARAMETER",
        "broken": "UNREADABLE_IMAGE",
        "missing": "NOT_FOUND",
        "outside": "PERMISSION_DENIED",
        "number": "INVALID_PARAMETER",
        "half": "INVALID_PARAMETER",
        "fails": "MODEL_FAILED",
    }
    summary = result.summary
    assert (summary["posts"], summary["scored"], summary["failed"]) == (12, 4, 8)
    assert (summary["hate"], summary["threshold"]) == (2, 0.5)
    assert summary["errors"] == {
        "INVALID_PARAMETER": 4,
        "MODEL_FAILED": 1,
        "NOT_FOUND": 1,
        "PERMISSION_DENIED": 1,
        "UNREADABLE_IMAGE": 1,
    }
    assert sum(summary["histogram"]["counts"]) == 4 and summary["models"] == ["hate-classifier 7"]
    assert {file.name for file in result.files} == {
        "scored.jsonl",
        "failed.jsonl",
        "report.html",
        "report.json",
    }
    assert {file.name: file.media_type for file in result.files}["report.html"] == "text/html"
    assert json.loads((tmp_path / "out/report.json").read_text()) == summary


def test_texts_are_nowhere_unless_asked_for(context: JobContext, posts: Path, tmp_path: Path) -> None:
    work = work_on(context)
    units = [DoneUnit(items, work.run_unit(items)) for items in work.plan()]
    result = work.finish(units)
    left = json.dumps([[unit.items, unit.results] for unit in units]) + result.model_dump_json()
    for file in (tmp_path / "out").iterdir():
        left += file.read_text()
    for secret in ("words", "hello", "kind 😀", "BOOM", "aaaa"):
        assert secret not in left.replace("words_of_image", "").replace("words in the image", "")
    page = Page(tmp_path / "out/report.html")
    assert "show_posts=true" in page.source and not any(tag == "img" for tag, _ in page.tags)


def test_texts_and_images_where_asked_for(context: JobContext, posts: Path, tmp_path: Path) -> None:
    run(work_on(context, show_posts=True, top=2))
    assert lines(tmp_path / "out/scored.jsonl")[0]["text"] == POSTS[0]["text"]
    page = Page(tmp_path / "out/report.html")
    assert POSTS[0]["text"] in page.texts, "escaped: it is text, not markup"
    assert "hello" not in page.texts, "two posts are shown"
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert (image["src"] or "").startswith("data:image/jpeg;base64,")


def test_the_page_asks_for_nothing(context: JobContext, posts: Path, tmp_path: Path) -> None:
    run(work_on(context, show_posts=True))
    page = Page(tmp_path / "out/report.html")
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    assert not [
        a
        for _, a in page.tags
        if any(name in a and "data:" not in (a[name] or "") for name in ("src", "href"))
    ]
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy and policy.startswith("default-src 'none'")
    assert "4 of" not in page.source and "MODEL_FAILED" in page.source


def test_labels_say_how_right_each_threshold_is(context: JobContext, posts: Path, tmp_path: Path) -> None:
    result = run(work_on(context, label_field="hate", threshold=0.15))
    rows = {row["threshold"]: row for row in result.summary["thresholds"]}
    assert rows[0.15] == {"threshold": 0.15, "posts": 3, "share": 0.75, "precision": 0.6667, "recall": 1.0}
    assert rows[0.6] == {"threshold": 0.6, "posts": 1, "share": 0.25, "precision": 1.0, "recall": 0.5}
    assert rows[0.9]["precision"] is None and result.summary["hate"] == 3
    assert (result.summary["labelled"], result.summary["labelled_hate"]) == (4, 2)


def test_other_names_of_fields_and_a_folder_of_images(
    context: JobContext, posts: Path, tmp_path: Path, server: FakeHate
) -> None:
    (tmp_path / "in/memes.jsonl").write_text('{"img": "red.png", "key": 7, "said": "x", "ocr": "awful"}\n')
    (tmp_path / "pictures").mkdir()
    (tmp_path / "in/red.png").rename(tmp_path / "pictures/red.png")
    run(
        work_on(
            context,
            input="in/memes.jsonl",
            images=str(tmp_path / "pictures"),
            id_field="key",
            image_field="img",
            text_field="said",
            image_text_field="ocr",
        )
    )
    (line,) = lines(tmp_path / "out/scored.jsonl")
    assert line["id"] == "7" and set(line["contributions"]) == {"text", "image_text", "image"}


def test_a_folder_of_images(context: JobContext, posts: Path, tmp_path: Path) -> None:
    """Without the text server: judged by the image alone, and the list says so."""
    result = run(work_on(context, input="in", show_posts=True))
    (line,) = lines(tmp_path / "out/scored.jsonl")
    assert line["id"] == "red.png" and line["words_of_image"] == "not_read"
    assert line["contributions"] == {"image": 0.1}
    assert result.summary["words_of_images"] == {"not_read": 1} and result.summary["failed"] == 1
    assert "images not read" in (tmp_path / "out/report.html").read_text()


def test_posts_go_out_in_calls_of_some_and_in_order(
    context: JobContext, tmp_path: Path, server: FakeHate
) -> None:
    (tmp_path / "many.jsonl").write_text("".join(f'{{"text": "post {n}"}}\n' for n in range(150)))
    run(work_on(context, input="many.jsonl", batch_size=100))
    assert [line["id"] for line in lines(tmp_path / "out/scored.jsonl")] == [
        f"line {n + 1}" for n in range(150)
    ]
    assert sorted(item.text for item in server.classifier.items) == sorted(f"post {n}" for n in range(150))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there are no posts"),
        ("[1]\n", "line 1 is not a JSON object"),
        ('{"text": "a"}\n{"text": secret\n', "line 2 is not JSON$"),
        ('{"id": "a"}\n{"id": "a"}\n', "line 2 has the id 'a' of line 1"),
        ('{"id": [1]}\n', "line 1: 'id' must be 1 to 512 characters or a whole number"),
        ('{"text": "' + "a" * 1024 * 1024 + '"}\n', "line 1 has 1,048,589 bytes; the limit is 1,048,576"),
    ],
)
def test_bad_lists_are_refused(context: JobContext, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(InvalidParameter, match=message):
        work_on(context, input="bad.jsonl").plan()


def test_bad_places_are_refused(context: JobContext, posts: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        work_on(context, input="nowhere").plan()
    with pytest.raises(PermissionDenied):
        work_on(context, input="/etc").plan()
    run(work_on(context))
    with pytest.raises(Conflict, match="report of an earlier job"):
        work_on(context).plan()
    assert run(work_on(context, overwrite=True)).summary["scored"] == 4


@pytest.mark.parametrize("params", [{"threshold": 1.1}, {"threshold": -0.1}, {"top": -1}, {"text_field": ""}])
def test_bad_params_are_refused(context: JobContext, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter, match=next(iter(params))):
        work_on(context, **params)


def test_a_file_that_changes_meanwhile(context: JobContext, posts: Path) -> None:
    work = work_on(context)
    units = work.plan()
    posts.write_text("x" * 3)
    outcomes = work.run_unit(units[0])
    assert {outcome["error"]["message"] for outcome in outcomes} == {"the file was changed while the job ran"}


def test_a_server_that_is_down_is_waited_for(posts: Path, tmp_path: Path, free_port: int) -> None:
    models = ModelServers({"hate_classifier": f"127.0.0.1:{free_port}"})
    work = work_on(JobContext("job", Datasets([str(tmp_path)]), models))
    (unit, *_) = work.plan()
    with pytest.raises(Unavailable):
        work.run_unit(unit)
    models.close()
