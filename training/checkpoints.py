"""Checkpoints of `training.engine`: safetensors for weights, JSON for facts.

The optimiser's state is a `torch.save` file, because it holds integers and lists
beside tensors; it is read with `weights_only=True`, which runs no code.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def latest_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint of a run, or None."""
    found = _checkpoints(out)
    return found[-1] if found else None


def _checkpoints(out: Path) -> list[Path]:
    folders = [path for path in (out / "checkpoints").glob("step_*") if re.fullmatch(r"step_\d+", path.name)]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("step_")))


def save_checkpoint(
    out: Path,
    model: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    keep: int,
) -> Path:
    """Writes `OUT/checkpoints/step_N` as a whole and removes all but the newest `keep`.

    Args:
        out: folder of the run.
        model: network being trained.
        ema: its moving average.
        optimizer: its optimiser.
        state: JSON facts with "step" among them.
        keep: how many checkpoints stay.
    """
    parent = out / "checkpoints"
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / f"step_{state['step']}"
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
    for name, module in (("model", model), ("ema", ema)):
        tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
        save_file(tensors, scratch / f"{name}.safetensors")
    torch.save(optimizer.state_dict(), scratch / "optimizer.pt")
    (scratch / "state.json").write_text(json.dumps(state, indent=2) + "\n")
    if target.exists():
        shutil.rmtree(target)
    scratch.rename(target)
    for old in _checkpoints(out)[:-keep]:
        shutil.rmtree(old)
    return target


def load_checkpoint(
    folder: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    """Restores a checkpoint in place and returns its `state.json`."""
    model.load_state_dict(load_file(folder / "model.safetensors", device=str(device)))
    ema.load_state_dict(load_file(folder / "ema.safetensors", device=str(device)))
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=device, weights_only=True))
    return json.loads((folder / "state.json").read_text())


def git_commit() -> str | None:
    """The commit of this checkout, "-dirty" appended where files differ from it; None outside git."""
    root = Path(__file__).resolve().parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
