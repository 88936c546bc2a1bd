"""N Cov between observables at any depth: two populations for adjoints, and a third to average over."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.errors import InputError
from widthwise.fluctuations.correction_memory import FRESH, require_deep_memory, sites_of
from widthwise.fluctuations.deep_adjoint import adjoint
from widthwise.fluctuations.deep_contraction import contracted
from widthwise.infinite_width import InfiniteWidthSolution
from widthwise.infinite_width.causal_pass import (
    causal_pass,
    deep_noise,
    deep_process,
    evaluations,
    order_parameters,
)
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise, Rows
from widthwise.infinite_width.replicates import mean_and_stderr
from widthwise.progress import SILENT, Progress
from widthwise.study import Study
from widthwise.study.settings import TheoryQuantity

SEED_OF_FLUCTUATIONS = 1
LARGEST_REQUEST = 256
SINGLE_JITTER = 1e-5

# Differentiable numbers of a network from its rows; a pytree, so that equal ones share a compiled program.
Observe = Callable[[DeepProcess, Rows], Float[Array, " entry"]]


@dataclass(frozen=True, kw_only=True)
class Observable:
    """One number of a network: a quantity of the study at a training step; of a kernel, one of its entries.

    `step_b` is the step of the second field of a kernel at two times, otherwise equal to `step`. `layer`,
    from 1, matters for feature and gradient kernels, `output` for predictions, `split` (0 training, 1 test)
    for losses.
    """

    name: TheoryQuantity
    step: int
    step_b: int | None = None
    layer: int = 1
    point: int = 0
    point_b: int = 0
    output: int = 0
    split: int = 0


def solve_covariance(
    limit: InfiniteWidthSolution, observables: Sequence[Observable], *, progress: Progress = SILENT
) -> tuple[Float[np.ndarray, "observable observable"], Float[np.ndarray, "observable observable"]]:
    """N Cov over initializations between `observables` as N grows, and its standard errors.

    The time grows with their number, the memory too. **Errors:** `InputError` for a step, layer, point,
    output or split that the study does not have, and if the request does not fit into memory.
    **Source:** Bordelon and Pehlevan, arXiv 2304.03408.
    """
    study = limit.study
    if study.training.learning_rule != "backpropagation":
        raise InputError(
            f'`training.learning_rule` = "{study.training.learning_rule}": order 1/N is known for '
            '"backpropagation" alone'
        )
    sites = sites_of(study, len(limit.points.inputs))
    with jax.enable_x64(True):
        process = deep_process(study, limit.points)
        _require_known(limit, observables)
        require_deep_memory(study, limit.points, len(observables))
        entries = Entries(tuple(observables), tuple(_evaluations(study, each) for each in observables))
        progress.start("covariances", study.theory.scramblings)
        found = []
        for replicate in range(study.theory.scramblings):
            seed = (study.theory.seed, replicate, SEED_OF_FLUCTUATIONS)
            populations = Populations(process, sites, seed, entries)
            found.append(populations.covariance(np.arange(len(observables))))
            progress.advance()
    return mean_and_stderr(found)


class Populations:
    """The three populations of one scrambling, solved; what is asked of them comes in batches.

    `pass_seconds` is the time of one population without compiling it.
    """

    def __init__(self, process: DeepProcess, sites: int, seed: tuple[int, ...], observe: Observe) -> None:
        self._process, self._observe, self._seconds = process, observe, list[float]()
        # Adjoints are noise at the seventh digit: single precision, and a jitter above its rounding.
        self._rough = replace(process, jitter=SINGLE_JITTER)
        self._pairs: list[tuple[tuple[LayerNoise, ...], tuple, Rows]] = []
        for part in range(2):
            noise, solved, rows = self._solved(sites, (*seed, part))
            self._pairs.append((noise, solved, rows))
        self.pass_seconds = self._seconds[-1]
        # Here too responses from signs: those by parts are rough in time, and tangents feel it.
        noise, solved, _ = self._solved(FRESH * sites, (*seed, 2))
        self._fresh = jax.tree.map(lambda leaf: leaf.astype(float), noise), solved

    def _solved(self, sites: int, seed: tuple[int, ...]) -> tuple[tuple[LayerNoise, ...], tuple, Rows]:
        drawn = deep_noise(self._process, sites, seed, signs=True)
        noise = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), drawn)
        started = time.perf_counter()
        past, rows, drifts = jax.block_until_ready(causal_pass(self._rough, noise))
        self._seconds.append(time.perf_counter() - started)
        return noise, (past, drifts), rows

    def covariance(self, wanted: np.ndarray, padded_to: int = 0) -> Float[np.ndarray, "wanted wanted"]:
        """N Cov between the entries `wanted` of what is observed, padded so that batches share a program."""
        count = max(padded_to, len(wanted))
        chosen = jnp.asarray(np.resize(wanted, count))
        first, second = (
            adjoint(self._rough, noise, solved, slopes(self._rough, rows, self._observe, chosen))
            for noise, solved, rows in self._pairs
        )
        noise, solved = self._fresh
        found = contracted(self._process, solved, noise, (first, second))
        return np.asarray(found)[: len(wanted), : len(wanted)]


@eqx.filter_jit
def slopes(process: DeepProcess, rows: Rows, observe: Observe, chosen: Int[Array, " observable"]) -> Rows:
    """Derivatives of the chosen entries of what is observed, with respect to the rows (leading axis)."""
    values, pull = jax.vjp(lambda each: observe(process, each), rows)
    return jax.vmap(pull)(jax.nn.one_hot(chosen, len(values), dtype=float))[0]


class Entries(eqx.Module):
    """The values of single observables; `at`: the later and the earlier evaluation of each."""

    observables: tuple[Observable, ...] = eqx.field(static=True)
    at: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def __call__(self, process: DeepProcess, rows: Rows) -> Float[Array, " entry"]:
        """One number an observable."""
        pairs = zip(self.observables, self.at, strict=True)
        return jnp.stack([_value(process, rows, each, at) for each, at in pairs])


def _evaluations(study: Study, each: Observable) -> tuple[int, int]:
    steps = (each.step, each.step if each.step_b is None else each.step_b)
    later, earlier = evaluations(study, np.array([max(steps), min(steps)])).tolist()
    return later, earlier


def _value(process: DeepProcess, rows: Rows, each: Observable, at: tuple[int, int]) -> Float[Array, ""]:
    """The observable as a function of the order parameters."""
    later, earlier = at
    if each.name in ("prediction", "loss"):
        values = order_parameters(process, rows, jnp.array([later]))
        if each.name == "loss":
            return values.loss[0, each.split]
        return values.prediction[0, each.point, each.output]
    # Rows hold steps s <= t: of an entry whose first field is the earlier, the mirror.
    mirrored = each.step_b is not None and each.step < each.step_b
    point, point_b = (each.point_b, each.point) if mirrored else (each.point, each.point_b)
    outputs = process.targets.shape[1]

    def feature(layer: int) -> Array:
        if layer == 0:
            return process.input_kernel[point, point_b]
        return rows.layers[layer - 1].phi[later, point, earlier, point_b]

    def gradient(layer: int) -> Array | float:
        if layer > len(rows.layers):
            return 1.0
        block = (
            rows.layers[layer - 1].g[later, :, earlier, :].reshape(-1, outputs, len(process.targets), outputs)
        )
        return jnp.trace(block[point, :, point_b, :]) / outputs

    if each.name == "feature_kernel":
        return feature(each.layer)
    if each.name == "gradient_kernel":
        return jnp.asarray(gradient(each.layer))
    return sum(
        (gradient(n + 1) * feature(n) for n in range(1, len(rows.layers) + 1)), gradient(1) * feature(0)
    )


def _require_known(limit: InfiniteWidthSolution, observables: Sequence[Observable]) -> None:
    points, outputs = limit.points.targets.shape
    last = int(limit.finite_steps[-1]) if len(limit.finite_steps) else -1
    ends = {
        "step": last + 1,
        "step_b": last + 1,
        "point": points,
        "point_b": points,
        "output": outputs,
        "split": len(set(limit.points.splits)),
    }
    if not 1 <= len(observables) <= LARGEST_REQUEST:
        raise InputError(f"{len(observables)} observables: ask for 1 to {LARGEST_REQUEST} at once")
    for each in observables:
        for field, end in ends.items():
            value = getattr(each, field)
            if value is not None and not 0 <= value < end:
                raise InputError(f"{each}: `{field}` = {value} is not in 0 .. {end - 1}")
        if not 1 <= each.layer <= limit.study.network.hidden_layers:
            raise InputError(f"{each}: `layer` is not in 1 .. {limit.study.network.hidden_layers}")
