"""Ensembles against the same training written plainly in PyTorch, one network after another, two threads.

32 perceptrons of two hidden relu layers (batches of 64 of a stream in four dimensions) and 8 networks of five
convolutions (batches of 128 images of 32 x 32 x 3), from the same weights on the same batches; losses must
agree to 1e-3. Times are the best of interleaved repetitions; also FLOP/s over the rate of the machine's
matrix products, and seconds to compile. `recording` measures what recording by default adds to training.
`python benchmarks/against_pytorch.py [perceptron | cnn | recording]`
"""

import sys
import time
from dataclasses import replace

import jax
import numpy as np
import torch
from machine import write_result
from training_flops import SQUARES, seconds, square_product

import widthwise as ww
from widthwise.data import Batch, Probes, Stream, open_stream
from widthwise.training.keys import network_keys
from widthwise.training.program import compile_program
from widthwise.training.run import run_networks

REPETITIONS = 3
ROOT2 = 2**0.5


def perceptrons(width: int, steps: int) -> ww.Study:
    return ww.Study(
        name="perceptrons",
        data=ww.DataSettings(kind="synthetic", task="fourier", dimension=4, order="online", test=64),
        network=ww.NetworkSettings(hidden_layers=2, activation="relu", readout="zero", centered=False),
        training=ww.TrainingSettings(
            optimizer="sgd", learning_rate=0.1, batch=64, steps=steps, reduction="mean"
        ),
        ensemble=ww.EnsembleSettings(widths=(width,), seeds=32),
        record=ww.RecordSettings(steps=(0, steps - 1), quantities=("loss", "batch_loss")),
    )


def convolutions(width: int, steps: int) -> ww.Study:
    return ww.Study(
        name="convolutions",
        data=ww.DataSettings(kind="image_folder", path="unused", test=8, train=8),
        network=ww.NetworkSettings(
            kind="cnn",
            hidden_layers=5,
            activation="relu",
            activation_gain=ROOT2,
            base_width=32,
            readout="zero",
            centered=False,
        ),
        training=ww.TrainingSettings(
            optimizer="sgd", learning_rate=0.02, batch=128, steps=steps, reduction="mean"
        ),
        ensemble=ww.EnsembleSettings(widths=(width,), seeds=8),
        record=ww.RecordSettings(steps=(0, steps - 1), quantities=("loss", "batch_loss")),
    )


def random_images(study: ww.Study) -> Stream:
    """Images of normal numbers with random classes, the same in every batch."""
    rng = np.random.default_rng(0)
    size, steps = study.training.batch, study.training.steps
    images = rng.standard_normal((size, 32, 32, 3)).astype(np.float32)
    answers = (np.eye(10)[rng.integers(10, size=size)] - 0.1).astype(np.float32)

    def batches(start: int):
        for _ in range(start, steps):
            yield Batch(images, answers)

    return Stream(Probes(images[:8], answers[:8], 0, 10), batches, "random")


def torch_losses(
    kind: str, arrays: list, rates: list[float], batches: list[Batch], last_channel: bool
) -> list[float]:
    """The loss of every batch before its step, in a plain loop."""
    weights = [torch.tensor(np.asarray(array), requires_grad=True) for array in arrays]
    layout = torch.channels_last if last_channel else torch.contiguous_format
    optimizer = torch.optim.SGD([{"params": [w], "lr": r} for w, r in zip(weights, rates, strict=True)])
    losses = []
    for batch in batches:
        x, y = torch.from_numpy(batch.inputs), torch.from_numpy(batch.answers)
        if kind == "perceptron":
            h = torch.relu(x @ weights[0].T / x.shape[1] ** 0.5)
            for w in weights[1:-1]:
                h = torch.relu(h @ w.T / h.shape[1] ** 0.5)
            output = h @ weights[-1].T / h.shape[1]
        else:
            h = x.permute(0, 3, 1, 2).contiguous(memory_format=layout)
            for number, w in enumerate(weights[:-1], 1):
                h = ROOT2 * torch.relu(torch.nn.functional.conv2d(h, w, padding=1))
                if number % 2 == 0 and number < len(weights) - 1:
                    h = torch.nn.functional.avg_pool2d(h, 2)
            output = h.mean((2, 3)) @ weights[-1].T
        loss = 0.5 * ((output - y) ** 2).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def compare(kind: str, study: ww.Study, stream: Stream, seeds: int) -> dict:
    """Ours and PyTorch's seconds for all networks, repetitions interleaved."""
    width, steps = study.ensemble.widths[0], study.training.steps
    started = time.perf_counter()
    program = compile_program(study, stream, width)
    compiling = time.perf_counter() - started
    batches = [Batch(b.inputs.astype(np.float32), b.answers.astype(np.float32)) for b in stream.batches(0)]
    batches = batches[:steps]
    state = jax.tree.map(lambda x: x[0], program.start(network_keys(0, np.arange(1), width)))
    arrays = jax.tree.leaves(state.weights)
    relative = jax.tree.leaves(program.trainer.relative_rates(gradient_descent=True))
    rates = [float(rate) * study.training.learning_rate for rate in relative]
    torch.set_num_threads(2)
    # PyTorch's networks all cost the same; a part of them is timed and scaled.
    part = min(seeds, 4 if kind == "perceptron" else 2)
    layouts = (False, True) if kind == "cnn" else (False,)
    held = replace(stream, batches=lambda start: iter(batches[start:]))
    program = program._replace(stream=held)
    ours, theirs = [], {layout: [] for layout in layouts}
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        found = run_networks(program, range(seeds)).quantities["batch_loss"][0]
        ours.append(time.perf_counter() - started)
        for layout in layouts:
            started = time.perf_counter()
            for _ in range(part):
                losses = torch_losses(kind, arrays, rates, batches, layout)
            theirs[layout].append((time.perf_counter() - started) * seeds / part)
    difference = float(np.abs(found - np.array([losses[0], losses[-1]])).max() / losses[0])
    assert difference < 1e-3 and losses[-1] < losses[0], (difference, found, losses[0], losses[-1])
    best = min(min(times) for times in theirs.values())
    return {
        "width": width,
        "networks": seeds,
        "steps": steps,
        "seconds": min(ours),
        "compile_seconds": compiling,
        "pytorch_seconds": {("channels_last" if k else "contiguous"): min(v) for k, v in theirs.items()},
        "ratio": best / min(ours),
        "ratio_with_compilation": best / (min(ours) + compiling),
        "relative_difference_of_losses": difference,
        "losses": [float(losses[0]), float(losses[-1])],
    }


