"""What `interplay doctor` checks: one function a question, each with a verdict and a way to mend.

A check never raises: whatever goes wrong is its finding.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path

from interplay.capabilities import CAPABILITIES
from interplay.errors import InterplayError
from interplay.launcher import valkey
from interplay.launcher.lock import find_holder
from interplay.launcher.ports import is_bindable
from interplay.launcher.settings import LauncherSettings
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import list_models, resolve

FREE_DISK_WANTED_BYTES = 2 * 10**9
FREE_MEMORY_WANTED_BYTES = 3 * 10**9
IMPORT_TIMEOUT_S = 120


class Outcome(StrEnum):
    """Verdict of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        outcome: FAIL keeps Interplay from running; WARN does not.
        message: What is the case.
        mend: What to do about it; empty when there is nothing to do.
    """

    outcome: Outcome
    message: str
    mend: str = ""


Check = Callable[[], Finding]


def all_checks(settings: LauncherSettings, store: Path) -> Iterator[tuple[str, Check]]:
    """Titles and checks, in the order in which they matter."""
    yield "python", check_python
    yield "packages", lambda: check_packages(REPOSITORY_ROOT / "constraints.txt")
    yield "pytorch", lambda: check_import("torch", "import torch; print(torch.__version__)")
    yield "opencv", check_opencv
    yield "valkey", check_valkey
    yield "models", lambda: check_models(store)
    yield "state", lambda: check_state(settings.state_dir)
    yield "port", lambda: check_port(settings)
    for root in settings.dataset_roots:
        yield "dataset root", partial(check_dataset_root, root)
    yield "disk", lambda: check_disk(settings.state_dir)
    yield "memory", check_memory
    yield "gpu", check_gpu


def check_python() -> Finding:
    """Python 3.11 or 3.12."""
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Finding(Outcome.OK, f"{version}, {available_cores()} cores to use")
    return Finding(Outcome.FAIL, f"{version} is not 3.11 or 3.12", "make setup PYTHON=python3.11")


def check_packages(constraints: Path) -> Finding:
    """Installed versions are those of the lock."""
    try:
        lines = constraints.read_text().splitlines()
    except OSError:
        return Finding(Outcome.WARN, f"no {constraints} to compare with")
    wanted = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    installed = {
        dist.metadata["Name"].lower().replace("_", "-").replace(".", "-"): dist.version
        for dist in metadata.distributions()
    }
    other = []
    for name, version in wanted.items():
        found = installed.get(name.lower().replace("_", "-").replace(".", "-"))
        if found is not None and found != version:
            other.append(f"{name} {found} instead of {version}")
    if other:
        shown = ", ".join(other[:5]) + (" …" if len(other) > 5 else "")
        return Finding(Outcome.WARN, f"{len(other)} differ from the lock: {shown}", "make setup")
    return Finding(Outcome.OK, f"{len(installed)} installed, all as locked")


def check_import(what: str, program: str) -> Finding:
    """A library can be imported, tried in a process of its own since it may be heavy or crash."""
    try:
        tried = subprocess.run(
            [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Finding(Outcome.FAIL, f"importing {what} takes over {IMPORT_TIMEOUT_S} s")
    if tried.returncode == 0:
        return Finding(Outcome.OK, tried.stdout.strip())
    reason = (tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"])[-1]
    return Finding(Outcome.FAIL, reason, "make setup")


def check_opencv() -> Finding:
    """OpenCV can be imported; its ordinary build needs the system's libGL."""
    finding = check_import("cv2", "import cv2; print(cv2.__version__)")
    if finding.outcome is Outcome.FAIL and ".so" in finding.message:
        return Finding(
            Outcome.FAIL,
            finding.message,
            "apt-get install libgl1 libglib2.0-0, or take the build without windows: "
            "pip uninstall opencv-python && pip install opencv-python-headless",
        )
    return finding


