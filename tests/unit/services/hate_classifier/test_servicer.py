"""``Classify`` over real gRPC, around a classifier of rules: answers, edge cases, reading, refusals."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from interplay import errors
from interplay.launcher.ports import free_port
from interplay.media.images import encode_png
from interplay.rpc.clients import SyncModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.rpc.status import error_from_item
from tests.fake_hate import CAPABILITY, FakeHate, running_fake
from tests.fake_text_detection import FakeTextDetection

READ, CALLER, NOT_READ = (
    pb.IMAGE_TEXT_SOURCE_READ,
    pb.IMAGE_TEXT_SOURCE_CALLER,
    pb.IMAGE_TEXT_SOURCE_NOT_READ,
)


@pytest.fixture(scope="module")
def running_detection() -> Iterator[FakeTextDetection]:
    fake = FakeTextDetection(free_port())
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def detection(running_detection: FakeTextDetection) -> Iterator[FakeTextDetection]:
    """The text detection server, to stop or slow down; it is well again afterwards."""
    yield running_detection
    running_detection.delay_s = 0.0
    running_detection.stop()
    running_detection.start()


@pytest.fixture(scope="module")
def running_server(running_detection: FakeTextDetection) -> Iterator[FakeHate]:
    yield from running_fake(
        capability_addresses={"text_detection": running_detection.target},
        max_inflight=70,
        read_timeout_s=1.0,
        max_deadline_s=20.0,
    )


@pytest.fixture
def server(running_server: FakeHate) -> FakeHate:
    running_server.reset()
    return running_server


@pytest.fixture(scope="module")
def client(running_server: FakeHate) -> Iterator[SyncModelServerClient]:
    client = SyncModelServerClient(CAPABILITY, f"127.0.0.1:{running_server.port}", default_timeout_s=20)
    yield client
    client.close()


@pytest.fixture
def classify(server: FakeHate, client: SyncModelServerClient) -> Any:
    """Function that classifies posts."""

    def ask(*posts: pb.Post, **fields: Any) -> pb.ClassifyResponse:
        return client.call(client.stub.Classify, pb.ClassifyRequest(posts=posts, **fields))

    return ask


def red(width: int = 40, height: int = 20) -> common_pb2.Image:
    """Black on the left, red on the right: an image in which HELLO is read."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :, 0] = 255
    return common_pb2.Image(content=encode_png(pixels))


def test_the_answer_says_why(classify: Any) -> None:
    post = pb.Post(text="You 😀 awful", image_text="kind AWFUL words", image=red(), words=True, region=True)
    response = classify(post)
    answer = response.results[0].answer
    assert answer.probability == pytest.approx(0.2 + 0.5 + 0.4 * 0.4 + 0.05)
    assert (answer.low, answer.high) == pytest.approx((answer.probability - 0.05, answer.probability + 0.05))
    assert answer.label == pb.LABEL_HATE and response.threshold == 0.5
    assert [c.name for c in answer.categories] == ["racist", "sexist", "homophobe", "religion", "other"]
    effects = {effect.input: effect for effect in answer.inputs}
    assert list(effects) == [pb.INPUT_TEXT, pb.INPUT_IMAGE_TEXT, pb.INPUT_IMAGE]
    total = answer.baseline + sum(effect.contribution for effect in answer.inputs)
    assert total == pytest.approx(answer.probability)
    assert effects[pb.INPUT_TEXT].alone == pytest.approx(0.7)
    assert effects[pb.INPUT_TEXT].without == pytest.approx(answer.probability - 0.5)
    texts = {pb.INPUT_TEXT: post.text, pb.INPUT_IMAGE_TEXT: post.image_text}
    told = [(texts[word.input][word.start : word.end], round(word.weight, 2)) for word in answer.words]
    assert told == [("You", 0.0), ("awful", 0.5), ("kind", -0.1), ("AWFUL", 0.5), ("words", 0.0)]
    assert answer.image_text == pb.ImageText(text="kind AWFUL words", source=CALLER)
    assert (response.model.name, response.model.version) == ("hate-classifier", "7")
    assert response.timings.infer_ns == 1_000_000 and response.timings.batch_size == 1


