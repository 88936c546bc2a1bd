"""A richness scan compiles once: five values of two layers against the first and five times its warm time.

`python benchmarks/richness_scan.py [LAYERS]`
"""

import sys
import time

import numpy as np
from machine import write_result

import widthwise as ww

SCAN = (0.25, 0.5, 1.0, 2.0, 4.0)


def seconds(layers: int, richnesses: tuple[float, ...]) -> list[float]:
    """Of the theory at each richness in turn, in this process."""
    rng = np.random.default_rng(0)
    points = ww.Points(rng.standard_normal((2, 4)), rng.choice([-1.0, 1.0], (2, 1)), 2)
    found = []
    for richness in richnesses:
        study = ww.Study(
            name="scan",
            network=ww.NetworkSettings(hidden_layers=layers, richness=richness),
            training=ww.TrainingSettings(steps=6, learning_rate=0.05),
            theory=ww.TheorySettings(
                sites=512, fluctuation_sites=256, scramblings=2, observables=("prediction", "loss")
            ),
        )
        started = time.perf_counter()
        ww.solve_fluctuations(ww.solve_infinite_width(study, points=points))
        found.append(time.perf_counter() - started)
    return found


def main() -> None:
    layers = int(sys.argv[1]) if len(sys.argv) == 2 else 2
    found = seconds(layers, (*SCAN, *SCAN))
    scan, again = found[: len(SCAN)], found[len(SCAN) :]
    warm = sorted(again)[len(again) // 2]
    result = {
        "layers": layers,
        "scan_of_five_seconds": scan,
        "warm_seconds": warm,
        "ratio": sum(scan) / (scan[0] + len(SCAN) * warm),
        "goal": "ratio at most 1.3",
    }
    print(result)
    write_result("richness_scan", result)


if __name__ == "__main__":
    main()
