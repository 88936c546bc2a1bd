"""From what users hand over to arrays with the dimensions of the schema."""

from collections.abc import Mapping

import numpy as np

from widthwise.adapters.names import NAMED, require_names, require_quantity
from widthwise.errors import InputError


def as_array(name: str, value: object) -> np.ndarray:
    """A number or array-like in float32, or float64 if it has more digits than that.

    **Errors:** `InputError` for texts, objects, complex numbers, masked arrays, arrays of unequal rows and
    such without entries.
    """
    try:
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError("it is masked: give NaN where it is")
        array = np.asarray(value)
        if array.dtype.kind in "USOcMmT" or array.dtype.names:
            raise TypeError(f"it has type {array.dtype}")
        if not array.size:
            raise TypeError(f"it has no entries, shape {array.shape}")
        single = (array.dtype.kind != "f" and array.dtype.itemsize <= 2) or array.dtype == np.float32
        return array.astype(np.float32 if single or array.dtype == np.float16 else np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"`{name}` is no array of numbers ({error})") from error


def as_quantity(name: str, value: object) -> tuple[np.ndarray, dict[str, tuple[str, ...]]]:
    """One quantity at one step: the array, with the schema's dimensions but `step`, and names along them.

    **Arguments:** `value`, array-like; or, where the first dimension has names (`layer`, `tensor`, `block`,
    `split`), array-likes by name. A prediction (point,) is one of one output; a loss may be one number.
    **Errors:** `InputError` for a name or a number of dimensions that the schema does not have.

    >>> as_quantity("update_rms", {"hidden": 0.5, "readout": 0.25})
    (array([0.5 , 0.25]), {'tensor': ('hidden', 'readout')})
    """
    dims = tuple(dim for dim in require_quantity(name).dims if dim != "step")
    labels: dict[str, tuple[str, ...]] = {}
    if isinstance(value, Mapping):
        if not dims or dims[0] not in NAMED:
            raise InputError(f"`{name}` is given by name: its dimensions are {dims or 'none'}, give an array")
        labels[dims[0]] = require_names(value, dims[0])
        parts = [as_array(f"{name}[{key!r}]", each) for key, each in value.items()]
        shapes = {part.shape for part in parts}
        if len(shapes) != 1:
            raise InputError(f"`{name}` has parts of shapes {sorted(shapes)}: give at least one, all alike")
        array = np.stack(parts)
    else:
        array = as_array(name, value)
    if name == "prediction" and array.ndim == 1:
        array = array[:, None]
    if name == "loss" and array.ndim == 0:
        array = array[None]
    if array.ndim != len(dims):
        raise InputError(
            f"`{name}` has shape {array.shape}: its dimensions at one step are ({', '.join(dims)})"
        )
    if dims[:1] == ("tensor",) and not labels:
        raise InputError(
            f"`{name}` is an array without names: give values by name of tensor, as a dictionary"
        )
    return array, labels
