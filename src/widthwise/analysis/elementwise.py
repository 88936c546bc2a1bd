"""Numbers at every single element: mean, scatter, z against theory, and the ratio of variances."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis.align import Common, Part
from widthwise.analysis.part_theory import companion


def whole_theory(theory: xr.Dataset, part: Part, common: Common) -> dict[str, Float[np.ndarray, "..."]]:
    """The variable and those companions that exist, (step, ...), under their suffixes."""
    suffixes = ("", "_stderr", "_variance", "_shift", "_shift_stderr")
    found = {suffix: companion(theory, part, suffix, common) for suffix in suffixes}
    return {suffix: values for suffix, values in found.items() if values is not None}


def element_numbers(
    values: Float[np.ndarray, "seed step ..."],
    width: int,
    theory: dict[str, Float[np.ndarray, "..."]],
    rounding: float,
) -> dict[str, Float[np.ndarray, "..."]]:
    r"""Statistics over seeds at every element of one width.

    $$z = (\bar v - v_\infty - \mathrm{shift}/N) / \sqrt{s^2/E + \mathrm{stderr}^2 + \mathrm{rounding}^2}$$
    $$\mathrm{ratio} = (N s^2 + \epsilon) / (V + \epsilon), \quad \epsilon = N\,\mathrm{rounding}^2$$

    An element that does not vary at all (a centered prediction at step 0) so has z = 0 and ratio = 1 if it is
    theory's, and a huge finite one if not. With one seed, only the mean exists.
    """
    seeds = len(values)
    if seeds == 0:
        return {}
    mean = values.mean(axis=0)
    if seeds == 1:
        return {"mean": mean}
    variance = values.var(axis=0, ddof=1)
    zero = np.zeros_like(mean)
    floor = max(rounding, float(np.finfo(np.float64).tiny) ** 0.25)
    theory_error = np.asarray(theory.get("_stderr", zero))
    distance: np.ndarray = mean - theory[""]
    noise: np.ndarray = variance / seeds + floor**2
    numbers = {
        "mean": mean,
        "std": np.sqrt(variance),
        "z_infinite_width": distance / np.sqrt(noise + theory_error**2),
    }
    if "_shift" in theory:
        shift_error = np.asarray(theory.get("_shift_stderr", zero)) / width
        numbers["z_with_shift"] = (distance - theory["_shift"] / width) / np.sqrt(
            noise + (theory_error + shift_error) ** 2
        )
    if "_variance" in theory:
        epsilon = width * floor**2
        numbers["variance_ratio"] = (width * variance + epsilon) / (
            np.maximum(theory["_variance"], 0.0) + epsilon
        )
    return numbers
