"""Datasets laid out as theory.nc and records.zarr, with known truth and knobs for planted faults."""

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr

STUDY = {
    "study": {"name": "synthetic"},
    "data": {"kind": "digits", "classes": [3, 8], "train": 16, "test": 8, "seed": 0},
    "network": {"kind": "mlp", "hidden_layers": 1, "activation": "tanh", "richness": 1.0, "centered": True},
    "training": {"optimizer": "gd", "learning_rate": 0.1, "steps": 100, "loss": "mse", "reduction": "sum"},
    "theory": {"sites": 4096, "scramblings": 8},
    "ensemble": {"widths": [32, 64, 128, 256], "seeds": 64, "precision": "float32"},
    "record": {"steps": "all"},
}


@dataclass(frozen=True)
class Truth:
    """Sizes of a synthetic run, and what is planted in its networks but not in its theory."""

    widths: tuple[int, ...] = (32, 64, 128, 256)
    seeds: int = 32
    steps: int = 8
    train: int = 2
    test: int = 2
    modes: int = 6
    kernels: bool = True
    noise: str = "skewed"
    variance_factor: float = 1.0
    shift_factor: float = 1.0
    next_order: float = 0.0
    stderr: float = 0.0
    layers: int = 1
    shifts: bool = True
    scan: tuple[float, ...] = ()


def _infinite_width(truth: Truth) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """Value and dims of each variable, smooth in step and point."""
    points = truth.train + truth.test
    time = np.linspace(0.0, 3.0, truth.steps)[:, None]
    rates = 1.0 + 0.1 * np.arange(points)
    target = np.where(np.arange(points) % 2, 1.0, -1.0) * np.where(np.arange(points) < truth.train, 1.0, 0.6)
    prediction = (target * (1 - np.exp(-rates * time)))[..., None]
    residual = (target - prediction[..., 0]) ** 2
    tested = np.arange(points) >= truth.train
    kinds = (False, True) if truth.test else (False,)
    loss = np.stack([0.5 * residual[:, tested == kind].sum(axis=1) for kind in kinds], axis=1)
    variables = {
        "prediction": (prediction, ("step", "point", "output")),
        "loss": (loss, ("step", "split")),
    }
    if truth.kernels:
        corner = np.exp(-0.15 * np.abs(np.subtract.outer(np.arange(points), np.arange(points))))
        corner = corner + 0.3 * np.outer(target, target)
        growth = (1 + 0.4 * (1 - np.exp(-time)))[..., None]
        dims, by_layer = ("layer", "step", "point", "point_b"), 0.8 ** np.arange(truth.layers)
        variables["feature_kernel"] = (np.multiply.outer(by_layer, 0.6 * corner * growth), dims)
        if truth.layers > 1:
            variables["gradient_kernel"] = (np.multiply.outer(by_layer[::-1], 0.9 * corner * growth), dims)
        variables["tangent_kernel"] = (1.7 * corner * growth**2, ("step", "point", "point_b"))
    return variables


def _coordinates(truth: Truth) -> dict:
    points = truth.train + truth.test
    return {
        "step": np.arange(truth.steps),
        "point": np.arange(points),
        "point_b": np.arange(points),
        "output": [0],
        "layer": np.arange(1, truth.layers + 1),
        "split": ("point", ["train"] * truth.train + ["test"] * truth.test),
    }


def _starts_equal(name: str) -> bool:
    """Centered predictions, and so losses, are the same in every network at step 0."""
    return name in ("prediction", "loss")


def _variance(name: str, value: np.ndarray, dims: tuple[str, ...]) -> np.ndarray:
    """N times the variance: positive, growing from 0 at step 0 for what starts the same in every network."""
    shape = [-1 if dim == "step" else 1 for dim in dims]
    growth = np.linspace(0.0 if _starts_equal(name) else 0.5, 1.0, value.shape[dims.index("step")])
    return (0.1 + 0.3 * np.abs(value)) * growth.reshape(shape)


