"""Training one small copy of a user's model, recorded."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from widthwise.adapters.steps import log_steps
from widthwise.adapters.torch import Recorder
from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.torch.correction import NONE, Correction
from widthwise.torch.task import Task, built, model_of, optimizers_of, seed_all
from widthwise.torch.user_code import failures_told, with_width

STRIDE = 1_000_003  # so that no step of a seed draws as the beginning of another


def store_of(out: Path, width: int, seed: int) -> Path:
    """Where the record of a copy is when it is complete."""
    return out / f"width={width}" / f"seed={seed}.zarr"


def train_copies(task: Task, out: Path, progress: Progress, correction: Correction = NONE) -> None:
    """Train and record all copies, narrow ones first; those whose record is there are left as they are."""
    todo = [
        (width, seed)
        for width in task.widths
        for seed in range(task.seeds)
        if not store_of(out, width, seed).exists()
    ]
    parts = [(task.steps * sum(width == each for each, _ in todo), width) for width in task.widths]
    label = f"trying {correction.name}" if correction.name else "training copies"
    progress.start(label, task.steps * len(todo), parts)
    for width, seed in todo:
        train_copy(task, width, seed, out, progress, correction)


def train_copy(
    task: Task, width: int, seed: int, out: Path, progress: Progress, correction: Correction = NONE
) -> None:
    """One network: the seed is that of its initialization, and of what its training draws."""
    training = task.training
    made = built(training.make, width, seed)
    model = model_of(made, task.device)
    growth, narrow = width / task.widths[0], task.widths[0]
    correction.change_model(model, growth)
    optimizers = optimizers_of(training, made, model, width)
    correction.change_optimizers(model, optimizers, growth)
    paced = narrow if correction.same_schedule else width
    schedulers = _schedulers(task, optimizers, paced)
    batches = task.batches.of(narrow if correction.same_batches else width)
    with (
        correction.attending(growth),
        Recorder(
            model,
            task.probes,
            width=width,
            seed=seed,
            out=out,
            optimizer=optimizers,
            **{"steps": log_steps(task.steps - 1), **task.recording},
        ) as recorder,
    ):
        for step, batch in enumerate(batches):
            seed_all(STRIDE * (seed + 1) + step)
            with failures_told(f"training `make({width})`"):
                loss = _step(task, made, model, optimizers, batch, not correction.no_clipping)
            recorder.step(loss=loss)
            for scheduler in schedulers:
                scheduler.step()
            progress.advance()
            if not math.isfinite(float(loss)):
                if not step:
                    raise InputError(
                        f"the loss of `make({width})` is {float(loss)} before any update (seed {seed})"
                    )
                progress.advance(task.steps - step - 1)
                break


def _step(task: Task, made: Any, model: Any, optimizers: Sequence[Any], batch: Any, clips: bool) -> Any:
    """One update, clipped if it `clips`; returns the loss before it."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss, clip = task.loss(model, batch), task.training.clip
    if not loss.requires_grad:
        raise InputError("`loss` returned a number without a gradient: compute it from the model's outputs")
    loss.backward()
    if clips and callable(clip):
        clip(made)
    elif clips and clip is not None:
        require_torch().nn.utils.clip_grad_norm_(model.parameters(), clip)
    for optimizer in optimizers:
        optimizer.step()
    return loss.detach()


def _schedulers(task: Task, optimizers: Sequence[Any], width: int) -> list[Any]:
    if task.training.scheduler is None:
        return []
    found = []
    with failures_told("`scheduler`"):
        for optimizer in optimizers:
            made = with_width(task.training.scheduler, optimizer, width)
            found += list(made) if isinstance(made, tuple | list) else [made]
    return found
