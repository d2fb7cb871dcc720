"""The trainer's smoke run: drawn scenes, some steps, an export that the predictor loads.

Needs no data, photos or fonts; used by `python -m training.text_detection.train --smoke`
and by its test.
"""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.store import StoredModel, resolve
from training.engine import train
from training.synth.lines import Vocabulary
from training.synth.scene import Materials, make_scene
from training.text_detection.data import CropSettings, CropSources, read_pool
from training.text_detection.export import export_run
from training.text_detection.task import TextTask
from training.text_detection.train import recipe

_SIZE = 128
_SCENES = 12
# The paper preset pads by 100 pixels and is thirty times as large: one narrow step is enough.
_STEPS = {"compact": 6, "paper": 1}


def draw_pool(folder: Path, count: int, size: int) -> None:
    """Writes a small pool in the form of `training.synth.generate`, from nothing but Pillow's own font."""
    materials = Materials(
        photos=[], fonts={}, vocabulary=Vocabulary([], ["latin"]), crops=[], layouts=[], size=size
    )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "scenes.jsonl").open("w") as index:
        for number in range(count):
            scene = make_scene(number, materials)
            name = f"{number:06d}.jpg"
            cv2.imwrite(str(folder / name), scene.image[..., ::-1])
            polygons = [polygon.tolist() for polygon in scene.polygons]
            index.write(json.dumps({"image": name, "polygons": polygons, "legible": scene.legible}) + "\n")


def run_smoke(out: Path, preset: str = "compact", seed: int = 0) -> StoredModel:
    """Trains, publishes to OUT/store and loads what was published.

    Args:
        out: folder for everything.
        preset: "compact" or "paper".
        seed: of weights and data.

    Returns:
        The published model.
    """
    draw_pool(out / "pool", _SCENES, size=256)
    sources = CropSources(synthetic=read_pool(out / "pool"))
    options, config = recipe(preset, out / "run", minutes=None, steps=_STEPS[preset])
    crops = CropSettings(
        size=_SIZE,
        label_stride=options.crops.label_stride,
        shrink_ratio=options.crops.shrink_ratio,
        augment=options.crops.augment,
    )
    model = {**options.model, "hidden": 32} if preset == "paper" else options.model
    options = replace(options, model=model, crops=crops, batch_size=2, imagenet=False)
    config = replace(config, workers=0, device="cpu", precision="fp32", evaluate_every=1000, seed=seed)
    task = TextTask(options, sources, sources, seed, dev_crops=2)
    checkpoint = train(task, config)
    name = f"textfcn-{preset}"
    export_run(out / "run", out / "store", name=name, version=1)
    stored = resolve(out / "store", name)
    heatmap = TextSegmenter.load(stored, device="cpu").predict([np.full((120, 200, 3), 128, np.uint8)])[0]
    if heatmap.text.shape != (120, 200) or not np.isfinite(heatmap.text).all():
        raise RuntimeError("the published model does not give a heatmap of the photo's size")
    size_mb = stored.manifest.weights_bytes / 1e6
    print(f"smoke run passed: {checkpoint.name}, {size_mb:.1f} MB, {stored.directory}")
    return stored
