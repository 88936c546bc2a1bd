"""The sufficient width against the distance it promises."""

import numpy as np
import pytest
from synthetic_run import Truth, make_theory

from widthwise.analysis import sufficient_width

LABEL = "prediction, test"


@pytest.mark.parametrize("tolerance", [0.3, 0.1, 0.01])
def test_at_the_sufficient_width_the_distance_is_the_tolerance(tolerance):
    theory = make_theory(Truth())
    width = sufficient_width(theory, LABEL, tolerance)
    assert width is not None
    at = np.flatnonzero(theory["split"] == "test")
    value, variance, shift = (theory[f"prediction{s}"].to_numpy()[:, at] for s in ("", "_variance", "_shift"))
    squared = (variance / width + (shift / width) ** 2).sum() / (value**2).sum()
    assert np.sqrt(squared) == pytest.approx(tolerance, rel=1e-9)


def test_theory_without_variances_does_not_say():
    assert sufficient_width(make_theory(Truth())[["prediction", "loss"]], LABEL, 0.1) is None
