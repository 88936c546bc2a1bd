"""Order 1/N of networks of any depth: N Var of every observable of a study, by adjoints in batches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.fluctuations.correction_memory import (
    BATCH,
    TOGETHER,
    batches,
    deep_bytes,
    deep_seconds,
    require_deep_memory,
    sites_of,
)
from widthwise.fluctuations.deep_covariance import SEED_OF_FLUCTUATIONS, Populations
from widthwise.infinite_width.causal_pass import deep_process, evaluations, order_parameters
from widthwise.infinite_width.deep_step import DeepProcess, Rows
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import mean_and_stderr, nan_after
from widthwise.infinite_width.solution_memory import size_of
from widthwise.infinite_width.solve import InfiniteWidthSolution
from widthwise.progress import SILENT, Progress

TwoTime = Float[np.ndarray, "step step point output"]


class AllOrderParameters(eqx.Module):
    """Every order parameter at the evaluations `at`, in one row."""

    at: Int[Array, " step"]

    def __call__(self, process: DeepProcess, rows: Rows) -> Float[Array, " entry"]:
        """All entries, in the order of `flat`."""
        return flat(order_parameters(process, rows, self.at))


def deep_variances(
    limit: InfiniteWidthSolution, *, progress: Progress = SILENT
) -> tuple[OrderParameters, OrderParameters, TwoTime | None, TwoTime | None]:
    """N Var of the observables of the study at the recorded steps, and N Cov(f(t), f(s)), absent for many
    predictions; each with its standard errors.

    Each scrambling solves two populations for independent adjoints and draws a third to average over. Time
    grows with the number of observables: predictions, losses and kernels of the study at its recorded steps.
    Entries of observables that were not asked for are NaN. **Errors:** `InputError` if it cannot fit.
    """
    study = limit.study
    sites = sites_of(study, len(limit.points.inputs))
    with jax.enable_x64(True):
        process = deep_process(study, limit.points)
        at = evaluations(study, limit.finite_steps)
        template = jax.tree.map(lambda leaf: np.zeros_like(leaf[: len(at)]), limit.values)
        wanted = wanted_entries(template, study.theory.observables)
        predictions = template.prediction.size if "prediction" in study.theory.observables else 0
        together = predictions if predictions <= TOGETHER else 0
        if not len(wanted):  # diverged from the first
            nothing = placed(np.empty(0), wanted, template, len(limit.steps))
            return nothing, nothing, None, None
        parts = batches(wanted, predictions)
        largest = max(len(part) for part in parts)
        require_deep_memory(study, limit.points, largest)
        observe = AllOrderParameters(jnp.asarray(at))
        progress.start("fluctuations", study.theory.scramblings * len(parts))
        variances, covariances = [], []
        for replicate in range(study.theory.scramblings):
            seed = (study.theory.seed, replicate, SEED_OF_FLUCTUATIONS)
            populations = Populations(process, sites, seed, observe)
            if replicate == 0:
                size = size_of(study, limit.points, sites)
                each = deep_seconds(process, sites, [len(part) for part in parts], populations.pass_seconds)
                progress.say(
                    f"{len(wanted)} observables at order 1/N: about {each * study.theory.scramblings:.0f} s, "
                    f"{deep_bytes(size, process.steps, largest) / 1e9:.1f} GB"
                )
            found = []
            for part in parts:
                found.append(populations.covariance(part, min(BATCH, len(wanted))))
                progress.advance()
            variances.append(np.concatenate([np.diag(each) for each in found]))
            covariances.append(found[0][:together, :together])
    mean, stderr = mean_and_stderr(variances)
    steps = len(limit.steps)
    variance = (placed(mean, wanted, template, steps), placed(stderr, wanted, template, steps))
    if not together:
        return *variance, None, None
    mean, stderr = (_two_times(each, template, steps) for each in mean_and_stderr(covariances))
    return *variance, mean, stderr


def _two_times(
    covariance: Float[np.ndarray, "entry entry"], template: OrderParameters, steps: int
) -> TwoTime:
    """Of the covariances of all predictions, those of one point and output; NaN after a divergence."""
    shape = template.prediction.shape
    return nan_after(np.einsum("tpcspc->tspc", covariance.reshape(*shape, *shape)), steps, 2)


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
        placed.append(nan_after(part, steps))
    return OrderParameters(*placed)


def flat(values: OrderParameters) -> Float[Array, " entry"]:
    """All entries in one row, in the order of the fields."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in values])
