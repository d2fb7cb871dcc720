"""Training what `hate-classifier` is made of: text scorer, caption scorer, image scorer, and their fusion.

What puts scores together, calibrates them and chooses thresholds is learnt from scores out of fold: of posts
that the scoring model did not see. The final members are then trained on all of train and dev.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression

from interplay.predictors.hate_classifier.fusion import WITH_TEXT, WITHOUT_TEXT, Bin, Fusion, Weighing
from interplay.predictors.hate_classifier.linear import LinearModel, combine
from interplay.predictors.hate_classifier.members import CaptionScorer, ImageScorer, TextScorer
from interplay.predictors.hate_classifier.text import tokens
from interplay.predictors.hate_classifier.words import LstmScorer
from interplay.store import StoredModel
from training.datasets.posts import MMHS_CATEGORIES, Post
from training.hate_classifier.linear import RECIPES, Recipe, cross_scores, fit, see
from training.hate_classifier.lstm import COMPACT, LstmOptions, LstmTask, texts_of, train_lstm
from training.hate_classifier.split import folds

CAPTION_RECIPES = {"nb": replace(RECIPES["nb"], c=0.1), "tfidf": replace(RECIPES["tfidf"], c=1.0)}
IMAGE_C = 1e-4
FOLDS, TWEET_BINS, MEME_BINS = 5, 20, 6


@dataclass(frozen=True)
class Fitted:
    """A trained classifier, and what it was calibrated on.

    Attributes:
        text: scorer of texts.
        caption: scorer of the words of images without text.
        image: scorer of the backbone's features.
        fusion: what puts them together.
        tweets: (N,) probability of each post of train and dev, out of fold.
        memes: (M,) probability of each meme, out of fold.
        memes_text: (M,) the same from the words alone.
        likeness: how far texts are of the kind learnt from (`ordinary.add_likeness`); None: all are.
        general: what judges the others (`general.fit_general`).
    """

    text: TextScorer
    caption: CaptionScorer
    image: ImageScorer
    fusion: Fusion
    tweets: np.ndarray
    memes: np.ndarray
    memes_text: np.ndarray
    likeness: LinearModel | None = None
    general: LinearModel | None = None


def fit_classifier(
    posts: Sequence[Post],
    memes: Sequence[Post],
    meme_features: np.ndarray,
    vectors: dict[str, np.ndarray],
    *,
    options: LstmOptions = COMPACT,
    recipes: dict[str, Recipe] = RECIPES,
    seed: int = 0,
) -> Fitted:
    """Trains all of it.

    Args:
        posts: tweets of train and dev.
        memes: words are in the image.
        meme_features: (M, F) of their images.
        vectors: published word vectors.
        options: of the LSTM.
        recipes: of the linear models.
        seed: of everything random.
    """
    labels = _labels(posts)
    linear_out, lstm_out, captions_out = out_of_fold(
        posts, vectors, options=options, recipes=recipes, seed=seed
    )
    both = np.stack([linear_out, lstm_out], axis=1)
    weights = LogisticRegression(C=1e3).fit(both, labels).coef_[0]
    text = TextScorer(
        combine({name: fit(posts, recipe).export() for name, recipe in recipes.items()}),
        _train_lstm(posts, vectors, options, seed),
        linear_weight=float(weights[0]),
        lstm_weight=float(weights[1]),
        kinds=_kinds(posts),
    )
    with_text, tweets = _weigh_tweets(labels, both @ weights, captions_out @ weights, _has_caption(posts))
    # Memes.
    worded = [replace(meme, text=meme.image_text or "", image_text=None) for meme in memes]
    said, _ = text.score([meme.text for meme in worded])
    truth, fold = _labels(memes), folds(worded, FOLDS)
    caption_out = _cross_captions(worded, truth, fold)
    image_out = cross_images(meme_features, truth, fold)
    columns = np.stack([caption_out, said, image_out], axis=1)
    centre = columns.mean(axis=0)
    fused = LogisticRegression(C=1.0).fit(columns - centre, truth)
    of_caption, of_said, of_image = (float(value) for value in fused.coef_[0])
    caption = CaptionScorer(
        combine({name: fit(worded, recipe).export() for name, recipe in CAPTION_RECIPES.items()}),
        of_said / of_caption,
    )
    image = fit_image(meme_features, truth)
    out = cross_fused(columns, truth, fold)
    alone = cross_fused(columns[:, :2], truth, fold)
    without_text = Weighing(
        float(fused.intercept_[0]),
        {"image_text": of_caption, "image": of_image},
        {
            "image_text": float(centre[0] + of_said / of_caption * centre[1]),
            "image": float(centre[2]),
        },
        bins(out, truth, MEME_BINS),
    )
    # Too few tweets come with their image to tell how much it says there: as much as beside a meme's words.
    with_text = replace(
        with_text,
        weights={**with_text.weights, "image": of_image},
        centres={**with_text.centres, "image": float(centre[2])},
    )
    fusion = Fusion(float(labels.mean()), {WITH_TEXT: with_text, WITHOUT_TEXT: without_text})
    return Fitted(text, caption, image, fusion, tweets, out, alone)


def out_of_fold(
    posts: Sequence[Post],
    vectors: dict[str, np.ndarray],
    *,
    options: LstmOptions = COMPACT,
    recipes: dict[str, Recipe] = RECIPES,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores by models of the other folds.

    Returns:
        (N,) of the linear models, (N,) of the LSTM, and (N, 2) of both for the image texts.
    """
    fold = folds(posts, FOLDS)
    linear, lstm, captions = np.zeros(len(posts)), np.zeros(len(posts)), np.zeros((len(posts), 2))
    read = [tokens(post.text) for post in posts]
    of_captions = [tokens(post.image_text or "") for post in posts]
    for number in range(FOLDS):
        inside = np.flatnonzero(fold == number)
        others = [post for post, of in zip(posts, fold, strict=True) if of != number]
        model = combine({name: fit(others, recipe).export() for name, recipe in recipes.items()})
        scorer = _train_lstm(others, vectors, options, seed)
        linear[inside] = _linear_scores(
            model, [posts[row].text for row in inside], [read[row] for row in inside]
        )
        lstm[inside] = scorer.score([read[row] for row in inside])[0]
        given = [row for row in inside if of_captions[row]]
        if given:
            words = [of_captions[row] for row in given]
            captions[given, 0] = _linear_scores(model, [posts[row].image_text or "" for row in given], words)
            captions[given, 1] = scorer.score(words)[0]
    return linear, lstm, captions


