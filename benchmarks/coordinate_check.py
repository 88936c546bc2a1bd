"""How activations and their changes scale with width in muP, for every architecture, by SGD and Adam.

The exponent of the root mean square over points, positions and neurons against the width, 0 in muP: of every
recorded layer's preactivations at initialization and after the last step, and of what the first step and all
steps changed in them. `python benchmarks/coordinate_check.py [KIND OPTIMIZER [WIDTHS]]`
"""

import sys
import time

import numpy as np
from machine import write_result

import widthwise as ww

WIDTHS = (32, 64, 128, 256, 512, 1024)
SEEDS, STEPS = 4, 5
IMAGES = ww.DataSettings(kind="digits", classes=tuple(range(10)), train=64, test=16)
TEXT = ww.DataSettings(kind="text", train=256, test=4, sequence_length=16, vocabulary=64)
COMMON = {"base_width": 32, "activation": "relu", "activation_gain": 2**0.5}
NETWORKS = {
    "mlp": (IMAGES, ww.NetworkSettings(kind="mlp", hidden_layers=3, **COMMON)),
    "cnn": (IMAGES, ww.NetworkSettings(kind="cnn", hidden_layers=4, **COMMON)),
    "resnet": (IMAGES, ww.NetworkSettings(kind="resnet", blocks=(1, 1), **COMMON)),
    "transformer": (TEXT, ww.NetworkSettings(kind="transformer", hidden_layers=2, heads=4, **COMMON)),
}
RATES = {
    "sgd": {"mlp": 0.1, "cnn": 0.02, "resnet": 0.02, "transformer": 0.05},
    "adam": dict.fromkeys(NETWORKS, 0.001),
}


def study_of(kind: str, optimizer: str, widths: tuple[int, ...], seeds: int = SEEDS) -> ww.Study:
    """A few steps on a few samples."""
    data, network = NETWORKS[kind]
    return ww.Study(
        name=f"coordinates_{kind}_{optimizer}",
        data=data,
        network=network,
        training=ww.TrainingSettings(
            optimizer=optimizer,
            learning_rate=RATES[optimizer][kind],
            batch=8,
            steps=STEPS,
            loss="cross_entropy",
            reduction="mean",
        ),
        ensemble=ww.EnsembleSettings(widths=widths, seeds=seeds),
        record=ww.RecordSettings(
            steps=(0, 1, STEPS - 1), quantities=("loss", "forward_rms", "forward_change_rms"), train_points=16
        ),
    )


def slopes(records, name: str, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponents by layer, and their standard errors from the scatter of seeds."""
    values = np.log(records[name].isel(step=step).transpose("seed", "width", "layer").to_numpy())
    x = np.log(records["width"].to_numpy())
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    each = np.einsum("w,swl->sl", weights, values)
    return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))


def check(kind: str, optimizer: str, widths: tuple[int, ...] = WIDTHS) -> dict:
    """All exponents of one architecture and optimizer."""
    started = time.perf_counter()
    records = ww.train_ensemble(study_of(kind, optimizer, widths))
    layers = [str(name) for name in records["layer_name"].to_numpy()]
    rows = {}
    for label, name, step in (
        ("initialization", "forward_rms", 0),
        ("last_step", "forward_rms", -1),
        ("change_of_first_step", "forward_change_rms", 1),
        ("change_of_all_steps", "forward_change_rms", -1),
    ):
        exponents, errors = slopes(records, name, step)
        rows[label] = {
            layer: {"exponent": round(float(e), 4), "stderr": round(float(s), 4)}
            for layer, e, s in zip(layers, exponents, errors, strict=True)
            if np.isfinite(e)  # an embedding of tokens that did not occur has not changed
        }
    largest = max(abs(each["exponent"]) for row in rows.values() for each in row.values())
    loss = records["loss"].isel(step=[0, -1], split=0).mean("seed").transpose("step", "width").to_numpy()
    return {
        "largest_exponent": largest,
        "seconds": round(time.perf_counter() - started, 1),
        "widths": list(widths),
        "training_loss_first_and_last": loss.round(4).tolist(),
        "exponents": rows,
    }


def main() -> None:
    kinds = [sys.argv[1]] if len(sys.argv) > 1 else list(NETWORKS)
    optimizers = [sys.argv[2]] if len(sys.argv) > 2 else list(RATES)
    widths = tuple(int(w) for w in sys.argv[3].split(",")) if len(sys.argv) > 3 else WIDTHS
    result = {}
    for kind in kinds:
        for optimizer in optimizers:
            result[f"{kind}_{optimizer}"] = found = check(kind, optimizer, widths)
            print(kind, optimizer, found, flush=True)
    if len(sys.argv) == 1:
        write_result("coordinate_check", result)


if __name__ == "__main__":
    main()
