"""Publishes a checkpoint of `training.text_detection.train` to the model store.

    python -m training.text_detection.export --run RUN --store model_store --version 1

The averaged weights are stored in float16. Preprocessing and thresholds come from
`recipe.json` beside this file, where `training.text_detection.tune` puts what it finds
on the dev photos; nothing of it is typed twice. `--metrics` adds the report of
`training.text_detection.evaluate` to the manifest.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from interplay.models.textfcn import build_textfcn
from interplay.store import WEIGHTS_FILE, Manifest, Preprocessing, StoredModel, publish
from training.checkpoints import latest_checkpoint
from training.text_detection.task import MEAN, STD

RECIPE_FILE = Path(__file__).with_name("recipe.json")
LABELS = {2: ("background", "text"), 3: ("background", "text border", "word core")}
DATA: list[dict[str, Any]] = [
    {
        "name": "ICDAR 2015 Incidental Scene Text, 150 test photos (icdar2015_split.txt)",
        "license": "none stated; research use (RRC)",
        "use": "training photos",
    },
    {
        "name": "ICDAR 2015 Incidental Scene Text, training set: word crops and word positions",
        "license": "none stated; research use (RRC)",
        "use": "pasted into synthetic scenes",
    },
    {
        "name": "COCO photos without text",
        "license": "Flickr terms of each photo",
        "use": "backgrounds and negative examples",
    },
    {"name": "COCO captions", "license": "CC BY 4.0", "use": "words to draw"},
    {
        "name": "Debian fonts (debian_fonts.txt)",
        "license": "free licences of each font",
        "use": "drawn words",
    },
    {"name": "EfficientNet-Lite0 ImageNet weights", "license": "Apache-2.0", "use": "initial backbone"},
]


def read_recipe() -> dict[str, Any]:
    """Preprocessing and thresholds of the published model."""
    return json.loads(RECIPE_FILE.read_text())


def export_weights(
    state: dict[str, torch.Tensor],
    model: dict[str, Any],
    store: Path,
    *,
    name: str,
    version: int,
    training: dict[str, Any],
    commit: str | None,
    data: list[dict[str, Any]],
    metrics: dict[str, Any] | None = None,
    recipe: dict[str, Any] | None = None,
) -> StoredModel:
    """Publishes weights with all that serving needs to know of them.

    Args:
        state: state dict of `build_textfcn(model)`.
        model: its configuration.
        store: root of the model store.
        name: of the model, e.g. "textfcn-compact".
        version: positive.
        training: how it was trained.
        commit: of the code that trained it.
        data: sets trained on, with licence and use.
        metrics: measured through the serving predictor.
        recipe: preprocessing and thresholds; those of `recipe.json` by default.

    Raises:
        RuntimeError: the weights do not fit the configuration.
    """
    network = build_textfcn(model)
    network.load_state_dict(state)
    recipe = recipe or read_recipe()
    manifest = Manifest(
        name=name,
        version=version,
        capability="text_detection",
        architecture="textfcn",
        config=model,
        description="Per-pixel text probability (thesis 3.1): which pixels belong to text of any script.",
        license="Research use: some of the training data states no licence",
        preprocessing=Preprocessing(mean=MEAN, std=STD, **recipe["preprocessing"]),
        labels=LABELS[network.config.classes],
        thresholds=recipe["thresholds"],
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        training=training,
        data=data,
        metrics=metrics or {},
        parent_commit=commit,
    )
    half = {
        key: value.contiguous().to(torch.float16) if value.is_floating_point() else value
        for key, value in state.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file(half, weights)
        return publish(store, manifest, weights)


def export_run(
    run: Path, store: Path, *, name: str, version: int, metrics: dict[str, Any] | None = None
) -> StoredModel:
    """Publishes the averaged weights of a run's newest checkpoint.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    facts = json.loads((checkpoint / "state.json").read_text())
    training = {
        "recipe": "docs/text_detection.md",
        "steps": facts["step"],
        "minutes": round(facts["elapsed_s"] / 60, 1),
        "seed": facts["seed"],
        "data_digest": facts["data_digest"],
        "torch": facts["torch"],
        "task": facts["task"],
    }
    return export_weights(
        load_file(checkpoint / "ema.safetensors"),
        facts["task"]["model"],
        store,
        name=name,
        version=version,
        training=training,
        commit=facts["commit"],
        data=DATA,
        metrics=metrics,
    )


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of training.text_detection.train")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--name", default="textfcn-compact")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--metrics", type=Path, help="JSON report of training.text_detection.evaluate")
    args = parser.parse_args()
    metrics = json.loads(args.metrics.read_text()) if args.metrics else None
    stored = export_run(args.run, args.store, name=args.name, version=args.version, metrics=metrics)
    print(f"{stored.directory}: {stored.manifest.weights_bytes / 1e6:.1f} MB, {stored.manifest.digest}")


if __name__ == "__main__":
    main()
