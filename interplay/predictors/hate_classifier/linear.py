"""Linear models of a post's text, scored without the library that trained them.

A model is a sum over blocks of features. A block's vocabulary is kept as 64-bit digests of its n-grams,
so a stored model holds no words and names of the people whose posts it learnt from, and needs 8 bytes an
entry. On disk: `weights.safetensors` (`BLOCK.keys`, `BLOCK.scale`, `BLOCK.weights`) and `linear.json`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from interplay.predictors.hate_classifier.features import GRAMS, NUMBERS, numbers
from interplay.predictors.hate_classifier.text import tokens

VALUES = ("present", "count", "log_count")
WEIGHTS_FILE, CONFIG_FILE = "weights.safetensors", "linear.json"


@dataclass(frozen=True)
class BlockConfig:
    """What features a block has.

    Attributes:
        name: unique in its model.
        kind: "words", "letters", "stems", "tags", "groups" (n-grams), or "numbers".
        source: which text it reads: "text" or "image_text".
        shortest: size of the shortest n-grams.
        longest: size of the longest.
        value: an n-gram's value: 1 if "present", its "count", or "log_count", 1 + ln(count).
        unit_length: whether values times scale are brought to length 1 (L2) before the weights.
    """

    name: str
    kind: str
    source: str = "text"
    shortest: int = 1
    longest: int = 1
    value: str = "count"
    unit_length: bool = False

    def __post_init__(self) -> None:
        if self.kind not in (*GRAMS, "numbers"):
            raise ValueError(f"block {self.name!r}: kind {self.kind!r} is none of {(*GRAMS, 'numbers')}")
        if self.source not in ("text", "image_text"):
            raise ValueError(f"block {self.name!r}: source must be text or image_text, not {self.source!r}")
        if self.value not in VALUES:
            raise ValueError(f"block {self.name!r}: value {self.value!r} is none of {VALUES}")
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"block {self.name!r}: n-grams of {self.shortest} to {self.longest}")


@dataclass(frozen=True)
class Block:
    """A block with what was learnt.

    Attributes:
        config: its features.
        keys: (V,) int64 digests of its n-grams, ascending; for numbers 0 to 16.
        scale: (V,) float32 factor of each value (the inverse document frequency, one over the deviation).
        weights: (V,) float32 coefficients.
    """

    config: BlockConfig
    keys: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        name = self.config.name
        for part in ("keys", "scale", "weights"):
            array = getattr(self, part)
            kind = np.int64 if part == "keys" else np.float32
            if array.dtype != kind or array.shape != self.keys.shape or array.ndim != 1:
                raise ValueError(f"block {name!r}: {part} is {array.dtype} {array.shape}")
            if part != "keys" and not np.isfinite(array).all():
                raise ValueError(f"block {name!r}: {part} has values that are not finite")
        if np.any(self.keys[1:] <= self.keys[:-1]):  # their difference may not fit
            raise ValueError(f"block {name!r}: keys are not ascending")
        if self.config.kind == "numbers" and not np.array_equal(self.keys, np.arange(len(NUMBERS))):
            raise ValueError(f"block {name!r}: expected {len(NUMBERS)} numbers, got {len(self.keys)}")

    def score(self, text: str, read: list[str] | None = None) -> float:
        """The block's part of the log-odds; `read` are the text's tokens, for callers that have them."""
        if self.config.kind == "numbers":
            scale, weights = self.scale.astype(np.float64), self.weights.astype(np.float64)
            return float(np.sum(numbers(text, read) * scale * weights))
        counts = Counter(GRAMS[self.config.kind](text, self.config.shortest, self.config.longest, read))
        if not counts or not len(self.keys):
            return 0.0
        wanted = np.array([digest(gram) for gram in counts], dtype=np.int64)
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[found] == wanted
        rows, times = found[known], np.array(list(counts.values()), dtype=np.float64)[known]
        if self.config.value == "present":
            times = np.ones_like(times)
        elif self.config.value == "log_count":
            times = 1 + np.log(times)
        values = times * self.scale[rows].astype(np.float64)
        if self.config.unit_length:
            values /= max(float(np.linalg.norm(values)), 1e-12)
        return float(values @ self.weights[rows].astype(np.float64))


class LinearModel:
    """A sum of blocks and a bias: the log-odds of hate.

    Args:
        blocks: with different names.
        bias: added to the blocks' scores.

    Raises:
        ValueError: two blocks of one name, or a bias that is not finite.
    """

    def __init__(self, blocks: Sequence[Block], bias: float) -> None:
        names = [block.config.name for block in blocks]
        if len(set(names)) != len(names):
            raise ValueError(f"block names must differ: {names}")
        if not math.isfinite(bias):
            raise ValueError(f"the bias must be finite, not {bias}")
        self.blocks = tuple(blocks)
        self.bias = float(bias)

    def contributions(
        self, text: str, image_text: str | None = None, *, read: list[str] | None = None
    ) -> dict[str, float]:
        """Each block's part of the log-odds; no image text is read as an empty one, which has no n-grams."""
        sources = {"text": text, "image_text": image_text or ""}
        known = {"text": read} if read is not None else {}
        for source in {block.config.source for block in self.blocks} - known.keys():
            known[source] = tokens(sources[source])
        return {
            block.config.name: block.score(sources[block.config.source], known[block.config.source])
            for block in self.blocks
        }

    def score(self, text: str, image_text: str | None = None, *, read: list[str] | None = None) -> float:
        """Log-odds of hate; `read` are the text's tokens, for callers that have them."""
        return self.bias + sum(self.contributions(text, image_text, read=read).values())

    def probability(self, text: str, image_text: str | None = None) -> float:
        """Probability of hate, 0 to 1."""
        return 0.5 * (1 + math.tanh(self.score(text, image_text) / 2))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` takes: a JSON object and arrays by name."""
        config = {"bias": self.bias, "blocks": [asdict(block.config) for block in self.blocks]}
        arrays = {
            f"{block.config.name}.{part}": getattr(block, part)
            for block in self.blocks
            for part in ("keys", "scale", "weights")
        }
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> LinearModel:
        """The model of a state.

        Raises:
            ValueError: the configuration lacks or has unknown fields, or an array is missing or wrong.
        """
        try:
            blocks = []
            for row in config["blocks"]:
                block = BlockConfig(**row)
                parts = (arrays[f"{block.name}.{part}"] for part in ("keys", "scale", "weights"))
                blocks.append(Block(block, *parts))
            return cls(blocks, float(config["bias"]))
        except KeyError as error:
            raise ValueError(f"a linear model without {error}") from None
        except TypeError as error:
            raise ValueError(f"a linear model's configuration is wrong: {error}") from None

    def save(self, folder: Path) -> None:
        """Writes `weights.safetensors` and `linear.json` into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        config, arrays = self.state()
        save_file(arrays, folder / WEIGHTS_FILE)
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LinearModel:
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged.
        """
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            arrays = load_file(folder / WEIGHTS_FILE)
        except (json.JSONDecodeError, SafetensorError) as error:
            raise ValueError(f"{folder} holds no linear model: {error}") from None
        return cls.from_state(config, arrays)


def combine(models: dict[str, LinearModel]) -> LinearModel:
    """The mean of models as one; the names of its blocks are `MODEL-BLOCK`."""
    part = np.float32(1 / len(models))
    blocks = []
    for name, model in models.items():
        for block in model.blocks:
            config = BlockConfig(**{**asdict(block.config), "name": f"{name}-{block.config.name}"})
            blocks.append(Block(config, block.keys, block.scale, block.weights * part))
    return LinearModel(blocks, sum(model.bias for model in models.values()) / len(models))


@lru_cache(maxsize=1 << 17)
def digest(gram: str) -> int:
    """The 64-bit key of an n-gram."""
    content = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(content, "little", signed=True)
