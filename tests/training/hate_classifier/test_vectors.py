"""Word vectors in both formats, and the table of eight bits that they end in."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from interplay.predictors.hate_classifier.words import WordVectors
from training.hate_classifier.vectors import read_vectors


def test_glove_text(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("<user> 0.5 -1\nhello 1 2.5\n… 3 4\n", encoding="utf-8")
    found = read_vectors(file, ["hello", "…", "absent"])
    assert sorted(found) == ["hello", "…"]
    assert found["hello"].dtype == np.float32 and found["hello"].tolist() == [1, 2.5]


@pytest.mark.parametrize(
    ("text", "said"), [("a 1 2\nb 1\n", "line 2: expected 2"), ("a 1 x\n", "line 1: not a number")]
)
def test_wrong_glove_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "glove.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_vectors(file, ["a", "b"])


def test_wink_package(tmp_path: Path) -> None:
    file = tmp_path / "wink.tgz"
    content = json.dumps({"dimensions": 2, "vectors": {"hello": [1, 2, 9.9, 0], "other": [3, 4, 9.9, 1]}})
    with tarfile.open(file, "w:gz") as package:
        for name, text in (("package/package.json", "{}"), ("package/vectors.json", content)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            package.addfile(member, io.BytesIO(text.encode()))
    assert {word: vector.tolist() for word, vector in read_vectors(file, ["hello", "x"]).items()} == {
        "hello": [1, 2]
    }


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_vectors(tmp_path / "absent.txt", [])


def test_eight_bits_are_near_and_find_their_words() -> None:
    rng = np.random.default_rng(0)
    vectors = {f"word{n}": rng.normal(size=20).astype(np.float32) for n in range(50)}
    unknown = rng.normal(size=20).astype(np.float32)
    packed = WordVectors.pack(vectors, unknown)
    rows = packed.rows([*vectors, "never seen"])
    assert rows[-1] == 0 and len(set(rows.tolist())) == 51
    found = packed.look_up(rows)
    expected = np.stack([*vectors.values(), unknown])
    assert np.abs(found - expected).max() < np.abs(expected).max() / 100
    assert packed.rows([]).shape == (0,)


def test_table_that_does_not_fit_is_refused() -> None:
    keys, vectors, scale = np.array([1, 2]), np.zeros((3, 4), np.int8), np.ones(3, np.float32)
    WordVectors(keys, vectors, scale)
    for bad in (
        (keys[::-1].copy(), vectors, scale),
        (keys, vectors[:2], scale),
        (keys, vectors.astype(np.int16), scale),
        (keys, vectors, scale * np.nan),
    ):
        with pytest.raises(ValueError):
            WordVectors(*bad)
