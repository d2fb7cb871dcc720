"""Read words in cut-out regions with the PP-OCRv4 recogniser that RapidOCR ships.

The recogniser itself is not ours; this module feeds it: upright crops, fixed width buckets (so
that a word reads the same alone and in a batch), and greedy CTC decoding of its output.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from interplay.errors import InternalError
from interplay.predictors.batch import BatchOutput
from interplay.store import Manifest, Preprocessing, sha256_file
from interplay.types import Image

HEIGHT = 48
# Crops are padded on the right to the next of these. The recogniser was trained at 320; short words at
# 160 read as well in half the time (benchmarks/reading.py).
WIDTHS = (160, 320, 480, 640, 960, 1280)
_MODEL_FILE = "ch_PP-OCRv4_rec_infer.onnx"
_TALL = 1.5


def crop_region(image: Image, polygon: NDArray[np.float32]) -> Image:
    """Cut a quadrilateral out of a photo and straighten it.

    Args:
        image: (H, W, 3) uint8 RGB.
        polygon: (4, 2) pixel positions, clockwise from the corner at which reading starts. Parts
            outside the photo repeat its border.

    Returns:
        (h, w, 3) uint8 RGB; w is the length of the reading direction; sides 1 to 4096.
    """
    corners = np.asarray(polygon, dtype=np.float32).reshape(4, 2)
    width = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[3]))
    height = max(np.linalg.norm(corners[3] - corners[0]), np.linalg.norm(corners[2] - corners[1]))
    w, h = (int(np.clip(round(float(side)), 1, 4096)) for side in (width, height))
    target = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target)
    crop = cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, dtype=np.uint8)


def upright_candidates(crop: Image) -> list[Image]:
    """The ways a crop may have to be turned to read it: tall crops are words that run up or down."""
    height, width = crop.shape[:2]
    if height < _TALL * width:
        return [crop]
    return [np.ascontiguousarray(np.rot90(crop, turns)) for turns in (1, 3)] + [crop]


def width_bucket(crop: Image) -> int:
    """Padded width at which a crop is read; wider crops are squeezed into the largest."""
    width = crop.shape[1] * HEIGHT / crop.shape[0]
    return next((bucket for bucket in WIDTHS if width <= bucket), WIDTHS[-1])


class WordReader:
    """The recogniser behind the ``Predictor`` protocol; input: crops, output: (text, confidence).

    Args:
        threads: Threads of one inference.
    """

    def __init__(self, *, threads: int) -> None:
        path = _model_path()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads must sleep: spinning ones would take the cores from the other model.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        characters = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]  # index 0 is CTC's blank
        self.device = "cpu"
        self.dtype = "float32"
        release = importlib.metadata.version("rapidocr-onnxruntime")
        self.manifest = Manifest(
            name="ppocrv4-rec",
            version=4,
            capability="text_detection",
            architecture="onnx",
            description=f"PP-OCRv4 recogniser (Chinese, Latin, digits) of rapidocr-onnxruntime {release}",
            license="Apache-2.0",
            preprocessing=Preprocessing(
                mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), max_side=WIDTHS[-1], multiple=1
            ),
            thresholds={"min_confidence": 0.5},
            dtype="float32",
            parameters=0,
            weights_sha256=sha256_file(path),
            weights_bytes=path.stat().st_size,
        )

    def predict_batch(self, batch: Sequence[Image]) -> BatchOutput[tuple[str, float]]:
        """Read crops, all padded to the bucket of the widest.

        Args:
            batch: (h, w, 3) uint8 RGB each, upright.

        Returns:
            Text and mean character confidence in [0, 1] of each; empty text has confidence 0.
        """
        started = perf_counter()
        width = max(width_bucket(crop) for crop in batch)
        pixels = np.zeros((len(batch), 3, HEIGHT, width), dtype=np.float32)
        used = 0
        for row, crop in zip(pixels, batch, strict=True):
            scaled_width = int(np.clip(np.ceil(crop.shape[1] * HEIGHT / crop.shape[0]), 1, width))
            scaled = cv2.resize(crop, (scaled_width, HEIGHT))
            # The recogniser was trained on BGR in [-1, 1].
            row[:, :, :scaled_width] = scaled[:, :, ::-1].transpose(2, 0, 1) / 127.5 - 1.0
            used += scaled_width
        prepared = perf_counter()
        (probabilities,) = self._session.run(None, {self._input: pixels})  # (N, T, characters)
        inferred = perf_counter()
        results = [self._decode(row) for row in probabilities]
        return BatchOutput(
            results=results,
            preprocess_s=prepared - started,
            infer_s=inferred - prepared,
            postprocess_s=perf_counter() - inferred,
            padding_ratio=1.0 - used / (width * len(batch)),
        )

    def warm_up(self) -> None:
        """See ``Predictor``."""
        for width in WIDTHS[:2]:
            self.predict_batch([np.full((HEIGHT, width, 3), 255, dtype=np.uint8)])

    def _decode(self, probabilities: NDArray[np.float32]) -> tuple[str, float]:
        """Greedy CTC: best class of every step, repeats merged, blanks dropped."""
        best = probabilities.argmax(axis=1)  # (T,)
        first_of_run = np.concatenate([[True], best[1:] != best[:-1]])
        kept = first_of_run & (best != 0)
        if not kept.any():
            return "", 0.0
        text = "".join(self._characters[index] for index in best[kept])
        return text, float(probabilities.max(axis=1)[kept].mean())


def _model_path() -> Path:
    """RapidOCR's recogniser file; the package itself is not imported, it would load three models."""
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    if spec is None or spec.origin is None:
        raise InternalError("the package rapidocr-onnxruntime is not installed; it holds the word recogniser")
    return Path(spec.origin).parent / "models" / _MODEL_FILE
