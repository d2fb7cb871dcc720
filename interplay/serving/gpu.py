"""GPU memory as metrics. torch is imported only where there is a GPU to ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interplay.telemetry import metrics


def publish_memory(device: str) -> None:
    """Let every scrape read the allocator's figures of ``cuda:N``."""
    import torch

    metrics.GPU_ALLOCATED.labels(device).set_function(lambda: torch.cuda.memory_allocated(device))
    metrics.GPU_RESERVED.labels(device).set_function(lambda: torch.cuda.memory_reserved(device))


@contextmanager
def counting_out_of_memory(device: str) -> Iterator[None]:
    """Count out-of-memory errors and give cached blocks back, so that the items can be tried one by one."""
    try:
        yield
    except Exception as error:
        if device.startswith("cuda") and type(error).__name__ == "OutOfMemoryError":
            import torch

            metrics.GPU_OOM.labels(device).inc()
            torch.cuda.empty_cache()
        raise
