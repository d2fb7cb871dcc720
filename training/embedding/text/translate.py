"""Dictionaries for query words of other languages, learned from captions in several languages.

    python -m training.embedding.text.translate --cldr package/annotations \\
        --stamps /usr/share/tuxpaint/stamps --text TEXT/glove-tfidf.npz --out dictionaries.json

Captions are the Unicode consortium's names of emoji (npm `cldr-annotations-modern`, Unicode licence) and
those of Tux Paint's stamps (Debian `tuxpaint-stamps-default`), both in dozens of languages. Words are
aligned by IBM model 1 (Brown et al. 1993) in both directions; a pair is kept where both agree. Function
words of the other language fall out, since they align with none or with many words.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from interplay.predictors.embedding.tokens import tokenize
from training.embedding.text.corpus import load_stop_words
from training.embedding.text.train import load_text

Pair = tuple[list[str], list[str]]  # words of the other language, English words
_STAMP_LINE = re.compile(r"^(\w+)\.utf8=(.+)$")
_ROUNDS = 8
_LEAST = 0.25  # product of both directions' probabilities


def read_cldr(folder: Path, language: str) -> Iterator[tuple[str, str]]:
    """Names of emoji in a language and in English."""

    def names(code: str) -> dict[str, str]:
        content = json.loads((folder / code / "annotations.json").read_text(encoding="utf-8"))
        found = content["annotations"]["annotations"]
        return {key: value["tts"][0] for key, value in found.items() if value.get("tts")}

    english = names("en")
    for key, name in names(language).items():
        if key in english:
            yield name, english[key]


def read_stamps(folder: Path, language: str) -> Iterator[tuple[str, str]]:
    """Captions of Tux Paint's stamps in a language and in English."""
    for file in sorted(folder.rglob("*.txt")):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        captions = dict(match.groups() for line in lines if (match := _STAMP_LINE.match(line)))
        if lines and language in captions:
            yield captions[language], lines[0]


def align(pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """IBM model 1: for each word of the first side, the probability of each word of the second."""
    chance: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(lambda: 1.0))
    for _ in range(_ROUNDS):
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for sources, targets in pairs:
            for target in targets:
                weights = {source: chance[source][target] for source in (*sources, "")}
                total = sum(weights.values())
                for source, weight in weights.items():
                    counts[source][target] += weight / total
        chance = defaultdict(
            lambda: defaultdict(float),
            {
                source: defaultdict(float, {target: n / sum(row.values()) for target, n in row.items()})
                for source, row in counts.items()
            },
        )
    return {source: dict(row) for source, row in chance.items() if source}


def dictionary(pairs: Sequence[Pair], known: frozenset[str]) -> dict[str, list[str]]:
    """Words of the other language and the known English words that they stand for, best first."""
    forward, backward = align(pairs), align([(targets, sources) for sources, targets in pairs])
    entries = {}
    for word, row in sorted(forward.items()):
        scored = {
            english: chance * backward.get(english, {}).get(word, 0.0)
            for english, chance in row.items()
            if english in known
        }
        best = sorted(
            (english for english, score in scored.items() if score >= _LEAST), key=lambda e: -scored[e]
        )
        if best and best != [word]:
            entries[word] = best[:2]
    return entries


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cldr", type=Path, required=True, help="annotations folder of the npm package")
    parser.add_argument("--stamps", type=Path, required=True, help="folder of Tux Paint's stamps")
    parser.add_argument("--text", type=Path, required=True, help="text model whose words count as known")
    parser.add_argument("--languages", nargs="+", default=["es", "ca", "fr", "de"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    stop_words = load_stop_words()
    known = frozenset(load_text(args.text).table.words)
    result = {}
    for language in args.languages:
        texts = [*read_cldr(args.cldr, language), *read_stamps(args.stamps, language)]
        pairs = [(tokenize(other), tokenize(english, stop_words)) for other, english in texts]
        result[language] = dictionary([pair for pair in pairs if all(pair)], known)
        print(f"{language}: {len(texts)} captions, {len(result[language])} words")
    args.out.write_text(json.dumps(result, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
