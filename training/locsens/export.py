"""Publishes what training.locsens.experiment has trained: the image model and both scorers.

    python -m training.locsens.experiment --world WORLD --features FEATURES --out OUT
    python -m training.locsens.export --world WORLD --experiment OUT --version 1 [--paper RUN]

`locsens-image` is MCC on the shared backbone, whose vocabulary is the world's; `locsens-retrieval` and
`locsens-tagging` name it. With --paper it is one network: MCC and the ResNet-50 of that run of
`training.locsens.paper`, whose features the experiment was made on. The metrics in the manifests are the
experiment's, on the world's test photos.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from interplay.predictors.locsens import image, retriever, tagger
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish, resolve
from training.checkpoints import latest_checkpoint
from training.locsens.data import TaggedPhotos, load_photos
from training.locsens.experiment import run_folder
from training.locsens.features import BACKBONE
from training.locsens.near import near_tags
from training.locsens.paper import read_run

RETRIEVAL, TAGGING = "sampling 0.01", "raw"  # by val photos
LICENSE = "Research use: photos keep Flickr's terms"
DATA = [
    {
        "name": "COCO photos and captions (40,000 photos)",
        "license": "captions CC BY 4.0, photos Flickr terms",
    },
    {
        "name": "a simulated world of places and tags for them (docs/locsens-world.md)",
        "license": "names CC BY 4.0 (GeoNames) and Unicode-3.0 (CLDR)",
        "simulated": True,
    },
]
IMAGENET = [{"name": "ImageNet", "license": "research", "use": "weights that training started from"}]


def trained(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Averaged weights of a run, and what `run.json` says of it.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        raise FileNotFoundError(
            f"{folder} has no checkpoint; python -m training.locsens.experiment trains it"
        )
    return load_file(checkpoint / "ema.safetensors"), json.loads((folder / "run.json").read_text())


def export_image(
    store: Path,
    out: Path,
    photos: TaggedPhotos,
    results: dict[str, Any],
    *,
    version: int,
    paper: Path | None = None,
) -> StoredModel:
    """Publishes the image model; see `export`."""
    weights, run = trained(out / "images" / "mcc")
    config: dict[str, Any] = run["task"]["head"]
    details: dict[str, Any] = {"photos": photos.counts().tolist()}
    of = results.get("features_of")
    if paper is None:
        if of is not None:
            raise ValueError(f"{out} was made on features of the network {of}: name its run (--paper)")
        backbone = resolve(store, BACKBONE).manifest
        details |= {
            "side": backbone.details["side"],
            "backbone": backbone.name,
            "backbone_sha256": backbone.weights_sha256,
        }
    else:
        network, facts = read_run(paper)
        if of != facts["weights_sha256"]:
            raise ValueError(
                f"{out} was made on features of {of or 'the shared backbone'}, and {paper} has the network "
                f"{facts['weights_sha256']}"
            )
        state = network.backbone.state_dict()
        weights |= {f"{image.BACKBONE_PREFIX}{key}": value for key, value in state.items()}
        config = {"backbone": facts["task"]["backbone"], **config}
        details |= {"side": facts["task"]["side"], "short_side": facts["task"]["short_side"]}
        kept = ("task", "step", "seed", "data_digest", "torch", "commit", "weights_sha256")
        run["backbone"] = {key: facts[key] for key in kept}
    return _publish(
        store, weights, run, name=image.MODEL, architecture="tag_head", version=version, config=config,
        description="Images to vectors and tags without places: MCC (thesis 5.3.1)",
        labels=tuple(photos.vocabulary), details=details,
        metrics={
            "plain_p10": results["plain_p10"]["MCC"], "retrieval": results["retrieval"]["MCC"],
            "tagging": results["tagging"]["MCC"],
        },
    )  # fmt: skip


def export(
    store: Path,
    out: Path,
    photos: TaggedPhotos,
    results: dict[str, Any],
    *,
    version: int,
    paper: Path | None = None,
) -> list[StoredModel]:
    """Publishes the three models.

    Args:
        store: root of the model store; has the backbone, unless `paper` is given.
        out: folder of the experiment.
        photos: that it was trained on.
        results: its `results.json`.
        version: positive.
        paper: run of `training.locsens.paper` that made the features.

    Raises:
        FileNotFoundError: a run has no checkpoint.
        ValueError: the features were not made by that network.
    """
    published = [export_image(store, out, photos, results, version=version, paper=paper)]
    of_image = {"image": image.MODEL, "image_sha256": published[0].manifest.weights_sha256}
    near = {key: torch.from_numpy(value) for key, value in near_tags(photos).items()}
    for task, name, model, described, further in (
        ("retrieval", RETRIEVAL, retriever.MODEL, "images for a tag", {}),
        ("tagging", TAGGING, tagger.MODEL, "tags of an image", near),
    ):
        weights, run = trained(run_folder(out, task, name))
        run["task"]["schedule"] = results["schedules"][f"{task} {name}"]
        published.append(
            _publish(
                store, weights, run, name=model, architecture="locsens", version=version,
                config=run["task"]["network"], description=f"LocSens: {described} at a place (thesis 5.3.2)",
                details=of_image, metrics={task: results[task][f"LocSens, {name}"]}, further=further,
            )
        )  # fmt: skip
    return published


def _publish(
    store: Path,
    weights: dict[str, torch.Tensor],
    run: dict[str, Any],
    *,
    further: dict[str, torch.Tensor] | None = None,
    **facts: Any,
) -> StoredModel:
    halves = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in weights.items()
    }
    manifest = Manifest(
        capability="locsens",
        license=LICENSE,
        parameters=sum(value.numel() for value in weights.values()),
        training={"recipe": "docs/locsens.md"}
        | {key: run[key] for key in ("task", "seed", "data_digest", "torch", "backbone") if key in run},
        data=DATA + (IMAGENET if run.get("backbone", {}).get("task", {}).get("weights") else []),
        parent_commit=run["commit"],
        **facts,
    )
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / WEIGHTS_FILE
        save_file({**halves, **(further or {})}, file)
        return publish(store, manifest, file)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, required=True, help="that the experiment was made on")
    parser.add_argument("--experiment", type=Path, required=True, help="its folder")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--paper", type=Path, help="run of training.locsens.paper that made the features")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    args = parser.parse_args()
    results = json.loads((args.experiment / "results.json").read_text())
    photos = load_photos(args.world, "train")
    for stored in export(
        args.store, args.experiment, photos, results, version=args.version, paper=args.paper
    ):
        size = stored.manifest.weights_bytes / 1e6
        print(f"{stored.manifest.name} {stored.manifest.version}: {size:.2f} MB, {stored.manifest.digest}")


if __name__ == "__main__":
    main()
