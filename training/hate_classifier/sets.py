"""What the likeness and the general model learn from beside MMHS150K's tweets, and what is reported on.

ToxiGen's statements, tweets of HatEval and Davidson, captions, ordinary tweets, and statements written for
this project (`statements.toml`), which are patterns with slots.
"""

import csv
import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.posts import Post, read_davidson, read_hateval, read_toxigen

STATEMENTS = Path(__file__).with_name("statements.toml")
FILLS, REJECTIONS = 12, 2  # of a pattern
HELD_OUT = 0.2  # of ToxiGen


@dataclass(frozen=True)
class Text:
    """A text to learn from.

    Attributes:
        text: as written.
        hate: how far it is hate, 0 to 1.
        source: the set that it is from.
        unit: what stays in one fold: a pattern, or the text itself.
    """

    text: str
    hate: float
    source: str
    unit: str


@dataclass(frozen=True)
class Sets:
    """Texts.

    Attributes:
        alike: of the kind trained on, beside MMHS150K's.
        ordinary: not of that kind.
        reported: by name, texts that play no role in training.
        general: what the general model learns from.
    """

    alike: list[str]
    ordinary: list[str]
    reported: dict[str, list[str]]
    general: list[Text] = field(default_factory=list)


def load_sets(data: Path, toxigen: Path) -> Sets:
    """Davidson's tweets, HatEval's English ones, Flickr8k's captions, ordinary tweets, and ToxiGen.

    Args:
        data: the data folder.
        toxigen: ToxiGen's `annotated_train.csv`.

    Raises:
        FileNotFoundError: the folder does not have them, or there is no such file.
    """
    rng = np.random.default_rng(0)
    davidson = list(read_davidson(data / "davidson" / "labeled_data.csv"))
    neither = [post.text for post in davidson if set(post.labels) == {"neither"}]
    offensive = [post.text for post in davidson if "neither" not in post.labels]
    said_hate = {post.text: post.labels.count("hate") / len(post.labels) for post in davidson}
    rng.shuffle(neither)
    rng.shuffle(offensive)
    folder = data / "hateval2019"
    hateval = list(read_hateval(folder / "2_Development-English-A_train_en.tsv"))
    other = list(read_hateval(folder / "2_Development-English-A_dev_en.tsv"))  # the test file has no labels
    with (data / "captions" / "flickr8k_captions.csv").open(newline="", encoding="utf-8") as stream:
        one_each = {row[0]: row[-1] for row in list(csv.reader(stream))[1:]}  # of each photo
    captions = [one_each[name] for name in sorted(one_each)]
    rng.shuffle(captions)
    lines = (data / "tweets_with_images" / "tweets.jsonl").read_text(encoding="utf-8").split("\n")
    tweets = [json.loads(line)["text"] for line in lines if line.strip()]
    learnt, held_out = read_parts(toxigen)
    parts: dict[str, list[tuple[str, float]]] = {
        "ToxiGen": [(post.text, float(post.label)) for post in learnt if post.label is not None],
        "HatEval": [(post.text, float(bool(post.label))) for post in hateval],
        "Davidson: hate or offensive": [(text, said_hate[text]) for text in offensive[:6000]],
        "Davidson: neither": [(text, 0.0) for text in neither[:-800]],
        "captions": [(text, 0.0) for text in captions[:2500]],
        "tweets": [(text, 0.0) for text in tweets[: len(tweets) // 2]],
    }
    general = [Text(text, hate, name, text) for name, rows in parts.items() for text, hate in rows]
    general += read_statements()
    alike = [text for text, _ in parts["Davidson: hate or offensive"]]
    alike += [text for text, hate in parts["HatEval"] if hate]
    # HatEval's and ToxiGen's name groups, too: else to name one would count as likeness.
    ordinary = [
        text for name in ("Davidson: neither", "captions", "tweets", "ToxiGen") for text, _ in parts[name]
    ]
    ordinary += [text for text, hate in parts["HatEval"] if not hate]
    reported = {
        "Davidson: neither": neither[-800:],
        "ordinary tweets": tweets[len(tweets) // 2 :],
        "captions of Flickr8k": captions[2500:3000],
        "Davidson: hate or offensive": offensive[6000:6800],
        "HatEval dev: not hate": [post.text for post in other if not post.label],
        "HatEval dev: hate": [post.text for post in other if post.label],
        "ToxiGen held out: not hate": [post.text for post in held_out if post.label is False],
        "ToxiGen held out: hate": [post.text for post in held_out if post.label],
    }
    seen = {text.text for text in general}
    return Sets(
        alike,
        ordinary,
        {name: [text for text in texts if text not in seen] for name, texts in reported.items()},
        general,
    )


def read_parts(file: Path) -> tuple[list[Post], list[Post]]:
    """ToxiGen's judged statements: those to learn from, and those held out, by a digest of the text."""
    parts: tuple[list[Post], list[Post]] = ([], [])
    for post in read_toxigen(file):
        parts[share_of("held out", post.text) < HELD_OUT].append(post)
    return parts


def read_statements(kind: str = "learnt", *, seed: int = 0) -> list[Text]:
    """The statements of `statements.toml`, with the groups "learnt" or "validation"."""
    table = tomllib.loads(STATEMENTS.read_text(encoding="utf-8"))
    return fill(table, table["groups"][kind], seed=seed)


def fill(table: dict[str, Any], groups: Sequence[Sequence[str]], *, seed: int = 0) -> list[Text]:
    """The statements of `statements.toml`, without repeats.

    Each pattern is filled `FILLS` times; every second time it is put into a frame. Hateful patterns are also
    put `REJECTIONS` times into a frame that makes them harmless.

    Args:
        table: the file.
        groups: which groups to name, [plural, singular] each.
        seed: of what is drawn.
    """
    random, frames = np.random.default_rng(seed), table["frames"]

    def pick(values: Sequence[Any]) -> Any:
        return values[random.integers(len(values))]

    def filled(pattern: str) -> str:
        plural, singular = pick(groups)
        words = {key: pick(values) for key, values in table["words"].items()}
        words |= {name: pick(table["groups"][name]) for name in ("others", "things")}
        return pattern.format(**words, groups=plural, group=singular)

    def framed(pattern: str) -> str:
        if pattern.startswith("{groups} ") and random.random() < 0.25:
            return str(pick(frames["parted"])).replace("{}", pattern.removeprefix("{groups} "))
        return str(pick(frames["same"])).replace("{}", pattern)

    found: dict[str, Text] = {}
    for kind, hate in (("hateful", 1.0), ("harmless", 0.0)):
        for name, patterns in table[kind].items():
            for pattern in patterns:
                unit = f"{name} {pattern}"
                made = [
                    filled(framed(pattern) if number % 2 else pattern)
                    for number in range(FILLS if "{" in pattern else 2)
                ]
                for text in made:
                    found.setdefault(text, Text(text, hate, f"statements: {kind}", unit))
                if hate:
                    for _ in range(REJECTIONS):
                        text = filled(str(pick(frames["rejected"])).replace("{}", pattern))
                        found.setdefault(text, Text(text, 0.0, "statements: harmless", unit))
    return list(found.values())


def share_of(purpose: str, text: str) -> float:
    """A number from 0 to 1 that looks drawn but depends on the text alone."""
    content = hashlib.sha256(f"{purpose} {text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(content[:8], "big") / 2**64
