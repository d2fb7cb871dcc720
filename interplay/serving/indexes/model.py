"""What indexes ask of the capability that keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.media.fingerprint import fingerprint
from interplay.media.thumbnails import encode_thumbnail
from interplay.types import Image, StageTimings


@dataclass(frozen=True)
class IndexedImage:
    """What an index keeps of an image.

    Attributes:
        vector: (D,) float32, of length one.
        fingerprint: Difference hash; see ``interplay.media.fingerprint``.
        thumbnail: JPEG, empty if none was asked for.
    """

    vector: NDArray[np.float32]
    fingerprint: int
    thumbnail: bytes


class IndexedModel(Protocol):
    """The model whose vectors are in the indexes."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    @property
    def space(self) -> str:
        """Digest of the model that the space is of: vectors of another one mean nothing here."""

    @property
    def space_name(self) -> str:
        """What people call that model, e.g. ``word model``."""

    async def of_image_patiently(
        self,
        content: bytes,
        context: grpc.aio.ServicerContext,
        timings: StageTimings,
        thumbnail_px: int = 0,
    ) -> IndexedImage:
        """An encoded image, with room waited for.

        Args:
            content: The file.
            context: Of the call.
            timings: Where the time that it took is added.
            thumbnail_px: Longer side of the thumbnail; 0 for none.

        Raises:
            InterplayError: The image cannot be read, or there was no room before the deadline.
        """


def image_marks(image: Image, thumbnail_px: int) -> tuple[int, bytes]:
    """Difference hash and, if ``thumbnail_px`` is not 0, thumbnail of a decoded image."""
    return fingerprint(image), encode_thumbnail(image, thumbnail_px) if thumbnail_px else b""
