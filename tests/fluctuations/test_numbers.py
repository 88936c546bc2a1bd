"""Sampled theory against closed forms and tabulated values, at default settings.

The values at infinite width and order 1/N of the two-layer linear network are exact (`two_layer_linear`). A
sampled number must lie within `SIGMAS` of its own standard error, and that must be below `RESOLUTION` of the
number, so that the smallest error caught is SIGMAS * RESOLUTION = 1.5 %. Eight scramblings make the ratio a
Student t of seven degrees of freedom: a single number is a false alarm in 2 % of seeds, and the numbers of a
test are strongly correlated.
"""

import numpy as np
import pytest

from widthwise.data import Points
from widthwise.infinite_width import solve_infinite_width
from widthwise.observables import solve_fluctuations
from widthwise.study import NetworkSettings, Study, TrainingSettings

SIGMAS, RESOLUTION = 3.0, 0.005


def one_point(target=1.0, overlap=None):
    """A training point with |x|^2 = D and, unless `overlap` is None, a test point with x.x* / D = overlap."""
    first = np.array([2.0, 0.0, 0.0, 0.0])
    if overlap is None:
        return Points(first[None], np.array([[target]]), 1)
    second = 2.0 * np.array([overlap, np.sqrt(1 - overlap**2), 0.0, 0.0])
    return Points(np.stack([first, second]), np.array([[target], [target]]), 1)


def solved(points, network, training):
    study = Study(name="numbers", network=NetworkSettings(**network), training=TrainingSettings(**training))
    return solve_fluctuations(solve_infinite_width(study, points=points, exact=False))


def require(theory, name, expected, *, digits, point=0, **where):
    """Within SIGMAS standard errors (and the rounding of the printed `digits`), and resolved."""
    part = theory.isel(point=point, point_b=point, output=0, layer=0, missing_dims="ignore").sel(
        where, method="nearest"
    )
    value, stderr, expected = part[name].to_numpy(), part[f"{name}_stderr"].to_numpy(), np.asarray(expected)
    assert (stderr < RESOLUTION * np.abs(expected)).all(), (name, stderr / expected)
    np.testing.assert_array_less(np.abs(value - expected), SIGMAS * stderr + digits, err_msg=name)


LINEAR_FLOW = {
    # richness: (time, Delta, K, N Var Delta, N Var K), centered, y = 1
    0.5: [(0.5, 0.360224, 2.09984, 0.136194, 4.45867), (1.0, 0.123124, 2.18378, 0.0651367, 4.41642)],
    1.0: [(0.5, 0.338136, 2.39839, 0.136834, 5.7527), (1.0, 0.0934117, 2.69956, 0.0441538, 5.17638)],
    2.0: [(0.5, 0.26215, 3.56521, 0.120375, 9.57008), (1.0, 0.0343309, 4.34974, 0.00807383, 5.31287)],
    4.0: [(0.2, 0.585647, 3.87144, 0.114418, 17.6236), (0.5, 0.0976156, 7.491, 0.0309192, 10.642)],
}


@pytest.mark.parametrize("richness", LINEAR_FLOW)
def test_two_layer_linear_flow(richness):
    training = {"optimizer": "gradient_flow", "learning_rate": 0.1, "steps": 11, "substeps": 8}
    theory = solved(one_point(), {"activation": "linear", "richness": richness}, training)
    for time, delta, kernel, delta_variance, kernel_variance in LINEAR_FLOW[richness]:
        step = round(time / 0.1)
        require(theory, "prediction", 1 - delta, digits=1e-6, step=step)
        require(theory, "tangent_kernel", kernel, digits=1e-5, step=step)
        require(theory, "prediction_variance", delta_variance, digits=1e-6, step=step)
        require(theory, "tangent_kernel_variance", kernel_variance, digits=1e-5, step=step)


def test_edge_of_stability_of_two_layer_linear_gradient_descent():
    network = {"activation": "linear", "richness": 2.5, "centered": False}
    theory = solved(one_point(), network, {"learning_rate": 0.2, "steps": 25})
    require(theory, "prediction_variance", [0.16, 0.36190724], digits=1e-8, step=[0, 2])
    expected = [4, 11.325866, 0.194608903, 0.196376478]
    require(theory, "tangent_kernel_variance", expected, digits=1e-6, step=[0, 2, 5, 24])
    network = {"activation": "linear", "richness": 5.0, "centered": False}
    theory = solved(one_point(), network, {"learning_rate": 0.2, "steps": 30})
    expected = [0.42991616, 0.463947214, 0.406520737, 0.392853593]
    require(theory, "prediction_variance", expected, digits=1e-8, step=[2, 5, 10, 29])
    network = {"activation": "linear", "richness": 6.0, "centered": False}
    theory = solved(one_point(), network, {"learning_rate": 0.2, "steps": 30})
    require(theory, "prediction_variance", 5.0164e-5, digits=5e-10, step=29)
    require(theory, "tangent_kernel_variance", 7.2236e-3, digits=5e-8, step=29)