def recording_overhead(study: ww.Study, stream: Stream, seeds: int) -> dict:
    """Seconds with the default recording over seconds without."""
    bare = replace(study, record=ww.RecordSettings(steps=(study.training.steps - 1,), quantities=("loss",)))
    full = replace(study, record=ww.RecordSettings())
    programs = [compile_program(each, stream, study.ensemble.widths[0]) for each in (bare, full)]
    seconds = [[], []]
    for _ in range(REPETITIONS + 1):
        for program, times in zip(programs, seconds, strict=True):
            started = time.perf_counter()
            run_networks(program, range(seeds))
            times.append(time.perf_counter() - started)
    without, with_records = (min(times[1:]) for times in seconds)
    return {
        "steps": study.training.steps,
        "recorded_steps": len(full.recorded_steps()),
        "quantities": list(full.record.quantities),
        "overhead": with_records / without - 1,
    }


def flops(kind: str, study: ww.Study) -> float:
    """Of one step of one network: a product forward, two backward (one in the first layer)."""
    width, batch = study.ensemble.widths[0], study.training.batch
    if kind == "perceptron":
        return 2 * batch * (2 * 4 * width + 3 * width**2 + 3 * width)
    sides = (32, 32, 16, 16, 8)
    products = [2 * batch * side**2 * 9 * a * width for side, a in zip(sides, (3, *[width] * 4), strict=True)]
    return 2 * products[0] + 3 * sum(products[1:])


def matrix_rate() -> float:
    """The best FLOP/s of square products."""
    products = [square_product(size) for size in SQUARES]
    return max(operations / seconds(work) for work, operations in products for _ in range(2))


def measure_recording() -> None:
    """Two networks of width 128, 3,000 steps of a stream; two of five convolutions, 100 steps."""
    result: dict[str, object] = {"goal": 0.15}
    for name, study in (("perceptron", perceptrons(128, 3000)), ("cnn", convolutions(32, 100))):
        stream = open_stream(study) if name == "perceptron" else random_images(study)
        result[name] = recording_overhead(study, stream, 2)
        print(name, result[name], flush=True)
    write_result("recording", result)


def main() -> None:
    if sys.argv[1:] == ["recording"]:
        measure_recording()
        return
    kinds = sys.argv[1:] or ["perceptron", "cnn"]
    result = {"goals": {"perceptron": 3.0, "cnn": 0.8}}
    for kind in kinds:
        for width in (64, 128, 256) if kind == "perceptron" else (32, 64):
            steps, seeds = (1000, 32) if kind == "perceptron" else (10, 8)
            study = (perceptrons if kind == "perceptron" else convolutions)(width, steps)
            stream = open_stream(study) if kind == "perceptron" else random_images(study)
            row = compare(kind, study, stream, seeds)
            rate = flops(kind, study) * steps * seeds / row["seconds"]
            row["flops_over_matrix_rate"] = rate / matrix_rate()
            result[f"{kind}_{width}"] = row
            print(kind, row, flush=True)
    if len(sys.argv) == 1:
        write_result("against_pytorch", result)


if __name__ == "__main__":
    main()
