"""A real text detection server process on a store with small random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from interplay.capabilities import get_capability
from interplay.launcher.ports import free_port
from interplay.rpc.clients import SyncModelServerClient
from interplay.store import Manifest, Preprocessing, StoredModel, publish
from tests.conftest import REPOSITORY_ROOT, wait_until

CAPABILITY = get_capability("text_detection")
NETWORK = {"preset": "compact", "stages": 4, "fusion_channels": 16, "level_channels": 8, "head_channels": 8}


def publish_random_model(store: Path, scratch: Path) -> StoredModel:
    """Publish a small network with random weights under the name that the server loads."""
    import torch
    from safetensors.torch import save_file

    from interplay.models.textfcn import build_textfcn

    torch.manual_seed(0)
    network = build_textfcn(NETWORK).eval()
    with torch.no_grad():  # spread its answers, so that there is something to detect
        patches = torch.rand(1, 3, 8, 8).repeat_interleave(20, 2).repeat_interleave(20, 3)
        network.classifier.bias.zero_()
        logits = network(patches)  # (1, classes, 80, 80)
        means = logits.mean(dim=(0, 2, 3))  # (classes,)
        scale = 4.0 / (logits - means[:, None, None]).std()
        network.classifier.weight.mul_(scale)
        network.classifier.bias.copy_((-scale * means).repeat_interleave(4))
    weights = scratch / "random.safetensors"
    save_file(network.state_dict(), weights)
    manifest = Manifest(
        name=CAPABILITY.models[0],
        version=1,
        capability=CAPABILITY.name,
        architecture="textfcn",
        config=NETWORK,
        description="random weights",
        license="none",
        preprocessing=Preprocessing(max_side=320),
        labels=("background", "border", "core"),
        thresholds={"pixel": 0.5, "core": 0.4, "score": 0.1, "min_side_px": 3},
        parameters=sum(p.numel() for p in network.parameters()),
    )
    return publish(store, manifest, weights)


class TextDetectionProcess:
    """``python -m services.text_detection``.

    Args:
        folder: For the log.
        store: Model store.
        settings: Further settings by name.
    """

    def __init__(self, folder: Path, store: Path, **settings: Any) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.log = folder / f"server-{self.port}.log"
        self.client = SyncModelServerClient(CAPABILITY, f"127.0.0.1:{self.port}", default_timeout_s=100)
        values = {
            "port": self.port,
            "metrics_port": self.metrics_port,
            "model_store": store,
            "threads": 1,
            "device": "cpu",
            **settings,
        }
        environment = {f"INTERPLAY_{name.upper()}": str(value) for name, value in values.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", CAPABILITY.module],
                cwd=REPOSITORY_ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def wait_until_serving(self) -> None:
        """Wait for SERVING; fail with the log if the process ends first."""

        def serving() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.client.is_serving()

        wait_until(serving, timeout_s=200, what="text detection serves")

    def log_lines(self) -> list[dict[str, Any]]:
        """The log so far; fails when a line is not JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric that have these labels."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=20) as response:
            text = response.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def end(self) -> int:
        """Close the client, end the process with SIGTERM and return its exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
