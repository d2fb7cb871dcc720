"""The training loop of every capability.

A capability writes a `Task`: a network, an endless dataset, a loss and an evaluation.
The engine does the rest: mixed precision, gradient clipping, a warm-up and cosine
schedule over steps or minutes, an exponential moving average of the weights (EMA),
checkpoints and resuming, data-parallel training under `torchrun`, TensorBoard and
progress. A run leaves

    OUT/run.json                 configuration, seed, commit, digest of the data
    OUT/tensorboard/             curves
    OUT/checkpoints/step_N/      model, ema (safetensors), optimizer.pt, state.json

A checkpoint is written beside its target and renamed, so one that exists is whole.
Resuming continues with the batch after the last one: datasets are functions of the
sample's number.
"""

import copy
import json
import logging
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from training.checkpoints import git_commit, latest_checkpoint, load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)


class Task(Protocol):
    """What a capability gives the engine.

    Attributes:
        model: network to train; the engine moves it to the device.
        dataset: item i of any i ≥ 0, a pure function of i; it need not end.
        batch_size: items a step and process.
        data_digest: hexadecimal digest of what the dataset is made of.
        options: the task's own configuration, kept in checkpoints.
    """

    model: nn.Module
    dataset: Dataset
    batch_size: int
    data_digest: str
    options: dict[str, Any]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups: "params", "lr" and, where it differs, "weight_decay"."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch that is on the device already, and its parts."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the averaged weights; called on the first process only, in eval mode."""

    def set_train(self, model: nn.Module) -> None:
        """Puts the network into training mode (a task may keep parts of it in eval mode)."""


@dataclass(frozen=True)
class EngineConfig:
    """How to train.

    Attributes:
        out: folder of the run.
        steps: optimiser steps; the schedule ends there.
        max_minutes: if given, the schedule also ends there, whichever comes first.
        warmup_steps: steps over which the learning rate rises linearly.
        schedule: "cosine" to zero, or "constant".
        optimizer: "adamw" or "sgd".
        momentum: of SGD.
        weight_decay: default of all groups.
        clip_norm: largest norm of the gradient; 0 = no clipping.
        ema_decay: of the averaged weights.
        precision: "bf16" (autocast) or "fp32".
        device: "auto", "cpu" or "cuda".
        workers: data processes beside the training process.
        evaluate_every, checkpoint_every, log_every: in steps.
        keep: checkpoints to keep.
        seed: of everything random.
    """

    out: Path
    steps: int = 10_000
    max_minutes: float | None = None
    warmup_steps: int = 100
    schedule: str = "cosine"
    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-2
    clip_norm: float = 5.0
    ema_decay: float = 0.999
    precision: str = "bf16"
    device: str = "auto"
    workers: int = 1
    evaluate_every: int = 250
    checkpoint_every: int = 250
    log_every: int = 10
    keep: int = 3
    seed: int = 0


class Ema:
    """Exponential moving average of weights and statistics; the decay warms up."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards `model` after optimiser step `step` (from 1)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for average, value in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(value, weight)
            else:
                average.copy_(value)


class _Batches:
    """Indices of each batch of this process, from a given step on."""

    def __init__(self, start: int, stop: int, batch_size: int, rank: int, world: int) -> None:
        self.start, self.stop, self.batch_size, self.rank, self.world = start, stop, batch_size, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.stop):
            first = (step * self.world + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))

    def __len__(self) -> int:
        return self.stop - self.start


def schedule_factor(config: EngineConfig, step: int, elapsed_s: float) -> float:
    """Factor on the learning rates at a step (from 0) after so many seconds of training."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return warmup
    progress = step / max(1, config.steps)
    if config.max_minutes is not None:
        progress = max(progress, elapsed_s / (60 * config.max_minutes))
    return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def choose_device(name: str) -> torch.device:
    """Turns "auto", "cpu" or "cuda" into this process's device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name, int(os.environ.get("LOCAL_RANK", 0))) if name == "cuda" else torch.device(name)


