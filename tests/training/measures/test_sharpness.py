"""Sharpness against the dense Hessian, closed forms, symmetries, and training at the edge of stability."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from perceptrons import initialize, predict

from widthwise.networks import probe
from widthwise.study import NetworkSettings, TrainingSettings
from widthwise.training.loss import total_loss
from widthwise.training.measures.sharpness import preconditioned_sharpness

SIZES = (4, 6, 2)  # dimension, width, outputs: all different
POINTS = 5
sharpness = eqx.filter_jit(preconditioned_sharpness)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def problem(key, *, layers=2, reach=1.0, sizes=SIZES, points=POINTS):
    """A perceptron, its loss as a function of the weights, and rates that differ between tensors."""
    settings = NetworkSettings(hidden_layers=layers, activation_scale=0.7, richness=1.4)
    model = initialize(key, settings, sizes, jnp.float64)
    one, two = jax.random.split(jax.random.fold_in(key, 1))
    inputs = jax.random.normal(one, (points, sizes[0]), jnp.float64)
    targets = reach * jax.random.normal(two, (points, sizes[2]), jnp.float64)
    leaves, structure = jax.tree.flatten(model)
    rates = structure.unflatten([jnp.asarray(0.5 + 0.7 * place) for place in range(len(leaves))])
    return model, lambda m: total_loss(predict(m, inputs), targets, TrainingSettings()), rates


def dense_matrix(loss, weights, rates):
    """R^1/2 H R^1/2 written out."""
    flat, unravel = ravel_pytree(weights)
    hessian = np.asarray(jax.jit(jax.hessian(lambda w: loss(unravel(w))))(flat))
    roots = np.concatenate(
        [
            np.full(w.size, float(rate) ** 0.5)
            for w, rate in zip(jax.tree.leaves(weights), jax.tree.leaves(rates), strict=True)
        ]
    )
    return roots[:, None] * hessian * roots


@pytest.mark.parametrize("layers", [1, 3])
def test_is_the_largest_eigenvalue_of_the_dense_hessian(key, layers):
    model, loss, rates = problem(key, layers=layers)
    found = sharpness(loss, model, rates, key)
    expected = np.linalg.eigvalsh(dense_matrix(loss, model, rates))
    np.testing.assert_allclose(found.value, expected[-1], rtol=1e-7)
    assert found.residual < 1e-3 * expected[-1]
    assert abs(expected[-1] / expected[-2] - 1) > 1e-4, "cannot tell it from the next one"


def test_a_nearly_symmetric_spectrum_gives_its_upper_end(key):
    model, loss, rates = problem(key, reach=1000.0)
    matrix = dense_matrix(loss, model, rates)
    ends = np.linalg.eigvalsh(matrix)[[0, -1]]
    found = sharpness(loss, model, rates, key)
    np.testing.assert_allclose(found.value, ends[1], rtol=1e-6)
    assert ends[0] < -0.9 * ends[1]
    # As many products as Lanczos has, by power iteration from five vectors.
    vectors = np.random.default_rng(3).standard_normal((len(matrix), 5))
    for _ in range(24):
        vectors = matrix @ vectors / np.linalg.norm(matrix @ vectors, axis=0)
    assert (vectors * (matrix @ vectors)).sum(0).min() < 0.5 * ends[1], "power iteration would have done"


def test_the_residual_is_large_where_lanczos_has_not_converged(key):
    model, loss, rates = problem(key)
    spectrum = np.linalg.eigvalsh(dense_matrix(loss, model, rates))
    residuals = []
    for iterations in (2, 6, 24):
        found = sharpness(loss, model, rates, key, iterations=iterations)
        assert found.value <= spectrum[-1] * (1 + 1e-12)
        assert np.abs(spectrum - found.value).min() <= found.residual + 1e-12
        residuals.append(float(found.residual))
    assert residuals[0] > 0.05 * spectrum[-1] > residuals[2]
    assert residuals == sorted(residuals, reverse=True)


def test_rates_may_differ_within_a_tensor(key):
    """loss = 1/2 w.A w: the eigenvalue of R^1/2 A R^1/2, also with as few weights as three."""
    curvature = jnp.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, -4.0]])
    rates = jnp.array([0.3, 5.0, 1.0])
    found = sharpness(lambda w: 0.5 * w @ curvature @ w, jnp.ones(3), rates, key)
    roots = np.sqrt(rates)
    expected = np.linalg.eigvalsh(roots[:, None] * np.asarray(curvature) * roots)[-1]
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)
    assert found.residual < 1e-10


def test_a_trained_readout_alone_has_the_sharpness_of_its_feature_kernel(key):
    """One output, rates eta gamma^2 N of the readout, 0 below: eta times Phi^L's largest eigenvalue."""
    rate, inputs = 0.3, jax.random.normal(key, (POINTS, 4), jnp.float64)
    model = initialize(key, NetworkSettings(richness=1.4, hidden_layers=2), (4, 7, 1), jnp.float64)
    rates = eqx.tree_at(
        lambda m: m.readout, jax.tree.map(lambda w: jnp.zeros(()), model), jnp.asarray(rate * 1.4**2 * 7)
    )
    found = sharpness(lambda m: 0.5 * (predict(m, inputs) ** 2).sum(), model, rates, key)
    kernel = np.asarray(probe(model, inputs).feature_kernel[-1])
    np.testing.assert_allclose(found.value, rate * np.linalg.eigvalsh(kernel)[-1], rtol=1e-9)
    assert found.residual < 1e-9


