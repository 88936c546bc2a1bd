"""Benchmark: one hidden layer with all its 1/N variances, widthwise against the published algorithm.

Case: tanh(.4h)/.4, richness 1, one training and one test point with x.x'/D = .5156 and |x|^2 = D, target 1,
centered, gradient descent with learning rate .01, 100 steps. Variables: Delta, f at the test point, and the
three entries each of the feature, gradient and tangent kernels, at every step; their values and N Var.

Sides, each in a process of its own, so that compilation and peak memory are its own:

- `published`: the algorithm of Bordelon & Pehlevan (arXiv 2304.03408), written here after its description
  and with care for speed: float32, jit, prefix sums in place of products with triangular matrices, tangents
  once and not in every iteration. Fresh samples in each of 45 damped outer iterations, sweeps of the
  single-site equations until they stand, explicit tangents of every sample, covariance of the single-site
  contributions ("uncoupled variance"), sensitivity matrix, dense inverse.
- `widthwise`: `solve_infinite_width` and `solve_fluctuations` with the sites stated in the result.
- `reference`: trapezoidal quadrature of the three Gaussians of a site, float64. It shares no code with
  either; two spacings state its error.

Errors: root mean square over steps (and kernel entries), relative to the root mean square of the reference.

    python benchmarks/one_hidden_layer.py                        # all sides -> benchmarks/results/
    python benchmarks/one_hidden_layer.py --side published       # one side alone, its result on stdout
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

RICHNESS, RATE, STEPS, OVERLAP, SCALE = 1.0, 0.01, 100, 0.5156, 0.4
SAMPLES, OUTER, DAMPING, SWEEP_TOLERANCE, MOST_SWEEPS = 2500, 45, 0.5, 1e-6, 100
WIDTHWISE_SETTINGS = {"sites": 512, "fluctuation_sites": 512, "scramblings": 2}
PROCESSES = {"published": 2, "widthwise": 3}
SEEDS_EACH = {"published": 3, "widthwise": 12}


def peak_megabytes() -> float:
    """Greatest resident memory of this process so far.

    Not `ru_maxrss` where avoidable: on Linux it starts from the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024.0


# --- the published algorithm -------------------------------------------------------------------------------