def fit_image(features: np.ndarray, labels: np.ndarray) -> ImageScorer:
    """Logistic regression of standardised features, as one of the features as they are."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    model = LogisticRegression(C=IMAGE_C, max_iter=2000).fit((features - mean) / deviation, labels)
    weights = (model.coef_[0] / deviation).astype(np.float16).astype(np.float32)
    return ImageScorer(weights, mean.astype(np.float16).astype(np.float32), float(model.intercept_[0]))


def cross_images(features: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(M,) score of each image by a model of the other folds."""
    found = np.zeros(len(labels))
    for number in np.unique(fold):
        model = fit_image(features[fold != number], labels[fold != number])
        found[fold == number] = model.score(features[fold == number])
    return found


def cross_fused(columns: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(M,) probability of each post by a regression of the other folds on scores, (M, K), out of fold."""
    found = np.zeros(len(labels))
    for number in np.unique(fold):
        model = LogisticRegression(C=1.0).fit(columns[fold != number], labels[fold != number])
        found[fold == number] = model.predict_proba(columns[fold == number])[:, 1]
    return found


def bins(probability: np.ndarray, labels: np.ndarray, number: int) -> list[Bin]:
    """Posts by their probability, in bins of about equal size."""
    order = np.argsort(probability, kind="stable")
    found = []
    for rows in np.array_split(order, number):
        found.append(Bin(float(probability[rows[-1]]), int(labels[rows].sum()), len(rows)))
    found[-1] = replace(found[-1], upto=1.0)
    return found


def _weigh_tweets(
    labels: np.ndarray, text: np.ndarray, captions: np.ndarray, has_caption: np.ndarray
) -> tuple[Weighing, np.ndarray]:
    """How text and image text are put together, and the probabilities that come of it out of fold."""
    centre = float(captions[has_caption].mean()) if has_caption.any() else 0.0
    columns = np.stack([text, np.where(has_caption, captions - centre, 0.0)], axis=1)
    model = LogisticRegression(C=1e3).fit(columns, labels)
    probability = model.predict_proba(columns)[:, 1]
    weights = {name: float(value) for name, value in zip(("text", "image_text"), model.coef_[0], strict=True)}
    return (
        Weighing(
            float(model.intercept_[0]),
            weights,
            {"text": 0.0, "image_text": centre},
            bins(probability, labels, TWEET_BINS),
        ),
        probability,
    )


def _train_lstm(
    posts: Sequence[Post], vectors: dict[str, np.ndarray], options: LstmOptions, seed: int
) -> LstmScorer:
    task = LstmTask(options, texts_of(posts, soft=options.soft), vectors, seed=seed)
    return task.scorer(train_lstm(task, seed=seed))


def _cross_captions(memes: Sequence[Post], labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    items = see(memes, list(CAPTION_RECIPES.values()))
    soft = labels.astype(np.float64)
    scores = [cross_scores(items, labels, soft, fold, recipe) for recipe in CAPTION_RECIPES.values()]
    return np.asarray(np.mean(scores, axis=0))


def _linear_scores(model: LinearModel, texts: Sequence[str], read: Sequence[list[str]]) -> list[float]:
    return [model.score(text, read=each) for text, each in zip(texts, read, strict=True)]


def _kinds(posts: Sequence[Post]) -> list[float]:
    """Log of how often annotators name each kind of hate."""
    counts = [sum(post.labels.count(name) for post in posts) + 1 for name in MMHS_CATEGORIES[1:]]
    return [float(value) for value in np.log(np.array(counts) / sum(counts))]


def _labels(posts: Sequence[Post]) -> np.ndarray:
    return np.array([bool(post.label) for post in posts])


def _has_caption(posts: Sequence[Post]) -> np.ndarray:
    return np.array([bool(tokens(post.image_text or "")) for post in posts])


def state(fitted: Fitted) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Configuration and arrays of the store's entry, numbers in sixteen bits."""
    text_config, text_arrays = fitted.text.linear.state()
    caption_config, caption_arrays = fitted.caption.linear.state()
    arrays = {f"linear.{name}": value for name, value in text_arrays.items()}
    arrays |= {f"caption.{name}": value for name, value in caption_arrays.items()}
    arrays |= {"image.weights": fitted.image.weights, "image.mean": fitted.image.mean}
    text: dict[str, Any] = {
        "linear": text_config,
        "linear_weight": fitted.text.linear_weight,
        "kinds": [float(value) for value in fitted.text.kinds],
    }
    if (lstm := fitted.text.lstm) is not None:
        arrays |= {
            "words.keys": lstm.words.keys,
            "words.vectors": lstm.words.vectors,
            "words.scale": lstm.words.scale,
        }
        for number, network in enumerate(lstm.networks):
            arrays |= {f"lstm.{number}.{name}": value.numpy() for name, value in network.state_dict().items()}
        text |= {
            "lstm": vars(lstm.networks[0].config),
            "networks": len(lstm.networks),
            "lstm_weight": fitted.text.lstm_weight,
        }
    more: dict[str, Any] = {}
    for key, model in (("likeness", fitted.likeness), ("general", fitted.general)):
        if model is not None:
            more[key], found = model.state()
            arrays |= {f"{key}.{name}": value for name, value in found.items()}
    halves = {
        name: np.ascontiguousarray(value.astype(np.float16) if value.dtype.kind == "f" else value)
        for name, value in arrays.items()
    }
    config: dict[str, Any] = {
        "text": text,
        "caption": {"linear": caption_config, "text_weight": fitted.caption.text_weight},
        "image": {"bias": fitted.image.bias},
        "fusion": fitted.fusion.config(),
        **more,
    }
    return config, halves


def read_fitted(stored: StoredModel, tweets: np.ndarray, memes: np.ndarray, memes_text: np.ndarray) -> Fitted:
    """The members of a published classifier, as `fit_classifier` gives them: no likeness.

    Args:
        stored: a verified entry of the store.
        tweets: see `Fitted`, as the others.
        memes:
        memes_text:
    """
    config, arrays = stored.manifest.config, load_file(stored.weights)
    image = ImageScorer(arrays["image.weights"], arrays["image.mean"], float(config["image"]["bias"]))
    return Fitted(
        TextScorer.from_state(config["text"], arrays),
        CaptionScorer.from_state(config["caption"], arrays),
        image,
        replace(Fusion.from_config(config["fusion"]), rest=0.0),
        tweets,
        memes,
        memes_text,
    )
