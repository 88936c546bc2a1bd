"""A richness scan compiles once: five values of two layers against one value and five times its warm time.

Each part in a process of its own. `python benchmarks/richness_scan.py [--layers 2]`
"""

import json
import subprocess
import sys
import time

import numpy as np
from machine import write_result

SCAN = (0.25, 0.5, 1.0, 2.0, 4.0)


def seconds(layers: int, richnesses: tuple[float, ...]) -> list[float]:
    """Of the theory at each richness in turn, in this process."""
    import widthwise as ww

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
    if len(sys.argv) == 3 and sys.argv[1] == "--part":
        layers, richnesses = json.loads(sys.argv[2])
        print(json.dumps(seconds(layers, tuple(richnesses))))
        return
    layers = int(sys.argv[2]) if len(sys.argv) == 3 else 2
    parts = []
    for richnesses in ((1.0, 1.0, 1.0), SCAN):
        command = [sys.executable, __file__, "--part", json.dumps([layers, richnesses])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        parts.append(json.loads(done.stdout.splitlines()[-1]))
    (cold, *warm), scan = parts
    result = {
        "layers": layers,
        "first_seconds": cold,
        "warm_seconds": min(warm),
        "scan_of_five_seconds": scan,
        "ratio": sum(scan) / (cold + 5 * min(warm)),
        "goal": "ratio at most 1.3",
    }
    print(result)
    write_result("richness_scan", result)


if __name__ == "__main__":
    main()
