"""Small records, and the rows of an audit that describe."""

import numpy as np
import xarray as xr
from synthetic_records import WIDTHS

from widthwise.audit import audit

RUN = ("width", "seed", "step")
ROOT = np.sqrt(np.array(WIDTHS, dtype=float))[:, None, None]


def dataset(steps, seeds=6, **data):
    return xr.Dataset(
        data, coords={"width": list(WIDTHS), "seed": np.arange(seeds), "step": np.asarray(steps)}
    )


def rows_of(records, claim, quantity, **where):
    """Rows of a quantity by the narrower width."""
    rows = [r for r in audit(records, claims=[claim]).rows if r.where.get("quantity") == quantity]
    assert all(r.p_value is None and r.verdict == "consistent" for r in rows)
    assert all(r.where[key] == value for r in rows for key, value in where.items())
    return {row.where.get("width"): row for row in rows}
