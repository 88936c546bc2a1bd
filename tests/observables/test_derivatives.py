"""Derivatives: finite differences of the public solvers, scaling laws, and the errors a user can make."""

from dataclasses import replace

import numpy as np
import pytest

import widthwise as ww

RNG = np.random.default_rng(5)
POINTS = ww.Points(RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2)), 3)
CLASSES = ww.Points(POINTS.inputs[:3], np.array([[0.7, 0.3], [0.2, 0.8], [1.0, 0.0]]), 2)
MOVES = {"targets": RNG.standard_normal((4, 2)), "inputs": RNG.standard_normal((4, 3))}
MOVES["targets"] -= MOVES["targets"].mean(axis=1, keepdims=True)  # probabilities stay so
STEP = 1e-4  # relative error of central differences about 1e-8, of rounding 1e-12 / 1e-4
FRACTION = 2e-5  # of the largest derivative, for infinite width
COMPANION_FRACTION = 2e-3  # leaves room for the modes left out, 1e-6 of the scatter on either side


def study(depth=1, **changes):
    network = {"hidden_layers": depth, "richness": 1.3, "activation": "tanh", "centered": depth > 1}
    training = {"learning_rate": 0.2, "steps": 5} | changes.pop("training", {})
    return ww.Study(
        name="derivative",
        network=ww.NetworkSettings(**(network | changes)),
        training=ww.TrainingSettings(**training),
        theory=ww.TheorySettings(
            sites=64,
            fluctuation_sites=64,
            scramblings=2,
            observables=("prediction", "loss", "tangent_kernel") if depth == 1 else ("prediction", "loss"),
        ),
        record=ww.RecordSettings(steps=(2, 4)),
    )


SHALLOW = study()
FLOW = study(
    activation="gelu", training={"optimizer": "gradient_flow", "loss": "cross_entropy", "substeps": 1}
)
DEEP = study(2, training={"reduction": "mean", "learning_rate": 0.5})
FEW = ww.Points(POINTS.inputs[:3], POINTS.targets[:3, :1], 2)
CASES = {"descent": (SHALLOW, POINTS), "flow": (FLOW, CLASSES), "deep": (DEEP, FEW)}


def move(wrt, points):
    """The direction in which the points' targets or inputs move."""
    shape = getattr(points, wrt).shape if wrt in MOVES else (0, 0)
    return MOVES[wrt][: shape[0], : shape[1]] if wrt in MOVES else None


def moved(settings, points, wrt, size):
    """The study and points with one parameter moved."""
    match wrt:
        case "richness":
            network = replace(settings.network, richness=settings.network.richness + size)
            return replace(settings, network=network), points
        case "learning_rate":
            rate = settings.training.learning_rate + size
            return replace(settings, training=replace(settings.training, learning_rate=rate)), points
        case _:
            return settings, replace(points, **{wrt: getattr(points, wrt) + size * move(wrt, points)})


def theory(settings, points):
    if settings.network.hidden_layers == 1:
        return ww.solve_fluctuations(ww.solve_infinite_width(settings, points=points))
    # The solver of deep variances has single precision, too little for differences: our own values instead.
    return ww.differentiate(settings, points=points)


def differentiated(settings, points, wrt):
    return ww.differentiate(settings, wrt, move(wrt, points), points=points)


def derivatives(dataset):
    return [name for name in map(str, dataset.data_vars) if name.endswith("_derivative")]


@pytest.mark.parametrize("case", CASES)
def test_derivatives_are_finite_differences_of_the_solvers(case):
    """With the same frozen Gaussians, of values, variances and shifts alike, at training and test points."""
    for wrt in ("richness", "learning_rate") if case == "flow" else ("learning_rate", "targets"):
        agrees_with_differences(case, wrt)


def agrees_with_differences(case, wrt):
    found = differentiated(*CASES[case], wrt)
    above, below = (theory(*moved(*CASES[case], wrt, size)) for size in (STEP, -STEP))
    names = derivatives(found)
    assert len(names) == (6 if case != "deep" else 4) + 3 * (case != "deep")
    for name in names:
        of = name.removesuffix("_derivative")
        expected = ((above[of] - below[of]) / (2 * STEP)).to_numpy()
        size = np.abs(expected).max()
        assert size > 1e-3, f"{name}: nothing to see"
        fraction = COMPANION_FRACTION if of.endswith(("variance", "shift")) else FRACTION
        assert np.abs(found[name].to_numpy() - expected).max() < fraction * size, name


