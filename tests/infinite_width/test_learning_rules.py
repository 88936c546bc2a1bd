"""Feedback alignment at infinite width: trained networks, defining equations, limits and invariances."""

import jax
import numpy as np
import pytest
from scipy import stats

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.fluctuations import finite_width_corrections, has_fluctuations
from widthwise.infinite_width import solve_infinite_width
from widthwise.infinite_width.causal_pass import (
    causal_pass,
    deep_noise,
    deep_process,
    evaluations,
    order_parameters,
)
from widthwise.observables import solve_fluctuations
from widthwise.study import (
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TheorySettings,
    TrainingSettings,
)
from widthwise.training import train_ensemble

FA, DFA = "feedback_alignment", "direct_feedback_alignment"
QUANTITIES = ("prediction", "loss", "feature_kernel", "gradient_kernel", "tangent_kernel")
FALSE_ALARM_RATE = 1e-6


def some_points(outputs=1, train=2):
    rng = np.random.default_rng(5)
    return Points(rng.standard_normal((3, 6)), rng.choice([-1.0, 1.0], (3, outputs)), train)


def study(rule, layers, *, steps=8, sites=512, network=None, theory=None, record=None, **training):
    return Study(
        name="rule",
        network=NetworkSettings(**{"hidden_layers": layers, "richness": 2.0} | (network or {})),
        training=TrainingSettings(**{"learning_rate": 0.2, "steps": steps, "learning_rule": rule} | training),
        theory=TheorySettings(
            **{"sites": sites, "scramblings": 4, "observables": QUANTITIES} | (theory or {})
        ),
        ensemble=EnsembleSettings(widths=(512,), seeds=24),
        record=RecordSettings(**{"quantities": QUANTITIES} | (record or {})),
    )


def one_pass(a_study, points, sites=256):
    """Order parameters on one draw of the sites."""
    with jax.enable_x64(True):
        process = deep_process(a_study, points)
        rows = causal_pass(process, deep_noise(process, sites, (1,)))[1]
        found = order_parameters(process, rows, evaluations(a_study, a_study.recorded_steps()))
        return jax.tree.map(np.asarray, found)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("rule", [FA, DFA])
def test_wide_networks_have_the_order_parameters_of_the_theory(rule, layers):
    """Everything at the last step of 24 networks of width 512, two training points and a test point.

    The largest distance of an element, in combined standard errors enlarged
    by 2 % of the size for the mean shift at this width; false-alarm rate 1e-6 each. It
    resolves the rule: backpropagation is one and a half times what is allowed away, or more.
    """
    points, a_study = some_points(), study(rule, layers, sites=1024, record={"steps": (7,)})
    limit = solve_infinite_width(a_study, points=points)
    other = solve_infinite_width(
        study("backpropagation", layers, sites=1024, record={"steps": (7,)}), points=points
    )
    records = train_ensemble(a_study, points=points).squeeze("width").isel(step=0)
    for name in QUANTITIES:
        values, error = getattr(limit.values, name)[0], getattr(limit.stderr, name)[0]
        measured = records[name]
        scatter = measured.std("seed", ddof=1).to_numpy() / np.sqrt(measured.sizes["seed"])
        size = np.sqrt(np.mean(values**2))
        allowed = np.sqrt(scatter**2 + error**2 + (0.02 * size) ** 2)
        distance = np.abs(measured.mean("seed").to_numpy() - values) / allowed
        threshold = stats.t.isf(FALSE_ALARM_RATE / 2 / distance.size, measured.sizes["seed"] - 1)
        assert np.median(allowed) < 0.1 * size, f"{name}: too few networks to see an error"
        assert distance.max() < threshold, name
        if name in ("prediction", "gradient_kernel", "tangent_kernel"):
            apart = np.abs(getattr(other.values, name)[0] - values) / allowed
            assert apart.max() > 1.5 * threshold, f"{name}: cannot tell the rules apart"


@pytest.mark.parametrize("rule", [FA, DFA])
def test_the_tangent_kernel_is_what_the_outputs_move_by(rule):
    """f(t + 1) - f(t) = eta sum_n K_mn(t) Delta_n(t) + O(eta^2), three layers: halving eta halves the defect.

    Two points of different pull: the transpose of K would leave a defect of order eta^0.
    """
    defects = []
    for refined in (1, 2, 4):
        a_study = study(
            rule, 3, steps=6 * refined + 1, learning_rate=0.1 / refined, network={"richness": 3.0}
        )
        found = one_pass(a_study, some_points(), sites=512)
        f, kernel = found.prediction[:, :, 0], found.tangent_kernel[:, :, :2]
        expected = np.einsum("tmn,tn->tm", kernel, (some_points().targets[:2, 0] - f[:, :2]))
        moved = np.diff(f, axis=0) * refined / 0.1
        defects.append(np.abs(moved[-1] - expected[-2]).max() / np.abs(expected[-2]).max())
    ratios = np.divide(defects[:-1], defects[1:])
    assert (ratios > 1.6).all() and (ratios < 2.4).all(), (defects, ratios)
    swapped = np.abs(found.tangent_kernel[-1] - found.tangent_kernel[-1].T).max()
    assert swapped > 1e-3


