"""Posts judged a second: the plain predictor post by post, and the server over gRPC, which batches.

    python -m benchmarks.hate                     # starts its own server
    python -m benchmarks.hate --posts 2000 --rounds 3 --out hate.json

Posts are tweets of ``mmhs150k/tweets.jsonl``, their image text where they have some; posts with image are
those of ``memes/labels.jsonl``, whose text is given as image text, so that nothing is read. "predictor, one
by one" gets posts whose images lie encoded in memory, decodes and judges each; "in batches" the same 32 at a
time. Over gRPC the same bytes go through a server process on this machine: single posts from 32 callers, and
calls of 32 posts from two. The sender's own work is part of what the cores do. All ways take turns in every
round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import services  # noqa: F401 - the predictor's threads wait for each other as the server's do

# isort: split
from benchmarks.report import machine, print_table, write
from interplay.capabilities import get_capability
from interplay.errors import Unavailable
from interplay.launcher.ports import free_port
from interplay.launcher.settings import child_environment
from interplay.media.images import decode
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.settings import REPOSITORY_ROOT, available_cores
from training.text_detection.paths import data_dir

_BATCH = 32
_CALLERS, _BULK_CALLERS = 32, 2
_READY_S = 300.0
CAPABILITY = get_capability("hate_classifier")


def tweets(folder: Path, count: int) -> list[pb.Post]:
    """Posts of text, and of the words in their image."""
    posts = []
    with (folder / "mmhs150k" / "tweets.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            posts.append(pb.Post(text=fields["tweet_text"], image_text=fields["image_text"] or None))
            if len(posts) == count:
                break
    return posts


def memes(folder: Path, count: int) -> list[pb.Post]:
    """Posts of an image and the words in it; taken again from the first where there are too few."""
    posts = []
    for line in (folder / "memes" / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        content = (folder / "memes" / "images" / fields["image"]).read_bytes()
        posts.append(pb.Post(image_text=fields["text"], image=common_pb2.Image(content=content)))
        if len(posts) == count:
            break
    return [posts[number % len(posts)] for number in range(count)]


def item_of(post: pb.Post) -> PostItem:
    """A post as the predictor takes it."""
    return PostItem(
        text=post.text,
        image_text=post.image_text if post.HasField("image_text") else None,
        image=decode(post.image.content) if post.HasField("image") else None,
    )


def direct(classifier: HateClassifier, posts: Sequence[pb.Post], size: int) -> None:
    """Judge posts with the predictor, so many at a time."""
    for start in range(0, len(posts), size):
        items = [item_of(post) for post in posts[start : start + size]]
        for result in classifier.predict_batch(items).results:
            assert isinstance(result, PostAnswer), result


async def through_server(
    client: ModelServerClient, posts: Sequence[pb.Post], size: int, callers: int
) -> None:
    """Judge posts over gRPC, so many a call, from so many callers."""
    portions = iter([posts[start : start + size] for start in range(0, len(posts), size)])

    async def caller() -> None:
        for portion in portions:
            response = await client.call(
                client.stub.Classify, pb.ClassifyRequest(posts=portion), timeout_s=60
            )
            for result in response.results:
                assert result.HasField("answer"), result.error

    await asyncio.gather(*(caller() for _ in range(callers)))


@contextmanager
def running_server(store: Path) -> Iterator[str]:
    """A server process; yields its gRPC target."""
    port = free_port()
    values = {"port": port, "metrics_port": free_port(), "model_store": store, "log_level": "WARNING"}
    environment = child_environment({f"INTERPLAY_{name.upper()}": str(v) for name, v in values.items()})
    process = subprocess.Popen(
        [sys.executable, "-m", CAPABILITY.module], cwd=REPOSITORY_ROOT, env=environment
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


async def measure(
    store: Path, kinds: dict[str, list[pb.Post]], rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Rows of each kind of posts."""
    classifier = HateClassifier.open(store, threads=available_cores())
    with running_server(store) as target:
        client = ModelServerClient(CAPABILITY, target)
        started = perf_counter()
        while not await client.is_serving():
            if perf_counter() - started > _READY_S:
                raise Unavailable("the server did not start")
            await asyncio.sleep(0.2)
        tables = {}
        for name, posts in kinds.items():
            ways: dict[str, Callable[[], Awaitable[None]]] = {
                "predictor, one by one": _later(direct, classifier, posts, 1),
                f"predictor, in batches of {_BATCH}": _later(direct, classifier, posts, _BATCH),
                f"gRPC, single posts, {_CALLERS} callers": lambda posts=posts: through_server(
                    client, posts, 1, _CALLERS
                ),
                f"gRPC, calls of {_BATCH}, {_BULK_CALLERS} callers": lambda posts=posts: through_server(
                    client, posts, _BATCH, _BULK_CALLERS
                ),
            }
            seen: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(rounds + 1):  # the first round warms up
                for way, judge in ways.items():
                    begun = perf_counter()
                    await judge()
                    if number:
                        seen[way].append(len(posts) / (perf_counter() - begun))
            base = median(seen["predictor, one by one"])
            tables[name] = [
                {
                    "way": way,
                    "posts_per_s": round(median(values), 1),
                    "lowest": round(min(values), 1),
                    "highest": round(max(values), 1),
                    "of_one_by_one": round(median(values) / base, 2),
                }
                for way, values in seen.items()
            ]
        await client.close()
    return tables


def _later(function: Callable[..., None], *arguments: Any) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await asyncio.to_thread(function, *arguments)  # the channel goes on answering pings

    return run


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=2000, help="text-only posts")
    parser.add_argument("--images", type=int, default=400, help="posts with image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", type=Path, default=REPOSITORY_ROOT / "model_store")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    folder = data_dir()
    kinds = {"text": tweets(folder, chosen.posts), "image": memes(folder, chosen.images)}
    print(machine(), f"{len(kinds['text'])} posts of text, {len(kinds['image'])} with image", flush=True)
    tables = asyncio.run(measure(chosen.store, kinds, chosen.rounds))
    print_table("Posts of text judged a second", tables["text"])
    print_table("Posts with image and its words judged a second", tables["image"])
    write(chosen.out, {"posts": chosen.posts, "images": chosen.images, **tables})


if __name__ == "__main__":
    main()
