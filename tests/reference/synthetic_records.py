"""Records with known laws: what an ensemble of networks in muP would show, and what single faults change.

NumPy and xarray only. Every number is a width's law times an independent random factor of each seed.
"""

import numpy as np
import xarray as xr

WIDTHS = (16, 32, 64, 128)
TENSORS = ("embedding", "block.query", "block.up", "readout")
ROLES = ("input", "hidden", "hidden", "readout")
WEIGHT, UPDATE = (0.0, -0.5, -0.5, -1.0), (0.0, -1.0, -1.0, -1.0)
STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128])
POINTS, LAYERS, HEADS, KEYS = 12, 2, 2, 5


def correct_records(rng: np.random.Generator, *, widths=WIDTHS, seeds=6, noise=0.05) -> xr.Dataset:
    """Gaps of means c/N, single networks off by N^-1/2, scales by role with a bend 1/N; everything the audit
    reads but spectra and sharpness."""
    width = np.array(widths, dtype=float)[:, None, None]
    shape = (len(widths), seeds, len(STEPS))
    run = ("width", "seed", "step")
    time = STEPS / STEPS[-1]
    base, shift = np.cumsum(rng.standard_normal((2, len(STEPS), POINTS)), axis=1) / 2
    modes = rng.standard_normal((6, len(STEPS), POINTS))
    own = np.einsum("wsk,ktp->wstp", rng.standard_normal((*shape[:2], 6)), modes) / 6
    f = base + shift / width[..., None] + 2 * own / np.sqrt(width)[..., None]
    falling = np.exp(-3 * time) * (1 + 2 * time / width)
    loss = falling * np.exp(0.8 * time * rng.standard_normal((*shape[:2], 1)) / np.sqrt(width))
    jitter = np.exp(noise * 4 / np.sqrt(width)[..., None] * rng.standard_normal((*shape, len(TENSORS))))
    steps = np.exp(noise * 4 / np.sqrt(width)[..., None] * rng.standard_normal((*shape, len(TENSORS))))
    bend = 1 + 1.5 / width[..., None]
    forward = np.exp(noise * 4 / np.sqrt(width)[..., None] * rng.standard_normal((2, *shape, LAYERS)))
    kernel = np.einsum("lap,lbp->lab", *[rng.standard_normal((LAYERS, POINTS, POINTS))] * 2) / POINTS
    moves = np.einsum("lap,lbp->lab", *[rng.standard_normal((LAYERS, POINTS, POINTS))] * 2) / POINTS
    root = np.sqrt(width)[..., None, None]  # (width, seed, layer, point, point)
    parts = rng.standard_normal((2, *shape[:2], LAYERS, POINTS, POINTS)) / root
    start, move = kernel + (parts + np.swapaxes(parts, -1, -2)) / 2
    move = (move - kernel + moves * (1 + 1.5 / root**2))[:, :, :, None]
    kernels = start[:, :, :, None] + time[:, None, None] * move
    logits = 4 / root[..., None] * rng.standard_normal((*shape[:2], 1, HEADS, KEYS, KEYS))
    logits = logits + time[:, None, None, None] * rng.standard_normal((HEADS, KEYS, KEYS))
    data = {
        "prediction": ((*run, "point", "output"), f[..., None]),
        "loss": ((*run, "split"), loss[..., None]),
        "weight_rms": (
            (*run, "tensor"),
            width[..., None] ** np.array(WEIGHT) * (jitter[:, :, :1] + 0 * steps),
        ),
        "update_rms": ((*run, "tensor"), width[..., None] ** np.array(UPDATE) * bend * steps),
        "forward_rms": ((*run, "layer"), bend * forward[0]),
        "forward_change_rms": ((*run, "layer"), bend * time[:, None] * forward[1]),
        "feature_kernel": (("width", "seed", "layer", "step", "point", "point_b"), kernels),
        "attention": ((*run, "block", "head", "query", "key"), softmax(logits)[:, :, :, None]),
        "target": (("point", "output"), base[-1][:, None] + 0.5),
        "diverged_at": (("width", "seed"), np.full(shape[:2], -1)),
    }
    coordinates = {
        "width": list(widths),
        "seed": np.arange(seeds),
        "step": STEPS,
        "tensor": list(TENSORS),
        "tensor_role": ("tensor", list(ROLES)),
    }
    return xr.Dataset(data, coords=coordinates)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def growth(records: xr.Dataset) -> xr.DataArray:
    """m, relative to the narrowest width."""
    return records["width"] / records["width"].min()


