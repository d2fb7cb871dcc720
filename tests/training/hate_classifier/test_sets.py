"""What is learnt from beside the tweets: statements from patterns, and parts that do not overlap."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from training.hate_classifier.sets import (
    FILLS,
    HELD_OUT,
    REJECTIONS,
    STATEMENTS,
    fill,
    load_sets,
    read_parts,
    read_statements,
    share_of,
)
from training.text_detection.paths import data_dir

TABLE = {
    "groups": {"others": ["lawyers"], "things": ["weeds"]},
    "frames": {
        "same": ["honestly , {}"],
        "rejected": ["it is wrong to say {}"],
        "parted": ["so many {groups} ! they {}"],
    },
    "words": {"bad": ["awful", "vile", "nasty"]},
    "hateful": {"disgust": ["{groups} are {bad}"]},
    "harmless": {"objects": ["{things} are {bad}", "hello"]},
}


def test_patterns_are_filled_and_framed() -> None:
    found = fill(TABLE, [["jews", "jew"], ["women", "woman"]])
    hateful = [text for text in found if text.hate]
    assert 2 < len(hateful) <= FILLS and {text.unit for text in hateful} == {"disgust {groups} are {bad}"}
    assert any(text.text.startswith("honestly , ") or "they are" in text.text for text in hateful)
    rejected = [text for text in found if text.text.startswith("it is wrong to say")]
    assert 0 < len(rejected) <= REJECTIONS and all(text.hate == 0 for text in rejected)
    assert rejected[0].unit == hateful[0].unit  # so that they stay in one fold
    assert "hello" in {text.text for text in found} and len({text.text for text in found}) == len(found)
    assert fill(TABLE, [["jews", "jew"], ["women", "woman"]]) == found


def test_statements_at_hand() -> None:
    table = tomllib.loads(STATEMENTS.read_text(encoding="utf-8"))
    patterns = {
        kind: [each for rows in table[kind].values() for each in rows] for kind in ("hateful", "harmless")
    }
    assert all(len(rows) >= 80 and len(set(rows)) == len(rows) for rows in patterns.values())
    assert not set(patterns["hateful"]) & set(patterns["harmless"])
    learnt, others = read_statements(), read_statements("validation")
    assert not any("{" in text.text for text in learnt + others)
    named = {name for pair in table["groups"]["learnt"] for name in pair}
    assert not named & {name for pair in table["groups"]["validation"] for name in pair}
    assert not {text.text for text in learnt if text.hate} & {text.text for text in learnt if not text.hate}


def test_parts_depend_on_the_text_alone(tmp_path: Path) -> None:
    rows = [f'"text {n}",women,{1 + n % 5}' for n in range(400)]
    for name, lines in (("a.csv", rows), ("b.csv", rows[::-1])):
        (tmp_path / name).write_text("\n".join(["text,target_group,toxicity_human", *lines]))
    learnt, held_out = read_parts(tmp_path / "a.csv")
    assert abs(len(held_out) / 400 - HELD_OUT) < 0.06 and len(learnt) + len(held_out) == 400
    assert {post.text for post in read_parts(tmp_path / "b.csv")[1]} == {post.text for post in held_out}
    drawn = np.array([share_of("test", str(n)) for n in range(2000)])
    assert drawn.min() >= 0 and drawn.max() < 1 and abs(drawn.mean() - 0.5) < 0.03


def test_sets_at_hand_do_not_overlap(tmp_path: Path) -> None:
    file = tmp_path / "annotated_train.csv"
    rows = [f'"text {n}",women,{1 + n % 5}' for n in range(50)]
    file.write_text("\n".join(["text,target_group,toxicity_human", *rows]))
    try:
        sets = load_sets(data_dir(), file)
    except FileNotFoundError:
        pytest.skip("the data folder has not all sets")
    trained = {*sets.alike, *sets.ordinary, *(text.text for text in sets.general)}
    assert len(sets.alike) > 9000 and len(sets.ordinary) > 9000 and len(sets.general) > 20_000
    for name, texts in sets.reported.items():
        assert len(texts) >= (1 if "ToxiGen" in name else 240) and not trained.intersection(texts), name