def test_mean_shift_of_two_layer_linear_gradient_descent():
    network = {"activation": "linear", "richness": 2.0, "centered": False}
    theory = solved(one_point(), network, {"learning_rate": 0.02, "steps": 80})
    expected = -np.array([0.14664, 0.34778, 0.21641, 0.011008])
    require(theory, "prediction_shift", expected, digits=5e-6, step=[10, 20, 40, 79])


def test_mean_shift_and_variance_of_a_tanh_network():
    theory = solved(one_point(), {"richness": 2.0}, {"learning_rate": 0.1, "steps": 17})
    steps = [4, 8, 12, 16]
    # These tabulated values were sampled themselves, to about half a percent.
    shifts, variances = [0.01259, 0.02096, 0.02293, 0.02098], [0.03535, 0.04382, 0.03606, 0.02499]
    require(theory, "prediction_shift", -np.array(shifts), digits=1e-4, step=steps)
    require(theory, "prediction_variance", variances, digits=2e-4, step=steps)


@pytest.mark.parametrize(
    ("richness", "steps", "variances", "kernels", "tested"),
    [
        (0.5, [30, 60, 120, 249], [0.0663, 0.1012, 0.0558, 0.0031], {0: 1.787812945, 249: 1.58}, 0.151),
        (4.0, [30, 60, 120], [0.0574, 0.0385, 0.0017], {0: 1.787812945, 249: 0.891}, 0.091),
    ],
)
def test_two_layer_tanh_network_and_its_test_point(richness, steps, variances, kernels, tested):
    """Tabulated from networks or small samples: good to 9 %, but for the kernel at initialization, exact."""
    network = {"activation": "tanh", "activation_scale": 0.4, "richness": richness}
    theory = solved(one_point(overlap=0.5156), network, {"learning_rate": 0.01, "steps": 250})
    require(theory, "prediction_variance", variances, digits=0.09 * np.array(variances), step=steps)
    for step, expected in kernels.items():
        digits = 1e-9 if step == 0 else 0.09 * expected
        require(theory, "tangent_kernel_variance", expected, digits=digits, step=step)
    require(theory, "prediction_variance", tested, digits=0.09 * tested, point=1, step=249)


@pytest.mark.parametrize(
    ("network", "kernel", "variance"),
    [
        ({"activation": "tanh", "activation_scale": 0.4}, 1.561980350, 1.787812945),
        ({"activation": "tanh"}, 0.8586973928, 0.6902601987),
        ({"activation": "relu", "activation_gain": np.sqrt(2.0)}, 2.0, 12.0),
        ({"activation": "linear"}, 2.0, 4.0),
    ],
)
def test_tangent_kernel_at_initialization(network, kernel, variance):
    theory = solved(one_point(), network, {"steps": 1})
    require(theory, "tangent_kernel", kernel, digits=1e-9)
    require(theory, "tangent_kernel_variance", variance, digits=1e-9)


def test_lazy_limit():
    """gamma -> 0: N Var Delta = kappa y^2 t^2 e^{-2Kt}, shift of Delta = kappa y t^2 e^{-Kt} / 2; flow."""
    network = {"activation": "tanh", "activation_scale": 0.4, "richness": 1e-3}
    training = {"optimizer": "gradient_flow", "learning_rate": 0.1, "steps": 13}
    theory = solved(one_point(target=0.7), network, training)
    kernel, kappa, time = 1.561980350, 1.787812945, 0.1 * np.array([3, 6, 12])
    steps = np.rint(time / 0.1).astype(int)
    remaining = np.exp(-kernel * time)
    variance = kappa * 0.7**2 * time**2 * remaining**2
    shift = -0.5 * kappa * 0.7 * time**2 * remaining
    require(theory, "prediction", 0.7 * (1 - remaining), digits=2e-6, step=steps)
    require(theory, "prediction_variance", variance, digits=2e-6, step=steps)
    require(theory, "prediction_shift", shift, digits=2e-6, step=steps)


@pytest.mark.parametrize(
    ("richness", "expected"),
    [(4.0, [0.0625, 0.05327, 0.01235, 9.40e-5]), (1.0, [1.0, 0.4727, 0.1657, 0.02539])],
)
def test_orthogonal_points_add_what_the_population_gradient_predicts(richness, expected):
    """Whitened data, target along the first of three directions: variance of an orthogonal output."""
    points = Points(2 * np.eye(4)[:3], np.array([[1.0], [0.0], [0.0]]), 3)
    network = {"activation": "linear", "richness": richness, "centered": False}
    theory = solved(points, network, {"learning_rate": 0.01, "steps": 101})
    for point in (1, 2):
        rounding = 5e-4 * np.array(expected)
        require(theory, "prediction_variance", expected, digits=rounding, point=point, step=[0, 20, 50, 100])
