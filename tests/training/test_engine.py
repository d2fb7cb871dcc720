"""The training loop on a toy task: learning, averaging, schedules, resuming, several processes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

from interplay.models.efficientnet_lite import EfficientNetLite, EfficientNetLiteConfig, freeze_statistics
from training.checkpoints import latest_checkpoint
from training.depthwise import freeze_for_cpu
from training.engine import Ema, EngineConfig, schedule_factor, train


class Line(Dataset):
    """Points of y = 2x + 1; item i is a function of i."""

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        x = torch.rand(1, generator=torch.Generator().manual_seed(index))
        return {"x": x, "y": 2 * x + 1}


class LineTask:
    """Fits the line."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self.dataset = Line()
        self.batch_size = 8
        self.data_digest = "abc"
        self.options: dict[str, Any] = {"kind": "line"}

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 0.1}]

    def set_train(self, model: nn.Module) -> None:
        model.train()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = (model(batch["x"]) - batch["y"]).square().mean()
        return loss, {"square": loss}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"slope": model.weight.item()}


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig(
        out=tmp_path / "run",
        steps=6,
        warmup_steps=2,
        precision="fp32",
        device="cpu",
        workers=0,
        weight_decay=0.0,
        checkpoint_every=3,
        evaluate_every=3,
        log_every=1,
        ema_decay=0.5,
    )


def test_it_learns_and_leaves_a_record(config: EngineConfig) -> None:
    task = LineTask()
    checkpoint = train(task, replace(config, steps=200, checkpoint_every=40, evaluate_every=100))
    assert task.model.weight.item() == pytest.approx(2, abs=0.2)
    state = json.loads((checkpoint / "state.json").read_text())
    assert state["step"] == 200 and state["seed"] == 0 and state["data_digest"] == "abc"
    assert state["task"] == {"kind": "line"} and state["engine"]["steps"] == 200
    assert {"commit", "torch"} <= set(state)
    assert list((config.out / "tensorboard").iterdir())
    assert len(list((config.out / "checkpoints").iterdir())) == config.keep


def test_a_resumed_run_ends_where_an_unbroken_one_does(config: EngineConfig, tmp_path: Path) -> None:
    unbroken = train(LineTask(), config)

    class Stopped(LineTask):
        def loss(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> Any:
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen > 4:
                raise KeyboardInterrupt
            return super().loss(model, batch)

    broken = replace(config, out=tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train(Stopped(), broken)
    last = latest_checkpoint(broken.out)
    assert last is not None and last.name == "step_3"
    resumed = train(LineTask(), broken)
    for file in ("model.safetensors", "ema.safetensors"):
        for key, value in load_file(unbroken / file).items():
            torch.testing.assert_close(load_file(resumed / file)[key], value)


def test_a_half_written_checkpoint_is_not_one(config: EngineConfig) -> None:
    (config.out / "checkpoints" / ".writing-x").mkdir(parents=True)
    assert latest_checkpoint(config.out) is None


def test_the_time_limit_ends_the_run(config: EngineConfig) -> None:
    checkpoint = train(LineTask(), replace(config, steps=10_000_000, max_minutes=0.02))
    assert 0 < int(checkpoint.name.removeprefix("step_")) < 10_000_000


def test_a_loss_that_is_no_number_stops_the_run(config: EngineConfig) -> None:
    class Broken(LineTask):
        def loss(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> Any:
            loss, parts = super().loss(model, batch)
            return loss * float("nan"), parts

    with pytest.raises(FloatingPointError, match="step 0"):
        train(Broken(), config)


def test_schedules(config: EngineConfig) -> None:
    cosine = replace(config, steps=100, warmup_steps=10)
    assert schedule_factor(cosine, 0, 0) == pytest.approx(0.1)
    assert schedule_factor(cosine, 50, 0) == pytest.approx(0.5)
    assert schedule_factor(cosine, 100, 0) == pytest.approx(0)
    timed = replace(cosine, max_minutes=1.0)
    assert schedule_factor(timed, 10, 30.0) == pytest.approx(0.5)
    assert schedule_factor(replace(cosine, schedule="constant"), 99, 0) == 1


def test_the_average_follows_the_weights() -> None:
    model = nn.Linear(1, 1)
    ema = Ema(model, decay=0.9)
    start = ema.model.weight.clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    ema.update(model, step=10_000)
    torch.testing.assert_close(ema.model.weight, start + 0.1)
    assert not ema.model.weight.requires_grad


def test_unknown_settings_are_refused(config: EngineConfig) -> None:
    with pytest.raises(ValueError, match="optimizer must be one of adamw, sgd"):
        train(LineTask(), replace(config, optimizer="lion"))


def test_frozen_depthwise_gradients_are_exact() -> None:
    """The fast backward pass gives the gradients that autograd gives."""
    torch.manual_seed(0)
    plain, fast = (EfficientNetLite(EfficientNetLiteConfig(stages=4)) for _ in range(2))
    fast.load_state_dict(plain.state_dict())
    for model in (plain, fast):
        freeze_statistics(model)
        model.train()
    freeze_for_cpu(fast)
    x = torch.randn(2, 3, 64, 96)
    weights = [torch.randn_like(y) for y in plain(x)]
    for model in (plain, fast):
        sum((y * w).sum() for y, w in zip(model(x), weights, strict=True)).backward()
    compared = 0
    for (name, expected), found in zip(plain.named_parameters(), fast.parameters(), strict=True):
        if found.requires_grad:
            torch.testing.assert_close(found.grad, expected.grad, atol=1e-3, rtol=1e-3, msg=name)
            compared += 1
        else:
            assert found.grad is None
    assert compared > 20
    assert not any(p.requires_grad for p in [*fast.stem.parameters(), *fast.stages[0].parameters()])


_SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.training.test_engine import LineTask
from training.engine import EngineConfig, train
train(LineTask(), EngineConfig(out=Path(sys.argv[1]), steps=4, warmup_steps=1, precision="fp32", device="cpu",
                               workers=0, weight_decay=0.0, log_every=1))
"""


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path: Path) -> None:
    script = tmp_path / "pair.py"
    script.write_text(_SCRIPT)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*command, str(script), str(tmp_path / "pair")], check=True, env=environment, timeout=110)
    wide = LineTask()
    wide.batch_size = 16
    single = EngineConfig(
        out=tmp_path / "single",
        steps=4,
        warmup_steps=1,
        precision="fp32",
        device="cpu",
        workers=0,
        weight_decay=0.0,
    )
    one = load_file(train(wide, single) / "model.safetensors")
    last = latest_checkpoint(tmp_path / "pair")
    assert last is not None
    for key, value in load_file(last / "model.safetensors").items():
        torch.testing.assert_close(value, one[key], atol=1e-5, rtol=1e-5)