def test_the_region_is_laid_over_the_image(classify: Any) -> None:
    region = classify(pb.Post(image=red(2000, 1000), image_text="", region=True)).results[0].answer.region
    assert (region.rows, region.columns, list(region.weights)) == (3, 2, [-0.5, 0.5] * 3)
    with PillowImage.open(io.BytesIO(region.overlay)) as overlay:
        assert overlay.format == "PNG" and overlay.size == (region.width, region.height) == (1024, 512)
        left, right = overlay.getpixel((5, 256)), overlay.getpixel((1018, 256))
    assert left[2] > left[0] and right[0] > right[2], "blue speaks against, orange for"


def test_no_reasons_unless_asked(classify: Any) -> None:
    answer = classify(pb.Post(text="awful", image=red(), image_text="")).results[0].answer
    assert not answer.words and not answer.HasField("region")
    assert [effect.input for effect in answer.inputs] == [pb.INPUT_TEXT, pb.INPUT_IMAGE]


@pytest.mark.parametrize(
    ("threshold", "label"), [(0.0, pb.LABEL_HATE), (0.2, pb.LABEL_HATE), (0.21, pb.LABEL_NOT_HATE)]
)
def test_the_caller_sets_the_threshold(classify: Any, threshold: float, label: pb.Label) -> None:
    response = classify(pb.Post(text="hello"), threshold=threshold)
    assert (response.results[0].answer.label, response.threshold) == (label, threshold)


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_refused(classify: Any, threshold: float) -> None:
    with pytest.raises(errors.InvalidParameter, match=f"threshold is {threshold:g}; it must be 0 to 1"):
        classify(pb.Post(text="hello"), threshold=threshold)


# What posts there are


@pytest.mark.parametrize(
    "text",
    [
        "😀🔥🤬",
        "שלום עולם",
        "مرحبا بالعالم",
        "你好,世界",
        "zzqx vrrp",
        "a" * 10_000,
        "😀" * 10_000,
        "\0",
        "a\nb",
    ],
)
def test_any_text_is_judged(classify: Any, server: FakeHate, text: str) -> None:
    answer = classify(pb.Post(text=text, words=True)).results[0].answer
    assert answer.probability == pytest.approx(0.2) and server.classifier.items[0].text == text


def test_an_image_without_text(classify: Any, server: FakeHate) -> None:
    answer = classify(pb.Post(image=red(), image_text="")).results[0].answer
    assert [effect.input for effect in answer.inputs] == [pb.INPUT_IMAGE]
    item = server.classifier.items[0]
    assert item.image is not None and item.image.shape == (20, 40, 3) and item.image_text == ""


def test_words_of_an_image_that_is_not_sent(classify: Any) -> None:
    answer = classify(pb.Post(image_text="awful")).results[0].answer
    assert [effect.input for effect in answer.inputs] == [pb.INPUT_IMAGE_TEXT]
    assert answer.image_text == pb.ImageText(text="awful", source=CALLER)


@pytest.mark.parametrize(
    ("post", "message"),
    [
        (pb.Post(), "the post has neither text nor image"),
        (pb.Post(text=" \n\t"), "the post has neither text nor image"),
        (pb.Post(image_text=""), "the post has neither text nor image"),
        (pb.Post(text="a" * 10_001), "text has 10001 characters; at most 10000 are taken"),
        (pb.Post(image_text="a" * 10_001), "image_text has 10001 characters; at most 10000 are taken"),
        (pb.Post(text="hello", region=True), "region asks for a part of the image, and the post has none"),
        (pb.Post(image=common_pb2.Image(content=red().content[:-30])), "truncated or corrupt"),
        (pb.Post(text="a", image=common_pb2.Image(content=b"GIF89a")), "a GIF"),
        (pb.Post(text="a", image=common_pb2.Image()), "empty"),
        (pb.Post(text="BOOM"), "hate-classifier failed on this input"),
    ],
)
def test_a_bad_post_has_an_error_of_its_own(classify: Any, post: pb.Post, message: str) -> None:
    """And the others have their answers."""
    response = classify(pb.Post(text="awful"), post, pb.Post(text="hello"))
    first, bad, last = response.results
    assert first.answer.probability == pytest.approx(0.7) and last.answer.probability == pytest.approx(0.2)
    assert message in error_from_item(bad.error).message
    alone = classify(post).results[0]
    assert alone.error.reason == bad.error.reason


def test_posts_are_judged_together(classify: Any, server: FakeHate) -> None:
    response = classify(*(pb.Post(text=f"post {number}") for number in range(64)))
    assert len(response.results) == 64 and len(server.classifier.items) == 64
    assert max(server.classifier.batches) > 8
    assert response.timings.infer_ns == 1_000_000 * len(server.classifier.batches), "a batch counts once"


