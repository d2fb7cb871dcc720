"""Error rates by what a post speaks of: a model card's question.

Posts are sorted by neutral names of groups, which may stand for several words, and by classes of insults,
which are named but never printed. A post may be in several sets.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from interplay.predictors.hate_classifier.fusion import wilson
from interplay.predictors.hate_classifier.text import normalize
from training.datasets.posts import MMHS_CATEGORIES, Post

FEWEST = 15  # of a class, below which a rate says nothing

# Groups by neutral terms, as their members call themselves; word starts.
GROUPS = {
    "women": r"wom[ae]n|girls?|females?|ladies|feminis\w+",
    "men": r"men|man|boys?|males?|guys?",
    "black people": r"blacks?|african\w*",
    "white people": r"whites?|caucasian\w*",
    "gay people": r"gays?|lesbian\w*|lgbt\w*|homosexual\w*|queer",
    "trans people": r"trans|transgender\w*",
    "muslims": r"muslims?|islam\w*",
    "jews": r"jews?|jewish",
    "christians": r"christian\w*|church\w*",
    "immigrants": r"immigra\w+|migrants?|refugees?|border",
    "disabled people": r"disab\w+|autis\w+|special needs",
    "americans": r"americans?|america|usa",
    "mexicans": r"mexic\w+|latin[oax]s?|hispanic\w*",
    "asians": r"asians?|chin(?:a|ese)|japan\w*",
}
# Insults by whom they are aimed at, as the set was gathered by such words. Written so that none is legible
# to somebody who leafs through the file: stems, of which the classes alone are ever shown.
KEYWORDS = {
    "insults of black people": r"n[i1]g\w+",
    "insults of women": r"(?:c[u]nt|b[i1]tch|wh[o]re|sl[u]t|h[o]es?)\w*",
    "insults of gay people": r"(?:f[a]g|d[y]ke|h[o]mo\b)\w*",
    "insults of disabled people": r"(?:ret[a]rd|m[o]ng)\w*",
    "insults of poor white people": r"(?:r[e]dneck|wh[i]te trash|hillb\w+|cr[a]cker)\w*",
}


def error_rates(posts: Sequence[Post], probability: np.ndarray, threshold: float) -> list[dict[str, Any]]:
    """False alarms and misses of posts, in all and by what they speak of.

    Args:
        posts: with labels.
        probability: (N,) of hate.
        threshold: from which a post is called hate.

    Returns:
        Rows with "kind" ("all", "group", "keyword" or "label"), "name", "posts", "hate" (how many people
        called so), and, as [rate, low, high] or None where there are fewer than `FEWEST`: "false_alarms"
        of the rest and "misses" of the hate.
    """
    labels = np.array([bool(post.label) for post in posts])
    texts = [normalize(post.text) for post in posts]
    rows = [_row("all", "all posts", np.ones(len(posts), bool), labels, probability >= threshold)]
    for kind, patterns in (("group", GROUPS), ("keyword", KEYWORDS)):
        for name, pattern in patterns.items():
            word = re.compile(rf"\b(?:{pattern})\b")
            inside = np.array([bool(word.search(text)) for text in texts])
            rows.append(_row(kind, name, inside, labels, probability >= threshold))
    for name in MMHS_CATEGORIES[1:]:
        inside = np.array([post.labels.count(name) >= 2 for post in posts])
        rows.append(_row("label", name, inside, labels, probability >= threshold))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| posts that speak of | posts | hate | false alarms | misses |", "|---|---|---|---|---|"]
    for row in rows:
        if row["posts"] < FEWEST:
            continue
        rates = [_share(row[name]) for name in ("false_alarms", "misses")]
        name = row["name"] if row["kind"] != "label" else f"label {row['name']}"
        lines.append(f"| {name} | {row['posts']} | {row['hate']} | {rates[0]} | {rates[1]} |")
    return "\n".join(lines)


def _row(kind: str, name: str, inside: np.ndarray, labels: np.ndarray, called: np.ndarray) -> dict[str, Any]:
    hate, rest = inside & labels, inside & ~labels
    return {
        "kind": kind,
        "name": name,
        "posts": int(inside.sum()),
        "hate": int(hate.sum()),
        "false_alarms": _rate(called[rest]),
        "misses": _rate(~called[hate]),
    }


def _rate(wrong: np.ndarray) -> list[float] | None:
    if len(wrong) < FEWEST:
        return None
    low, high = wilson(int(wrong.sum()), len(wrong))
    return [round(float(value), 4) for value in (wrong.mean(), low, high)]


def _share(rate: list[float] | None) -> str:
    return "–" if rate is None else f"{rate[0]:.2f} [{rate[1]:.2f}, {rate[2]:.2f}]"
