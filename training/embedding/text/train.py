"""Trains text models and embeds captions with them.

    python -m training.embedding.text.train --out TEXT [--models word2vec-tfidf glove-tfidf ...]
    python -m training.embedding.text.train --out TEXT --vectors glove.6B.300d.txt --models pretrained-tfidf

For every model TEXT/NAME.npz holds its table of words and the vectors of the training captions. The
second form takes vectors in the text format of word2vec or GloVe instead of training them.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interplay.predictors.embedding.tokens import tokenize
from interplay.predictors.embedding.word_table import WordTable
from training.embedding.data import PARTS, SOURCES, load_captions, load_part
from training.embedding.text.corpus import Corpus, load_stop_words
from training.embedding.text.models import DIMENSION, NAMES, TextModel, table_model, train_all

MIN_COUNT = 3


@dataclass(frozen=True)
class SavedText:
    """A text model on disk.

    Attributes:
        name: of the model.
        table: its words.
        targets: (N, D) float32, vectors of the captions that it was saved with, in their order.
    """

    name: str
    table: WordTable
    targets: np.ndarray


def save_text(model: TextModel, captions: list[str], stop_words: frozenset[str], file: Path) -> None:
    """Writes a model and its vectors of some captions."""
    targets = model.embed([tokenize(caption, stop_words) for caption in captions])
    table = model.table
    np.savez(file, words=np.array(table.words), vectors=table.vectors, weights=table.weights, targets=targets)


def load_text(file: Path) -> SavedText:
    """Reads what `save_text` wrote."""
    with np.load(file, allow_pickle=False) as saved:
        table = WordTable(tuple(saved["words"].tolist()), saved["vectors"], saved["weights"])
        return SavedText(file.stem, table, saved["targets"])


def read_vectors(file: Path, words: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """Vectors of some words from a text file of word2vec (with a head line) or GloVe (without).

    Args:
        file: a word and its numbers a line, parted by spaces.
        words: those wanted.

    Returns:
        The words that the file has, in the order given, and their (V, D) float32 vectors.

    Raises:
        ValueError: a line has another number of columns, or no word was found.
    """
    wanted, found, width = set(words), {}, None
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            word, *numbers = line.rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue
            width = width or len(numbers)
            if len(numbers) != width:
                raise ValueError(f"{file}, line {number}: {len(numbers)} numbers, but {width} before")
            if word in wanted and word not in found:
                found[word] = np.array(numbers, np.float32)
    kept = tuple(word for word in words if word in found)
    if not kept:
        raise ValueError(f"{file} has none of the corpus's {len(words)} words")
    return kept, np.stack([found[word] for word in kept])


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--models",
        nargs="+",
        default=list(NAMES),
        metavar="NAME",
        help=f"of {', '.join(NAMES)}; default: all",
    )
    parser.add_argument(
        "--sources",
        nargs="+",
        choices=SOURCES,
        default=["coco", "flickr8k"],
        help="corpora; default: coco flickr8k",
    )
    parser.add_argument(
        "--part",
        choices=PARTS,
        default="train",
        help="photos for whose captions vectors are kept; default: train",
    )
    parser.add_argument("--vectors", type=Path, help="pre-trained vectors instead")
    parser.add_argument("--dimension", type=int, default=DIMENSION)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    stop_words = load_stop_words()
    corpus = Corpus.build(load_captions(sources=args.sources), stop_words, MIN_COUNT)
    print(f"{len(corpus.documents)} captions, {len(corpus.words)} words that come {MIN_COUNT} times")
    captions = [text for item in load_part(args.part) for text in item.captions]
    args.out.mkdir(parents=True, exist_ok=True)
    if args.vectors is not None:
        words, vectors = read_vectors(args.vectors, corpus.words)
        counts = tuple(corpus.counts[corpus.index[word]] for word in words)
        known = Corpus(corpus.documents, words, counts)
        models = [
            table_model(f"pretrained-{v}", known, vectors, tfidf=v == "tfidf") for v in ("mean", "tfidf")
        ]
        models = [model for model in models if model.name in args.models]
    else:
        models = train_all(corpus, args.models, dimension=args.dimension, seed=args.seed)
    for model in models:
        file = args.out / f"{model.name}.npz"
        save_text(model, captions, stop_words, file)
        print(f"{file}: {len(model.table.words)} words, {model.table.dimension} numbers each")


if __name__ == "__main__":
    main()
