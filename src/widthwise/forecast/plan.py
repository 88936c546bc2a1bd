"""Which further networks to train for a decision about a wide one: the power of an experiment, beforehand."""

import numpy as np
import xarray as xr

from widthwise.errors import InputError
from widthwise.forecast.design import designs, half_width
from widthwise.forecast.judge import too_little
from widthwise.forecast.law import fit_law
from widthwise.forecast.reading import read_curves


def plan(records: xr.Dataset, *, target: int, tolerance: float = 0.01, variable: str = "loss") -> xr.Dataset:
    """Further networks by their cost, and how well they are expected to foretell the target width.

    From a pilot of four widths or more: more seeds of all its widths, and wider networks below the target.
    Expected is the interval of the law refitted with the new networks where it foretells them, and the noise
    of seeds as it was measured.

    **Arguments:** `records`, the pilot; `target`, a width; `tolerance`, half the interval at the last step
    that decides, relative to the loss: to tell losses apart that differ by 1 %, give a third of that.
    **Returns:** by `design`, cheapest first: `widths` (text) and `seeds` of each, `cost` (6 N^2 T operations
    a network), `expected` half interval over the loss, `enough`. Attributes: `now`, that of the pilot itself;
    `chosen`, position of the cheapest that is enough, -1 if none is or the pilot is.
    **Errors:** `InputError` for a pilot of too few widths or seeds, a target that is not wider.
    """
    curves, _ = read_curves(records, variable)
    if missing := too_little(curves):
        raise InputError(f"the pilot tells too little: {missing}")
    if target <= curves.widths[-1] or not 0 < tolerance < 1:
        raise InputError(f"`target` = {target}, `tolerance` = {tolerance}: give a wider width, and a share")
    law = fit_law(curves)
    found, now = designs(law, float(target)), half_width(law, float(target))
    expected = np.array([design.half for design in found])
    enough = np.flatnonzero(expected <= tolerance)
    return xr.Dataset(
        {
            "widths": ("design", [", ".join(map(str, design.widths)) for design in found]),
            "seeds": ("design", [design.seeds for design in found]),
            "cost": ("design", [design.cost for design in found]),
            "expected": ("design", expected),
            "enough": ("design", expected <= tolerance),
        },
        attrs={"now": now, "chosen": int(enough[0]) if len(enough) and now > tolerance else -1},
    )
