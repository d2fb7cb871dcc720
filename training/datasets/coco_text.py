"""Reader of COCO-Text v1 and v2 (Veit et al. 2016), the thesis's training set.

One JSON file holds `imgs`, `anns` and `imgToAnns`. v1 gives each word's box, v2 a
polygon as `mask`, either as `[x, y, x, y, ...]` or as a list of one such list.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.sample import Sample, WordLabel


def read_coco_text(
    annotations: Path, images: Path, part: str | None = None, *, only_with_legible: bool = False
) -> list[Sample]:
    """Reads the images of a part and their words.

    Args:
        annotations: the JSON file, v1 or v2.
        images: folder of the COCO train2014 images.
        part: "train", "val" or "test"; None = all.
        only_with_legible: leave images without a legible word out, as the thesis's code does.

    Returns:
        Samples in the order of image ids. Illegible words are kept and marked.

    Raises:
        ValueError: the file is not COCO-Text, or an annotation has neither box nor polygon.
    """
    content = json.loads(annotations.read_text())
    if not isinstance(content, dict) or not {"imgs", "anns", "imgToAnns"} <= set(content):
        raise ValueError(f"{annotations} is not COCO-Text: it needs imgs, anns and imgToAnns")
    words_of: dict[str, tuple[WordLabel, ...]] = {
        image: tuple(_word(content["anns"][str(number)]) for number in numbers)
        for image, numbers in content["imgToAnns"].items()
    }
    samples = []
    for image_id in sorted(content["imgs"], key=int):
        image = content["imgs"][image_id]
        words = words_of.get(image_id, ())
        if part is not None and image["set"] != part:
            continue
        if only_with_legible and not any(word.legible for word in words):
            continue
        samples.append(Sample(images / image["file_name"], words))
    return samples


def _word(annotation: dict[str, Any]) -> WordLabel:
    return WordLabel(
        _outline(annotation), annotation.get("utf8_string", ""), annotation.get("legibility") == "legible"
    )


def _outline(annotation: dict[str, Any]) -> np.ndarray:
    flat = annotation.get("mask") or annotation.get("polygon") or []
    if flat and isinstance(flat[0], list):
        flat = flat[0]
    if len(flat) >= 6:
        return np.asarray(flat, np.float32).reshape(-1, 2)
    if "bbox" not in annotation:
        raise ValueError(f"annotation {annotation.get('id')} has neither bbox nor polygon")
    x, y, width, height = annotation["bbox"]
    return np.float32([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
