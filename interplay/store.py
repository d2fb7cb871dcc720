"""The model store: ``<root>/<name>/<version>/`` with ``manifest.json`` and ``weights.safetensors``.

A version is immutable. ``publish`` writes beside the target and renames, so a reader sees a whole
version or none. ``resolve`` checks the weights against the manifest's digest every time. Whatever
serving needs to know of a model (preprocessing, labels, thresholds) comes from the manifest alone.
Versions are positive integers; the largest is the current one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interplay.errors import Conflict, InternalError, NotFound

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
NAME_PATTERN = re.compile(r"^[a-z0-9][a-z0-9-]{0,63}$")


class Preprocessing(BaseModel):
    """How an RGB image becomes the model's input: ``(x / 255 - mean) / std``, channels first."""

    model_config = ConfigDict(extra="forbid")

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = Field(1.0, gt=0, description="Factor by which the image is resized first.")
    max_side: int = Field(1280, gt=0, description="Longer side in pixels after scaling, at most.")
    multiple: int = Field(32, gt=0, description="Sides are padded up to multiples of this.")


class Manifest(BaseModel):
    """All there is to know about one version of a model."""

    model_config = ConfigDict(extra="forbid")

    name: str
    version: int = Field(ge=1)
    capability: str
    architecture: str = Field(description="Key of the builder in interplay.models, e.g. textfcn.")
    config: dict[str, Any] = Field(default_factory=dict, description="Arguments of the architecture.")
    description: str
    license: str
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    labels: tuple[str, ...] = ()
    details: dict[str, Any] = Field(
        default_factory=dict, description="Further facts that this architecture's predictor reads."
    )
    thresholds: dict[str, float] = Field(default_factory=dict)
    dtype: str = Field("float16", description="Number type in which the weights are stored.")
    parameters: int = Field(ge=0, description="Number of weights.")
    training: dict[str, Any] = Field(default_factory=dict, description="Recipe: command, steps, seed, time.")
    data: list[dict[str, Any]] = Field(
        default_factory=list, description="Sets trained on, with licence and size."
    )
    metrics: dict[str, Any] = Field(
        default_factory=dict, description="Measured through the serving predictor."
    )
    parent_commit: str | None = Field(None, description="Commit of the code that trained it.")
    weights_sha256: str = Field("", description="Hexadecimal digest of the weights file; set by publish.")
    weights_bytes: int = Field(0, ge=0)

    @property
    def digest(self) -> str:
        """Digest as clients see it."""
        return f"sha256:{self.weights_sha256}"


@dataclass(frozen=True)
class StoredModel:
    """A verified version on disk."""

    manifest: Manifest
    directory: Path

    @property
    def weights(self) -> Path:
        """Path of the safetensors file."""
        return self.directory / WEIGHTS_FILE


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def publish(root: Path, manifest: Manifest, weights: Path) -> StoredModel:
    """Add a version to the store.

    Args:
        root: The store.
        manifest: Its digest and size fields are filled in here.
        weights: A safetensors file; copied.

    Raises:
        Conflict: The version exists; versions never change.
        InternalError: The name is not lower-case letters, digits and hyphens.
    """
    if not NAME_PATTERN.fullmatch(manifest.name):
        raise InternalError(f"model name {manifest.name!r} must match {NAME_PATTERN.pattern}")
    target = root / manifest.name / str(manifest.version)
    taken = Conflict(
        f"{manifest.name} version {manifest.version} is already in {root}; versions never change"
    )
    if target.exists():
        raise taken
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{manifest.version}-", dir=target.parent))
    try:
        copy = scratch / WEIGHTS_FILE
        shutil.copyfile(weights, copy)
        complete = manifest.model_copy(
            update={"weights_sha256": sha256_file(copy), "weights_bytes": copy.stat().st_size}
        )
        (scratch / MANIFEST_FILE).write_text(complete.model_dump_json(indent=2) + "\n")
        scratch.chmod(0o755)
        try:
            os.rename(scratch, target)
        except OSError as error:
            if target.exists():  # another publisher was faster
                raise taken from error
            raise
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return StoredModel(complete, target)


def list_models(root: Path) -> list[Manifest]:
    """Manifests of all versions, by name and then version. Weights are not read."""
    found = []
    for file in root.glob(f"*/*/{MANIFEST_FILE}"):
        if file.parent.name.isdigit():
            found.append(_read_manifest(file))
    return sorted(found, key=lambda m: (m.name, m.version))


def resolve(root: Path, name: str, version: int | None = None, *, verify: bool = True) -> StoredModel:
    """Find a version and check its weights.

    Args:
        root: The store.
        name: Model name.
        version: Version; the newest by default.
        verify: Compare the weights with the manifest's digest.

    Raises:
        NotFound: No such model or version; the message lists what there is.
        InternalError: The manifest is invalid or the weights do not match it.
    """
    versions = sorted(
        int(p.name) for p in (root / name).glob("*") if p.name.isdigit() and (p / MANIFEST_FILE).is_file()
    )
    if not versions:
        known = ", ".join(sorted({p.parent.parent.name for p in root.glob(f"*/*/{MANIFEST_FILE}")})) or "none"
        raise NotFound(f"no model {name!r} in the store {root}; known: {known}")
    chosen = versions[-1] if version is None else version
    if chosen not in versions:
        raise NotFound(f"no version {chosen} of {name!r}; there are: {', '.join(map(str, versions))}")
    directory = root / name / str(chosen)
    model = StoredModel(_read_manifest(directory / MANIFEST_FILE), directory)
    if (model.manifest.name, model.manifest.version) != (name, chosen):
        raise InternalError(
            f"the manifest in {directory} names {model.manifest.name} {model.manifest.version}"
        )
    if verify:
        verify_weights(model)
    return model


def verify_weights(model: StoredModel) -> None:
    """Compare the weights file with the manifest.

    Raises:
        InternalError: Missing, of another size, or of another digest.
    """
    if not model.weights.is_file():
        raise InternalError(f"{model.weights} is missing")
    actual = sha256_file(model.weights)
    if actual != model.manifest.weights_sha256:
        raise InternalError(
            f"{model.weights} has sha256 {actual}, but its manifest says {model.manifest.weights_sha256}"
        )


def _read_manifest(file: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(file.read_text())
    except (OSError, ValidationError) as error:
        raise InternalError(f"{file} is not a valid manifest: {error}") from error
