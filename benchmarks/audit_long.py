"""How often the audit is wrong about correct networks that are trained long, at large rates.

    python benchmarks/audit_long.py [--work FOLDER] [--short]

Differences between initializations are then amplified until they saturate, and late losses are what the rate
leaves: nothing that a wrong law of the width would do, but much that looks like it. Perceptrons of two hidden
relu layers, sixteen seeds an audit; networks are kept in the work folder. `--short` trains one
audit's networks of each case for a tenth of the steps, to see that everything runs, and writes no result.
"""

import argparse
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from machine import write_result
from scipy import stats

import widthwise as ww

AUDITS, SEEDS, ALPHA, WIDTHS = 6, 16, 0.05, (32, 64, 128, 256)


@dataclass(frozen=True)
class Case:
    """A task and how it is trained."""

    name: str
    data: ww.DataSettings
    training: ww.TrainingSettings


def online(task: str, dimension: int) -> ww.DataSettings:
    """Each sample seen once."""
    return ww.DataSettings(kind="synthetic", task=task, dimension=dimension, order="online", test=64)


def by(optimizer: str, rate: float, batch: int = 64, steps: int = 1001, **more: Any) -> ww.TrainingSettings:
    """Mean losses of batches."""
    return ww.TrainingSettings(
        optimizer=optimizer, learning_rate=rate, batch=batch, steps=steps, reduction="mean", **more
    )


DIGITS = ww.DataSettings(kind="digits", classes=tuple(range(10)), train=512, test=64)
CASES = (
    Case("one direction, Adam", online("single_index", 8), by("adam", 0.01)),
    Case("one direction, Adam, large rate", online("single_index", 8), by("adam", 0.03)),
    Case("one direction, SGD, large rate", online("single_index", 8), by("sgd", 0.2)),
    Case("plane waves, Adam", online("fourier", 4), by("adam", 0.005)),
    Case(
        "digits fitted, AdamW",
        DIGITS,
        by("adamw", 0.003, 32, 601, loss="cross_entropy", weight_decay=0.1),
    ),
    Case("digits fitted, SGD, large rate", DIGITS, by("sgd", 0.6, 32, 601, loss="cross_entropy")),
)


def together(parts: list[xr.Dataset]) -> xr.Dataset:
    """Ensembles of one width each as one dataset."""
    return xr.concat(
        parts, dim="width", data_vars="minimal", coords="minimal", compat="override", join="override"
    )


def kept_records(path: Path, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    """What is in the file, made and written first if it is not there."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        make().to_netcdf(partial, engine="h5netcdf")
        partial.replace(path)
    with xr.open_dataset(path, engine="h5netcdf") as kept:
        return kept.load()


def train(case: Case, audits: int) -> xr.Dataset:
    """Networks of all widths for so many audits, without the study that tells their parametrization."""
    parts = []
    for width in WIDTHS:
        study = ww.Study(
            name="long",
            data=case.data,
            network=ww.NetworkSettings(
                hidden_layers=2, activation="relu", activation_gain=2**0.5, base_width=32, centered=False
            ),
            training=case.training,
            ensemble=ww.EnsembleSettings(
                widths=(width,), seeds=SEEDS * audits, seed=zlib.crc32(case.name.encode()) & 0x7FFFFFFF
            ),
            record=ww.RecordSettings(steps="log", train_points=16),
        )
        parts.append(ww.train_ensemble(study).drop_attrs())
    return together(parts)


def judge(case: Case, path: Path, audits: int) -> dict:
    """Verdicts, and what they rest on; exponents of the variance at the last step, which judges nothing."""
    started = time.perf_counter()
    records = kept_records(path, lambda: train(case, audits))
    verdicts, failed, exponents = Counter(), Counter(), []
    for first in range(0, SEEDS * audits, SEEDS):
        part = records.isel(seed=slice(first, first + SEEDS)).assign_coords(seed=range(SEEDS))
        found = ww.audit(part, alpha=ALPHA)
        verdicts[found.verdict] += 1
        failed.update({row.claim for row in found.rows if row.verdict != "consistent"})
        exponents += [
            row.estimate for row in found.rows if row.claim == "variance_scaling" and "step" in row.where
        ]
    losses = records["loss"].isel(split=-1, step=[0, -1]).mean("seed").transpose("step", "width")
    return {
        "case": case.name,
        "verdicts": dict(verdicts),
        "not_consistent": dict(failed),
        "variance_exponent_at_the_last_step": np.round(np.quantile(exponents, [0, 0.5, 1]), 2).tolist(),
        "loss_first_and_last": losses.to_numpy().round(4).tolist(),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/long"))
    parser.add_argument("--short", action="store_true")
    work, short = vars(parser.parse_args()).values()
    audits = 1 if short else AUDITS
    work /= "short" if short else ""
    work.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(work / "programs"))
    cases = []
    for number, case in enumerate(CASES):
        steps = case.training.steps // 10 if short else case.training.steps
        case = replace(case, training=replace(case.training, steps=steps))
        cases.append(judge(case, work / f"{number}.nc", audits))
        print(cases[-1], flush=True)
    total = audits * len(CASES)
    wrong = sum(each["verdicts"].get("inconsistent", 0) for each in cases)
    interval = stats.binomtest(wrong, total).proportion_ci(method="exact")
    summary = {
        "inconsistent": wrong,
        "consistent": sum(each["verdicts"].get("consistent", 0) for each in cases),
        "of": total,
        "interval": [round(interval.low, 4), round(interval.high, 4)],
    }
    print(summary)
    if not short:
        design = {"seeds": SEEDS, "audits": AUDITS, "widths": WIDTHS, "alpha": ALPHA}
        write_result("audit_long", {"design": design, "summary": summary, "cases": cases})


if __name__ == "__main__":
    main()
