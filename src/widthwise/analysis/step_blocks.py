"""Reading an ensemble in blocks of steps, one width at a time: never more than a slab in memory."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from widthwise.analysis.align import ordered_dims
from widthwise.errors import InputError

SLAB_BYTES = 128 * 2**20


def step_slabs(records: xr.Dataset, variable: str, steps: int) -> Iterator[slice]:
    """Consecutive slices of `steps` such that one width's seeds of a slice fit the memory bound in
    float64."""
    array = records[variable]
    one_step = 8 * max(array.size // (array.sizes["width"] * array.sizes["step"]), array.sizes["seed"] ** 2)
    length = max(1, SLAB_BYTES // max(one_step, 1))
    for start in range(0, steps, length):
        yield slice(start, min(start + length, steps))


def read_block(
    records: xr.Dataset,
    variable: str,
    width: int,
    steps: Int[np.ndarray, "step"],
    seeds: Bool[np.ndarray, "seed"],
) -> Float[np.ndarray, "usable step ..."]:
    """One width's values (seed, step, ...) in float64 at the positions `steps`, for the usable `seeds`.

    **Errors:** `InputError` where a seed that counts as trained has a value that is not finite.
    """
    chosen: slice | np.ndarray = steps
    if len(steps) and np.array_equal(steps, np.arange(steps[0], steps[0] + len(steps))):
        chosen = slice(int(steps[0]), int(steps[0]) + len(steps))
    # Read first, transpose then: a lazy array transposed before it is read is fetched element by element.
    block = records[variable].isel(width=width, step=chosen).load()
    values = block.transpose("seed", *ordered_dims(records[variable])).to_numpy()
    values = values[seeds].astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(
            f"records: `{variable}` at width {records['width'].to_numpy()[width]} has values that are not "
            "finite in seeds marked as trained and not diverged: set `diverged_at`, or train them again"
        )
    return values
