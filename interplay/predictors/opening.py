"""Opens the predictor of a stored model; the functions that ``interplay.served`` names.

Each imports its own predictor alone: a process that serves one model does not load the code of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interplay.served import Source
from interplay.store import StoredModel, resolve

if TYPE_CHECKING:
    from interplay.predictors.embedding.inside import ImageNetwork
    from interplay.predictors.embedding.text import TextEmbedder
    from interplay.predictors.hate_classifier.discreet import Discreet
    from interplay.predictors.locsens.image import ImageTagger
    from interplay.predictors.locsens.retriever import ImageRanker
    from interplay.predictors.locsens.tagger import PlaceTagger
    from interplay.predictors.style_transfer.describer import StyleDescriber
    from interplay.predictors.style_transfer.stylist import Stylist
    from interplay.predictors.text_detection.segmenter import TextSegmenter


def text_segmenter(stored: StoredModel, source: Source) -> TextSegmenter:
    """Photos to heatmaps."""
    from interplay.predictors.text_detection.segmenter import TextSegmenter

    return TextSegmenter.load(stored, device=source.device, threads=source.threads)


def stylist(stored: StoredModel, source: Source) -> Stylist:
    """Photos to restyled photos."""
    from interplay.predictors.style_transfer.stylist import Stylist

    return Stylist.load(stored, device=source.device, threads=source.threads)


def style_describer(stored: StoredModel, source: Source) -> StyleDescriber:
    """Pictures to vectors of their style."""
    from interplay.predictors.style_transfer.describer import StyleDescriber

    return StyleDescriber.load(stored, device=source.device, threads=source.threads)


def image_network(stored: StoredModel, source: Source) -> ImageNetwork:
    """Images to vectors, and the network from inside."""
    from interplay.predictors.embedding.image import ImageEmbedder
    from interplay.predictors.embedding.inside import ImageNetwork

    backbone = stored.manifest.details.get("backbone")
    return ImageNetwork(
        ImageEmbedder.load(
            stored,
            resolve(source.store, backbone) if backbone else None,
            device=source.device,
            threads=source.threads,
        )
    )


def text_embedder(stored: StoredModel, source: Source) -> TextEmbedder:
    """Texts to vectors."""
    from interplay.predictors.embedding.text import TextEmbedder

    return TextEmbedder.load(stored)


def image_tagger(stored: StoredModel, source: Source) -> ImageTagger:
    """Images to vectors and tags."""
    from interplay.predictors.locsens.image import ImageTagger

    return ImageTagger.open(
        source.store, stored.manifest.version, device=source.device, threads=source.threads
    )


def place_scorer(stored: StoredModel, source: Source) -> ImageRanker | PlaceTagger:
    """Scores at places: of images, or of tags, as the model's name says."""
    from interplay.predictors.locsens import retriever, tagger
    from interplay.predictors.locsens.image import MODEL, ImageTagger

    if source.threads is not None:
        import torch

        torch.set_num_threads(source.threads)
    kind = tagger.PlaceTagger if stored.manifest.name == tagger.MODEL else retriever.ImageRanker
    image = resolve(source.store, MODEL, source.version).manifest
    vectors = ImageTagger.open_tag_vectors(source.store, source.version)
    return kind.open(source.store, image, vectors, stored.manifest.version, device=source.device)


def hate_classifier(stored: StoredModel, source: Source) -> Discreet:
    """Posts to probabilities of hate, with reasons."""
    from interplay.predictors.hate_classifier.classifier import HateClassifier
    from interplay.predictors.hate_classifier.discreet import Discreet

    return Discreet(
        HateClassifier.open(
            source.store, stored.manifest.version, device=source.device, threads=source.threads
        )
    )
