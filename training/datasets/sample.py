"""What every reader of a scene-text dataset yields."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class WordLabel:
    """An annotated word.

    Attributes:
        polygon: (K, 2) float32 outline, clockwise, in pixels of the image as stored.
        transcription: what it says; empty where the set does not say.
        legible: False for words that neither training nor evaluation counts.
    """

    polygon: np.ndarray
    transcription: str
    legible: bool


@dataclass(frozen=True)
class Sample:
    """An image and its words.

    Attributes:
        image: path of the file.
        words: its words; empty for an image without text.
    """

    image: Path
    words: tuple[WordLabel, ...]
