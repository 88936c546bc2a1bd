"""One compiled program a width, run for many seeds at once within bounded memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Key

from widthwise.data import Points
from widthwise.data.files import usable_bytes
from widthwise.errors import InputError
from widthwise.records import Layout
from widthwise.records.evidence import usable_processors
from widthwise.study import Study
from widthwise.training.network import Task, Trajectory, network_keys, train_network
from widthwise.training.numerics import numerics
from widthwise.training.sharding import everywhere, over_seeds, place, seed_mesh, shareable

# What all networks trained at the same time may use together.
BUDGET_BYTES = 2**31


class Program(NamedTuple):
    """A compiled training of `together` networks of one width in one call, in the study's precision.

    Which networks share a call depends on the study alone, so that results are the same to the last bit
    however a run is divided and resumed.
    """

    compiled: jax.stages.Compiled
    task: Task
    width: int
    ensemble_seed: int
    precision: str
    together: int
    workers: int
    mesh: Mesh | None = None

    def run(self, seeds: Sequence[int] | range) -> Trajectory:
        """Train the networks of these seeds; every array gets a leading axis `seed`.

        On a processor with several cores, threads each train one network: at widths of 32 to 1024 that is
        1.1 to 2 times faster than one batched program, whose small operations leave cores idle. Several
        devices share the networks of one call.
        """
        keys = network_keys(self.ensemble_seed, np.array(seeds), self.width)
        blocks = [keys[i : i + self.together] for i in range(0, len(seeds), self.together)]
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                results = list(pool.map(self._run_block, blocks))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return jax.tree.map(lambda *parts: np.concatenate(parts), *results)

    def _run_block(self, keys: Key[jax.Array, "seed"]) -> Trajectory:
        count = len(keys)
        padded = keys[np.minimum(np.arange(self.together), count - 1)]
        with numerics(self.precision):
            padded = place(padded, over_seeds(self.mesh) if self.mesh else None)
            trajectory = self.compiled(padded, self.task)
            return jax.tree.map(lambda values: np.asarray(values)[:count], trajectory)


def compile_program(study: Study, points: Points, width: int, processors: int | None = None) -> Program:
    """Compile the training of one width; see `Program`.

    **Arguments:** `processors` to use at most, all if not given.
    **Errors:** `InputError` when one network does not fit into this machine's memory.
    """
    require_memory(study, points, width)
    mesh = seed_mesh()
    one_by_one = jax.default_backend() == "cpu" and mesh is None
    together = (
        1 if one_by_one else shareable(networks_together(study, points, width), mesh.size if mesh else 1)
    )

    def train(keys: Key[jax.Array, "seed"], task: Task) -> Trajectory:
        return jax.vmap(lambda key: train_network(key, task, study, width, points.train))(keys)

    precision = study.ensemble.precision
    with numerics(precision):
        task = Task(jnp.asarray(points.inputs, precision), jnp.asarray(points.targets, precision))
        keys = network_keys(0, np.arange(together), width)
        if mesh is None:
            program = jax.jit(train)
        else:
            keys, task = place(keys, over_seeds(mesh)), place(task, everywhere(mesh))
            shardings = {
                "in_shardings": (over_seeds(mesh), everywhere(mesh)),
                "out_shardings": over_seeds(mesh),
            }
            program = jax.jit(train, **shardings)
        compiled = program.lower(keys, task).compile()
    at_once = max(1, BUDGET_BYTES // (together * network_bytes(study, points, width)))
    workers = min(processors or usable_processors(), at_once) if one_by_one else 1
    return Program(compiled, task, width, study.ensemble.seed, precision, together, workers, mesh)


def require_memory(study: Study, points: Points, width: int) -> None:
    """Raise `InputError` unless one network of this width fits into memory."""
    needed, available = network_bytes(study, points, width), usable_bytes()
    if needed > available:
        raise InputError(
            f"one network of width {width} and its records take about {needed / 1e9:.1f} GB, and "
            f"{available / 1e9:.1f} GB may be used: lower `ensemble.widths`, or record less with "
            '`record.steps` = "log" or fewer `record.quantities`'
        )


def networks_together(study: Study, points: Points, width: int) -> int:
    """Networks batched in one call on an accelerator: as many as memory and one write of records allow."""
    fitting = BUDGET_BYTES // network_bytes(study, points, width)
    return max(1, min(Layout(study, points).seeds_at_once(), fitting))


def network_bytes(study: Study, points: Points, width: int) -> int:
    """About what training one network takes: weights and their updates, fields, and the records."""
    (count, dimension), outputs = points.inputs.shape, points.targets.shape[1]
    layers, steps = study.network.hidden_layers, len(study.recorded_steps())
    weights = width * (dimension + (layers - 1) * width + outputs)
    # Frozen feedback takes no more than the weights above the first layer do.
    frozen = 0 if study.training.learning_rule == "backpropagation" else weights - width * dimension
    fields = 3 * count * width * layers * (1 + outputs)
    kernels = {"feature_kernel": layers, "gradient_kernel": layers, "tangent_kernel": 1}
    recorded = sum(kernels.get(name, 0) for name in study.record.quantities) * count**2 + count * outputs
    entries = 5 * weights + frozen + fields + 2 * steps * recorded
    return entries * np.dtype(study.ensemble.precision).itemsize
