"""Publishes a trained style model.

    python -m training.style_transfer.export --run RUN --model scene --version 1 [--metrics report.json]
    python -m training.style_transfer.export --perceptual vgg_normalised_conv3_1.pth --version 1

The weights are stored as fp16 safetensors; the manifest carries the styles' names and
colours. The second form publishes the perceptual network that `interplay style learn`
and "the region's own style" need.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from interplay.models.style_transformer import build_style_transformer
from interplay.predictors.style_transfer.words import ink_and_paper
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish
from training.checkpoints import latest_checkpoint
from training.style_transfer.sources import MODELS, load_perceptual, load_styles
from training.style_transfer.styles import StyleImage
from training.text_detection.paths import data_dir

# Heat below this is taken as none in the selective mode: between none and the thesis's 200 / 255, not tuned.
HEAT_FLOOR = 0.3

_ICDAR = {"name": "ICDAR 2015 word crops (training part)", "license": "none stated (RRC: research)"}
_COCO = {"name": "COCO photos", "license": "Flickr terms of each photo", "use": "content"}
_SYNTH = {"name": "drawn text (training.synth)", "license": "the project's own", "use": "content"}
_IAM = {"name": "IAM words, 10 forms", "license": "research, non-commercial"}
DATA = {
    "scene": [{**_ICDAR, "use": "styles and content"}, _COCO, _SYNTH],
    "print": [
        {
            "name": "fonts of training/style_transfer/fonts.txt",
            "license": "SIL OFL 1.1, Apache-2.0, AGPL-3.0 with font exception",
            "use": "styles",
        },
        {**_ICDAR, "use": "content"},
        {**_IAM, "use": "content"},
        _SYNTH,
    ],
    "handwriting": [{**_IAM, "use": "styles and content"}, {**_ICDAR, "use": "content"}, _SYNTH],
    "selective": [
        {**_ICDAR, "use": "styles"},
        {"name": "ICDAR 2015 photos", "license": "none stated (RRC: research)", "use": "content"},
        _COCO,
        _SYNTH,
    ],
}
DESCRIPTION = {
    "scene": "Restyles text like words of real scenes (thesis 3.2.5, scene text)",
    "print": "Restyles text like printed fonts (thesis 3.2.5, machine printed text)",
    "handwriting": "Restyles text like the hands of writers (thesis 3.2.5, handwritten text)",
    "selective": "Restyles the text of a photo and leaves the rest, without a detector (thesis 3.2.4)",
}


def style_facts(styles: list[StyleImage]) -> list[dict[str, Any]]:
    """What the manifest says of each style: its source and its two colours."""
    facts = []
    for style in styles:
        ink, paper = ink_and_paper(style.image)
        facts.append(
            {"source": style.source, "ink": [round(v) for v in ink], "paper": [round(v) for v in paper]}
        )
    return facts


def export_weights(
    state: dict[str, torch.Tensor],
    store: Path,
    *,
    model: str,
    version: int,
    styles: list[StyleImage],
    training: dict[str, Any],
    commit: str | None,
    metrics: dict[str, Any] | None = None,
) -> StoredModel:
    """Publishes a style transformer.

    Args:
        state: its state dict.
        store: root of the model store.
        model: one of `MODELS`, or "selective".
        version: positive.
        styles: in the order of the rows.
        training: how it was trained.
        commit: of the code that trained it.
        metrics: measured through the serving predictor.

    Raises:
        RuntimeError: the weights do not fit.
    """
    config = {"preset": "paper", "styles": len(styles), **({"gate": True} if model == "selective" else {})}
    network = build_style_transformer(config)
    network.load_state_dict(state)
    manifest = Manifest(
        name=f"style-{model}",
        version=version,
        capability="style_transfer",
        architecture="style_transformer",
        config=config,
        description=DESCRIPTION[model],
        license="Research use: some of the training data states no licence or forbids commercial use",
        labels=tuple(style.name for style in styles),
        details={"domain": styles[0].domain, "styles": style_facts(styles)},
        thresholds={"heat_floor": HEAT_FLOOR},
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        training=training,
        data=DATA[model],
        metrics=metrics or {},
        parent_commit=commit,
    )
    return _publish(store, manifest, state)


def export_run(
    run: Path, store: Path, *, model: str, version: int, styles: list[StyleImage], metrics: dict | None = None
) -> StoredModel:
    """Publishes the averaged weights of a run's newest checkpoint.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        ValueError: the run was made with other styles.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    facts = json.loads((checkpoint / "state.json").read_text())
    names = [style.name for style in styles]
    if facts["task"]["styles"] != names:
        raise ValueError(f"{run} was trained for the styles {facts['task']['styles']}, not {names}")
    training = {
        "recipe": "docs/style_transfer.md",
        "steps": facts["step"],
        "minutes": round(facts["elapsed_s"] / 60, 1),
        "seed": facts["seed"],
        "data_digest": facts["data_digest"],
        "torch": facts["torch"],
        "task": facts["task"],
    }
    state = load_file(checkpoint / "ema.safetensors")
    return export_weights(
        state,
        store,
        model=model,
        version=version,
        styles=styles,
        training=training,
        commit=facts["commit"],
        metrics=metrics,
    )


def export_perceptual(file: Path, store: Path, version: int) -> StoredModel:
    """Publishes VGG-19's part from its published file."""
    network = load_perceptual(file)
    manifest = Manifest(
        name="perceptual-vgg19",
        version=version,
        capability="style_transfer",
        architecture="perceptual",
        config={"kind": network.config.kind},
        description="VGG-19 up to relu3_1, activations normalised: what style and content losses compare",
        license="Apache-2.0",
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        training={"recipe": "ImageNet classification by its authors; not trained here"},
        data=[{"name": "ImageNet", "license": "research", "use": "weights of the published network"}],
    )
    return _publish(store, manifest, network.state_dict())


def _publish(store: Path, manifest: Manifest, state: dict[str, torch.Tensor]) -> StoredModel:
    half = {key: value.detach().contiguous().to(torch.float16) for key, value in state.items()}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS_FILE
        save_file(half, weights)
        return publish(store, manifest, weights)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="folder of training.style_transfer.train or .distill")
    parser.add_argument("--model", choices=(*MODELS, "selective"))
    parser.add_argument("--perceptual", type=Path, help="publish this perceptual network instead")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--fonts", type=Path, help="folder with the fonts of fonts.txt, for --model print")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--metrics", type=Path, help="JSON report of training.style_transfer.evaluate")
    args = parser.parse_args()
    if args.perceptual is not None:
        stored = export_perceptual(args.perceptual, args.store, args.version)
    elif args.run is None or args.model is None:
        parser.error("--run and --model, or --perceptual, are required")
    else:
        metrics = json.loads(args.metrics.read_text()) if args.metrics else None
        styles = load_styles("scene" if args.model == "selective" else args.model, args.data, args.fonts)
        stored = export_run(
            args.run, args.store, model=args.model, version=args.version, styles=styles, metrics=metrics
        )
    print(f"{stored.directory}: {stored.manifest.weights_bytes / 1e6:.1f} MB, {stored.manifest.digest}")


if __name__ == "__main__":
    main()
