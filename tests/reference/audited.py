"""Audits and record stores for the tests of what users see of them."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
from synthetic_records import correct_records, embedding_rate

from widthwise.audit import Audit, AuditSettings, ClaimRow, Untested
from widthwise.audit.ensemble_view import measure
from widthwise.audit.gap_series import Gaps, measure_gaps

HOSTILE = "<script>alert(1)</script>"
EVIDENCE = {"widths": [16, 32], "seeds": 3, "steps": 9, "alpha": 0.05, "commit": None, "versions": {}}


@cache
def records_of(kind: str) -> xr.Dataset:
    """Small ensembles: "correct", "faulty" (an embedding that learns faster the wider), "few" seeds: one."""
    seeds = 1 if kind == "few" else 6
    records = correct_records(np.random.default_rng(3), seeds=seeds)
    records = records[["loss", "prediction", "weight_rms", "update_rms", "forward_rms", "diverged_at"]]
    return embedding_rate(records) if kind == "faulty" else records


def write_store(records: xr.Dataset, path: Path) -> Path:
    """A store at `path`; names as objects, as the schema's own writer has them."""
    texts = {name: each.astype(object) for name, each in records.coords.items() if each.dtype.kind == "U"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records.assign_coords(texts).to_zarr(path, zarr_format=3, consolidated=False)
    return path


def row(verdict="consistent", claim="scales", name="readout", step=0, **changed) -> ClaimRow:
    """One row, with whatever is changed."""
    fields = {
        "claim": claim,
        "verdict": verdict,
        "where": {"tensor": name, "quantity": "update_rms", "step": step},
        "estimate": -0.5,
        "interval": (-0.6, -0.4),
        "expected": -1.0,
        "resolution": 0.2,
        "p_value": 0.001,
        "advice": f"`{name}` learns at a rate that scales wrongly.",
        "more_seeds": None,
        "depth": 0,
    }
    return ClaimRow(**(fields | changed))


def audit_of(*rows: ClaimRow, untested=(), summary=()) -> Audit:
    """An audit with these rows."""
    return Audit(rows, tuple(Untested(claim=c, why=w) for c, w in untested), dict(EVIDENCE), tuple(summary))


def gaps_of(records: xr.Dataset) -> Gaps | None:
    """Gaps between widths as an audit measures them."""
    return measure_gaps(measure(records, 0.05, AuditSettings()))
