"""Seconds from the start of Python to the first trained and recorded steps of a perceptron study.

Each in a process of its own: cold, with nothing compiled before, and warm, with what the command line keeps
between runs. Goal: 5 s. `python benchmarks/startup.py`
"""

import json
import os
import subprocess
import sys
import tempfile

from machine import write_result

PROGRAM = """
import json, time
began = time.perf_counter()
from widthwise.cli.compiled import keep_compiled
keep_compiled()
import widthwise as ww
study = ww.Study(
    name="startup",
    data=ww.DataSettings(kind="synthetic", order="online", test=64),
    network=ww.NetworkSettings(hidden_layers=2, activation="relu"),
    training=ww.TrainingSettings(optimizer="sgd", steps=20, reduction="mean"),
    ensemble=ww.EnsembleSettings(widths=(64,), seeds=1),
)
from widthwise.data import open_stream
from widthwise.training.program import compile_program
from widthwise.training.run import run_networks
imported = time.perf_counter()
program = compile_program(study, open_stream(study), 64)
compiled = time.perf_counter()
run_networks(program, [0])
ended = time.perf_counter()
print(json.dumps({"import": imported - began, "compile": compiled - imported, "train": ended - compiled}))
"""


def measure(cache: str) -> dict[str, float]:
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"total": sum(found.values())}


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        cold = measure(cache)
        warm = min((measure(cache) for _ in range(3)), key=lambda found: found["total"])
    result = {"cold": cold, "warm": warm, "goal_seconds": 5.0}
    print(result)
    write_result("startup", result)


if __name__ == "__main__":
    main()
