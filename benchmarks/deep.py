"""Theory of three tanh layers, 10 points, 20 steps: time of infinite width, and of N Var of ten predictions.

Warm times, in one process; compilation apart. `python benchmarks/deep.py`
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from machine import write_result
from theory_growth import peak_megabytes

import widthwise as ww
from widthwise.fluctuations.deep_adjoint import adjoint
from widthwise.fluctuations.deep_variance import contracted
from widthwise.infinite_width.deep import deep_noise, deep_process, sweep

POINTS, STEPS, SITES = 10, 20, 4096


def timed(function, *arguments):
    """Cold and warm seconds, and the result."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        result = jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - started)
    return seconds, result


def main() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((POINTS, 32))
    inputs *= np.sqrt(32) / np.linalg.norm(inputs, axis=1, keepdims=True)
    points = ww.Points(inputs, rng.choice([-1.0, 1.0], (POINTS, 1)), POINTS)
    study = ww.Study(
        name="deep",
        network=ww.NetworkSettings(hidden_layers=3),
        training=ww.TrainingSettings(learning_rate=0.1, steps=STEPS),
    )
    base = peak_megabytes()
    rows = {}
    with jax.enable_x64(True):
        process = deep_process(study, points)
        noises = [deep_noise(process, SITES, (0, part)) for part in range(3)]
        seconds, (past, order, drifts) = timed(sweep, process, noises[0])
        rows["infinite_width"] = seconds
        other = sweep(process, noises[1])[0]
        wanted = jnp.arange(POINTS)
        cotangents = jax.tree.map(lambda leaf: jnp.zeros((POINTS, *leaf.shape)), order)
        cotangents = cotangents._replace(output=cotangents.output.at[wanted, -1, wanted].set(1.0))
        seconds, one = timed(adjoint, process, noises[0], past, cotangents)
        rows["one_adjoint_of_ten_predictions"] = seconds
        two = adjoint(process, noises[1], other, cotangents)
        arguments = (process, (past, drifts), noises[2], (one, two), jax.random.key(0))
        rows["contraction"], variance = timed(contracted, *arguments)
    total = 2 * rows["one_adjoint_of_ten_predictions"][1] + rows["contraction"][1]
    result = {
        "setting": {"hidden_layers": 3, "points": POINTS, "steps": STEPS, "sites": SITES},
        "cold_and_warm_seconds": rows,
        "warm_seconds_of_ten_variances": total,
        "variances": np.asarray(variance).tolist(),
        "megabytes_above_imports": peak_megabytes() - base,
        "goals": "infinite width under 2 s, ten variances under 20 s more, under 3 GB",
    }
    print(result)
    write_result("deep", result)


if __name__ == "__main__":
    main()
