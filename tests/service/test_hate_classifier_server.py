"""The hate classifier server as a process beside a text detection server; it says what its predictor says.

The model is a small one that was never trained: "bad" and bright images speak for hate, "good" against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from interplay import errors
from interplay.jobs.dispatch import Dispatcher, create_celery
from interplay.jobs.schema import Database
from interplay.jobs.states import JobState
from interplay.jobs.table import JobTable, NewJob
from interplay.launcher.ports import free_port
from interplay.media.images import decode, encode_png
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.rpc.common.v1 import common_pb2, models_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from tests.conftest import ValkeyProcess, wait_until
from tests.fake_text_detection import FakeTextDetection
from tests.hate_models import publish_small_models
from tests.service.hate_classifier_process import CAPABILITY, HateClassifierProcess
from tests.service.runtimes import RUNTIMES, running
from tests.service.worker_process import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

INPUTS = {pb.INPUT_TEXT: "text", pb.INPUT_IMAGE_TEXT: "image_text", pb.INPUT_IMAGE: "image"}
RED = np.dstack([np.full((30, 40), 255), np.zeros((30, 40)), np.zeros((30, 40))]).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_small_models(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def running_detection() -> Iterator[FakeTextDetection]:
    fake = FakeTextDetection(free_port())
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def detection(running_detection: FakeTextDetection) -> Iterator[FakeTextDetection]:
    """The text detection server, to stop; it is well again afterwards."""
    yield running_detection
    running_detection.stop()
    running_detection.start()


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    store: Path,
    running_detection: FakeTextDetection,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[HateClassifierProcess]:
    """One server for the module, once with each runtime."""
    folder = tmp_path_factory.mktemp("server")
    with running(request.param, store, folder / "ts", "hate_classifier") as settings:
        process = HateClassifierProcess(folder, store, running_detection.target, **settings)
        process.wait_until_serving()
        yield process
        assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())  # and every line is JSON


@pytest.fixture(scope="module")
def classifier(store: Path) -> HateClassifier:
    return HateClassifier.open(store, device="cpu", threads=1)


def image(pixels: np.ndarray) -> common_pb2.Image:
    return common_pb2.Image(content=encode_png(pixels))


def expected(classifier: HateClassifier, item: PostItem) -> PostAnswer:
    (answer,) = classifier.predict([item]).results
    assert isinstance(answer, PostAnswer)
    return answer


def agree(got: pb.PostAnswer, answer: PostAnswer) -> None:
    """The server says what the predictor says."""
    close = {"abs": 1e-4}
    assert got.probability == pytest.approx(answer.probability, **close)
    assert (got.low, got.high, got.baseline) == pytest.approx(
        (answer.low, answer.high, answer.baseline), **close
    )
    assert {kind.name: kind.probability for kind in got.categories} == pytest.approx(
        answer.categories, **close
    )
    for name, values in (
        ("alone", answer.alone),
        ("without", answer.without),
        ("contribution", answer.contributions),
    ):
        assert {INPUTS[e.input]: getattr(e, name) for e in got.inputs} == pytest.approx(values, **close)
    told = [(INPUTS[word.input], word.start, word.end, word.weight) for word in got.words]
    assert told == [
        (word.source, word.start, word.end, pytest.approx(word.weight, **close)) for word in answer.words
    ]


def test_the_answer_is_the_predictors(server: HateClassifierProcess, classifier: HateClassifier) -> None:
    post = pb.Post(text="a bad 😀 day", image_text="good", image=image(RED), words=True, region=True)
    response = server.classify(post)
    answer = expected(
        classifier, PostItem(text="a bad 😀 day", image_text="good", image=RED, words=True, region=True)
    )
    (result,) = response.results
    agree(result.answer, answer)
    region = result.answer.region
    assert answer.region is not None and (region.rows, region.columns) == answer.region.shape
    np.testing.assert_allclose(region.weights, answer.region.ravel(), atol=1e-4)
    assert decode(region.overlay).shape == RED.shape
    assert response.threshold == classifier.threshold
    assert result.answer.label == (
        pb.LABEL_HATE if answer.probability >= classifier.threshold else pb.LABEL_NOT_HATE
    )
    assert response.model.name == "hate-classifier" and response.timings.infer_ns > 0


TEXTS = [
    "😀🔥🤬",
    "zzqx vrrp",
    "שלום עולם",
    "مرحبا بالعالم",
    "你好,世界",
    "bad " * 2500,
    "😀" * 10_000,
    "https://t.co/x @you #bad",
    "line\none\ttwo",
    "...",
    "b\u0301ad \u202e dab",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_of_any_kind(server: HateClassifierProcess, classifier: HateClassifier, text: str) -> None:
    result = server.classify(pb.Post(text=text, words=True)).results[0]
    agree(result.answer, expected(classifier, PostItem(text=text, words=True)))
    assert 0 <= result.answer.low <= result.answer.high <= 1
    for word in result.answer.words:
        assert 0 <= word.start < word.end <= len(text)


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_judge_is_refused_by_name(server: HateClassifierProcess, text: str) -> None:
    error = server.classify(pb.Post(text=text)).results[0].error
    assert error.reason in ("INVALID_PARAMETER", "INVALID_INPUT") and "neither text" in error.message


def test_an_image_alone(server: HateClassifierProcess, classifier: HateClassifier) -> None:
    for pixels in (RED, np.full((9, 200, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)):
        result = server.classify(pb.Post(image=image(pixels), image_text="")).results[0]
        agree(result.answer, expected(classifier, PostItem(image=pixels, image_text="")))


def test_many_posts_in_one_call_and_what_is_wrong_with_some(
    server: HateClassifierProcess, classifier: HateClassifier
) -> None:
    bad = [
        pb.Post(text="a" * 10_001),
        pb.Post(),
        pb.Post(image=common_pb2.Image(content=encode_png(RED)[:60])),
    ]
    good = [pb.Post(text=f"day {number} " + "bad " * number) for number in range(20)]
    response = server.classify(*good, *bad, *good)
    outcomes = [result.WhichOneof("result") for result in response.results]
    assert outcomes == ["answer"] * 20 + ["error"] * 3 + ["answer"] * 20
    for post, result in zip(good, response.results, strict=False):
        agree(result.answer, expected(classifier, PostItem(text=post.text)))
    assert response.timings.batch_size > 4
    with pytest.raises(errors.InvalidParameter, match="threshold is 1.5; it must be 0 to 1"):
        server.classify(*good, threshold=1.5)


def test_the_image_is_read_or_not(
    server: HateClassifierProcess, classifier: HateClassifier, detection: FakeTextDetection
) -> None:
    detection.words = "good"
    answer = server.classify(pb.Post(text="day", image=image(RED))).results[0].answer
    agree(answer, expected(classifier, PostItem(text="day", image_text="good", image=RED)))
    assert answer.image_text == pb.ImageText(text="good", source=pb.IMAGE_TEXT_SOURCE_READ)
    detection.stop()
    answer = server.classify(pb.Post(text="day", image=image(RED))).results[0].answer
    agree(answer, expected(classifier, PostItem(text="day", image=RED)))
    assert answer.image_text.source == pb.IMAGE_TEXT_SOURCE_NOT_READ
    assert "text detection server, which reads images" in answer.image_text.reason


def test_models_and_health(server: HateClassifierProcess) -> None:
    (model,) = server.client.call(server.client.models.ListModels, models_pb2.ListModelsRequest()).models
    assert (model.info.name, model.capability) == ("hate-classifier", "hate_classifier")
    assert model.limits.max_inflight == 256 and list(model.labels)
    request = health_pb2.HealthCheckRequest(service=CAPABILITY.grpc_service)
    assert server.client.health.Check(request).status == health_pb2.HealthCheckResponse.SERVING


def test_no_text_is_in_the_log(server: HateClassifierProcess) -> None:
    server.classify(pb.Post(text="unmistakable words"), pb.Post(text="unmistakable " * 1000))
    assert "unmistakable" not in server.log.read_text()


# The job, with a real worker


def test_a_job_survives_its_worker_and_leaves_no_text(
    server: HateClassifierProcess, classifier: HateClassifier, shared_valkey: ValkeyProcess, tmp_path: Path
) -> None:
    posts = [
        {"id": f"p{n}", "text": f"unmistakable {n} {'bad ' * (n % 3)}", "hate": n % 3 == 2}
        for n in range(200)
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "posts.jsonl").write_text(
        "".join(json.dumps(post) + "\n" for post in posts) + '{"id": "none"}\n'
    )
    database = Database(f"sqlite:///{tmp_path}/state/jobs.sqlite3")
    table = JobTable(database)
    addresses = json.dumps({"hate_classifier": server.client.target})

    def worker() -> WorkerProcess:
        started = WorkerProcess(tmp_path, shared_valkey.url, "", capability_addresses=addresses)
        started.start()
        return started

    params: dict[str, Any] = {"input": "posts.jsonl", "output": "out", "batch_size": 8, "label_field": "hate"}
    job, _ = table.submit(NewJob(kind="classify_dataset", params=params, request_id="r-1"))
    Dispatcher(create_celery(shared_valkey.url), table).send([job])
    first = worker()
    try:
        wait_until(lambda: table.get(job.id).done >= 16, timeout_s=120, what="some posts are judged")
    finally:
        first.kill()
    second = worker()
    try:
        ended = (JobState.SUCCEEDED, JobState.FAILED)
        wait_until(lambda: table.get(job.id).state in ended, timeout_s=120, what="the job ends")
    finally:
        second.kill()
    done = table.get(job.id)
    assert done.state is JobState.SUCCEEDED, done.error
    scored = [json.loads(line) for line in (folder / "out/scored.jsonl").read_text().splitlines()]
    assert [line["id"] for line in scored] == [post["id"] for post in posts]
    for post, line in list(zip(posts, scored, strict=True))[:3]:
        answer = expected(classifier, PostItem(text=str(post["text"])))
        assert line["probability"] == pytest.approx(answer.probability, abs=1e-4)
    report = json.loads((folder / "out/report.json").read_text())
    assert (report["scored"], report["failed"], report["labelled_hate"]) == (200, 1, 66)
    database.close()
    left = b"".join(
        file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.name != "posts.jsonl"
    )
    assert b"unmistakable" not in left, "neither in the job table, nor in logs, nor in results"