def test_rescaling_a_tensor_and_its_rate_changes_nothing(key):
    """W -> a W in a loss that divides by a: each rate grows by a^2."""
    model, loss, rates = problem(key)
    scales = jax.tree.unflatten(jax.tree.structure(model), [jnp.asarray(s) for s in (3.0, 0.2, 1.7)])
    larger = jax.tree.map(jnp.multiply, model, scales)
    rescaled = sharpness(
        lambda m: loss(jax.tree.map(jnp.divide, m, scales)),
        larger,
        jax.tree.map(lambda rate, scale: rate * scale**2, rates, scales),
        key,
    )
    plain = sharpness(loss, model, rates, key)
    np.testing.assert_allclose(rescaled.value, plain.value, rtol=1e-10)
    np.testing.assert_allclose(rescaled.residual, plain.residual, rtol=1e-3, atol=1e-9)


def test_it_is_proportional_to_the_rates(key):
    model, loss, rates = problem(key)
    plain = sharpness(loss, model, rates, key)
    doubled = sharpness(loss, model, jax.tree.map(lambda r: 2 * r, rates), key)
    np.testing.assert_allclose(doubled.value, 2 * plain.value, rtol=1e-10)


@pytest.mark.parametrize("precision", [jnp.float32, jnp.float64])
def test_rates_of_zero_give_zero_and_a_flat_loss_too(key, precision):
    """As at the last step of a schedule that ends at zero: Lanczos has nothing to go on with."""
    weights = jnp.arange(1, 41, dtype=precision)
    nothing = sharpness(lambda w: (w**2).sum(), weights, jnp.zeros((), precision), key)
    flat = sharpness(lambda w: 0.0 * w.sum(), weights, jnp.ones((), precision), key)
    assert nothing == (0, 0) and flat == (0, 0)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("precision", [jnp.float32, jnp.float64])
def test_an_exhausted_krylov_space_does_no_harm(key, rank, precision):
    """A Hessian of low rank has fewer different eigenvalues than there are iterations."""
    rows = jax.random.normal(key, (rank, 50), precision)
    found = sharpness(
        lambda w: 0.5 * ((rows @ w) ** 2).sum(), jnp.ones(50, precision), jnp.ones((), precision), key
    )
    rounding = float(jnp.finfo(precision).eps)
    expected = np.linalg.norm(np.asarray(rows, np.float64), 2) ** 2
    np.testing.assert_allclose(found.value, expected, rtol=100 * rounding)
    assert found.residual < 100 * rounding * expected


def test_a_diverged_network_has_none(key):
    model, loss, rates = problem(key)
    broken = jax.tree.map(lambda w: jnp.full_like(w, jnp.nan), model)
    found = sharpness(loss, broken, rates, key)
    assert np.isnan(found.value) and np.isnan(found.residual)


def test_gradient_descent_settles_at_two_whatever_its_rate(key):
    """At the edge of stability the Hessian gives way; at a small rate it need not."""
    start = initialize(key, NetworkSettings(hidden_layers=2), (6, 12, 1), jnp.float64)
    inputs = jax.random.normal(jax.random.fold_in(key, 1), (16, 6), jnp.float64)
    targets = jnp.sign(inputs[:, :1] * inputs[:, 1:2])
    training = TrainingSettings(reduction="mean")

    def loss(m):
        return total_loss(predict(m, inputs), targets, training)

    @eqx.filter_jit
    def later(m, rate, steps):
        def step(_, n):
            return jax.tree.map(lambda w, slope: w - rate * 12 * slope, n, jax.grad(loss)(n))

        return jax.lax.fori_loop(0, steps, step, m)

    last = {}
    for rate in (0.25, 2.0, 4.0):
        model, rates = start, jax.tree.map(lambda w, rate=rate: jnp.asarray(rate * 12), start)
        for steps in (20, 280):
            model = later(model, rate, steps)
            found = sharpness(loss, model, rates, key)
            expected = np.linalg.eigvalsh(dense_matrix(loss, model, rates))[-1]
            np.testing.assert_allclose(found.value, expected, rtol=1e-6)
        last[rate] = float(found.value)
    assert last[0.25] < 1.2
    assert abs(last[2.0] - 2) < 0.2 and abs(last[4.0] - 2) < 0.2
