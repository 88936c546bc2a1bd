"""What it costs to know predictions of three tanh layers: by theory, and by the cheapest ensemble.

N Var of ten last predictions to 5 % (root mean square over predictions, bias and noise together), and their
infinite-width mean to 0.3 %. Ensembles are timed on a part and scaled by seeds; the width is the smallest at
which their own 1/N bias is half of what is allowed, that bias being measured at width 32.
`python benchmarks/deep_brute_force.py [STEPS [POINTS]]`
"""

import sys
from dataclasses import replace

import numpy as np
from deep import SITES, deep_study, infinite_width, timed, variances
from machine import write_result

import widthwise as ww
from widthwise.data.fixed import fixed_stream
from widthwise.training.program import compile_program
from widthwise.training.run import run_networks

TOLERANCE, MEAN_TOLERANCE, NARROW, SCRAMBLINGS = 0.05, 0.003, 32, 3


def networks(study: ww.Study, points: ww.Points, width: int, count: int) -> tuple[float, np.ndarray]:
    """Warm seconds, and the last predictions of `count` networks."""
    study = replace(
        study,
        ensemble=ww.EnsembleSettings(widths=(width,), seeds=count),
        record=ww.RecordSettings(steps=(study.training.steps - 1,), quantities=("prediction",)),
    )
    program = compile_program(study, fixed_stream(study, points), width)
    run_networks(program, range(2))
    seconds, trajectory = timed(lambda: run_networks(program, range(count)).quantities["prediction"])
    return seconds, np.asarray(trajectory)[:, -1, :, 0]


def relative(error: np.ndarray, value: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2) / np.mean(value**2)))


def main() -> None:
    given = [int(argument) for argument in sys.argv[1:]]
    steps, count = (*given, *(20, 10)[len(given) :])
    study, points = deep_study(steps, points=count)
    limits = [timed(infinite_width, study, points, seed) for seed in range(SCRAMBLINGS + 1)]
    mean = np.mean([value for _, value in limits], axis=0)
    limit_noise = relative(np.std([value for _, value in limits], axis=0, ddof=1), mean)
    found = [timed(variances, study, points, seed) for seed in range(SCRAMBLINGS + 1)]
    values = np.array([value for _, value in found])
    variance, noise = values.mean(axis=0), relative(values.std(axis=0, ddof=1), values.mean(axis=0))
    scramblings = max(1, int(np.ceil((noise / TOLERANCE) ** 2)))
    theory_seconds = scramblings * min(seconds for seconds, _ in found[1:])

    _, narrow = networks(study, points, NARROW, 2000)
    bias = relative(NARROW * narrow.var(axis=0) - variance, variance)
    width = 2 ** int(np.ceil(np.log2(NARROW * bias / (TOLERANCE / 2))))
    seeds = int(2 / (TOLERANCE**2 * 0.75))  # the noise that half the tolerance as bias leaves
    part = 40
    seconds, _ = networks(study, points, width, part)
    shift = NARROW * relative(narrow.mean(axis=0) - mean, mean)
    mean_width = 2 ** int(np.ceil(np.log2(shift / (MEAN_TOLERANCE / 2))))
    spread = relative(np.sqrt(variance), mean) / np.sqrt(mean_width)
    mean_seeds = max(1, int(np.ceil(spread**2 / (MEAN_TOLERANCE**2 * 0.75))))
    mean_seconds, _ = networks(study, points, mean_width, 4)
    # One scrambling of the fewest sites whose noise, falling with their square root, is small enough.
    enough = 2 ** int(np.ceil(np.log2(max(SITES * (limit_noise / MEAN_TOLERANCE) ** 2, 4 * steps * count))))
    limit_seconds = min(timed(infinite_width, study, points, seed, enough)[0] for seed in range(4))
    result = {
        "setting": {"hidden_layers": 3, "points": len(points.inputs), "steps": steps},
        "variance": {
            "theory_seconds": theory_seconds,
            "scramblings": scramblings,
            "noise_of_one": noise,
            "bias_at_width_32": bias,
            "ensemble_width": width,
            "ensemble_seeds": seeds,
            "ensemble_seconds": seconds * seeds / part,
            "ratio": seconds * seeds / part / theory_seconds,
        },
        "mean": {
            "theory_seconds": limit_seconds,
            "sites": enough,
            "noise_of_4096_sites": limit_noise,
            "ensemble_width": mean_width,
            "ensemble_seeds": mean_seeds,
            "ensemble_seconds": mean_seconds * mean_seeds / 4,
            "ratio": mean_seconds * mean_seeds / 4 / limit_seconds,
        },
        "goals": "theory three times cheaper for the variance, 100 times for the mean",
    }
    print(result)
    write_result(f"deep_brute_force_{count}_points_{steps}_steps", result)


if __name__ == "__main__":
    main()