@pytest.mark.parametrize("case", CASES)
def test_richness_times_targets_over_richness_is_a_symmetry(case):
    """(gamma, y) -> (c gamma, y / c) leaves kernels alone and divides outputs by c: exactly, site by site.

    So D = gamma d/dgamma - y . d/dy is 0 on kernels, -1 on outputs and their shift, -2 on N Var of outputs.
    """
    settings, points = CASES[case]
    if settings.training.loss != "mse":
        settings = replace(settings, training=replace(settings.training, loss="mse"))
        points = POINTS
    by_richness = ww.differentiate(settings, "richness", points=points)
    by_targets = ww.differentiate(settings, "targets", points.targets, points=points)
    powers = {"prediction": -1, "prediction_variance": -2, "prediction_shift": -1, "loss": -2}
    powers |= {"loss_variance": -4, "loss_shift": -2, "tangent_kernel": 0, "tangent_kernel_variance": 0}
    for name, power in powers.items():
        if name not in by_richness:
            continue
        first = settings.network.richness * by_richness[f"{name}_derivative"]
        scaled = first - by_targets[f"{name}_derivative"]
        size = float(np.abs(first).max())
        assert size > 1e-3, f"{name}: nothing to see"
        fraction = COMPANION_FRACTION if name.endswith(("variance", "shift")) else 1e-8
        np.testing.assert_allclose(scaled, power * by_richness[name], atol=fraction * size, err_msg=name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_gradient_is_every_directional_derivative(case, split):
    settings, points = CASES[case]
    gradient = ww.loss_gradient(settings, split, points=points)
    for wrt in ("richness", "learning_rate", "targets", "inputs"):
        direction = move(wrt, points)
        found = ww.differentiate(settings, wrt, direction, points=points, fluctuations=False)
        last = found.isel(step=-1, split=int(split == "test"))
        expected = float(last["loss_derivative"])
        along = float(
            np.sum(gradient[f"{wrt}_gradient"].to_numpy() * (1.0 if direction is None else direction))
        )
        assert abs(expected) > 1e-4, "nothing to see"
        assert along == pytest.approx(expected, rel=1e-7)
    assert float(gradient["loss"]) == pytest.approx(float(last["loss"]), rel=1e-10)


def test_the_dataset_is_laid_out_like_the_theory():
    found, expected = differentiated(*CASES["descent"], "inputs"), theory(*CASES["descent"])
    for name in ("prediction", "prediction_variance", "loss_shift", "tangent_kernel_stderr"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-5)
        assert found[name].dims == expected[name].dims
    for name in derivatives(found):
        of, error = found[name.removesuffix("_derivative")], found[f"{name}_stderr"]
        assert of.dims == found[name].dims == error.dims and (error >= 0).all()
        assert "derivative by the inputs" in found[name].attrs["long_name"]
    assert found.attrs["wrt"] == "inputs" and found["direction"].dims == ("point", "dimension")
    without = ww.differentiate(SHALLOW, points=POINTS, fluctuations=False)
    assert "loss_derivative" in without and "loss_variance" not in without


@pytest.mark.parametrize(
    ("wrt", "direction", "message"),
    [
        ("width", None, "choose from"),
        ("richness", np.ones((4, 2)), "leave the direction out"),
        ("targets", None, r"shape \(4, 2\)"),
        ("inputs", np.ones((4, 2)), r"\(4, 2\).*shape \(4, 3\)"),
        ("inputs", np.full((4, 3), np.nan), "finite"),
    ],
)
def test_a_direction_that_does_not_fit_is_refused(wrt, direction, message):
    with pytest.raises(ww.InputError, match=message):
        ww.differentiate(SHALLOW, wrt, direction, points=POINTS)


def test_probabilities_may_not_leave_their_sum():
    with pytest.raises(ww.InputError, match="add to 0"):
        ww.differentiate(FLOW, "targets", np.ones((3, 2)), points=CLASSES)


def test_what_diverges_has_no_derivative():
    wild = replace(SHALLOW, training=replace(SHALLOW.training, learning_rate=500.0, steps=40))
    wild = replace(wild, record=ww.RecordSettings(steps=(39,)))
    with pytest.raises(ww.InputError, match="diverged"):
        ww.differentiate(wild, points=POINTS)
    with pytest.raises(ww.InputError, match="diverged"):
        ww.loss_gradient(wild, points=POINTS)


def test_deep_kernels_of_too_few_sites_have_no_derivative():
    """5 steps, 4 points, 2 outputs: singular on 32 sites, in the values or in the variances."""
    for key, few in (("sites", {"sites": 32}), ("fluctuation_sites", {"fluctuation_sites": 32})):
        settings = replace(DEEP, theory=replace(DEEP.theory, **few))
        with pytest.raises(ww.InputError, match=rf"`theory\.{key}` = 32.*at least 40"):
            ww.differentiate(settings, points=POINTS)


def test_a_missing_split_and_too_much_memory_are_said():
    with pytest.raises(ww.InputError, match=r"test.*train"):
        ww.loss_gradient(SHALLOW, "test", points=replace(POINTS, train=4))
    large = replace(
        SHALLOW,
        theory=replace(SHALLOW.theory, sites=2**22),
        training=replace(SHALLOW.training, steps=5000),
        record=ww.RecordSettings(steps=(4999,)),
    )
    with pytest.raises(ww.InputError, match=r"theory\.sites"):
        ww.loss_gradient(large, points=POINTS)