def train(task: Task, config: EngineConfig) -> Path:
    """Trains a task, from its last checkpoint if the run has one.

    Returns:
        The last checkpoint's folder.

    Raises:
        ValueError: the configuration names an unknown optimiser, schedule or precision.
        FloatingPointError: the loss is no longer finite.
    """
    _check(config)
    device = choose_device(config.device)
    rank, world = _join(device)
    random.seed(config.seed)
    np.random.seed(config.seed)
    torch.manual_seed(config.seed + rank)
    model = task.model.to(device=device, memory_format=torch.channels_last)
    ema = Ema(model, config.ema_decay)
    optimizer = _optimizer(task, config)
    base_rates = [group["lr"] for group in optimizer.param_groups]
    step, spent_s = 0, 0.0
    if (last := latest_checkpoint(config.out)) is not None:
        state = load_checkpoint(last, model, ema.model, optimizer, device)
        step, spent_s = state["step"], state["elapsed_s"]
        log.info("resuming from %s", last)
    record = _record(task, config)
    writer = None
    if rank == 0:
        config.out.mkdir(parents=True, exist_ok=True)
        (config.out / "run.json").write_text(json.dumps(record, indent=2) + "\n")
        writer = SummaryWriter(str(config.out / "tensorboard"))
    network = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    loader = DataLoader(
        task.dataset,
        batch_sampler=_Batches(step, config.steps, task.batch_size, rank, world),
        num_workers=config.workers,
        pin_memory=device.type == "cuda",
        prefetch_factor=3 if config.workers else None,
    )
    started = time.monotonic() - spent_s
    progress = tqdm(loader, initial=step, total=config.steps, desc="train", disable=rank != 0, mininterval=5)
    for batch in progress:
        elapsed = time.monotonic() - started
        if _out_of_time(config, elapsed, device, world):
            break
        task.set_train(model)
        factor = schedule_factor(config, step, elapsed)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss, parts = task.loss(network, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"loss {loss.item()} or its gradient is not finite at step {step}")
        optimizer.step()
        step += 1
        ema.update(model, step)
        if writer is not None:
            if step % config.log_every == 0:
                _log(writer, progress, step, loss, parts, norm, factor)
            if step % config.evaluate_every == 0:
                _evaluate(task, ema.model, writer, step)
            if step % config.checkpoint_every == 0:
                state = {"step": step, "elapsed_s": time.monotonic() - started, **record}
                save_checkpoint(config.out, model, ema.model, optimizer, state, config.keep)
    if writer is not None:
        _evaluate(task, ema.model, writer, step)
        state = {"step": step, "elapsed_s": time.monotonic() - started, **record}
        save_checkpoint(config.out, model, ema.model, optimizer, state, config.keep)
        writer.close()
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    checkpoint = latest_checkpoint(config.out)
    assert checkpoint is not None
    return checkpoint


def _check(config: EngineConfig) -> None:
    for field, known in (
        ("schedule", ("cosine", "constant")),
        ("optimizer", ("adamw", "sgd")),
        ("precision", ("bf16", "fp32")),
        ("device", ("auto", "cpu", "cuda")),
    ):
        if getattr(config, field) not in known:
            raise ValueError(f"{field} must be one of {', '.join(known)}, not {getattr(config, field)!r}")


def _join(device: torch.device) -> tuple[int, int]:
    """Joins the process group that `torchrun` announces; returns (rank, world size)."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        return 0, 1
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_rank(), world


def _optimizer(task: Task, config: EngineConfig) -> torch.optim.Optimizer:
    groups = task.parameter_groups()
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)


def _record(task: Task, config: EngineConfig) -> dict[str, Any]:
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()
    }
    return {
        "engine": settings,
        "task": task.options,
        "seed": config.seed,
        "commit": git_commit(),
        "data_digest": task.data_digest,
        "torch": torch.__version__,
    }


def _out_of_time(config: EngineConfig, elapsed_s: float, device: torch.device, world: int) -> bool:
    """Whether the time is up: one answer for all processes, or they would wait for each other."""
    over = config.max_minutes is not None and elapsed_s > 60 * config.max_minutes
    if world == 1 or config.max_minutes is None:
        return over
    vote = torch.tensor(float(over), device=device)
    dist.all_reduce(vote, dist.ReduceOp.MAX)
    return bool(vote.item())


def _log(
    writer: SummaryWriter,
    progress: tqdm,
    step: int,
    loss: torch.Tensor,
    parts: dict[str, torch.Tensor],
    norm: torch.Tensor,
    factor: float,
) -> None:
    values = {"loss": loss.item(), **{name: part.item() for name, part in parts.items()}}
    for name, value in values.items():
        writer.add_scalar(f"train/{name}", value, step)
    writer.add_scalar("train/gradient_norm", norm.item(), step)
    writer.add_scalar("train/learning_rate_factor", factor, step)
    progress.set_postfix({name: f"{value:.3f}" for name, value in values.items()}, refresh=False)


def _evaluate(task: Task, model: nn.Module, writer: SummaryWriter, step: int) -> None:
    with torch.inference_mode():
        metrics = task.evaluate(model)
    for name, value in metrics.items():
        writer.add_scalar(f"dev/{name}", value, step)
    tqdm.write(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
