"""Corpora, GloVe, gensim's models and dictionaries on captions that are made up."""

import json
from pathlib import Path

import numpy as np
import pytest

from interplay.predictors.embedding.tokens import tokenize
from training.embedding.text.corpus import Corpus, load_stop_words
from training.embedding.text.glove import cooccurrences, train_glove
from training.embedding.text.models import NAMES, train_all, train_lda
from training.embedding.text.train import load_text, read_vectors, save_text
from training.embedding.text.translate import dictionary, read_cldr, read_stamps

ANIMALS, VEHICLES = ("dog", "cat", "horse", "cow"), ("car", "bus", "train", "truck")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Captions of two subjects that share no words."""
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(600):
        subject, place = ((ANIMALS, "meadow farm grass"), (VEHICLES, "road street station"))[rng.integers(2)]
        texts.append(
            f"a {' and a '.join(rng.choice(subject, 2))} on the {' '.join(rng.permutation(place.split()))}"
        )
    return Corpus.build(texts, load_stop_words(), 5)


def cosine(vectors: np.ndarray, corpus: Corpus, one: str, other: str) -> float:
    a, b = vectors[corpus.index[one]], vectors[corpus.index[other]]
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_corpus_keeps_frequent_words(corpus: Corpus) -> None:
    places = ("meadow", "farm", "grass", "road", "street", "station")
    assert set(corpus.words) == {*ANIMALS, *VEHICLES, *places}
    assert list(corpus.counts) == sorted(corpus.counts, reverse=True)
    small = Corpus.build(["x1 y1", "x1"], frozenset(), 2)
    assert small.words == ("x1",) and small.documents == [["x1"], ["x1"]]
    with pytest.raises(ValueError, match="no word of the 1 texts comes 3 times"):
        Corpus.build(["x1 y1"], frozenset(), 3)


def test_inverse_document_frequencies() -> None:
    corpus = Corpus.build(["aa bb", "aa", "aa cc cc", "aa"], frozenset(), 1)
    idf = dict(zip(corpus.words, corpus.idf(), strict=True))
    assert idf["aa"] == 0 and idf["bb"] == idf["cc"] == pytest.approx(np.log(4))


def test_cooccurrences_count_by_distance() -> None:
    pairs, counts = cooccurrences([[0, 1, 2], [0, 1]], window=2)
    found = {tuple(pair): count for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)}
    assert found == {(0, 1): 2.0, (1, 0): 2.0, (1, 2): 1.0, (2, 1): 1.0, (0, 2): 0.5, (2, 0): 0.5}
    assert (0, 2) not in {tuple(pair) for pair in cooccurrences([[0, 1, 2]], window=1)[0].tolist()}


def test_glove_brings_words_of_a_subject_together(corpus: Corpus) -> None:
    documents = [corpus.numbers(document) for document in corpus.documents]
    vectors = train_glove(documents, len(corpus.words), dimension=16, epochs=30, batch_size=64)
    assert vectors.shape == (len(corpus.words), 16) and np.isfinite(vectors).all()
    assert cosine(vectors, corpus, "dog", "horse") > cosine(vectors, corpus, "dog", "bus") + 0.2
    again = train_glove(documents, len(corpus.words), dimension=16, epochs=30, batch_size=64)
    np.testing.assert_array_equal(vectors, again)


@pytest.mark.slow
def test_all_eight_models_tell_subjects_apart(corpus: Corpus, tmp_path: Path) -> None:
    documents = [["dog", "farm"], ["cow", "grass", "meadow"], ["bus", "street"], ["train", "station", "road"]]
    texts = [" ".join(document) for document in documents]
    models = train_all(corpus, NAMES, dimension=24)
    assert [model.name for model in models] == list(NAMES)
    for model in models:
        save_text(model, texts, frozenset(), tmp_path / f"{model.name}.npz")
        saved = load_text(tmp_path / f"{model.name}.npz")
        assert saved.name == model.name and saved.table.words == model.table.words
        np.testing.assert_array_equal(saved.table.vectors, model.table.vectors)
        assert saved.targets.shape == (4, model.table.dimension) and np.isfinite(saved.targets).all()
        if model.name.startswith("lda"):
            assert saved.targets.min() >= 0 and saved.targets.sum(1) == pytest.approx(np.ones(4), abs=1e-4)
            continue  # 200 topics of 14 words say nothing
        if model.name == "doc2vec":
            continue  # what it infers for two or three words is mostly chance
        unit = saved.targets - saved.targets.mean(0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        scores = unit @ unit.T
        assert min(scores[0, 1], scores[2, 3]) > max(scores[0, 2:].max(), scores[1, 2:].max()), model.name


@pytest.mark.slow
@pytest.mark.parametrize("topics", [200, 400])
def test_many_topics_of_short_captions_do_not_vanish(topics: int) -> None:
    """In gensim's single precision all words get one vector, 1 / topics in each place."""
    rng = np.random.default_rng(0)
    words = np.array([[f"{a}{b}" for b in "abcdefgh"] for a in "bcdfghjklmnpqrst"])  # 16 subjects, 8 words
    captions = [" ".join(rng.choice(words[number % 16], 5)) for number in range(6000)]
    table = train_lda(Corpus.build(captions, frozenset(), 1), topics).table
    assert np.ptp(table.vectors, axis=0).max() > 0.2