def _shift(value: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """As large as the variance, of either sign, symmetric in the two points of a kernel."""
    sign = np.cos(1.0 + np.abs(value))
    return 2.0 * variance * sign


def make_theory(truth: Truth) -> xr.Dataset:
    """Theory that is right but for what `truth` plants in the networks, laid out as theory.nc."""
    data, rng = {}, np.random.default_rng(5)
    for name, (value, dims) in _infinite_width(truth).items():
        variance = _variance(name, value, dims)
        columns = {"": value, "_variance": variance, "_shift": _shift(value, variance)}
        if not truth.shifts:
            del columns["_shift"]
        for suffix, column in columns.items():
            data[f"{name}{suffix}"] = (dims, column + truth.stderr * rng.standard_normal())
            data[f"{name}{suffix}_stderr"] = (dims, np.full(column.shape, truth.stderr))
    theory = xr.Dataset(data, coords=_coordinates(truth))
    theory["target"] = (("point", "output"), np.ones((truth.train + truth.test, 1)))
    theory["prediction_two_time_covariance"] = (
        ("step", "step_b", "point", "output"),
        np.zeros((truth.steps, truth.steps, truth.train + truth.test, 1)),
    )
    if truth.scan:
        theory = theory.merge(_scan(theory, truth))
    return theory.assign_attrs(
        study=json.dumps(STUDY),
        study_hash="ab" * 32,
        theory_hash="cd" * 32,
        versions=json.dumps({"widthwise": "0.1.0", "jax": "0.10.2"}),
        commit="0123456789abcdef",
        seeds="0",
        dtype="float64",
        iteration_residual=1.1e-16,
        iterations=1,
        outcome="solved",
        wall_time=3.21,
        warnings=json.dumps(["P/N = 0.5 at width 32: leading order may not be enough there"]),
    )


def _scan(theory: xr.Dataset, truth: Truth) -> xr.Dataset:
    """The last step's numbers at every richness: signal to noise is best at 1, the loss falls with it."""
    richness = xr.DataArray(np.array(truth.scan), dims="richness", coords={"richness": list(truth.scan)})
    found = {}
    for name in ("prediction", "loss"):
        for suffix in ("", "_variance", "_shift"):
            if f"{name}{suffix}" not in theory:
                continue
            factor = {"": 1 / richness, "_variance": 1 + np.log(richness) ** 2, "_shift": richness}[suffix]
            factor = xr.ones_like(richness) if name == "prediction" and not suffix else factor
            last = theory[f"{name}{suffix}"].isel(step=-1, drop=True)
            found[f"scan_{name}{suffix}"] = factor * last
            found[f"scan_{name}{suffix}_stderr"] = 0.02 * np.abs(factor * last)
    return xr.Dataset(found)


def make_records(truth: Truth, rng: np.random.Generator) -> xr.Dataset:
    """An ensemble around the truth, laid out as records.zarr; all elements share a few modes of each seed."""
    clean = Truth(**{**truth.__dict__, "stderr": 0.0, "shifts": True, "scan": ()})
    theory, shape = make_theory(clean), (len(truth.widths), truth.seeds)
    data = {}
    for name in _infinite_width(truth):
        value = theory[name]
        variance, shift = theory[f"{name}_variance"].to_numpy(), theory[f"{name}_shift"].to_numpy()
        arrays = np.empty((*shape, *value.shape), np.float32)
        for row, width in enumerate(truth.widths):
            noise = _draw_modes(truth, value, rng)
            remainder = truth.next_order * variance / width**2
            mean = value.to_numpy() + truth.shift_factor * shift / width + remainder
            scatter = np.sqrt(truth.variance_factor * variance * (1 + truth.next_order / width) / width)
            arrays[row] = mean + scatter * noise
        data[name] = (("width", "seed", *value.dims), arrays)
    records = xr.Dataset(data, coords=_coordinates(truth))
    records = records.assign_coords(width=list(truth.widths), seed=np.arange(truth.seeds))
    records["target"] = theory["target"]
    records["done"] = (("width", "seed"), np.ones(shape, bool))
    records["diverged_at"] = (("width", "seed"), np.full(shape, -1))
    evidence = {"commit": "0123456789abcdef", "device": "cpu", "cpu_count": 2, "versions": {"jax": "0.10.2"}}
    return records.assign_attrs(
        study=json.dumps(STUDY), training_hash="ef" * 32, evidence=json.dumps(evidence)
    )


def _draw_modes(truth: Truth, value: xr.DataArray, rng: np.random.Generator) -> np.ndarray:
    """Unit-variance noise (seed, *value.shape): smooth in step, a few modes, symmetric in pairs of points."""
    steps = value.sizes["step"]
    rest = {dim: size for dim, size in value.sizes.items() if dim != "step"}
    pattern = np.random.default_rng(11).standard_normal((truth.modes, *rest.values()))
    if "point_b" in rest:
        pattern = pattern + np.swapaxes(pattern, -1, -2)
    phase = np.linspace(0.0, 1.5, steps)
    waves = np.cos(np.arange(1, truth.modes + 1)[:, None] * phase + 0.3)
    axis = list(value.dims).index("step")
    modes = np.stack(
        [np.moveaxis(np.multiply.outer(w, p), 0, axis) for w, p in zip(waves, pattern, strict=True)]
    )
    modes /= np.sqrt((modes**2).sum(axis=0))
    draws = rng.standard_normal((truth.seeds, truth.modes))
    if truth.noise == "skewed":
        # As skewed as a chi-squared variable with eight degrees of freedom.
        draws = (rng.chisquare(8, size=draws.shape) - 8) / 4
    elif truth.noise == "heavy":
        draws = rng.standard_t(5, size=draws.shape) / np.sqrt(5 / 3)
    return np.tensordot(draws, modes, axes=1)
