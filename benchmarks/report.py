"""What every benchmark says of where it ran, and how it writes its figures."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from interplay.settings import available_cores


def machine() -> dict[str, Any]:
    """Processor, cores, Python, and the commit measured."""
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "processor": model,
        "cores": available_cores(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def quantiles_ms(seconds: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile in milliseconds."""
    if not seconds:
        return {"p50_ms": 0.0, "p95_ms": 0.0, "p99_ms": 0.0}
    values = np.percentile(np.asarray(seconds) * 1000, [50, 95, 99])
    return {name: round(float(v), 1) for name, v in zip(("p50_ms", "p95_ms", "p99_ms"), values, strict=True)}


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Rows as a Markdown table, so that a run can be pasted into a document."""
    if not rows:
        return
    print(f"\n{title}\n")
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


def write(out: Path | None, results: dict[str, Any]) -> None:
    """Write the figures with the machine's description, if a file is asked for."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n")
        print(f"\nwrote {out}")
