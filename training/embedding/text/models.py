"""The eight text models of the thesis's Table 4.1, each trained on a corpus and turned into tables.

Settings are those of the thesis's code (LDA: one pass, words that come over 20 times; Word2Vec: CBOW,
window 8, 25 epochs; Doc2Vec: DBOW, window 8, 50 epochs; FastText: window 8, 25 epochs; GloVe: window
10, 30 epochs), at a dimension of 300 where the code has 400. "GloVe tf-idf" is the tf-idf weighted
mean that its name says; the thesis's code computes glove-python's paragraph vectors there.

gensim runs on one thread: with more, its result depends on how they are scheduled. Doc2Vec's inference
also depends on Python's hash of strings: set PYTHONHASHSEED to get the same vectors again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from snowballstemmer import stemmer

from interplay.predictors.embedding.word_table import WordTable
from training.embedding.text.corpus import Corpus
from training.embedding.text.glove import train_glove

DIMENSION = 300
LDA_MIN_COUNT = 21


@dataclass(frozen=True)
class TextModel:
    """A trained text model.

    Attributes:
        name: as in the thesis's table, in lower case with hyphens.
        table: what answers queries.
        embed: vectors of documents (words each) to regress from images, (N, D) float32.
    """

    name: str
    table: WordTable
    embed: Callable[[Sequence[Sequence[str]]], np.ndarray]


def table_model(name: str, corpus: Corpus, vectors: np.ndarray, *, tfidf: bool) -> TextModel:
    """A model whose documents are (weighted) means of their words' vectors."""
    weights = corpus.idf() if tfidf else np.ones(len(corpus.words), np.float32)
    table = WordTable(corpus.words, np.asarray(vectors, np.float32), weights)
    return TextModel(
        name, table, lambda documents: np.stack([table.pool(table.rows(document)) for document in documents])
    )


def train_lda(corpus: Corpus, topics: int, *, seed: int = 0, passes: int = 1) -> TextModel:
    """Latent Dirichlet allocation on stems. A word's vector is the distribution of topics given it."""
    from gensim.models import LdaModel

    stem = stemmer("porter").stemWord
    stems = Corpus.build(
        [" ".join(map(stem, words)) for words in corpus.documents], frozenset(), LDA_MIN_COUNT
    )

    def bag(document: Sequence[str]) -> list[tuple[int, int]]:
        numbers = stems.numbers([stem(word) for word in document])
        return sorted({number: numbers.count(number) for number in numbers}.items())

    names = dict(enumerate(stems.words))
    bags = [bag(document) for document in corpus.documents]
    # In single precision, gensim's own, the topics of short captions vanish below its epsilon from some
    # hundred topics on, and all words get one vector.
    model = LdaModel(bags, topics, names, chunksize=5000, passes=passes, random_state=seed, dtype=np.float64)
    by_topic = model.get_topics()  # (T, V): words given the topic
    share = model.inference(bags)[0].sum(0)  # (T,): how much of the corpus is of each topic
    given_word = (by_topic * share[:, None]).T
    given_word /= given_word.sum(1, keepdims=True)
    words = tuple(word for word in corpus.words if stem(word) in stems.index)
    vectors = np.stack([given_word[stems.index[stem(word)]] for word in words]).astype(np.float32)
    table = WordTable(words, vectors, np.ones(len(words), np.float32))

    def embed(documents: Sequence[Sequence[str]]) -> np.ndarray:
        gamma = model.inference([bag(document) for document in documents])[0]
        return np.asarray(gamma / gamma.sum(1, keepdims=True), np.float32)

    return TextModel(f"lda-{topics}", table, embed)


def train_word2vec(corpus: Corpus, *, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    """Vectors of Word2Vec (CBOW), (V, D)."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        corpus.documents, vector_size=dimension, window=8, min_count=1, epochs=25, sg=0, seed=seed, workers=1
    )
    return np.stack([model.wv[word] for word in corpus.words])


def train_fasttext(corpus: Corpus, *, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    """Vectors of FastText (CBOW), subwords included, (V, D)."""
    from gensim.models import FastText

    model = FastText(
        corpus.documents, vector_size=dimension, window=8, min_count=1, epochs=25, bucket=200_000, seed=seed,
        workers=1,
    )  # fmt: skip
    return np.stack([model.wv[word] for word in corpus.words])


def train_doc2vec(corpus: Corpus, *, dimension: int = DIMENSION, seed: int = 0) -> TextModel:
    """Doc2Vec (DBOW). A word's vector is the one inferred for it as a document."""
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    tagged = [TaggedDocument(document, [number]) for number, document in enumerate(corpus.documents)]
    model = Doc2Vec(
        tagged, dm=0, vector_size=dimension, window=8, min_count=10, epochs=50, seed=seed, workers=1
    )

    def infer(document: Sequence[str]) -> np.ndarray:
        model.random.seed(seed)
        return np.asarray(model.infer_vector(list(document), epochs=50), np.float32)

    words = tuple(word for word in corpus.words if word in model.wv)
    vectors = np.stack([infer([word]) for word in words])
    table = WordTable(words, vectors, np.ones(len(words), np.float32))
    return TextModel("doc2vec", table, lambda documents: np.stack([infer(words) for words in documents]))


def train_all(
    corpus: Corpus, names: Sequence[str], *, dimension: int = DIMENSION, seed: int = 0
) -> list[TextModel]:
    """Trains the named models; those of one kind share its vectors.

    Args:
        corpus: what they are trained on.
        names: of `NAMES`.
        dimension: of all but LDA.
        seed: of everything random.

    Raises:
        ValueError: an unknown name.
    """
    unknown = set(names) - set(NAMES)
    if unknown:
        raise ValueError(f"unknown text model {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    vectors: dict[str, np.ndarray] = {}
    kinds: dict[str, Callable[[], np.ndarray]] = {
        "word2vec": lambda: train_word2vec(corpus, dimension=dimension, seed=seed),
        "fasttext": lambda: train_fasttext(corpus, dimension=dimension, seed=seed),
        "glove": lambda: train_glove(
            [corpus.numbers(document) for document in corpus.documents],
            len(corpus.words), dimension=dimension, seed=seed, progress=True,
        ),
    }  # fmt: skip
    models = []
    for name in names:
        kind, _, variant = name.partition("-")
        if kind == "lda":
            models.append(train_lda(corpus, int(variant), seed=seed))
        elif kind == "doc2vec":
            models.append(train_doc2vec(corpus, dimension=dimension, seed=seed))
        else:
            if kind not in vectors:
                vectors[kind] = kinds[kind]()
            models.append(table_model(name, corpus, vectors[kind], tfidf=variant == "tfidf"))
    return models


NAMES = (
    "lda-200", "lda-400", "word2vec-mean", "word2vec-tfidf", "doc2vec", "glove-mean", "glove-tfidf",
    "fasttext-tfidf",
)  # fmt: skip
