"""Nested families have more narrow networks than wide ones: empty places are no networks that diverged."""

from unittest.mock import Mock

import numpy as np
import xarray as xr

import widthwise as ww
from widthwise.cli.summary import render_losses
from widthwise.report.audit.text import audit_text
from widthwise.report.gather import Gathered
from widthwise.report.headline import subject

FAMILY = np.array([[0, 0, 1, 1], [0, 1, -1, -1]])
CELLS = ("width", "seed")


def records(lost=False):
    loss = np.where(FAMILY >= 0, 0.5 + 0.01 * np.arange(4), np.nan)
    if lost:
        loss[1, 1] = np.nan
    return xr.Dataset(
        {
            "loss": ((*CELLS, "step", "split"), np.stack([1 + 0 * loss, loss], axis=-1)[..., None]),
            "done": (CELLS, FAMILY >= 0),
        },
        coords={"width": [8, 16], "step": [0, 1], "split": ["train"], "family": (CELLS, FAMILY)},
    )


def lines_of(text):
    return [tuple(cell.strip() for cell in line.split("│")[1:4]) for line in text.splitlines() if "│" in line]


def test_the_table_of_losses_counts_the_networks_of_each_width():
    assert lines_of(render_losses(records())) == [("8", "4", "0"), ("16", "2", "0")]
    assert lines_of(render_losses(records(lost=True))) == [("8", "4", "0"), ("16", "2", "1")]


def test_the_audit_says_how_many_seeds_each_width_has():
    assert "widths 8, 16; 4, 2 seeds;" in audit_text(ww.audit(records()))


def test_the_page_says_how_many_networks_each_width_has():
    study = ww.Study(name="a", ensemble=ww.EnsembleSettings(widths=(8, 16), seeds=2, coupling="nested"))
    numbers = xr.Dataset({"seeds": ("width", [4, 2])}, coords={"width": [8, 16]})
    told = subject(Mock(spec=Gathered, study=study, widths=[8, 16], numbers=numbers, audited=None))
    assert told.endswith("4, 2 networks of the widths 8, 16, in nested families.")
