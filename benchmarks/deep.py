"""Theory of three tanh layers, 10 points, 20 steps: time of infinite width, and of N Var of ten predictions.

Cold (with compilation) and warm times, in one process. `python benchmarks/deep.py`
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from machine import write_result
from theory_growth import peak_megabytes

import widthwise as ww
from widthwise.fluctuations.correction_memory import FRESH
from widthwise.fluctuations.deep_covariance import Populations
from widthwise.infinite_width.causal_pass import causal_pass, deep_noise, deep_process

POINTS, SITES, ADJOINT_SITES, SCRAMBLINGS = 10, 4096, 1024, 4


def deep_study(steps: int, hidden_layers: int = 3, points: int = POINTS) -> tuple[ww.Study, ww.Points]:
    """The study of the benchmarks, and random points on a sphere with random signs as targets."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((points, 32))
    inputs *= np.sqrt(32) / np.linalg.norm(inputs, axis=1, keepdims=True)
    study = ww.Study(
        name="deep",
        network=ww.NetworkSettings(hidden_layers=hidden_layers),
        training=ww.TrainingSettings(learning_rate=0.1, steps=steps),
    )
    return study, ww.Points(inputs, rng.choice([-1.0, 1.0], (points, 1)), points)


def infinite_width(study: ww.Study, points: ww.Points, seed: int, sites: int = SITES) -> np.ndarray:
    """The last predictions, from one scrambling."""
    with jax.enable_x64(True):
        process = deep_process(study, points)
        rows = causal_pass(process, deep_noise(process, sites, (seed,)))[1]
        return np.asarray(rows.output[-1] - rows.output[0])[:, 0]


def last_predictions(_, rows) -> jax.Array:
    """What is observed."""
    return (rows.output[-1] - rows.output[0])[:, 0]


def variances(study: ww.Study, points: ww.Points, seed: int) -> np.ndarray:
    """N Var of the last predictions, from one scrambling."""
    with jax.enable_x64(True):
        process, count = deep_process(study, points), len(points.inputs)

        populations = Populations(process, ADJOINT_SITES, (seed,), last_predictions)
        return np.diag(populations.covariance(np.arange(count)))


def timed(function, *arguments) -> tuple[float, np.ndarray]:
    """Seconds and the result."""
    started = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - started, np.asarray(jnp.asarray(result))


def main() -> None:
    study, points = deep_study(20)
    base = peak_megabytes()
    limits = [timed(infinite_width, study, points, seed) for seed in range(SCRAMBLINGS + 1)]
    found = [timed(variances, study, points, seed) for seed in range(SCRAMBLINGS + 1)]
    values = np.array([value for _, value in found])
    result = {
        "setting": {"hidden_layers": 3, "points": POINTS, "steps": 20, "sites": SITES},
        "sites_of_variances": {"averaged_over": FRESH * ADJOINT_SITES, "each_of_two_adjoints": ADJOINT_SITES},
        "infinite_width_seconds": {"cold": limits[0][0], "warm": min(s for s, _ in limits[1:])},
        "ten_variances_seconds": {"cold": found[0][0], "warm": min(s for s, _ in found[1:])},
        "prediction": {
            "mean": np.mean([value for _, value in limits], axis=0).tolist(),
            "sd_of_one_scrambling": np.std([value for _, value in limits], axis=0, ddof=1).tolist(),
        },
        "variance": {
            "mean": values.mean(axis=0).tolist(),
            "sd_of_one_scrambling": values.std(axis=0, ddof=1).tolist(),
        },
        "megabytes_above_imports": peak_megabytes() - base,
        "goals": "infinite width under 2 s, ten variances under 20 s more, under 3 GB",
    }
    print(result)
    write_result("deep", result)


if __name__ == "__main__":
    main()
