"""Orthogonal points: printed variances, the equations in their published form, and sampled networks."""

import numpy as np
import pytest
from one_hidden_layer import reference_fluctuations
from printed import assert_printed
from scipy.integrate import solve_ivp
from scipy.stats import norm
from two_layer_linear_whitened import solve_whitened

from widthwise.errors import InputError
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem


@pytest.mark.parametrize(
    ("richness", "printed"),
    [(4.0, [".0625", ".05327", ".01235", "9.40e-5"]), (1.0, ["1.", ".4727", ".1657", ".02539"])],
)
def test_orthogonal_variance_has_the_printed_values(richness, printed):
    problem = TwoLayerLinearProblem(richness=richness, learning_rate=0.01, steps=101, centered=False)
    found = solve_whitened(problem, 2)
    for step, digits in zip((0, 20, 50, 100), printed, strict=True):
        assert_printed(found.orthogonal_variance[step], digits)


def test_flow_obeys_the_published_equations():
    """f_k = xi/gamma - 2 cosh(v) F, F' = cosh(v) f_k, xi = a cosh v + b sinh v, Var a = Var b = 1/N."""
    gamma, y = 2.3, 0.9

    def velocity(_, state):
        v, by_a, by_b = state
        f_a = np.cosh(v) / gamma - 2 * np.cosh(v) * by_a
        f_b = np.sinh(v) / gamma - 2 * np.cosh(v) * by_b
        return [gamma * y - np.sinh(2 * v), np.cosh(v) * f_a, np.cosh(v) * f_b]

    times = 0.1 * np.arange(16)
    v, by_a, by_b = solve_ivp(
        velocity, (0, 1.5), np.zeros(3), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14
    ).y
    expected = (np.cosh(v) * (1 / gamma - 2 * by_a)) ** 2 + (np.sinh(v) / gamma - 2 * np.cosh(v) * by_b) ** 2
    problem = TwoLayerLinearProblem(
        richness=gamma, target=y, learning_rate=0.1, steps=16, centered=False, gradient_flow=True
    )
    np.testing.assert_allclose(solve_whitened(problem, 2).orthogonal_variance, expected, rtol=1e-8)


def test_small_steps_approach_the_flow():
    """Halving eta halves the distance, for every field."""

    def found(steps, flow):
        problem = TwoLayerLinearProblem(
            richness=1.5,
            learning_rate=1.0 / (steps - 1),
            steps=steps,
            centered=False,
            gradient_flow=flow,
        )
        solution = solve_whitened(problem, 7)
        return np.array([solution.orthogonal_shift[-1], solution.squared_error_shift[-1]])

    exact = found(401, True)
    errors = [np.abs(found(steps, False) - exact) for steps in (401, 801)]
    np.testing.assert_allclose(errors[0] / errors[1], 2.0, rtol=0.05)


READOUT = np.sqrt(3.0) * np.array([-1.0, 0, 0, 0, 0, 1.0])  # the moments of a normal up to the fifth


@pytest.mark.parametrize("points", [1, 2, 3])
def test_discrete_steps_agree_with_the_slow_twin(points):
    """Sites on a grid with the moments that order 1/N reads (up to the fourth) make the twin exact."""
    gamma, eta, steps, y = 1.6, 0.15, 6, 0.9
    grid = np.stack(np.meshgrid(*[READOUT] * (points + 1)), -1).reshape(-1, points + 1)
    twin = reference_fluctuations(
        grid[:, :-1],
        grid[:, -1:],
        np.eye(points),
        y * np.eye(points)[:, :1],
        points,
        phi=lambda h: h,
        dphi=np.ones_like,
        d2phi=np.zeros_like,
        d3phi=np.zeros_like,
        learning_rate=eta,
        steps=steps,
        richness=gamma,
        centered=False,
    )
    problem = TwoLayerLinearProblem(richness=gamma, target=y, learning_rate=eta, steps=steps, centered=False)
    found = solve_whitened(problem, points)
    shift = found.target_shift + (points - 1) * found.orthogonal_shift
    exact = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(found.residual, y - twin["prediction"][:, 0, 0], **exact)
    np.testing.assert_allclose(found.target_variance, twin["prediction_variance"][:, 0, 0], **exact)
    np.testing.assert_allclose(-shift, twin["prediction_shift"][:, 0, 0], **exact)
    np.testing.assert_allclose(found.squared_error_shift, 2 * twin["loss_shift"][:, 0], **exact)
    for other in range(1, points):
        np.testing.assert_allclose(
            found.orthogonal_variance, twin["prediction_variance"][:, other, 0], **exact
        )


def trained_residuals(h, w, gamma, eta, steps):
    """Residuals (network, step, point) of networks with orthogonal points and the target (1, 0, ...)."""
    target = np.eye(h.shape[1])[0]
    found = []
    for _ in range(steps):
        residual = target - np.einsum("epn,en->ep", h, w) / (gamma * w.shape[1])
        found.append(residual)
        pull = eta * gamma * residual
        h, w = h + pull[:, :, None] * w[:, None, :], w + np.einsum("ep,epn->en", pull, h)
    return np.stack(found, 1)


def test_orthogonal_directions_shift_the_target_direction(seed):
    """The same 3,000 networks with and without four orthogonal points, N = 300.

    False-alarm rate 1e-6; resolution 15 % of the shift, of which 6 % is allowed for the next order.
    """
    gamma, eta, steps, width, networks, points = 2.0, 0.05, 9, 300, 3000, 5
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(6):
        h = rng.standard_normal((networks // 6, points, width))
        w = rng.standard_normal((networks // 6, width))
        together = trained_residuals(h, w, gamma, eta, steps)[:, -1, 0]
        alone = trained_residuals(h[:, :1], w, gamma, eta, steps)[:, -1, 0]
        differences.append(width * (together - alone))
    sample = np.concatenate(differences)
    problem = TwoLayerLinearProblem(richness=gamma, learning_rate=eta, steps=steps, centered=False)
    expected = (points - 1) * solve_whitened(problem, points).orthogonal_shift[-1]
    threshold = norm.isf(0.5e-6) * sample.std() / np.sqrt(networks) + 0.06 * abs(expected)
    assert threshold < 0.15 * abs(expected)
    assert abs(sample.mean() - expected) < threshold


def test_squared_error_adds_all_directions():
    problem = TwoLayerLinearProblem(richness=1.0, learning_rate=0.05, steps=10, centered=False)
    one, five = solve_whitened(problem, 1), solve_whitened(problem, 5)
    np.testing.assert_allclose(
        one.squared_error_shift, one.target_variance + 2 * one.residual * one.target_shift, rtol=1e-12
    )
    added = (five.squared_error_shift - one.squared_error_shift) / 4
    np.testing.assert_allclose(
        added, five.orthogonal_variance + 2 * five.residual * five.orthogonal_shift, rtol=1e-9
    )


@pytest.mark.parametrize(("centered", "points", "word"), [(True, 3, "centered"), (False, 0, "points")])
def test_what_cannot_be_solved_is_refused(centered, points, word):
    problem = TwoLayerLinearProblem(richness=1.0, learning_rate=0.1, steps=3, centered=centered)
    with pytest.raises(InputError, match=word):
        solve_whitened(problem, points)
