"""Publishes the backbone, the image head and the words of the embedding.

    python -m training.embedding.export --backbone --version 1
    python -m training.embedding.export --run RUN --text TEXT/glove-tfidf.npz --features FEATURES \\
        --dictionaries dictionaries.json --version 1

The first form publishes EfficientNet-Lite0 with ImageNet's weights as `backbone-lite0`, which the heads of
several capabilities share. The second publishes a head trained on its features (`embedding-image`) and the
table of words (`embedding-words`), which name each other's space; before them, if the run trained it, too,
the backbone.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from interplay.models.image_embedding import EmbeddingHead, GoogLeNetFeatures, HeadConfig, Lite0Features
from interplay.predictors.embedding.word_table import WordTable
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish, resolve
from training.checkpoints import latest_checkpoint
from training.embedding.data import load_part
from training.embedding.features import SIDE
from training.embedding.task import HeadModel
from training.embedding.text.corpus import load_stop_words
from training.embedding.text.train import SavedText, load_text
from training.embedding.train import SearchSet, calibrate, load_features, prepare
from training.imagenet import load_lite0

BACKBONE = "backbone-lite0"
# Captions name a part of what a photo shows, so a hit whose caption has the word with a chance of a fifth
# mostly shows it.
RELEVANT = 0.2
DATA = [
    {
        "name": "COCO photos and captions (40,000 photos)",
        "license": "captions CC BY 4.0, photos Flickr terms",
    },
    {"name": "Flickr8k captions", "license": "research, non-commercial", "use": "text model"},
]
DICTIONARY_DATA = [
    {"name": "Unicode CLDR, names of emoji", "license": "Unicode-3.0", "use": "dictionaries"},
    {"name": "Tux Paint stamps, captions", "license": "GPL-2.0", "use": "dictionaries"},
]
LICENSE = "Research use: some of the training captions forbid commercial use, photos keep Flickr's terms"


def export_backbone(
    store: Path,
    version: int,
    network: Lite0Features | None = None,
    training: dict[str, Any] | None = None,
    commit: str | None = None,
) -> StoredModel:
    """Publishes EfficientNet-Lite0 without its classifier.

    Args:
        store: root of the model store.
        version: positive.
        network: whose last stages were trained; ImageNet's by default.
        training: how.
        commit: of the code that trained it.
    """
    if network is None:
        network = Lite0Features()
        load_lite0(network)
        origin, data = "as ImageNet left it", []
    else:
        origin, data = "whose last two stages were trained to embed photos by their captions", DATA[:1]
    manifest = Manifest(
        name=BACKBONE,
        version=version,
        capability="embedding",
        architecture="image_backbone",
        config={"backbone": "efficientnet_lite0"},
        description=f"EfficientNet-Lite0 {origin}: 1,280 pooled features of an image",
        license=LICENSE if data else "Apache-2.0",
        details={"side": SIDE},
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        training=training or {"recipe": "ImageNet classification by its authors; not trained here"},
        data=[{"name": "ImageNet", "license": "research", "use": "weights of the published network"}, *data],
        parent_commit=commit,
    )
    return _publish(store, manifest, network.state_dict())


def export_embedding(
    head: EmbeddingHead,
    table: WordTable,
    store: Path,
    *,
    version: int,
    odds: tuple[float, float],
    training: dict[str, Any],
    commit: str | None,
    dictionaries: dict[str, dict[str, list[str]]] | None = None,
    metrics: dict[str, Any] | None = None,
    googlenet: GoogLeNetFeatures | None = None,
) -> tuple[StoredModel, StoredModel]:
    """Publishes words and image model, in this order.

    Args:
        head: maps features into the table's space: those of the newest backbone of the store.
        table: words; their vectors are stored as float16.
        store: root of the model store.
        version: positive.
        odds: slope and offset of `calibrate`.
        training: how both were trained.
        commit: of the code that trained them.
        dictionaries: by language, words of the table that foreign words stand for.
        metrics: measured through the serving predictors.
        googlenet: whose features the head maps; published with it, as one network.
    """
    known = set(table.words)
    translations = {
        language: {
            word: " ".join(kept)
            for word, english in entries.items()
            if (kept := [e for e in english if e in known])
        }
        for language, entries in (dictionaries or {}).items()
    }
    words = _publish(
        store,
        Manifest(
            name="embedding-words",
            version=version,
            capability="embedding",
            architecture="word_table",
            config={"dimension": table.dimension},
            description="Words in the space of images: a table of vectors (thesis 4.3)",
            license=LICENSE,
            details={"stop_words": sorted(load_stop_words()), "translations": translations},
            thresholds={"odds_slope": odds[0], "odds_offset": odds[1], "relevant": RELEVANT},
            parameters=table.vectors.size + table.weights.size,
            training=training,
            data=DATA + (DICTIONARY_DATA if translations else []),
            metrics=metrics or {},
            parent_commit=commit,
        ),
        {
            "words": torch.from_numpy(table.encoded_words().copy()),
            "vectors": torch.from_numpy(table.vectors),
            "weights": torch.from_numpy(table.weights),
        },
    )
    config, details = (
        head.config,
        {"words": words.manifest.name, "words_sha256": words.manifest.weights_sha256},
    )
    state = {f"head.{key}": value for key, value in head.state_dict().items()}
    parameters = list(head.parameters())
    if googlenet is None:
        backbone, of = resolve(store, BACKBONE), ("embedding_head", "a head on EfficientNet-Lite0")
        details |= {
            "side": backbone.manifest.details["side"],
            "backbone": BACKBONE,
            "backbone_sha256": backbone.manifest.weights_sha256,
        }
    else:
        of = ("image_embedding", "GoogLeNet")
        details |= {"side": SIDE}
        state |= {f"backbone.{key}": value for key, value in googlenet.state_dict().items()}
        parameters += googlenet.parameters()
    image = _publish(
        store,
        Manifest(
            name="embedding-image",
            version=version,
            capability="embedding",
            architecture=of[0],
            config={
                "backbone": "efficientnet_lite0" if googlenet is None else "googlenet",
                "inputs": config.inputs,
                "dimension": config.dimension,
                "hidden": config.hidden,
                "space": config.space,
            },
            description=f"Images in the space of words: {of[1]} (thesis 4.3)",
            license=LICENSE,
            details=details,
            parameters=sum(parameter.numel() for parameter in parameters),
            training=training,
            data=DATA,
            metrics=metrics or {},
            parent_commit=commit,
        ),
        state,
    )
    return words, image


def read_run(run: Path, text: SavedText) -> tuple[HeadModel, WordTable, dict[str, Any]]:
    """Model and table of a run's newest checkpoint (averaged weights), and the checkpoint's facts.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    facts = json.loads((checkpoint / "state.json").read_text())
    options = facts["task"]
    table, _ = prepare(text, options["loss"])
    backbone = Lite0Features() if options["backbone"] else None
    head = EmbeddingHead(HeadConfig(**options["head"]))
    model = HeadModel(head, table, options["temperature"], backbone=backbone)
    model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    if options["tune_words"]:
        vectors = model.words.weight[:-1].detach().numpy()
        table = WordTable(table.words, vectors, np.ones(len(vectors), np.float32))
    return model.eval(), table, facts


