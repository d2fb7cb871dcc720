"""Packs a stored model into a ``.mar`` by ``torch-model-archiver``.

An archive holds a small model store (the model and the entries that it is opened with, digests and all) and a
handler of two lines that hands everything to ``interplay.serving.torchserve.handler``. No model code is
copied: where the archive is served, this project is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from interplay.errors import InternalError, NotFound
from interplay.launcher.torchserve.extra import check_extra
from interplay.served import is_served, served
from interplay.store import Manifest, list_models, resolve

HANDLER_FILE = "interplay_handler.py"
_HANDLER = '''"""Hands TorchServe's calls to the serving predictor of the installed Interplay."""

from interplay.serving.torchserve.handler import handle

__all__ = ["handle"]
'''
# One worker a model owns it, as one thread does in a model server. A request is a whole batch already.
_FRONTEND = """minWorkers: 1
maxWorkers: 1
batchSize: 1
maxBatchDelay: 1
responseTimeout: 300
startupTimeout: 300
"""


def package_model(store: Path, name: str, directory: Path, version: int | None = None) -> Path:
    """Write ``<directory>/<name>.mar``, over one that is there.

    Args:
        store: Root of the model store.
        name: Of the model.
        directory: Where to write; made if it is not there.
        version: The newest if None.

    Returns:
        The archive's path.

    Raises:
        NotFound: No such model, or one that is only a part of others.
        Unavailable: The archiver is not installed.
        InternalError: A file of the store is damaged, or the archiver failed.
    """
    check_extra()
    stored = resolve(store, name, version)
    needed = [resolve(store, part) for part in served(stored.manifest).needs(stored.manifest)]
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(scratch, "store")
        for part in (stored, *needed):
            target = packed / part.manifest.name / str(part.manifest.version)
            shutil.copytree(part.directory, target)
        handler, frontend = Path(scratch, HANDLER_FILE), Path(scratch, "model-config.yaml")
        handler.write_text(_HANDLER)
        frontend.write_text(_FRONTEND)
        # The archiver builds in a folder of the model's name under the temporary folder: one of our own.
        private = Path(scratch, "tmp")
        private.mkdir()
        command = [
            sys.executable, "-m", "model_archiver.model_packaging",
            "--model-name", name,
            "--version", str(stored.manifest.version),
            "--handler", str(handler),
            "--config-file", str(frontend),
            "--extra-files", str(packed),
            "--export-path", scratch,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(private)}, check=False
        )
        made = Path(scratch, f"{name}.mar")
        if done.returncode != 0 or not made.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise InternalError(f"torch-model-archiver failed: {said[-1] if said else done.returncode}")
        archive = directory / made.name
        shutil.copyfile(made, archive.with_suffix(".part"))
        archive.with_suffix(".part").replace(archive)
        return archive


def servable(store: Path, capabilities: tuple[str, ...] = ()) -> list[Manifest]:
    """The newest version of every model that answers by itself.

    Args:
        store: Root of the model store.
        capabilities: Of these alone; of all if empty.

    Raises:
        NotFound: There is none.
    """
    newest = {m.name: m for m in list_models(store) if is_served(m)}
    found = [m for m in newest.values() if not capabilities or m.capability in capabilities]
    if not found:
        raise NotFound(
            f"no model in {store} can be served" + (f" for {capabilities}" if capabilities else "")
        )
    return found
