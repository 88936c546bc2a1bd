"""Sites of one hidden layer: moments that are exact, not only on average."""

import numpy as np
import pytest

from widthwise.infinite_width.sites import gaussian_sites


@pytest.mark.parametrize("equal_weights", [True, False])
def test_fields_and_readouts_have_their_covariances_to_rounding(equal_weights):
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((3, 5))
    kernel = inputs @ inputs.T / 5
    h, w, weights = gaussian_sites(kernel, 2, 128, (1,), equal_weights=equal_weights)
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose((weights * h.T) @ h, kernel, atol=1e-12)
    np.testing.assert_allclose((weights * w.T) @ w, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(weights @ h, 0.0, atol=1e-12)
