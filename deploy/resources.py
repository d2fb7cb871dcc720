"""Requests and limits of each container, from what ``python -m benchmarks.resources`` measured."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

FIGURES = Path(__file__).resolve().parent / "resources.json"


@dataclass(frozen=True)
class Resources:
    """What a container asks for.

    Attributes:
        cpu: Cores, as Kubernetes writes them.
        memory_mib: Memory that it asks for.
        limit_mib: Memory at which it is killed.
    """

    cpu: str
    memory_mib: int
    limit_mib: int

    def as_kubernetes(self) -> dict[str, dict[str, str]]:
        """The ``resources`` of a container. No CPU limit: throttling a busy server helps nobody."""
        return {
            "requests": {"cpu": self.cpu, "memory": f"{self.memory_mib}Mi"},
            "limits": {"memory": f"{self.limit_mib}Mi"},
        }


def resources_of(name: str, figures: Path = FIGURES) -> Resources:
    """Of ``gateway``, ``worker`` or a capability; what was never measured gets the largest figures there are.

    Memory: the measured peak and a tenth, in steps of 128 MiB; the limit is twice that, for larger images
    than the benchmark's. CPU: the cores used under full load, in steps of 250 m.
    """
    measured = json.loads(figures.read_text())["parts"]
    own = measured.get(name)
    cores = own["cpu_cores"] if own else max(m["cpu_cores"] for m in measured.values())
    peak = own["peak_mib"] if own else max(m["peak_mib"] for m in measured.values())
    millicores = max(250, math.ceil(cores * 4) * 250)
    memory = math.ceil(peak * 1.1 / 128) * 128
    cpu = f"{millicores}m" if millicores % 1000 else str(millicores // 1000)
    return Resources(cpu, memory, 2 * memory)
