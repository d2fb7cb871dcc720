"""Scores the published embedding through the predictors that serve it.

    python -m training.embedding.evaluate --part held_out [--report report.json] [--sheets SHEETS]

Mean P@5 over 100 queries of one word and 100 of two, chosen by frequency in the part's captions, with 95 %
intervals (bootstrap over queries); then the thesis's 24 queries as contact sheets to look at. A photo
counts as right when all words of the query, or their lemmas, stand in its caption.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from interplay.media.draw import contact_sheet
from interplay.media.images import decode, encode_jpeg
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.predictors.embedding.text import TextEmbedder
from interplay.store import resolve
from training.datasets.captions import CaptionedImage
from training.embedding.compare import result_of
from training.embedding.data import PARTS, load_part
from training.embedding.queries import THESIS_SINGLE, THESIS_TWO, Relevance, frequent_queries
from training.embedding.scores import precision_at

_BATCH = 32


def load_embedders(store: Path, version: int | None = None) -> tuple[ImageEmbedder, TextEmbedder]:
    """The published predictors of images and words."""
    return ImageEmbedder.open(store, version), TextEmbedder.load(resolve(store, "embedding-words", version))


def embed_photos(embedder: ImageEmbedder, items: Sequence[CaptionedImage]) -> np.ndarray:
    """(N, D) float32 vectors of photos."""
    vectors = []
    for start in tqdm(range(0, len(items), _BATCH), desc="photos", mininterval=5):
        images = [decode(item.content()) for item in items[start : start + _BATCH]]
        vectors += [result.vector for result in embedder.predict(images)]
    return np.stack(vectors)


def query_embedder(words: TextEmbedder) -> Callable[[Sequence[str]], np.ndarray]:
    """Vector of a query: the sum of its words' vectors, as the search makes it."""
    return lambda query: np.sum([words.embed(word).vector for word in query], axis=0)


def draw_queries(
    queries: Sequence[str], embed: Callable[[Sequence[str]], np.ndarray], images: np.ndarray,
    items: Sequence[CaptionedImage], relevance: Relevance, count: int = 5, cell: int = 200,
) -> bytes:  # fmt: skip
    """A sheet (JPEG) with a row for each query: its best photos with their cosines.

    Args:
        queries: words with spaces between them.
        embed: vector of a query's words.
        images: (N, D) vectors of the photos.
        items: the photos.
        relevance: of them; + marks those whose caption has the query's words.
        count: photos of a query.
        cell: side of a photo's place in pixels.
    """
    photos, captions = [], []
    for query in queries:
        vector = embed(query.split())
        scores = images @ (vector / max(float(np.linalg.norm(vector)), 1e-9))
        best = np.argsort(-scores, kind="stable")[:count]
        right = relevance.right(query.split())
        photos += [decode(items[i].content()) for i in best]
        captions += [f"{scores[i]:.2f}{'+' if right[i] else ''} {query}" for i in best]
    return encode_jpeg(contact_sheet(photos, captions, columns=count, cell=cell), quality=80)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--version", type=int)
    parser.add_argument("--part", choices=PARTS, default="held_out")
    parser.add_argument("--queries", type=int, default=100, help="of each kind; default: 100")
    parser.add_argument("--report", type=Path, help="write a JSON report")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of the thesis's queries")
    args = parser.parse_args()
    image, words = load_embedders(args.store, args.version)
    items = load_part(args.part)
    captions = [item.captions for item in items]
    relevance = Relevance.of(captions)
    images, embed = embed_photos(image, items), query_embedder(words)
    stop_words = frozenset(words.manifest.details["stop_words"])
    scores = {
        name: precision_at(frequent_queries(captions, stop_words, n, args.queries), embed, images, relevance)
        for name, n in (("single", 1), ("two", 2))
    }
    report = {
        "part": args.part,
        "photos": len(items),
        "digests": [image.manifest.digest, words.manifest.digest],
        **result_of(scores),
    }
    print(json.dumps(report, indent=2))
    if args.report:
        args.report.write_text(json.dumps(report, indent=2) + "\n")
    if args.sheets:
        args.sheets.mkdir(parents=True, exist_ok=True)
        for query in (*THESIS_SINGLE, *THESIS_TWO):
            sheet = draw_queries([query], embed, images, items, relevance)
            (args.sheets / f"{query.replace(' ', '-')}.jpg").write_bytes(sheet)
        for file, queries in (("all-single.jpg", THESIS_SINGLE), ("all-two.jpg", THESIS_TWO)):
            (args.sheets / file).write_bytes(draw_queries(queries, embed, images, items, relevance, cell=112))


if __name__ == "__main__":
    main()
