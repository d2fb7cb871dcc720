"""The split of the 10,000 tweets of MMHS150K at hand: about 7,000 train, 1,000 dev, 2,000 held out.

    python -m training.hate_classifier.split

The rule: tweets that say the same (`groups`) stay together; groups are ordered by the SHA-256 of their
smallest id, the first 2,000 tweets are held out and only reported on, the next 1,000 choose thresholds
and settings, the others train. `folds` parts any posts in the same way for cross-validation.

The set's own parts play no role: they were drawn at random from one source, and share texts.
"""

import argparse
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.datasets.posts import Post, read_mmhs_jsonl
from training.text_detection.paths import data_dir

HELD_OUT, DEV = 2000, 1000
NEAR = 0.8  # Jaccard index of the word sets from which two texts count as one
SHORTEST = 4  # different words; shorter texts are only grouped if all their words are the same

# The rule's own view of a text, so that a change of the models' normalisation does not move the split.
_SKIPPED = re.compile(r"https?://\S*|@\w+|&\w+;")
_WORD = re.compile(r"[^\W\d_]+")


def groups(posts: Sequence[Post]) -> list[list[int]]:
    """Posts that say the same, as a retweet or a form letter does.

    Two posts belong together if their sets of words, without URLs, names and numbers, are the same, or,
    from `SHORTEST` words on, if their Jaccard index is at least `NEAR`; and so on through third posts.
    A post without words stands alone.

    Returns:
        Indexes of posts, ascending; groups in the order of their first post.
    """
    words = [frozenset(_WORD.findall(_SKIPPED.sub(" ", post.text).casefold())) for post in posts]
    parent = list(range(len(posts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_with: dict[frozenset[str], int] = {}
    for index, said in enumerate(words):
        if said:
            parent[root(index)] = root(first_with.setdefault(said, index))
    frequency = Counter(word for said in first_with for word in said)
    rare_to: dict[str, list[int]] = defaultdict(list)
    for said, index in first_with.items():
        if len(said) < SHORTEST:
            continue
        # Sets with a Jaccard index of at least NEAR share one of these rarest words (prefix filtering).
        prefix = len(said) - int(np.ceil(NEAR * len(said) - 1e-9)) + 1
        for word in sorted(said, key=lambda word: (frequency[word], word))[:prefix]:
            for other in rare_to[word]:
                if len(said & words[other]) >= NEAR * len(said | words[other]):
                    parent[root(index)] = root(other)
            rare_to[word].append(index)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(posts)):
        members[root(index)].append(index)
    return sorted(members.values())


def split(posts: Sequence[Post]) -> dict[str, list[Post]]:
    """Applies the rule: parts "train", "dev" and "held_out", each in the order of the posts.

    A part takes whole groups until it has its number, so it may be larger by a group less one.
    """
    found = {"train": [], "dev": [], "held_out": []}
    for group in _ordered(posts, "split"):
        if len(found["held_out"]) < HELD_OUT:
            found["held_out"] += group
        elif len(found["dev"]) < DEV:
            found["dev"] += group
        else:
            found["train"] += group
    return {part: [posts[index] for index in sorted(indexes)] for part, indexes in found.items()}


def folds(posts: Sequence[Post], number: int = 5) -> np.ndarray:
    """The fold of each post, 0 to number - 1: (N,) integers. Groups stay whole; folds are about equal.

    Raises:
        ValueError: fewer than two folds, or more folds than groups.
    """
    ordered = _ordered(posts, "folds")
    if not 2 <= number <= len(ordered):
        raise ValueError(f"the number of folds must be from 2 to the {len(ordered)} groups, not {number}")
    fold, sizes = np.empty(len(posts), dtype=np.int64), [0] * number
    for group in ordered:
        smallest = sizes.index(min(sizes))
        fold[group] = smallest
        sizes[smallest] += len(group)
    return fold


def load_split(data: Path | None = None) -> dict[str, list[Post]]:
    """Reads and splits the tweets of the data folder.

    Raises:
        FileNotFoundError: the folder does not have them.
    """
    return split(list(read_mmhs_jsonl((data or data_dir()) / "mmhs150k" / "tweets.jsonl")))


def digest(parts: dict[str, list[Post]]) -> str:
    """SHA-256 of which post lies where: what a model's manifest says it was trained on."""
    lines = sorted(f"{part} {post.id}" for part, posts in parts.items() for post in posts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _ordered(posts: Sequence[Post], purpose: str) -> list[list[int]]:
    def key(group: list[int]) -> str:
        smallest = min(posts[index].id for index in group)
        return hashlib.sha256(f"{purpose} {smallest}".encode()).hexdigest()

    return sorted(groups(posts), key=key)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    args = parser.parse_args()
    parts = load_split(args.data)
    for part, posts in parts.items():
        print(f"{part:9} {len(posts):5} posts, {np.mean([bool(post.label) for post in posts]):.3f} hate")
    together = Counter(len(group) for group in groups([post for posts in parts.values() for post in posts]))
    print("groups by size:", ", ".join(f"{size}: {count}" for size, count in sorted(together.items())))
    print("sha256", digest(parts))


if __name__ == "__main__":
    main()