def published_algorithm():
    """A function of a seed, compiled at its first call: values and N Var of all variables, (step,) or
    (step, entry) with entries train-train, train-test, test-test."""
    import jax
    import jax.numpy as jnp

    overlaps = jnp.array([1.0, OVERLAP, 1.0])[:, None]

    def phi(h):
        return jnp.tanh(SCALE * h) / SCALE

    def slope(h):
        return 1.0 - jnp.tanh(SCALE * h) ** 2

    def bend(h):
        return -2.0 * SCALE * jnp.tanh(SCALE * h) * slope(h)

    def before(values, axis):
        """Sum over strictly earlier times, times the learning rate and the richness."""
        return RATE * RICHNESS * (jnp.cumsum(values, axis) - values)

    def until_it_stands(sweep, start):
        """Repeat a sweep over all times until nothing changes by more than the tolerance."""

        def unfinished(state):
            count, change, _ = state
            return (change > SWEEP_TOLERANCE) & (count < MOST_SWEEPS)

        def again(state):
            count, _, fields = state
            new = sweep(fields)
            change = jnp.max(jnp.stack([jnp.abs(a - b).max() for a, b in zip(new, fields, strict=True)]))
            return count + 1, change, new

        return jax.lax.while_loop(unfinished, again, (0, jnp.inf, start))[2]

    def draw(key):
        normals = jax.random.normal(key, (3, SAMPLES, 1))
        u = normals[0]
        return u, OVERLAP * u + jnp.sqrt(1.0 - OVERLAP**2) * normals[1], normals[2]

    def single_site(gaussians, residual):
        """h at the training point, h at the test point and z, (sample, time) each."""
        u, u_test, r = gaussians

        def sweep(fields):
            h, _, z = fields
            drive = before(residual * slope(h) * z, 1)
            return u + drive, u_test + OVERLAP * drive, r + before(residual * phi(h), 1)

        shape = (SAMPLES, STEPS)
        return until_it_stands(sweep, tuple(jnp.broadcast_to(g, shape) for g in (u, u_test, r)))

    def contributions(fields):
        """Every sample's contribution to (Delta, f*, Phi 3, G 3, K 3), (variable, sample, time)."""
        h, h_test, z = fields
        products = [phi(h) * z / RICHNESS, phi(h_test) * z / RICHNESS]
        outputs = [product - product[:, :1] for product in products]
        features, gradients = (phi(h), phi(h_test)), (slope(h) * z, slope(h_test) * z)
        kernels = [a[i] * a[j] for a in (features, gradients) for i, j in ((0, 0), (0, 1), (1, 1))]
        none = [jnp.zeros_like(h)] * 3  # K is made of the others
        return jnp.stack([1.0 - outputs[0], outputs[1], *kernels, *none])

    @jax.jit
    def outer_iteration(key, order):
        new = contributions(single_site(draw(key), order[0])).mean(1)
        new = new.at[8:].set(new[2:5] + overlaps * new[5:8])
        return (1.0 - DAMPING) * order + DAMPING * new

    def tangents(fields, residual):
        """d(h, h*, z)(t) / dDelta(s) of every sample, (sample, t, s) each, by sweeps."""
        h, _, z = fields
        at = jnp.eye(STEPS)

        def sweep(derivatives):
            dh, _, dz = derivatives
            dg = (bend(h) * z)[..., None] * dh + slope(h)[..., None] * dz
            drive = before(residual[:, None] * dg + (slope(h) * z)[..., None] * at, 1)
            push = before(residual[:, None] * slope(h)[..., None] * dh + phi(h)[..., None] * at, 1)
            return drive, OVERLAP * drive, push

        return until_it_stands(sweep, tuple(jnp.zeros((SAMPLES, STEPS, STEPS)) for _ in range(3)))

    @jax.jit
    def fluctuations(key, order):
        residual = order[0]
        fields = single_site(draw(key), residual)
        h, h_test, z = fields
        own = contributions(fields)
        dh, dh_test, dz = tangents(fields, residual)

        def mean(*pairs):
            return sum(jnp.einsum("it,its->ts", factor, tangent) for factor, tangent in pairs) / SAMPLES

        g, g_test = slope(h) * z, slope(h_test) * z
        dg = ((bend(h) * z, dh), (slope(h), dz))
        dg_test = ((bend(h_test) * z, dh_test), (slope(h_test), dz))
        output = [
            mean((slope(x) * z / RICHNESS, dx), (phi(x) / RICHNESS, dz))
            for x, dx in ((h, dh), (h_test, dh_test))
        ]
        sensitivity = jnp.stack(
            [
                -(output[0] - output[0][:1]),
                output[1] - output[1][:1],
                mean((2 * phi(h) * slope(h), dh)),
                mean((slope(h) * phi(h_test), dh), (phi(h) * slope(h_test), dh_test)),
                mean((2 * phi(h_test) * slope(h_test), dh_test)),
                mean(*((2 * g * a, b) for a, b in dg)),
                mean(*((g_test * a, b) for a, b in dg), *((g * a, b) for a, b in dg_test)),
                mean(*((2 * g_test * a, b) for a, b in dg_test)),
            ]
        ).reshape(-1, STEPS)
        size = 11 * STEPS
        matrix = jnp.zeros((size, size)).at[: 8 * STEPS, :STEPS].set(sensitivity)
        made_of = jnp.concatenate([jnp.eye(3 * STEPS), jnp.diag(jnp.repeat(overlaps[:, 0], STEPS))], 1)
        matrix = matrix.at[8 * STEPS :, 2 * STEPS : 8 * STEPS].set(made_of)
        centered = (own - own.mean(1, keepdims=True)).transpose(0, 2, 1).reshape(size, SAMPLES)
        uncoupled = centered @ centered.T / SAMPLES
        inverse = jnp.linalg.inv(jnp.eye(size) - matrix)
        return inverse @ uncoupled @ inverse.T

    def run(seed):
        keys = jax.random.split(jax.random.key(seed), OUTER + 1)
        order = jnp.concatenate([jnp.ones((1, STEPS)), jnp.zeros((10, STEPS))])
        for key in keys[:-1]:
            order = outer_iteration(key, order)
        covariance = np.asarray(fluctuations(keys[-1], order))
        order, variance = np.asarray(order), np.diagonal(covariance).reshape(11, STEPS)
        return {
            "residual": order[0],
            "test_prediction": order[1],
            "tangent_kernel": order[8:].T,
            "residual_variance": variance[0],
            "test_prediction_variance": variance[1],
            "tangent_kernel_variance": variance[8:].T,
        }

    return run


