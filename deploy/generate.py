"""Write the files of an installation that list capabilities: ``python -m deploy.generate [--check]``.

From ``interplay/capabilities.py`` and the measured ``deploy/resources.json`` come the model servers of
``docker-compose.yml`` and of ``k8s/``; from ``k8s/components/monitoring/rules.yml`` comes the PrometheusRule,
and from ``deploy/dashboards.py`` come Grafana's dashboards. All are plain files that are committed; a test
says when they are old. A new capability is a row of the table and one run of this.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy import compose, dashboards, kubernetes
from interplay.capabilities import CAPABILITIES, Capability

ROOT = Path(__file__).resolve().parent.parent


def generated_files(
    root: Path = ROOT, capabilities: tuple[Capability, ...] = CAPABILITIES
) -> dict[Path, str]:
    """What each generated file must hold, by path relative to the root."""
    return {
        **compose.files(root, capabilities),
        **kubernetes.files(root, capabilities),
        **dashboards.files(),
    }


def stale_files(root: Path, files: dict[Path, str]) -> list[Path]:
    """Files that are missing, hold something else, or that nothing writes any more."""
    wrong = [path for path, text in files.items() if _read(root / path) != text]
    folders = {path.parent for path in files} - {Path()}
    owned = {
        found.relative_to(root)
        for folder in folders
        for found in (root / folder).glob("*")
        if found.is_file() and _is_marked(found)
    }
    return sorted([*wrong, *(owned - set(files))])


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _is_marked(path: Path) -> bool:
    return kubernetes.MARK in path.read_text()[:200]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or say which are old; the exit status."""
    parser = argparse.ArgumentParser(description="Write the files of an installation that list capabilities.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is old")
    options = parser.parse_args(arguments)
    files = generated_files()
    stale = stale_files(ROOT, files)
    for path in stale:
        if options.check:
            print(f"old: {path}; run: make deploy")
        elif path in files:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files[path])
            print(f"wrote {path}")
        else:
            (ROOT / path).unlink()
            print(f"removed {path}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
