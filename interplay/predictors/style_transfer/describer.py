"""What a picture's style is like, as numbers: means and spreads of perceptual features.

With these the style of a region is compared to the styles there are (Huang and Belongie 2017 take
the same statistics for the style).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from interplay.errors import InternalError
from interplay.models.perceptual import Perceptual, build_perceptual
from interplay.predictors.batch import BatchOutput
from interplay.predictors.device import choose_device
from interplay.store import Manifest, StoredModel
from interplay.types import Image

_HEIGHT = 64
_LONGEST = 1024


def load_perceptual(stored: StoredModel) -> Perceptual:
    """The perceptual network of a verified store entry, in float32 on the CPU.

    Raises:
        InternalError: The weights do not fit.
    """
    try:
        model = build_perceptual(stored.manifest.config)
        model.load_state_dict({k: v.float() for k, v in load_file(stored.weights).items()})
    except (ValueError, RuntimeError) as error:
        raise InternalError(f"{stored.directory} does not hold a perceptual network: {error}") from error
    return model


class StyleDescriber:
    """Describes styles. Use from one thread at a time.

    Args:
        model: The perceptual network.
        manifest: Its manifest.
        device: ``cpu`` or ``cuda:N``.
    """

    dtype = "float32"

    def __init__(self, model: Perceptual, manifest: Manifest, *, device: str = "cpu") -> None:
        self.manifest = manifest
        self.device = device
        self._model = model.to(device).to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, stored: StoredModel, *, device: str = "auto", threads: int | None = None) -> StyleDescriber:
        """From a verified store entry; arguments as of ``Stylist.load``."""
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(load_perceptual(stored), stored.manifest, device=choose_device(device))

    def predict_batch(self, batch: Sequence[Image]) -> BatchOutput[NDArray[np.float32]]:
        """A vector for each picture of a word, whatever its size: log-scaled means and spreads."""
        started = perf_counter()
        results = [self._describe(image) for image in batch]
        return BatchOutput(results=results, infer_s=perf_counter() - started)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        self.predict_batch([np.full((64, 128, 3), 128, dtype=np.uint8)])

    @torch.inference_mode()
    def _describe(self, image: Image) -> NDArray[np.float32]:
        width = int(np.clip(round(image.shape[1] * _HEIGHT / image.shape[0]), 16, _LONGEST))
        small = cv2.resize(image, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(small.transpose(2, 0, 1).copy())[None].to(self.device).float() / 255.0
        parts = []
        for features in self._model(x.contiguous(memory_format=torch.channels_last)).values():
            std, mean = torch.std_mean(features[0], (1, 2))
            parts += [torch.log1p(mean), torch.log1p(std)]
        return torch.cat(parts).cpu().numpy()
