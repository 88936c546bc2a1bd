"""Until when widths are compared: what "early" means."""

import numpy as np
import pytest
from synthetic_records import STEPS, WIDTHS, correct_records

from widthwise.audit import AuditSettings
from widthwise.audit.claims.scale_series import early_step
from widthwise.audit.ensemble_view import measure


def early_of(apart):
    """The step up to which updates are judged where losses of widths are `apart` at each recorded step."""
    records = correct_records(np.random.default_rng(0))[["loss"]]
    factor = 1 + np.outer(np.linspace(1, 0, len(WIDTHS)), apart)
    loss = 1e-6 * np.random.default_rng(1).random((len(WIDTHS), 6, len(STEPS))) + factor[:, None]
    measured = measure(records.assign(loss=(("width", "seed", "step"), loss)), 0.05, AuditSettings())
    return int(measured.steps[early_step(measured)])


@pytest.mark.parametrize("at", [1, 4, 7])
def test_early_ends_where_losses_differ_by_more_than_a_tenth(at):
    """15 % apart is late, 9 % is early; so is what comes after widths have once parted."""
    apart = np.full(len(STEPS), 0.09)
    assert early_of(apart) == STEPS[-1]
    apart[at] = 0.15
    assert early_of(apart) == STEPS[at - 1]
    apart[at] = 0.11
    assert early_of(apart) == STEPS[at - 1]


def test_without_losses_early_is_the_first_step():
    records = correct_records(np.random.default_rng(0))[["prediction"]]
    assert early_step(measure(records, 0.05, AuditSettings())) == 0
