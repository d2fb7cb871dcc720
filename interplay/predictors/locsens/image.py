"""Images to vectors and tags without places: the model that LocSens starts from (thesis 5.3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file

from interplay.errors import InternalError
from interplay.models.efficientnet_lite import fold_batch_norm
from interplay.models.image_embedding import Lite0Features, build_backbone
from interplay.models.tag_head import TagHead, build_tag_head
from interplay.predictors.batch import BatchOutput
from interplay.predictors.device import choose_device, choose_dtype
from interplay.predictors.pictures import PictureInput
from interplay.store import Manifest, StoredModel, resolve
from interplay.types import Image

MODEL = "locsens-image"
BACKBONE_PREFIX = "backbone."  # of a backbone's weights among those of a head that was trained with it


@dataclass(frozen=True)
class TaggedImage:
    """What an image says without a place.

    Attributes:
        vector: (D,) float32, of length one.
        chances: (V,) float32, of each tag of the vocabulary; they sum to one.
    """

    vector: NDArray[np.float32]
    chances: NDArray[np.float32]


class ImageTagger:
    """Tags images without places. Use from one thread at a time.

    Args:
        backbone: Network that gives features; in evaluation mode.
        head: MCC on these features.
        manifest: The head's; ``labels`` is the vocabulary, ``details["side"]`` of the input in pixels,
            ``details["short_side"]``, if there, see ``PictureInput``.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of the backbone.

    Attributes:
        tag_vectors: (V, D) float32, of length one: what scorers are told of tags.
    """

    def __init__(
        self,
        backbone: torch.nn.Module,
        head: TagHead,
        manifest: Manifest,
        *,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.manifest, self.device, self.dtype = manifest, device, dtype
        torch_dtype: torch.dtype = getattr(torch, dtype)
        backbone = backbone.eval().requires_grad_(False).to(device, torch_dtype)
        self._backbone = backbone.to(memory_format=torch.channels_last)
        self._head = head.eval().requires_grad_(False).to(device)
        self._input = PictureInput(
            int(manifest.details["side"]), manifest.preprocessing, device=device, dtype=torch_dtype,
            short_side=manifest.details.get("short_side"),
        )  # fmt: skip
        self.tag_vectors = unit(head.classes.weight.cpu().numpy())

    @classmethod
    def open(
        cls,
        store: Path,
        version: int | None = None,
        *,
        device: str = "auto",
        threads: int | None = None,
        dtype: str | None = None,
    ) -> ImageTagger:
        """The published model, with the backbone that its manifest names, if it names one.

        Args:
            store: Root of the model store.
            version: Of the head; the newest if None.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: Threads of one CPU inference, for the whole process; torch's choice if None.
            dtype: Number type of the backbone; what suits the device if None.

        Raises:
            InternalError: The store has not both, or they do not fit.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        stored = resolve(store, MODEL, version)
        shared = _shared_backbone(store, stored)
        try:
            head = build_tag_head(stored.manifest.config)
            own, other = _parted({key: value.float() for key, value in load_file(stored.weights).items()})
            head.load_state_dict(own)
            if shared is None:
                backbone = build_backbone(stored.manifest.config)
            else:
                backbone = Lite0Features()
                other = {key: value.float() for key, value in load_file(shared.weights).items()}
            backbone.load_state_dict(other)
        except (ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold a tag head: {error}") from error
        fold_batch_norm(backbone)
        chosen = choose_device(device)
        return cls(backbone, head, stored.manifest, device=chosen, dtype=dtype or choose_dtype(chosen))

    @staticmethod
    def open_tag_vectors(store: Path, version: int | None = None) -> NDArray[np.float32]:
        """``tag_vectors`` of the published model, without loading the rest of it."""
        with safe_open(resolve(store, MODEL, version).weights, framework="pt") as weights:
            return unit(weights.get_tensor("classes.weight").float().numpy())

    def predict(self, images: Sequence[Image]) -> list[TaggedImage]:
        """What decoded images say; what evaluation calls."""
        return list(self.predict_batch(images).results)  # type: ignore[arg-type]

    @torch.inference_mode()
    def predict_batch(self, batch: Sequence[Image]) -> BatchOutput[TaggedImage]:
        """What decoded images say, (H, W, 3) uint8 each."""
        started = perf_counter()
        x = self._input.tensor(batch)
        prepared = perf_counter()
        features = self._backbone(x).float()
        inferred = perf_counter()
        results = self.tag_features(features)
        return BatchOutput(
            results=results,
            preprocess_s=prepared - started,
            infer_s=inferred - prepared,
            postprocess_s=perf_counter() - inferred,
        )

    @torch.inference_mode()
    def tag_features(self, features: torch.Tensor) -> list[TaggedImage]:
        """What images say whose features, (N, F), the backbone gave."""
        raw = self._head.vectors(features)
        chances = torch.softmax(self._head.classes(raw), dim=1).cpu().numpy()
        vectors = unit(raw.cpu().numpy())
        return [TaggedImage(*pair) for pair in zip(vectors, chances, strict=True)]

    def warm_up(self) -> None:
        """See ``Predictor``."""
        picture = np.full((self._input.side, self._input.side, 3), 128, dtype=np.uint8)
        for size in (1, 8):
            self.predict_batch([picture] * size)


def _shared_backbone(store: Path, stored: StoredModel) -> StoredModel | None:
    """The backbone that a head's manifest names, or None where the head's weights have their own."""
    details = stored.manifest.details
    if "backbone" not in details:
        return None
    shared = resolve(store, details["backbone"])
    if shared.manifest.weights_sha256 != details["backbone_sha256"]:
        raise InternalError(
            f"{stored.directory} was trained on the backbone {details['backbone_sha256']}, not on "
            f"{shared.manifest.weights_sha256}"
        )
    return shared


def _parted(weights: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights of the head, and those of the backbone without their prefix."""
    inside = [key for key in weights if key.startswith(BACKBONE_PREFIX)]
    backbone = {key.removeprefix(BACKBONE_PREFIX): weights.pop(key) for key in inside}
    return weights, backbone


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows brought to length one; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)
