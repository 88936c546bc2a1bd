"""How time and memory of the theory of three tanh layers grow with points times steps.

Each case in its own process: warm seconds of infinite width (1,024 sites) and of N Var of one prediction
(512 sites for each adjoint), peak memory above imports. `python benchmarks/deep_growth.py`
"""

import json
import subprocess
import sys

import deep
from deep import deep_study as study_of
from deep import infinite_width, timed
from machine import write_result
from theory_growth import exponent, peak_megabytes

CASES = ((2, 10), (4, 10), (4, 20), (8, 20), (8, 50))


def measure(points: int, steps: int) -> dict[str, float]:
    """One case, in this process."""
    deep.ADJOINT_SITES = 512
    study, data = study_of(steps, points=points)
    base = peak_megabytes()
    row = {"points_times_steps": float(points * steps)}
    seconds = [timed(infinite_width, study, data, seed, 1024)[0] for seed in range(3)]
    row |= {"infinite_width_seconds": min(seconds[1:]), "infinite_width_megabytes": peak_megabytes() - base}
    seconds = [timed(deep.variances, study, data, seed)[0] for seed in range(3)]
    row |= {"variance_seconds": min(seconds[1:]), "variance_megabytes": peak_megabytes() - base}
    return row


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
        return
    rows = []
    for points, steps in CASES:
        command = [sys.executable, __file__, str(points), str(steps)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    measured = [name for name in rows[0] if name != "points_times_steps"]
    # Small cases are overheads; the exponent is that of the larger half.
    result = {
        "rows": rows,
        "exponents": {name: exponent(rows[-3:], name, "points_times_steps") for name in measured},
        "goals": "time 2.1, memory 2",
    }
    print(result["exponents"])
    write_result("deep_growth", result)


if __name__ == "__main__":
    main()
