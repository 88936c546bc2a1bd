"""How the theory of one hidden layer grows with training points P and steps T: time and memory.

Each case runs in a process of its own and is solved twice; the second, compiled, is timed. Memory is the peak
above what importing takes. Exponents are slopes of log-log fits. `python benchmarks/theory_growth.py`
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from machine import write_result

SITES, SCRAMBLINGS = 1024, 2
STEPS, POINTS = (25, 50, 100, 200, 400), (2, 4, 8, 16, 32)
FIXED_POINTS, FIXED_STEPS = 4, 50


def measure(points: int, steps: int) -> dict[str, float]:
    import widthwise as ww
    from widthwise.infinite_width.solve import solve_infinite_width  # imports counted in the base

    rng = np.random.default_rng(points)
    inputs = rng.standard_normal((points, 64))
    inputs *= 8 / np.linalg.norm(inputs, axis=1, keepdims=True)
    data = ww.Points(inputs, rng.choice([-1.0, 1.0], (points, 1)), points)
    study = ww.Study(
        name="growth",
        training=ww.TrainingSettings(learning_rate=0.1, steps=steps),
        theory=ww.TheorySettings(sites=SITES, fluctuation_sites=SITES, scramblings=SCRAMBLINGS),
    )
    base = peak_megabytes()
    for _ in range(2):
        started = time.perf_counter()
        theory = ww.solve_fluctuations(solve_infinite_width(study, points=data))
        seconds = time.perf_counter() - started
    return {
        "points": points,
        "steps": steps,
        "modes": int(theory.attrs["modes"]),
        "seconds": seconds,
        "megabytes": peak_megabytes() - base,
    }


def peak_megabytes() -> float:
    with Path("/proc/self/status").open() as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def exponent(rows: list[dict[str, float]], of: str, against: str) -> float:
    return float(np.polyfit(np.log([r[against] for r in rows]), np.log([r[of] for r in rows]), 1)[0])


def run_case(points: int, steps: int) -> dict[str, float]:
    command = [sys.executable, __file__, str(points), str(steps)]
    row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(row, flush=True)
    return row


def main() -> None:
    over_steps = [run_case(FIXED_POINTS, steps) for steps in STEPS]
    over_points = [run_case(points, FIXED_STEPS) for points in POINTS]
    exponents = {
        f"{of}_against_{against}": round(exponent(rows, of, against), 2)
        for rows, against in ((over_steps, "steps"), (over_points, "points"))
        for of in ("seconds", "megabytes")
    }
    print(exponents)
    result = {
        "setting": {"sites": SITES, "scramblings": SCRAMBLINGS, "kernels": True},
        "over_steps": over_steps,
        "over_points": over_points,
        "exponents": exponents,
    }
    write_result("theory_growth", result)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
