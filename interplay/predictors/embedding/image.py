"""Images to vectors: what evaluation, serving and index building call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from interplay.errors import InternalError
from interplay.models.efficientnet_lite import fold_batch_norm
from interplay.models.image_embedding import ImageEmbedding, build_backbone, build_head
from interplay.predictors.batch import BatchOutput
from interplay.predictors.device import choose_device, choose_dtype
from interplay.predictors.pictures import PictureInput
from interplay.store import Manifest, StoredModel, resolve
from interplay.types import Image


@dataclass(frozen=True)
class ImageVector:
    """An embedded image.

    Attributes:
        vector: (D,) float32, of length one.
        features: (F,) float32, the backbone's: other models of the same backbone start from them.
    """

    vector: NDArray[np.float32]
    features: NDArray[np.float32]


class ImageEmbedder:
    """Embeds images. Use from one thread at a time.

    Args:
        model: Network in evaluation mode.
        manifest: The head's manifest; ``details["side"]`` is the side of the input in pixels.
        device: ``cpu`` or ``cuda:N``.
        dtype: Number type of inference.

    Attributes:
        model: The network.
        input: Makes its input.
        side: Of the input, in pixels.
    """

    def __init__(
        self, model: ImageEmbedding, manifest: Manifest, *, device: str = "cpu", dtype: str = "float32"
    ) -> None:
        self.manifest = manifest
        self.device = device
        self.dtype = dtype
        self.side = int(manifest.details["side"])
        torch_dtype: torch.dtype = getattr(torch, dtype)
        model = model.eval().requires_grad_(False).to(device)
        model.backbone.to(torch_dtype)
        self.model = model.to(memory_format=torch.channels_last)
        self.input = PictureInput(self.side, manifest.preprocessing, device=device, dtype=torch_dtype)

    @classmethod
    def load(
        cls,
        stored: StoredModel,
        backbone: StoredModel | None,
        *,
        device: str = "auto",
        threads: int | None = None,
        dtype: str | None = None,
    ) -> ImageEmbedder:
        """Build the network of a verified store entry and load its weights.

        Args:
            stored: The head, or the whole network where it was trained as one.
            backbone: The entry that ``details["backbone"]`` of the head names; None if it names none.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: Threads of one CPU inference, for the whole process; torch's choice if None.
            dtype: Number type of inference; what suits the device if None.

        Raises:
            InternalError: The weights do not fit, or the backbone is not the one that the head was
                trained on.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        manifest = stored.manifest
        wanted = manifest.details.get("backbone_sha256")
        given = None if backbone is None else backbone.manifest.weights_sha256
        if wanted != given:
            raise InternalError(f"{stored.directory} was trained on the backbone {wanted}, not on {given}")
        try:
            model = ImageEmbedding(build_backbone(manifest.config), build_head(manifest.config))
            state = {key: value.float() for key, value in load_file(stored.weights).items()}
            if backbone is not None:
                weights = load_file(backbone.weights)
                state |= {f"backbone.{key}": value.float() for key, value in weights.items()}
            model.load_state_dict(state)
        except (ValueError, RuntimeError) as error:
            raise InternalError(f"{stored.directory} does not hold an image embedding: {error}") from error
        fold_batch_norm(model)
        chosen = choose_device(device)
        return cls(model, manifest, device=chosen, dtype=dtype or choose_dtype(chosen))

    @classmethod
    def open(
        cls,
        store: Path,
        version: int | None = None,
        *,
        name: str = "embedding-image",
        device: str = "auto",
        threads: int | None = None,
    ) -> ImageEmbedder:
        """The published model, with the backbone that its manifest names, if it names one.

        Args:
            store: Root of the model store.
            version: Of the head; the newest if None.
            name: Of the head.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: See ``load``.

        Raises:
            InternalError: The store has not both, or they do not fit.
        """
        stored = resolve(store, name, version)
        backbone = stored.manifest.details.get("backbone")
        return cls.load(
            stored, resolve(store, backbone) if backbone else None, device=device, threads=threads
        )

    def predict(self, images: Sequence[Image]) -> list[ImageVector]:
        """Vectors of decoded images; what evaluation calls."""
        return list(self.predict_batch(images).results)  # type: ignore[arg-type]

    @torch.inference_mode()
    def predict_batch(self, batch: Sequence[Image]) -> BatchOutput[ImageVector]:
        """Vectors of decoded images, (H, W, 3) uint8 each."""
        started = perf_counter()
        x = self.input.tensor(batch)
        prepared = perf_counter()
        features = self.model.backbone(x).float()
        vectors = self.embed_features(features)
        inferred = perf_counter()
        numbers = features.cpu().numpy()
        results = [ImageVector(*pair) for pair in zip(vectors, numbers, strict=True)]
        return BatchOutput(
            results=results,
            preprocess_s=prepared - started,
            infer_s=inferred - prepared,
            postprocess_s=perf_counter() - inferred,
        )

    @torch.inference_mode()
    def embed_features(self, features: torch.Tensor) -> NDArray[np.float32]:
        """(N, F) features of the backbone to (N, D) vectors of length one."""
        y = self.model.head(features.to(self.device))
        return np.asarray(torch.nn.functional.normalize(y, dim=1).cpu().numpy())

    def warm_up(self) -> None:
        """See ``Predictor``."""
        picture = np.full((self.side, self.side, 3), 128, dtype=np.uint8)
        for size in (1, 8):
            self.predict_batch([picture] * size)
