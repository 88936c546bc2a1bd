"""How much of the machine's matrix-multiply speed the training of an ensemble reaches.

    python benchmarks/training_flops.py

An ensemble of perceptrons with two hidden layers is trained on 256 points by the code that `train_ensemble`
runs: the compiled program of one width, for several seeds. Counted are the floating-point operations of
matrix products only; activations, weight updates, losses and initialization cost time and count nothing:

    forward    2 P (D N + (L - 1) N^2 + N C)
    backward   2 P (D N + (L - 1) N^2 + N C)   gradients of the weights
             + 2 P (           (L - 1) N^2 + N C)   gradients of the fields

The yardstick is the best speed of C <- A C in float32 over square sizes, measured in the same process. Other
work on the machine can only slow either down; so products and the trainings of all widths take turns, many
times, and the best training of a width is compared with the best product. The median over turns of their
ratio within a turn is given beside it. Only the first and the last step are recorded, so that the loop
between them is what is timed. Goal: a ratio of at least one half at widths from 256 on.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from machine import write_result

from widthwise.data import Points
from widthwise.data.fixed import fixed_stream
from widthwise.records.evidence import usable_processors
from widthwise.study import (
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)
from widthwise.training.program import compile_program
from widthwise.training.run import run_networks

WIDTHS = (128, 256, 512, 1024)
POINTS, DIMENSION, OUTPUTS, LAYERS = 256, 64, 1, 2
GOAL, GOAL_FROM = 0.5, 256
SQUARES = (256, 512, 1024, 2048)
TURNS = 20
# Operations in one measurement of products, and at least in one of training: a tenth of a second on two
# cores. A training has at least `STEPS` steps, since initialization is part of its time.
OPERATIONS = 1e10
STEPS = 30


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def step_operations(width: int) -> float:
    """Operations in matrix products of one step of one network."""
    inner = width * width * (LAYERS - 1) + width * OUTPUTS
    return 2.0 * POINTS * (2 * (DIMENSION * width + inner) + inner)


def square_product(size: int) -> tuple[Callable[[], object], float]:
    """A compiled chain of products of `size` x `size` matrices, and its operations."""
    count = max(2, round(OPERATIONS / (2.0 * size**3)))
    # Scaled so that the chain neither overflows nor vanishes.
    matrix = jax.random.normal(jax.random.key(0), (size, size)) / jnp.sqrt(size)
    chain = jax.jit(lambda a: jax.lax.fori_loop(0, count, lambda _, c: a @ c, a)).lower(matrix).compile()
    return lambda: jax.block_until_ready(chain(matrix)), 2.0 * size**3 * count


class Ensemble(NamedTuple):
    """A compiled ensemble of one width, and the operations of training it once."""

    width: int
    networks: int
    steps: int
    compilation_seconds: float
    operations: float
    train: Callable[[], object]


def compiled_ensemble(width: int) -> Ensemble:
    networks = usable_processors()
    steps = max(STEPS, round(OPERATIONS / step_operations(width) / networks))
    study = Study(
        name="flops",
        network=NetworkSettings(hidden_layers=LAYERS),
        training=TrainingSettings(steps=steps + 1, reduction="mean"),
        ensemble=EnsembleSettings(widths=(width,), seeds=networks, seeds_per_cell=networks),
        record=RecordSettings(steps=(0, steps), quantities=("prediction", "loss")),
    )
    draw = np.random.default_rng(0).standard_normal
    points = Points(draw((POINTS, DIMENSION)), draw((POINTS, OUTPUTS)), train=POINTS)
    began = time.perf_counter()
    program = compile_program(study, fixed_stream(study, points), width)
    compilation = time.perf_counter() - began

    def train() -> object:
        return run_networks(program, range(networks))

    train()
    return Ensemble(width, networks, steps, compilation, networks * steps * step_operations(width), train)


def main() -> None:
    ensembles = [compiled_ensemble(width) for width in WIDTHS]
    products = [square_product(size) for size in SQUARES]
    product_speeds = np.zeros(TURNS)
    training_speeds = np.zeros((TURNS, len(WIDTHS)))
    for turn in range(TURNS):
        product_speeds[turn] = max(operations / seconds(work) for work, operations in products)
        training_speeds[turn] = [each.operations / seconds(each.train) for each in ensembles]
    rows = []
    for each, speeds in zip(ensembles, training_speeds.T, strict=True):
        ratio = float(speeds.max() / product_speeds.max())
        rows.append(
            {
                "width": each.width,
                "networks": each.networks,
                "steps": each.steps,
                "compilation_seconds": round(each.compilation_seconds, 2),
                "training_gflops": round(float(speeds.max()) / 1e9, 1),
                "ratio": round(ratio, 3),
                "median_ratio_within_a_turn": round(float(np.median(speeds / product_speeds)), 3),
                "goal_met": ratio >= GOAL if each.width >= GOAL_FROM else None,
            }
        )
        print(rows[-1])
    setting = {"points": POINTS, "dimension": DIMENSION, "outputs": OUTPUTS, "hidden_layers": LAYERS}
    setting |= {"activation": "tanh", "optimizer": "gd", "precision": "float32", "turns": TURNS}
    result = {
        "setting": setting,
        "goal": f"ratio of at least {GOAL} at widths from {GOAL_FROM} on",
        "product_gflops": round(float(product_speeds.max()) / 1e9, 1),
        "rows": rows,
    }
    print(write_result("training_flops", result))


if __name__ == "__main__":
    main()