@pytest.mark.parametrize("rule", [FA, DFA])
def test_lazy_networks_learn_by_their_last_features_alone(rule):
    """At richness 1e-3 predictions are gradient descent with the frozen kernel Phi^L, at any depth."""
    points, eta = some_points(outputs=2), 0.3
    found = one_pass(study(rule, 2, learning_rate=eta, network={"richness": 1e-3}), points)
    kernel = found.feature_kernel[0, 1]
    f = np.zeros((3, 2))
    for step in range(8):
        np.testing.assert_allclose(found.prediction[step], f, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.tangent_kernel[step], kernel, rtol=1e-3, atol=1e-4)
        f = f + eta * kernel[:, :2] @ (points.targets[:2] - f[:2])
    assert np.abs(f).max() > 0.3, "nothing moved"


def test_one_hidden_layer_has_one_kind_of_feedback():
    points = some_points(outputs=2)
    first, second = (one_pass(study(rule, 1), points) for rule in (FA, DFA))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_last_of_two_layers_hears_the_same_but_not_the_first():
    """With two layers the rules differ in the first one's gradient kernel from initialization on."""
    points = some_points()
    first, second = (one_pass(study(rule, 2), points) for rule in (FA, DFA))
    np.testing.assert_allclose(first.gradient_kernel[0, 1], second.gradient_kernel[0, 1], atol=0.05)
    assert np.abs(first.gradient_kernel[0, 0] - second.gradient_kernel[0, 0]).max() > 0.1


@pytest.mark.parametrize("rule", [FA, DFA])
def test_zero_targets_move_nothing(rule):
    points = some_points()
    found = one_pass(study(rule, 2), Points(points.inputs, np.zeros((3, 1)), 2))
    assert not found.prediction.any()
    for kernel in (found.feature_kernel, found.tangent_kernel):
        np.testing.assert_allclose(kernel, kernel[:1].repeat(8, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", [FA, DFA])
def test_the_past_does_not_depend_on_the_horizon(rule):
    """On the same sites: the Gaussians of later steps are drawn after those of earlier ones."""
    points = some_points(outputs=2)
    with jax.enable_x64(True):
        long, short = (deep_process(study(rule, 2, steps=steps), points) for steps in (7, 4))
        noise = deep_noise(long, 256, (1,))
        cut = tuple(each._replace(u=each.u[:, :4], r=each.r[:, :4]) for each in noise)
        whole = order_parameters(long, causal_pass(long, noise)[1], np.arange(4))
        part = order_parameters(short, causal_pass(short, cut)[1], np.arange(4))
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_flow_is_the_limit_of_small_steps():
    """Of first order: with 4 times the steps, descent is about 4 times closer to the flow.

    One layer, where no Gaussians are drawn for later steps, so that all see the same sites.
    """
    flow = one_pass(study(FA, 1, steps=4, optimizer="gradient_flow", substeps=8), some_points()).prediction[
        -1
    ]
    coarse, fine = (
        np.abs(
            one_pass(study(FA, 1, steps=3 * n + 1, learning_rate=0.2 / n), some_points()).prediction[-1]
            - flow
        ).max()
        for n in (8, 32)
    )
    assert 3.5 < coarse / fine < 4.5, (coarse, fine)


def test_order_one_over_width_is_refused_and_left_out():
    points, a_study = some_points(), study(DFA, 2, steps=3, sites=64, theory={"scramblings": 2})
    assert not has_fluctuations(a_study)
    limit = solve_infinite_width(a_study, points=points)
    with pytest.raises(InputError, match=r"`training.learning_rule` = \"direct_feedback_alignment\""):
        finite_width_corrections(limit)
    theory = solve_fluctuations(limit)
    np.testing.assert_array_equal(theory["prediction"], limit.values.prediction)
    assert {str(name) for name in theory.data_vars} == {
        "target",
        *QUANTITIES,
        *(f"{name}_stderr" for name in QUANTITIES),
    }
    assert "learning_rule" in theory.attrs["warnings"]