def test_unknown_models_are_named() -> None:
    corpus = Corpus.build(["aa bb"], frozenset(), 1)
    with pytest.raises(ValueError, match="unknown text model bert; known: lda-200"):
        train_all(corpus, ["bert"])


@pytest.mark.parametrize("head", ["", "3 2\n"])
def test_vectors_in_text_formats(tmp_path: Path, head: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text(f"{head}dog 1 2\nthe 0 0\ncafé 3 4.5\n", encoding="utf-8")
    words, vectors = read_vectors(file, ("café", "cat", "dog"))
    assert words == ("café", "dog") and vectors.tolist() == [[3, 4.5], [1, 2]]
    with pytest.raises(ValueError, match="has none of the corpus's 1 words"):
        read_vectors(file, ("cat",))
    file.write_text("dog 1 2\ncat 1\n")
    with pytest.raises(ValueError, match="line 2: 1 numbers, but 2 before"):
        read_vectors(file, ("dog",))


def test_dictionaries_come_from_aligned_captions(tmp_path: Path) -> None:
    pairs = [("un perro", "a dog"), ("un gato", "a cat"), ("el perro y el gato", "the dog and the cat"),
             ("una playa", "a beach"), ("perro en la playa", "dog at the beach"), ("el sol", "sun"),
             ("el coche", "car"), ("el tren", "train")]  # fmt: skip
    words = [(tokenize(other), tokenize(english, {"the", "and", "at"})) for other, english in pairs]
    found = dictionary(words, frozenset({"dog", "cat", "beach"}))
    assert found == {"perro": ["dog"], "gato": ["cat"], "playa": ["beach"]}


def test_readers_of_parallel_captions(tmp_path: Path) -> None:
    for language, names in (("en", {"🐕": "dog", "🐈": "cat"}), ("es", {"🐕": "perro", "🦊": "zorro"})):
        (tmp_path / language).mkdir()
        content = {"annotations": {"annotations": {key: {"tts": [name]} for key, name in names.items()}}}
        (tmp_path / language / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    assert list(read_cldr(tmp_path, "es")) == [("perro", "dog")]
    (tmp_path / "frog.txt").write_text("A frog.\nca@valencia.utf8=Granota\nes.utf8=Una rana.\nde.utf8=\n")
    assert list(read_stamps(tmp_path, "es")) == [("Una rana.", "A frog.")]
    assert list(read_stamps(tmp_path, "de")) == []
