"""Order 1/N of a deep linear network, L = 3: the adjoint solver against the dense Hessian of the action.

Each side runs in a process of its own, on one thread. Both give the variances of residual, all kernels and
the tangent kernel at every step, with all cross-layer covariances; the dense side gives every two-time
covariance besides, because it cannot do less. The dense side's Hessian is compiled once and its compilation
is counted in `compile_seconds`, not in `seconds`. Memory is the peak above what importing and the
infinite-width solution take. `python benchmarks/deep_linear.py`
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from machine import write_result

LAYERS, RICHNESS, FLOW_TIME = 3, 3.0, 0.45
SHORT, LONG = 30, 200
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
REFERENCE = Path(__file__).parents[1] / "tests" / "reference"


def measure(side: str, steps: int) -> dict[str, object]:
    sys.path.insert(0, str(REFERENCE))
    # The reference of this name, not this file, which lies in a folder that comes later.
    from deep_linear import DeepLinearProblem, solve_deep_linear
    from deep_linear_fluctuations import solve_deep_linear_fluctuations

    problem = DeepLinearProblem(
        hidden_layers=LAYERS, richness=RICHNESS, learning_rate=FLOW_TIME / steps, steps=steps
    )
    solution = solve_deep_linear(problem)
    found: dict[str, object] = {"side": side, "steps": steps}
    if side == "adjoint":
        base, started = peak_megabytes(), time.perf_counter()
        fast = solve_deep_linear_fluctuations(solution)
        found["seconds"] = time.perf_counter() - started
        found["turns"] = fast.turns
        variances = (fast.residual_variance[:, 0], fast.tangent_kernel_variance[:, 0, 0])
    else:
        import jax
        from deep_linear_action import compile_hessian, dense_variances

        with jax.enable_x64(True):
            started = time.perf_counter()
            compiled = compile_hessian(solution)
            found["compile_seconds"] = time.perf_counter() - started
        base, started = peak_megabytes(), time.perf_counter()
        dense = dense_variances(solution, compiled)
        found["seconds"] = time.perf_counter() - started
        variances = (dense["residual"], dense["tangent"])
    found["megabytes"] = peak_megabytes() - base
    found["residual_variance"], found["tangent_kernel_variance"] = (
        list(map(float, one)) for one in variances
    )
    return found


def peak_megabytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run_case(side: str, steps: int) -> dict[str, object]:
    command = [sys.executable, __file__, side, str(steps)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    row = json.loads(output.stdout)
    print({key: value for key, value in row.items() if "variance" not in key}, flush=True)
    return row


def main() -> None:
    import numpy as np

    fast = min((run_case("adjoint", SHORT) for _ in range(3)), key=lambda row: row["seconds"])
    long = run_case("adjoint", LONG)
    dense = run_case("dense", SHORT)
    differences = {
        name: float(np.max(np.abs(np.array(fast[name]) - dense[name])) / np.max(dense[name]))
        for name in ("residual_variance", "tangent_kernel_variance")
    }
    result = {
        "setting": {"layers": LAYERS, "richness": RICHNESS, "flow_time": FLOW_TIME, "threads": 1},
        "short": {"adjoint": _plain(fast), "dense": _plain(dense)},
        "times_faster": dense["seconds"] / fast["seconds"],
        "times_less_memory": dense["megabytes"] / fast["megabytes"],
        "greatest_relative_difference": differences,
        "long": _plain(long),
    }
    print(json.dumps({key: value for key, value in result.items() if key not in ("short", "long")}, indent=1))
    write_result("deep_linear", result)


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if "variance" not in key}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
