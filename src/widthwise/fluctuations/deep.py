"""Order 1/N of networks of any depth: N Var of every requested observable, by adjoints in batches."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from widthwise.fluctuations.deep_adjoint import adjoint
from widthwise.fluctuations.deep_variance import contracted
from widthwise.fluctuations.memory import require_deep_memory
from widthwise.infinite_width.deep import deep_noise, deep_process, evaluations, order_parameters, sweep
from widthwise.infinite_width.deep_step import DeepProcess, Rows
from widthwise.infinite_width.order import OrderParameters
from widthwise.infinite_width.replicates import mean_and_stderr
from widthwise.infinite_width.solve import InfiniteWidthSolution
from widthwise.progress import SILENT, Progress

DEEP_SITES = 1024  # when the study leaves their number open
BATCH = 16  # observables whose reverse passes share their work
SEED_OF_FLUCTUATIONS = 1


def deep_variances(
    limit: InfiniteWidthSolution, *, progress: Progress = SILENT
) -> tuple[OrderParameters, OrderParameters]:
    """N Var of the observables of the study at the recorded steps, and standard errors.

    Each scrambling solves two populations for independent adjoints and draws a third to average over. Time
    grows with the number of observables: predictions, losses and kernels of the study at its recorded steps.
    Entries of observables that were not asked for are NaN. **Errors:** `InputError` if it cannot fit.
    """
    study = limit.study
    sites = study.theory.fluctuation_sites or DEEP_SITES
    with jax.enable_x64(True):
        process = deep_process(study, limit.points)
        mean_loss = study.training.reduction == "mean"
        at = evaluations(study, limit.finite_steps)
        template = jax.tree.map(np.zeros_like, _cut(limit.values, len(at)))
        wanted = wanted_entries(template, study.theory.observables)
        require_deep_memory(process, sites, min(BATCH, len(wanted)))
        batches = [wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH)]
        progress.start("fluctuations", study.theory.scramblings * len(batches))
        values = []
        for replicate in range(study.theory.scramblings):
            seed = (study.theory.seed, replicate, SEED_OF_FLUCTUATIONS)
            started = time.perf_counter()
            values.append(_variances(process, sites, seed, (at, mean_loss, template), batches, progress))
            if replicate == 0 and len(batches) > 1:
                ahead = (time.perf_counter() - started) * (study.theory.scramblings - 1)
                progress.say(f"{len(wanted)} observables; about {ahead:.0f} s more")
    mean, stderr = mean_and_stderr(values)
    return (
        placed(mean, wanted, template, len(limit.steps)),
        placed(stderr, wanted, template, len(limit.steps)),
    )


def _variances(
    process: DeepProcess, sites: int, seed: tuple[int, ...], observed, batches, progress: Progress
) -> Float[np.ndarray, " observable"]:
    """One scrambling: N Var of every wanted observable, in the order of `batches`."""
    at, mean_loss, template = observed
    noises = [deep_noise(process, sites, (*seed, part), signs=part < 2) for part in range(3)]
    solved = [sweep(process, noise) for noise in noises[:2]]

    def observe(rows: Rows) -> Float[Array, " entry"]:
        return flat(order_parameters(process, rows, at, mean_loss))

    pulls = [jax.vjp(observe, rows)[1] for _, rows, _ in solved]
    size = sum(leaf.size for leaf in template)
    past, _, drifts = sweep(process, noises[2])
    found = []
    for batch in batches:
        padded = jax.nn.one_hot(np.resize(batch, len(batches[0])), size, dtype=float)
        adjoints = [
            adjoint(process, noise, (each[0], each[2]), jax.vmap(pull)(padded)[0])
            for noise, each, pull in zip(noises[:2], solved, pulls, strict=True)
        ]
        covariance = contracted(process, (past, drifts), noises[2], (adjoints[0], adjoints[1]))
        found.append(np.diag(covariance)[: len(batch)])
        progress.advance()
    return np.concatenate(found)


def wanted_entries(template: OrderParameters, names: tuple[str, ...]) -> np.ndarray:
    """Flat indices of the observables asked for; of symmetric kernels the upper triangle."""
    marks = []
    for name, leaf in template._asdict().items():
        mark = np.full(leaf.shape, name in names)
        marks.append((np.triu(mark) if name.endswith("kernel") else mark).ravel())
    return np.flatnonzero(np.concatenate(marks))


def placed(values: np.ndarray, wanted: np.ndarray, template: OrderParameters, steps: int) -> OrderParameters:
    """Values in the arrays they belong to, kernels symmetric, NaN elsewhere and after a divergence."""
    flat = np.full(sum(leaf.size for leaf in template), np.nan)
    flat[wanted] = values
    placed, start = [], 0
    for name, leaf in template._asdict().items():
        part = flat[start : start + leaf.size].reshape(leaf.shape)
        start += leaf.size
        if name.endswith("kernel"):
            part = np.where(np.isnan(part), np.swapaxes(part, -1, -2), part)
        missing = [(0, steps - len(part))] + [(0, 0)] * (part.ndim - 1)
        placed.append(np.pad(part, missing, constant_values=np.nan))
    return OrderParameters(*placed)


def _cut(values: OrderParameters, steps: int) -> OrderParameters:
    return OrderParameters(*(np.asarray(leaf)[:steps] for leaf in values))


def flat(values: OrderParameters) -> Float[Array, " entry"]:
    """All entries in one row, in the order of the fields."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in values])
