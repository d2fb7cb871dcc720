"""Photos to restyled photos: the style transformer behind the ``Predictor`` protocol (thesis 3.2).

A photo of ordinary size goes through the network at once. A larger one is cut into tiles with a
margin as wide as the network sees; the statistics of its instance normalisation are measured once,
over windows spread across the photo, and given to every tile, so that no seams can appear. Tiles
in which nothing is to be restyled are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from interplay.errors import InternalError
from interplay.models.style_transformer import Statistics, StyleTransformer, build_style_transformer
from interplay.predictors.batch import BatchOutput
from interplay.predictors.device import choose_device, choose_dtype
from interplay.predictors.style_transfer.masks import blend
from interplay.predictors.style_transfer.tiling import Tile, sample_windows, tiles
from interplay.store import Manifest, StoredModel
from interplay.types import Image

# Photos up to this size go through at once; larger ones in tiles. The network's widest layer holds 32
# numbers a pixel, so this is some 300 MB at work.
SINGLE_PASS_PIXELS = 1_500_000
_CORE = 640
_SAMPLE_SIDE = 256
# Pictures with a shorter side below this (word crops) are enlarged to it and brought back afterwards:
# letters a dozen pixels high would drown in strokes learned from letters of fifty.
_SMALLEST_SIDE = 96
# A gate is never quite closed; below this it counts as closed, so that the photo's own bytes stay.
GATE_FLOOR = 0.05

# A restyled picture, and how much of it to take, (H, W) float32, where the network says that itself.
Restyled = tuple[Image, NDArray[np.float32] | None]


@dataclass(frozen=True)
class StyleItem:
    """A photo and what to do with it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        weights: (styles,) float32, how much of each of the model's styles.
        mask: (H, W) float32 in [0, 1], how much of the result to take; None = all of it.
    """

    image: Image
    weights: NDArray[np.float32]
    mask: NDArray[np.float32] | None = None


class Stylist:
    """Restyles photos. Use from one thread at a time.

    Args:
        model: Network in evaluation mode.
        manifest: The model's manifest; its labels are the styles' names.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of inference.
        single_pass_pixels: Larger photos are computed in tiles.
    """

    def __init__(
        self,
        model: StyleTransformer,
        manifest: Manifest,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        single_pass_pixels: int = SINGLE_PASS_PIXELS,
    ) -> None:
        self.manifest = manifest
        self.device = device
        self.dtype = dtype
        self._torch_dtype: torch.dtype = getattr(torch, dtype)
        model = model.eval().requires_grad_(False).to(device)
        gate = () if model.gate is None else (model.gate,)
        for layer in (*model.encoder, *model.residual, *model.decoder, *gate):
            layer.to(self._torch_dtype)  # gamma and beta stay in float32: they are small and matter
        self._model = model.to(memory_format=torch.channels_last)
        self._single_pass_pixels = single_pass_pixels

    @classmethod
    def load(
        cls,
        stored: StoredModel,
        *,
        device: str = "auto",
        threads: int | None = None,
        dtype: str | None = None,
    ) -> Stylist:
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
            model = build_style_transformer(stored.manifest.config)
            model.load_state_dict({k: v.float() for k, v in load_file(stored.weights).items()})
        except (ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold a style transformer: {error}") from error
        if len(stored.manifest.labels) != model.config.styles:
            raise InternalError(
                f"{stored.directory} names {len(stored.manifest.labels)} styles and has {model.config.styles}"
            )
        chosen = choose_device(device)
        return cls(model, stored.manifest, device=chosen, dtype=dtype or choose_dtype(chosen))

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, in the order of weights."""
        return self.manifest.labels

    def weights(self, mix: dict[str, float]) -> NDArray[np.float32]:
        """Weights of a mix of styles by name; names that come twice are not possible.

        Raises:
            KeyError: A name is not a style of this model.
        """
        weights = np.zeros(len(self.styles), dtype=np.float32)
        for name, weight in mix.items():
            if name not in self.styles:
                raise KeyError(name)
            weights[self.styles.index(name)] = weight
        return weights

    def stylize(self, image: Image, mix: dict[str, float], mask: NDArray[np.float32] | None = None) -> Image:
        """A restyled photo of the same size; what evaluation calls."""
        result = self.predict_batch([StyleItem(image, self.weights(mix), mask)]).results[0]
        assert isinstance(result, np.ndarray)
        return result

    def predict_batch(self, batch: Sequence[StyleItem]) -> BatchOutput[Image]:
        """Restyled photos, (H, W, 3) uint8 each. They are computed one after the other: the
        statistics of each are its own, and a CPU is faster that way."""
        infer_s, postprocess_s = 0.0, 0.0
        results: list[Image] = []
        for item in batch:
            started = perf_counter()
            styled, gate = self._restyle(item)
            inferred = perf_counter()
            mask = item.mask if gate is None else gate if item.mask is None else gate * item.mask
            results.append(styled if mask is None else blend(item.image, styled, mask))
            infer_s += inferred - started
            postprocess_s += perf_counter() - inferred
        return BatchOutput(results=results, infer_s=infer_s, postprocess_s=postprocess_s)

    def warm_up(self) -> None:
        """See ``Predictor``."""
        weights = np.zeros(len(self.styles), dtype=np.float32)
        weights[0] = 1.0
        for height, width in ((256, 256), (96, 224)):
            self.predict_batch([StyleItem(np.full((height, width, 3), 128, dtype=np.uint8), weights)])

    @torch.inference_mode()
    def _restyle(self, item: StyleItem) -> Restyled:
        if item.mask is not None and not item.mask.any():
            return item.image, None
        height, width = item.image.shape[:2]
        if min(height, width) < _SMALLEST_SIDE:
            picture, (inner_height, inner_width) = _enlarged(item.image)
            styled, gate = self._restyle(StyleItem(picture, item.weights))

            def shrunk(plane: NDArray) -> NDArray:
                inner = plane[:inner_height, :inner_width]
                return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_AREA))

            return shrunk(styled), None if gate is None else shrunk(gate)
        picture = _padded(item.image, self._model.multiple)
        weights = torch.from_numpy(item.weights)[None].to(self.device)
        if picture.shape[0] * picture.shape[1] <= self._single_pass_pixels:
            styled, gate = self._run(picture, weights, None)
            return styled[:height, :width], None if gate is None else gate[:height, :width]
        statistics = self._measure(picture, weights)
        result = np.zeros_like(picture)
        gates = None if self._model.gate is None else np.zeros(picture.shape[:2], dtype=np.float32)
        for tile in tiles(picture.shape[0], picture.shape[1], _CORE, self._model.halo):
            if item.mask is None or _touched(item.mask, tile):
                (top, bottom), (left, right) = tile.window_rows, tile.window_columns
                styled, gate = self._run(picture[top:bottom, left:right], weights, statistics)
                inner = slice(*tile.rows), slice(*tile.columns)
                part = (
                    slice(tile.rows[0] - top, tile.rows[1] - top),
                    slice(tile.columns[0] - left, tile.columns[1] - left),
                )
                result[inner] = styled[part]
                if gates is not None and gate is not None:
                    gates[inner] = gate[part]
        return result[:height, :width], None if gates is None else gates[:height, :width]

    def _measure(self, picture: Image, weights: torch.Tensor) -> Statistics:
        """Statistics of a large picture, from windows spread over it."""
        height, width = picture.shape[:2]
        side = min(_SAMPLE_SIDE, height, width)
        corners = sample_windows(height, width, side, self._single_pass_pixels // side**2)
        windows = np.stack([picture[y : y + side, x : x + side] for y, x in corners])
        return self._model.measure(self._tensor(windows), weights)

    def _run(self, picture: Image, weights: torch.Tensor, statistics: Statistics | None) -> Restyled:
        y, gate = self._model.parts(self._tensor(picture[None]), weights, statistics)
        pixels = (y[0].float() * 255.0).round_().clamp_(0, 255).to(torch.uint8)
        styled = pixels.permute(1, 2, 0).cpu().numpy()
        if gate is None:
            return styled, None
        opened = gate[0, 0].float().cpu().numpy()
        opened[opened < GATE_FLOOR] = 0.0
        return styled, opened

    def _tensor(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """(N, H, W, 3) uint8 to (N, 3, H, W) in [0, 1], channels last."""
        x = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device)
        return x.permute(0, 3, 1, 2).to(self._torch_dtype) / 255.0


def _enlarged(image: Image) -> tuple[Image, tuple[int, int]]:
    """A small picture enlarged to the smallest side, and the size it has in there.

    A very long one is enlarged less, and repeated at its border to the smallest side: what is
    computed is never much more than one pass, however thin the picture.
    """
    height, width = image.shape[:2]
    shorter, longer = min(height, width), max(height, width)
    longest = SINGLE_PASS_PIXELS // _SMALLEST_SIDE - 4  # four pixels for padding
    factor = max(1.0, min(_SMALLEST_SIDE / shorter, longest / longer))
    inner = max(1, round(height * factor)), max(1, round(width * factor))
    larger = cv2.resize(image, inner[::-1], interpolation=cv2.INTER_CUBIC)
    below, right = max(0, _SMALLEST_SIDE - inner[0]), max(0, _SMALLEST_SIDE - inner[1])
    return np.asarray(cv2.copyMakeBorder(larger, 0, below, 0, right, cv2.BORDER_REPLICATE)), inner


def _padded(image: Image, multiple: int) -> Image:
    """The picture grown to the right and below, by reflection, to sides that are multiples of a number."""
    height, width = image.shape[:2]
    below, right = -height % multiple, -width % multiple
    if below == right == 0:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT_101))


def _touched(mask: NDArray[np.float32], tile: Tile) -> bool:
    return bool(mask[tile.rows[0] : tile.rows[1], tile.columns[0] : tile.columns[1]].any())
