"""Reading parts of records, so that memory does not grow with what is recorded."""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from jaxtyping import Bool, Int, Shaped

from widthwise.audit.audit_settings import AuditSettings

Place = int | slice | np.ndarray
# One step of all networks is held in float64 below this, with as many points as fit.
SLAB_BYTES = 128 * 2**20
LARGE_BYTES = 4 * SLAB_BYTES
LARGEST = 1e60  # a number beyond it is as good as infinite: fourth powers of it would overflow


def sound(values: np.ndarray) -> Bool[np.ndarray, "..."]:
    """Where values are finite, and far enough from overflow for variances of their squares.

    >>> sound(np.array([1.0, np.inf, -1e200, np.nan])).tolist()
    [True, False, False, False]
    """
    finite = np.isfinite(values)
    return finite & (np.abs(values) <= LARGEST) if values.dtype.itemsize > 4 else finite


def thinned(array: xr.DataArray, settings: AuditSettings) -> dict[str, Int[np.ndarray, " chosen"]]:
    """Positions of the points that are read, evenly spread: of kernels `most_points`, of other arrays as many
    as let one step of all networks fit into the memory bound. None are chosen where all are read."""
    points = array.sizes.get("point", 0)
    if "point_b" in array.dims:
        most = settings.most_points
    else:
        rest = math.prod(size for dim, size in array.sizes.items() if dim not in ("step", "point"))
        most = max(1, SLAB_BYTES // max(1, 8 * rest))
    if points <= most:
        return {}
    chosen = np.unique(np.linspace(0, points - 1, most).round().astype(int))
    return {dim: chosen for dim in ("point", "point_b") if dim in array.dims}


def read_part(
    array: xr.DataArray, chosen: Mapping[str, Place], settings: AuditSettings
) -> Shaped[np.ndarray, "..."]:
    """The positions `chosen` of a thinned array, as (seed, step, *rest), as precise as it was recorded.

    Of large arrays one network is read after the other, since a store reads and unpacks several chunks at
    once.
    """
    chosen = thinned(array, settings) | dict(chosen)
    if "seed" in array.dims and array.nbytes > LARGE_BYTES:
        return np.stack([_load(array.isel(chosen | {"seed": seed})) for seed in range(array.sizes["seed"])])
    return _load(array.isel(chosen))


def _load(part: xr.DataArray) -> Shaped[np.ndarray, "..."]:
    """Read first, transpose then: a lazy array transposed before it is read is fetched element by element."""
    block = part.load()
    first = [dim for dim in ("seed", "step") if dim in block.dims]
    return block.transpose(*first, ...).to_numpy()