def training_record(facts: dict[str, Any], text: SavedText) -> dict[str, Any]:
    """What a manifest tells of a run: the facts of its checkpoint."""
    return {
        "recipe": "docs/embedding.md",
        "text_model": text.name,
        "steps": facts["step"],
        "minutes": round(facts["elapsed_s"] / 60, 1),
        "seed": facts["seed"],
        "data_digest": facts["data_digest"],
        "torch": facts["torch"],
        "task": facts["task"],
    }


def _publish(store: Path, manifest: Manifest, state: dict[str, torch.Tensor]) -> StoredModel:
    half = {
        key: value.detach().contiguous().to(torch.float16 if value.is_floating_point() else value.dtype)
        for key, value in state.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file(half, weights)
        return publish(store, manifest, weights)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", action="store_true", help="publish the backbone")
    parser.add_argument("--run", type=Path, help="folder of training.embedding.train")
    parser.add_argument("--text", type=Path, help="the text model that it was trained with")
    parser.add_argument(
        "--features", type=Path, help="folder of training.embedding.features, for calibration"
    )
    parser.add_argument("--dictionaries", type=Path, help="JSON of training.embedding.text.translate")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--metrics", type=Path, help="JSON report of training.embedding.evaluate")
    args = parser.parse_args()
    if args.backbone:
        published = [export_backbone(args.store, args.version)]
    elif args.run is None or args.text is None or args.features is None:
        parser.error("--run, --text and --features, or --backbone, are required")
    else:
        text = load_text(args.text)
        model, table, facts = read_run(args.run, text)
        tuned = model.backbone is not None
        dev = SearchSet.of(load_part("dev"), load_features(args.features, "dev", maps=tuned))
        training = training_record(facts, text)
        odds = calibrate(dev, model.embed(dev.features), table)
        published = []
        if tuned:
            published.append(
                export_backbone(args.store, args.version, model.backbone, training, facts["commit"])
            )
        published += list(
            export_embedding(
                model.head, table, args.store, version=args.version, odds=odds,
                training=training, commit=facts["commit"],
                dictionaries=json.loads(args.dictionaries.read_text()) if args.dictionaries else None,
                metrics=json.loads(args.metrics.read_text()) if args.metrics else None,
            )
        )  # fmt: skip
    for stored in published:
        print(f"{stored.directory}: {stored.manifest.weights_bytes / 1e6:.1f} MB, {stored.manifest.digest}")


if __name__ == "__main__":
    main()
