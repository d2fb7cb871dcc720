"""Photos to heatmaps: TextFCN behind the ``Predictor`` protocol (thesis 3.1).

Everything about the model's input and output classes comes from its manifest. A photo is scaled,
padded to a multiple of 32 and cut back afterwards in the same way alone and in a batch, so its
heatmap does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from interplay.errors import InternalError
from interplay.models.efficientnet_lite import fold_batch_norm
from interplay.models.textfcn import CORE, build_textfcn
from interplay.predictors.batch import BatchOutput
from interplay.predictors.device import choose_device, choose_dtype
from interplay.store import Manifest, Preprocessing, StoredModel
from interplay.types import Heatmap, Image


def scaled_size(height: int, width: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """Size to which a photo is resized for the model: (height, width), even, at least 2.

    Even, because the model answers at half resolution and the cut must fall between its pixels.
    """
    scale = min(preprocessing.scale, preprocessing.max_side / max(height, width))
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def input_size(height: int, width: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """Size of the padded model input for a photo: (height, width). Photos of one size share batches."""
    multiple = preprocessing.multiple
    scaled = scaled_size(height, width, preprocessing)
    return -(-scaled[0] // multiple) * multiple, -(-scaled[1] // multiple) * multiple


class TextSegmenter:
    """Predicts text heatmaps. Use from one thread at a time.

    Args:
        model: Network in evaluation mode; (N, 3, H, W) to (N, classes, H/s, W/s) logits.
        manifest: The model's manifest.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of inference.
    """

    def __init__(
        self, model: torch.nn.Module, manifest: Manifest, *, device: str = "cpu", dtype: str = "float32"
    ) -> None:
        self.manifest = manifest
        self.device = device
        self.dtype = dtype
        self._torch_dtype: torch.dtype = getattr(torch, dtype)
        self._model = model.eval().to(device, self._torch_dtype)
        self._model = self._model.to(memory_format=torch.channels_last)
        preprocessing = manifest.preprocessing
        # A pixel has 256 values: (x / 255 - mean) / std is looked up, not computed.
        mean, std = (np.asarray(v, dtype=np.float64) for v in (preprocessing.mean, preprocessing.std))
        values = (np.arange(256)[:, None] / 255.0 - mean) / std  # (256, 3)
        self._normalised: NDArray[np.float32] = values.astype(np.float32)[None]  # (1, 256, 3)

    @classmethod
    def load(
        cls,
        stored: StoredModel,
        *,
        device: str = "auto",
        threads: int | None = None,
        dtype: str | None = None,
    ) -> TextSegmenter:
        """Build the network of a verified store entry and load its weights.

        Args:
            stored: What ``interplay.store.resolve`` returned.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: Threads of one CPU inference, for the whole process; torch's choice if None.
            dtype: Number type of inference; what suits the device if None.

        Raises:
            InternalError: The weights do not fit the architecture, or there is no such device.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            model = build_textfcn(stored.manifest.config)
            model.load_state_dict({k: v.float() for k, v in load_file(stored.weights).items()})
        except (ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold a TextFCN: {error}") from error
        chosen = choose_device(device)
        return cls(
            fold_batch_norm(model), stored.manifest, device=chosen, dtype=dtype or choose_dtype(chosen)
        )

    def predict(self, images: Sequence[Image]) -> list[Heatmap]:
        """Heatmaps of photos of any sizes, one each, in order; what evaluation calls.

        Args:
            images: (H, W, 3) uint8 RGB each, upright.
        """
        results: list[Heatmap | None] = [None] * len(images)
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            size = input_size(image.shape[0], image.shape[1], self.manifest.preprocessing)
            by_size.setdefault(size, []).append(index)
        for indices in by_size.values():
            output = self.predict_batch([images[i] for i in indices])
            for index, heatmap in zip(indices, output.results, strict=True):
                assert isinstance(heatmap, Heatmap)
                results[index] = heatmap
        return [heatmap for heatmap in results if heatmap is not None]

    def predict_batch(self, batch: Sequence[Image]) -> BatchOutput[Heatmap]:
        """Heatmaps of photos that share one ``input_size``.

        Args:
            batch: (H, W, 3) uint8 RGB each, upright.

        Raises:
            InternalError: The sizes differ.
        """
        started = perf_counter()
        preprocessing = self.manifest.preprocessing
        sizes = {input_size(image.shape[0], image.shape[1], preprocessing) for image in batch}
        if len(sizes) != 1:
            raise InternalError(f"a batch mixes input sizes: {sorted(sizes)}")
        height, width = sizes.pop()
        pixels = np.zeros((len(batch), height, width, 3), dtype=np.float32)
        scaled = [scaled_size(image.shape[0], image.shape[1], preprocessing) for image in batch]
        for row, image, (h, w) in zip(pixels, batch, scaled, strict=True):
            shrinks = h < image.shape[0]
            resized: NDArray[Any] = image
            if (h, w) != image.shape[:2]:
                resized = cv2.resize(
                    image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
                )
            row[:h, :w] = cv2.LUT(resized, self._normalised)
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)  # (N, 3, H, W), channels last
        prepared = perf_counter()
        probabilities = self._forward(x)  # (N, classes, H/s, W/s) on the CPU
        inferred = perf_counter()
        stride = height // probabilities.shape[2]
        heatmaps = [
            self._heatmap(planes[:, : h // stride, : w // stride], image.shape[:2])
            for planes, image, (h, w) in zip(probabilities, batch, scaled, strict=True)
        ]
        return BatchOutput(
            results=heatmaps,
            preprocess_s=prepared - started,
            infer_s=inferred - prepared,
            postprocess_s=perf_counter() - inferred,
            padding_ratio=1.0 - sum(h * w for h, w in scaled) / (len(batch) * height * width),
        )

    def warm_up(self) -> None:
        """See ``Predictor``. Two sizes, so that kernels and buffers of common shapes exist."""
        for height, width in ((720, 1280), (240, 320)):
            self.predict_batch([np.full((height, width, 3), 128, dtype=np.uint8)])

    @torch.inference_mode()
    def _forward(self, x: torch.Tensor) -> NDArray[np.float32]:
        logits = self._model(x.to(self._torch_dtype))
        probabilities: NDArray[np.float32] = logits.float().softmax(dim=1).cpu().numpy()
        return probabilities

    def _heatmap(self, planes: NDArray[np.float32], size: tuple[int, ...]) -> Heatmap:
        """Class probabilities (classes, h, w) to a heatmap of the photo's size; channel 0 is background."""
        height, width = size[:2]
        text = cv2.resize(1.0 - planes[0], (width, height), interpolation=cv2.INTER_LINEAR)
        np.clip(text, 0.0, 1.0, out=text)
        if planes.shape[0] <= CORE:
            return Heatmap(text=text)
        core = cv2.resize(planes[CORE], (width, height), interpolation=cv2.INTER_LINEAR)
        return Heatmap(text=text, core=np.clip(core, 0.0, 1.0))
