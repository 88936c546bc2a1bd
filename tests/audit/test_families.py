"""Which family the networks that count belong to, and what the audit makes of it."""

import numpy as np
import pytest
import xarray as xr

import widthwise as ww
from widthwise.audit.audit_settings import AuditSettings
from widthwise.audit.ensemble_view import measure

CELLS = ("width", "seed")
FAMILY = np.array([[0, 0, 1, 1, 2, 2], [0, 1, 2, -1, -1, -1]])


def records(rng, lost=None):
    values = rng.standard_normal((2, 6, 3, 4, 1))
    values[FAMILY < 0] = np.nan
    if lost is not None:
        values[(*lost, slice(2, None))] = np.nan
    coords = {"width": [8, 16], "step": np.arange(3), "family": (CELLS, FAMILY)}
    found = {"prediction": ((*CELLS, "step", "point", "output"), values), "done": (CELLS, FAMILY >= 0)}
    return xr.Dataset(found, coords=coords)


def test_networks_that_count_keep_their_family():
    view = measure(records(np.random.default_rng(0)), 0.05, AuditSettings())
    assert [labels.tolist() for labels in view.labels([0, 1], [6, 3])] == [[0, 0, 1, 1, 2, 2], [0, 1, 2]]
    block = [view.read("prediction", w)[view.trained[w]] for w in (0, 1)]
    assert view.products([0, 1], iter([block])).family.tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]


def test_a_network_that_was_lost_takes_its_label_with_it():
    view = measure(records(np.random.default_rng(1), lost=(0, 2)), 0.05, AuditSettings())
    assert view.labels([0, 1], [5, 3])[0].tolist() == [0, 0, 1, 2, 2]
    assert view.labels([0, 1], [6, 3])[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert view.labels([0, 1], [4, 3]) is None, "who they are cannot be told"


@pytest.mark.parametrize("families", [True, False])
def test_an_audit_of_nested_records_goes_through(families):
    """With three widths, so that gaps are tested; networks are averages over neurons, plus a bend."""
    rng, widths = np.random.default_rng(2), (4, 8, 16)
    neurons = rng.standard_normal((12 * 16, 5))
    linear, bent = rng.standard_normal((2, 5, 6))
    values, family = np.full((3, 48, 2, 6, 1), np.nan), np.full((3, 48), -1)
    for at, width in enumerate(widths):
        mean = neurons.reshape(-1, width, 5).mean(axis=1)
        values[at, : len(mean), :, :, 0] = (1 + mean @ linear + 0.3 * mean**2 @ bent)[:, None]
        family[at, : len(mean)] = np.arange(len(mean)) * width // 16
    data = xr.Dataset(
        {"prediction": ((*CELLS, "step", "point", "output"), values), "done": (CELLS, family >= 0)},
        coords={"width": list(widths), "step": [0, 1]},
    )
    data = data.assign_coords(family=(CELLS, family)) if families else data
    found = {row.claim: row for row in ww.audit(data).rows if row.claim == "predictions"}
    assert found["predictions"].verdict != "inconsistent"