# --- the reference -----------------------------------------------------------------------------------------


def reference(spacing: float) -> dict[str, np.ndarray]:
    """The same numbers by quadrature: influence functions of weighted sites, float64, NumPy only."""
    nodes = spacing * np.arange(-int(8 / spacing), int(8 / spacing) + 1)
    u, other, r = (grid.ravel() for grid in np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    weights = np.exp(-0.5 * (u**2 + other**2 + r**2))
    keep = weights > 1e-15
    u, other, r, weights = u[keep], other[keep], r[keep], weights[keep] / weights[keep].sum()
    rows = np.array([1.0, OVERLAP])[:, None]  # K^x of the training and of the test point with the former
    h = np.stack([u, OVERLAP * u + np.sqrt(1 - OVERLAP**2) * other])
    z = r.copy()
    dh, dz = np.zeros((2, STEPS, len(u))), np.zeros((STEPS, len(u)))  # by Delta(s)
    own, slopes = [], []  # contributions to (f, f*, Phi 3, G 3) and their mean derivatives
    residual, start = np.zeros(STEPS), 0.0
    for t in range(STEPS):
        th = np.tanh(SCALE * h)
        phi, slope, bend = th / SCALE, 1 - th**2, -2 * SCALE * th * (1 - th**2)
        g = slope * z
        dphi = slope[:, None] * dh
        dg = (bend * z)[:, None] * dh + slope[:, None] * dz
        entries, derivatives = list(phi * z / RICHNESS), list((dphi * z + phi[:, None] * dz) / RICHNESS)
        for a, da in ((phi, dphi), (g, dg)):
            for i, j in ((0, 0), (0, 1), (1, 1)):
                entries.append(a[i] * a[j])
                derivatives.append(da[i] * a[j] + a[i] * da[j])
        own.append(np.stack(entries))
        slopes.append(np.stack([derivative @ weights for derivative in derivatives]))
        start = own[0][:2].copy() if t == 0 else start
        own[t][:2] -= start
        residual[t] = 1 - own[t][0] @ weights
        factor = RATE * RICHNESS
        push = residual[t] * dphi[0]
        push[t] += phi[0]
        drive = residual[t] * dg[0]
        drive[t] += g[0]
        h, z = h + factor * rows * residual[t] * g[0], z + factor * residual[t] * phi[0]
        dh, dz = dh + factor * rows[:, :, None] * drive, dz + factor * push
    own, slopes = np.stack(own, 1), np.stack(slopes, 1)
    means = own @ weights
    centered = own - means[..., None]
    influence = np.linalg.solve(np.eye(STEPS) + slopes[0], -centered[0])
    total = centered + np.einsum("qts,si->qti", slopes, influence)
    overlaps = np.array([1.0, OVERLAP, 1.0])[:, None, None]
    tangent = total[2:5] + overlaps * total[5:8]
    return {
        "residual": residual,
        "test_prediction": means[1],
        "tangent_kernel": (means[2:5] + overlaps[..., 0] * means[5:8]).T,
        "residual_variance": total[0] ** 2 @ weights,
        "test_prediction_variance": total[1] ** 2 @ weights,
        "tangent_kernel_variance": (tangent**2 @ weights).T,
    }


# --- widthwise ---------------------------------------------------------------------------------------------


def widthwise_algorithm():
    """A function of a seed: the same numbers by the package's two public calls."""
    from widthwise.data import Points
    from widthwise.infinite_width import solve_infinite_width
    from widthwise.observables import solve_fluctuations
    from widthwise.study import NetworkSettings, Study, TheorySettings, TrainingSettings

    inputs = np.sqrt(2.0) * np.array([[1.0, 0.0], [OVERLAP, np.sqrt(1.0 - OVERLAP**2)]])
    points = Points(inputs, np.ones((2, 1)), 1)
    entries = ([0, 0, 1], [0, 1, 1])
    observables = ("prediction", "feature_kernel", "gradient_kernel", "tangent_kernel")

    def run(seed):
        study = Study(
            name="benchmark",
            network=NetworkSettings(activation_scale=SCALE, richness=RICHNESS),
            training=TrainingSettings(learning_rate=RATE, steps=STEPS),
            theory=TheorySettings(seed=seed, observables=observables, **WIDTHWISE_SETTINGS),
        )
        found = solve_fluctuations(solve_infinite_width(study, points=points))
        values = {name: np.asarray(found[name]) for name in ("prediction", "tangent_kernel")}
        variance = {name: np.asarray(found[f"{name}_variance"]) for name in values}
        return {
            "residual": 1.0 - values["prediction"][:, 0, 0],
            "test_prediction": values["prediction"][:, 1, 0],
            "tangent_kernel": values["tangent_kernel"][:, *entries],
            "residual_variance": variance["prediction"][:, 0, 0],
            "test_prediction_variance": variance["prediction"][:, 1, 0],
            "tangent_kernel_variance": variance["tangent_kernel"][:, *entries],
        }

    return run


# --- measurement -------------------------------------------------------------------------------------------


def measure(side: str, first_seed: int) -> dict:
    """In this process: wall times, the first with compilation, peak memory, results of every seed."""
    # Both import JAX and start its backend before the clock and the memory baseline.
    import jax.numpy as jnp

    jnp.zeros(1).block_until_ready()
    if side == "widthwise":
        importlib.import_module("widthwise.observables")  # with it comes the whole theory
    baseline, seconds, results = peak_megabytes(), [], []
    started = time.perf_counter()
    run = widthwise_algorithm() if side == "widthwise" else published_algorithm()
    for seed in range(first_seed, first_seed + SEEDS_EACH[side]):
        results.append({name: value.tolist() for name, value in run(seed).items()})
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    peak = peak_megabytes()
    return {"seconds": seconds, "peak": peak, "above_imports": peak - baseline, "results": results}


def summary(side: str, exact: dict[str, np.ndarray]) -> dict:
    """Several processes of one side. Other work on the machine can only slow, so the best time counts."""
    runs = []
    for process in range(PROCESSES[side]):
        seed = str(process * SEEDS_EACH[side])
        command = [sys.executable, str(Path(__file__).resolve()), "--side", side, "--seed", seed]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    warm = [seconds for run in runs for seconds in run["seconds"][1:]]
    return {
        "cold_seconds": min(run["seconds"][0] for run in runs),
        "warm_seconds": min(warm),
        "warm_seconds_median": float(np.median(warm)),
        "peak_megabytes": max(run["peak"] for run in runs),
        "megabytes_above_imports": max(run["above_imports"] for run in runs),
        "relative_errors": relative_errors([result for run in runs for result in run["results"]], exact),
    }


def relative_errors(results: list[dict], exact: dict[str, np.ndarray]) -> dict[str, float]:
    """Root mean square over seeds, steps and entries, over that of the reference."""
    return {
        name: float(
            np.sqrt(np.mean([(np.asarray(result[name]) - value) ** 2 for result in results]))
            / np.sqrt(np.mean(value**2))
        )
        for name, value in exact.items()
    }


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--side", choices=list(PROCESSES))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments.seed)))
        return
    from machine import write_result

    exact, coarse = reference(0.65), reference(0.8)
    published, ours = summary("published", exact), summary("widthwise", exact)
    timed = ("warm_seconds", "warm_seconds_median", "cold_seconds")
    result = {
        "case": {"richness": RICHNESS, "learning_rate": RATE, "steps": STEPS, "overlap": OVERLAP},
        "published_settings": {"samples": SAMPLES, "outer_iterations": OUTER, "dtype": "float32"},
        "widthwise_settings": WIDTHWISE_SETTINGS,
        "goals": {"warm_seconds": 300, "cold_seconds": 40, "megabytes_above_imports": 10},
        "reference_relative_error": relative_errors([coarse], exact),
        "published": published,
        "widthwise": ours,
        "ratios": {
            name: published[name] / ours[name]
            for name in (*timed, "peak_megabytes", "megabytes_above_imports")
        },
    }
    write_result("one_hidden_layer", result)
    print(json.dumps({key: result[key] for key in ("published", "widthwise", "ratios")}, indent=2))


if __name__ == "__main__":
    main()