@pytest.mark.parametrize(
    ("posts", "message"),
    [
        ([], "posts has 0 items; it must have 1 to 64"),
        ([pb.Post(text="a")] * 65, "posts has 65 items; it must have 1 to 64"),
        ([pb.Post(image=red(), region=True)] * 9, "9 posts ask for the region; at most 8"),
    ],
)
def test_limits_of_a_request(classify: Any, posts: list[pb.Post], message: str) -> None:
    with pytest.raises(errors.InvalidParameter, match=message):
        classify(*posts)


# Words in images


def test_the_text_server_reads_the_image(
    classify: Any, server: FakeHate, detection: FakeTextDetection
) -> None:
    detection.words = "so\nAWFUL"
    answer = classify(pb.Post(image=red())).results[0].answer
    assert answer.image_text == pb.ImageText(text="so AWFUL", source=READ)
    assert answer.probability == pytest.approx(0.2 + 0.2 + 0.05)
    black = common_pb2.Image(content=encode_png(np.zeros((9, 9, 3), np.uint8)))
    answer = classify(pb.Post(image=black, text="hello")).results[0].answer
    assert answer.image_text == pb.ImageText(source=READ) and server.classifier.items[-1].image_text == ""


def test_the_caller_does_not_want_it_read(classify: Any, server: FakeHate) -> None:
    answer = classify(pb.Post(image=red(), skip_reading=True)).results[0].answer
    assert answer.image_text.source == NOT_READ and "the caller did not want" in answer.image_text.reason
    assert server.classifier.items[0].image_text is None


def test_the_text_server_is_down(classify: Any, server: FakeHate, detection: FakeTextDetection) -> None:
    detection.stop()
    started = time.monotonic()
    answers = [result.answer for result in classify(*[pb.Post(text="awful", image=red())] * 8).results]
    assert time.monotonic() - started < 8
    for answer in answers:
        assert answer.probability == pytest.approx(0.75) and answer.image_text.source == NOT_READ
        assert "text detection server, which reads images, gave no answer" in answer.image_text.reason
    assert server.classifier.items[0].image_text is None


def test_the_text_server_is_slow(classify: Any, detection: FakeTextDetection) -> None:
    until = time.monotonic() + 10  # the channel may not have noticed yet that the server is back
    while classify(pb.Post(image=red())).results[0].answer.image_text.source != READ:
        assert time.monotonic() < until
    detection.delay_s = 3.0
    started = time.monotonic()
    answer = classify(pb.Post(text="awful", image=red())).results[0].answer
    assert time.monotonic() - started < 2.5
    assert answer.probability == pytest.approx(0.75) and "did not answer in time" in answer.image_text.reason


def test_half_of_the_time_is_left_to_the_model(
    server: FakeHate, client: SyncModelServerClient, detection: FakeTextDetection
) -> None:
    detection.delay_s = 3.0
    request = pb.ClassifyRequest(posts=[pb.Post(text="awful", image=red())])
    answer = client.call(client.stub.Classify, request, timeout_s=1.0).results[0].answer
    assert answer.image_text.source == NOT_READ


# Room and time


def test_a_full_server_refuses_one_post_and_makes_many_wait(
    server: FakeHate, client: SyncModelServerClient, classify: Any
) -> None:
    server.classifier.gate.clear()
    many = pb.ClassifyRequest(posts=[pb.Post(text=str(number)) for number in range(64)])
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.call(client.stub.Classify, many)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with pytest.raises(errors.Overloaded, match="limit of 70 requests"):
                client.call(
                    client.stub.Classify, pb.ClassifyRequest(posts=[pb.Post(text="x")]), timeout_s=0.5
                )
            break
        except errors.DeadlineExceeded:
            continue
    server.classifier.gate.set()
    for thread in threads:
        thread.join(20)
    assert len(found) == 2
    for response in found:
        assert all(result.HasField("answer") for result in response.results)


def test_what_fails_is_not_quoted_in_the_log(classify: Any, caplog: Any, capfd: Any) -> None:
    secret = "BOOM"
    assert classify(pb.Post(text=secret)).results[0].error.reason == "MODEL_FAILED"
    captured = capfd.readouterr()
    logged = captured.out + captured.err + caplog.text
    assert "batch_failed" in logged and "ValueError at" in logged
    assert "cannot take" not in logged and secret not in logged