def check_valkey() -> Finding:
    """The embedded server's binary runs here."""
    mend = "set INTERPLAY_REDIS_URL to a Redis or Valkey of yours"
    try:
        shown = subprocess.run(
            [str(valkey.binary_path()), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except InterplayError as error:
        return Finding(Outcome.FAIL, error.message, mend)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(Outcome.FAIL, f"the embedded server does not run: {error}", mend)
    return Finding(Outcome.OK, " ".join(shown.stdout.split()[:3]))


def check_models(store: Path) -> Finding:
    """Every model that a capability serves is in the store and matches its digest."""
    problems, whole = [], 0
    try:
        versions = [(m.name, m.version) for m in list_models(store)]
    except InterplayError as error:
        return Finding(Outcome.FAIL, error.message, "git checkout model_store")
    for name, version in versions:
        try:
            resolve(store, name, version)
            whole += 1
        except InterplayError as error:
            problems.append(error.message)
    for capability in CAPABILITIES:
        for name in capability.models:
            if name not in {n for n, _ in versions}:
                problems.append(f"{capability.name} needs {name}, which is not in {store}")
    if problems:
        return Finding(Outcome.FAIL, "; ".join(problems), "git checkout model_store")
    return Finding(Outcome.OK, f"{whole} versions match their digests")


def check_state(directory: Path) -> Finding:
    """The state directory can be written, and whether a launcher uses it now."""
    existing = directory
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(Outcome.FAIL, f"{existing} cannot be written", "choose another folder with --data-dir")
    if holder := find_holder(directory):
        return Finding(Outcome.OK, f"{directory}, in use by the Interplay at {holder.url}")
    return Finding(Outcome.OK, str(directory))


def check_port(settings: LauncherSettings) -> Finding:
    """The gateway's port is free, or held by Interplay itself."""
    if is_bindable(settings.host, settings.port):
        return Finding(Outcome.OK, f"{settings.host}:{settings.port} is free")
    if (holder := find_holder(settings.state_dir)) and holder.url == settings.url:
        return Finding(Outcome.OK, f"Interplay answers at {holder.url}")
    return Finding(
        Outcome.FAIL,
        f"{settings.host}:{settings.port} is busy or not ours",
        "stop what listens there, or choose another with --port",
    )


def check_dataset_root(root: str) -> Finding:
    """A folder that jobs may use exists; URLs are left to the job."""
    if "://" in root:
        return Finding(Outcome.OK, f"{root} (checked when a job uses it)")
    folder = Path(root)
    if not folder.is_dir():
        return Finding(Outcome.FAIL, f"{root} is not a folder", "make it, or name another with --root")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(Outcome.WARN, f"{root} can be read only: jobs cannot write results there")
    return Finding(Outcome.OK, root)


def check_disk(directory: Path) -> Finding:
    """Room for job results and logs."""
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    message = f"{free / 1e9:.0f} GB free"
    if free < FREE_DISK_WANTED_BYTES:
        return Finding(Outcome.WARN, message, "make room, or choose another disk with --data-dir")
    return Finding(Outcome.OK, message)


def check_memory() -> Finding:
    """Memory for the model servers."""
    try:
        facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return Finding(Outcome.OK, "unknown on this system")
    message = f"{free / 1e9:.0f} GB available"
    if free < FREE_MEMORY_WANTED_BYTES:
        return Finding(Outcome.WARN, message, "stop other programs, or start fewer capabilities with --only")
    return Finding(Outcome.OK, message)


def check_gpu() -> Finding:
    """Whether models would run on a GPU; none is needed."""
    program = (
        "import torch; cuda = torch.cuda; "
        "names = map(cuda.get_device_name, range(cuda.device_count())); print(', '.join(names))"
    )
    finding = check_import("torch", program)
    if finding.outcome is not Outcome.OK:
        return Finding(Outcome.WARN, "cannot be asked: PyTorch does not import")
    return Finding(Outcome.OK, finding.message or "none; models run on the CPU")