def scaled(records: xr.Dataset, name: str, tensors: tuple[str, ...], power: float) -> xr.Dataset:
    """One scale of some tensors, off by a power of m."""
    chosen = records["tensor"].isin(list(tensors))
    factor = xr.where(chosen, growth(records) ** power, 1.0)
    return records.assign({name: (records[name] * factor).transpose(*records[name].dims)})


def readout_too_large(records: xr.Dataset) -> xr.Dataset:
    """1/sqrt(N) in place of 1/N: the readout, and under gradient descent every update below it."""
    records = scaled(records, "weight_rms", ("readout",), 0.5)
    records = scaled(records, "update_rms", TENSORS[:3], 0.5)
    return scaled(records, "update_rms", ("readout",), 1.0)


def hidden_adam_rate(records: xr.Dataset) -> xr.Dataset:
    """Not divided by m: hidden layers' updates, and what passes through them."""
    records = scaled(records, "update_rms", ("block.query", "block.up"), 1.0)
    return records.assign(forward_change_rms=records["forward_change_rms"] * growth(records))


def embedding_rate(records: xr.Dataset) -> xr.Dataset:
    """Multiplied by m."""
    return scaled(records, "update_rms", ("embedding",), 1.0)


def attention_scale(records: xr.Dataset) -> xr.Dataset:
    """1/sqrt(d) in place of 1/d, with the same queries and keys."""
    logits = np.log(records["attention"]) * np.sqrt(growth(records))
    dims = records["attention"].dims
    return records.assign(attention=(dims, softmax(logits.transpose(*dims).to_numpy())))


def hidden_initialization(records: xr.Dataset) -> xr.Dataset:
    """The power 0 of the width in place of -1/2."""
    records = scaled(records, "weight_rms", ("block.up",), 0.5)
    return records.assign(forward_rms=records["forward_rms"] * np.sqrt(growth(records)))


def weight_decay(records: xr.Dataset) -> xr.Dataset:
    """Multiplied by m: at the narrowest width weights shrink by a tenth until the end."""
    shrinks = np.exp(-0.1 * growth(records) * records["step"] / records["step"].max())
    dims = records["weight_rms"].dims
    return records.assign(weight_rms=(records["weight_rms"] * shrinks).transpose(*dims))


def ntk(records: xr.Dataset) -> xr.Dataset:
    """Features stand still as N^-1/2 and kernels as 1/N."""
    records = scaled(records, "weight_rms", ("readout",), 0.5)
    records = scaled(records, "update_rms", TENSORS[:3], -0.5)
    first = records["feature_kernel"].isel(step=[0])
    kernels = first.to_numpy() + (records["feature_kernel"] - first.isel(step=0)).transpose(
        *records["feature_kernel"].dims
    ) / growth(records)
    return records.assign(
        forward_change_rms=records["forward_change_rms"] / np.sqrt(growth(records)),
        feature_kernel=kernels.transpose(*records["feature_kernel"].dims),
    )


def standard(records: xr.Dataset) -> xr.Dataset:
    """One rate for all under Adam."""
    records = scaled(records, "weight_rms", ("readout",), 0.5)
    return scaled(records, "update_rms", TENSORS[1:], 1.0)


# Fault: what breaks records, and (key, value) of `where` that must come first.
FAULTS = {
    "readout 1/sqrt(N)": (readout_too_large, ("tensor", "readout")),
    "hidden Adam rate": (hidden_adam_rate, ("tensor", ("block.query", "block.up"))),
    "embedding rate": (embedding_rate, ("tensor", "embedding")),
    "attention 1/sqrt(d)": (attention_scale, ("rule", "attention_scale")),
    "hidden initialization": (hidden_initialization, ("tensor", "block.up")),
    "weight decay": (weight_decay, ("rule", "weight_decay")),
    "ntk": (ntk, ("rule", "the NTK parametrization")),
    "standard": (standard, ("rule", "standard parametrization under Adam")),
}
