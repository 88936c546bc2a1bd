"""What an ensemble shows by itself, without a theory to compare with."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis.align import check_records, measured_variables, ordered_dims, usable_seeds
from widthwise.analysis.elementwise import element_numbers
from widthwise.analysis.step_blocks import read_block, step_slabs
from widthwise.progress import SILENT, Progress

TABLE_BYTES = 2**29


def summarize_ensemble(records: xr.Dataset, *, progress: Progress = SILENT) -> xr.Dataset:
    """Mean and standard deviation over the usable seeds, at every element of predictions and losses.

    **Returns:** `v_mean` and `v_std` (width, step, ...) of each variable v, and `seeds` (width), their
    number. Missing (NaN) where no seed, or for the deviation only one, was trained without diverging. A
    variable whose tables would take more than half a gigabyte is not there, but in the attribute `left_out`.
    **Errors:** `InputError` if `records` is not an ensemble over width and seed.
    """
    check_records(records)
    valid, steps = usable_seeds(records), np.arange(records.sizes["step"])
    variables = [name for name in measured_variables(records) if "point_b" not in records[name].dims]
    sizes = {name: 16 * records[name].size // max(1, records.sizes["seed"]) for name in variables}
    variables = [name for name in variables if sizes[name] <= TABLE_BYTES]
    progress.start("summarizing", len(variables) * records.sizes["width"])
    kept = [
        n for n in ("width", "step", "point", "point_b", "split", "layer", "output") if n in records.coords
    ]
    summary = xr.Dataset(coords={name: records[name] for name in kept})
    summary.attrs["left_out"] = [name for name in sizes if name not in variables]
    summary["seeds"] = ("width", valid.sum(axis=1))
    for variable in variables:
        dims = ordered_dims(records[variable])
        shape = (records.sizes["width"], *(records.sizes[d] for d in dims))
        tables: dict[str, Float[np.ndarray, ...]] = {n: np.full(shape, np.nan) for n in ("mean", "std")}
        for at in range(records.sizes["width"]):
            for slab in step_slabs(records, variable, len(steps)):
                block = read_block(records, variable, at, steps[slab], valid[at])
                zero = {"": np.zeros(block.shape[1:])}
                numbers = element_numbers(block, 1, zero, 0.0)
                for name in tables.keys() & numbers.keys():
                    tables[name][at, slab] = numbers[name]
            progress.advance()
        for name, table in tables.items():
            summary[f"{variable}_{name}"] = (("width", *dims), table)
    return summary
