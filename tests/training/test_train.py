"""Trained networks against the NumPy twin, and what an ensemble promises about its seeds."""

import finite_network
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from perceptrons import initialize
from scipy import stats

from widthwise.data import Points
from widthwise.data.fixed import fixed_stream
from widthwise.errors import InputError
from widthwise.study import (
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)
from widthwise.training import memory_limits, program, train_ensemble
from widthwise.training.keys import network_keys
from widthwise.training.trainer import Trainer

QUANTITIES = ("prediction", "loss", "feature_kernel", "gradient_kernel", "tangent_kernel")


def points(outputs=1, test=2, loss="mse", train=3, dimension=4):
    rng = np.random.default_rng(7)
    inputs = rng.standard_normal((train + test, dimension))
    targets = rng.standard_normal((train + test, outputs))
    if loss == "cross_entropy":
        targets = np.exp(3 * targets) / np.exp(3 * targets).sum(1, keepdims=True)
    return Points(inputs, targets, train)


def study(network=None, training=None, ensemble=None, record=None):
    return Study(
        name="small",
        network=NetworkSettings(**{"richness": 1.4, "activation_scale": 0.8} | (network or {})),
        training=TrainingSettings(**{"learning_rate": 0.3, "steps": 6} | (training or {})),
        ensemble=EnsembleSettings(**{"widths": (5,), "seeds": 2, "seed": 3} | (ensemble or {})),
        record=RecordSettings(**{"quantities": QUANTITIES} | (record or {})),
    )


def twin_records(a_study, its_points, width, seed):
    """Every quantity of one network, by the twin, from the same initial weights."""
    with jax.enable_x64(True):
        (key,) = network_keys(a_study.ensemble.seed, np.array([seed]), width)
        sizes = (its_points.inputs.shape[1], width, its_points.targets.shape[1])
        model = initialize(key, a_study.network, sizes, jnp.float64)
    weights = [np.asarray(w) for w in (*model.hidden, model.readout)]
    split = its_points.train
    path, origin = finite_network.train(weights, a_study, its_points.inputs, its_points.targets, split)
    rows = {name: [] for name in QUANTITIES}
    for step in a_study.recorded_steps():
        f = (
            np.array([finite_network.output(path[step], a_study.network, x) for x in its_points.inputs])
            - origin
        )
        y, training = its_points.targets, a_study.training
        parts = [slice(None, split), slice(split, None)][: 1 + (split < len(f))]
        feature, gradient, tangent = finite_network.kernels(path[step], a_study.network, its_points.inputs)
        losses = [finite_network.loss(f[part], y[part], training) for part in parts]
        for name, value in zip(QUANTITIES, (f, losses, feature, gradient, tangent), strict=True):
            rows[name].append(value)
    layered = ("feature_kernel", "gradient_kernel")
    return {name: np.stack(r, axis=1 if name in layered else 0) for name, r in rows.items()}


FLOW = {"optimizer": "gradient_flow"}
CASES = [
    {},
    {"hidden_layers": 2, "centered": False, "outputs": 2, "reduction": "mean"},
    {"hidden_layers": 3, "loss": "cross_entropy", "outputs": 3},
    {**FLOW, "substeps": 2, "centered": False, "test": 0},
    {
        "hidden_layers": 2,
        "optimizer": "gradient_flow",
        "loss": "cross_entropy",
        "outputs": 2,
        "reduction": "mean",
    },
    {**FLOW, "hidden_layers": 3, "substeps": 3, "outputs": 2, "activation": "gelu"},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())) or "plain")
def test_trained_networks_are_those_of_the_numpy_twin(case):
    case = dict(case)
    its_points = points(case.pop("outputs", 1), case.pop("test", 2), case.get("loss", "mse"))
    settings = {k: case.pop(k) for k in ("hidden_layers", "centered", "activation") if k in case}
    a_study = study(settings, case, {"precision": "float64"}, {"steps": (0, 1, 5)})
    records = train_ensemble(a_study, points=its_points)
    for seed in (0, 1):
        expected = twin_records(a_study, its_points, 5, seed)
        network_records = records.sel(width=5, seed=seed)
        assert np.ptp(expected["prediction"], axis=0).max() > 0.05, "nothing moved"
        for name in QUANTITIES:
            np.testing.assert_allclose(
                network_records[name], expected[name], rtol=1e-11, atol=1e-12, err_msg=name
            )


def test_float32_agrees_with_float64_from_the_same_weights_to_its_rounding():
    """Draws differ by precision, so the comparison is through the twin."""
    a_study, its_points = study(), points()
    records = train_ensemble(a_study, points=its_points)
    assert records["prediction"].dtype == np.float32
    (key,) = network_keys(3, np.array([0]), 5)
    model = initialize(key, a_study.network, (4, 5, 1), jnp.float32)
    weights = [np.asarray(w, np.float64) for w in (*model.hidden, model.readout)]
    path, origin = finite_network.train(weights, a_study, its_points.inputs, its_points.targets, 3)
    f = finite_network.outputs(path[-1], a_study.network, its_points.inputs) - origin
    np.testing.assert_allclose(records["prediction"].isel(width=0, seed=0, step=-1), f, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_wide_networks_approach_the_known_limit_of_two_hidden_layers():
    """tanh, gamma = 1, eta = 0.2, one point with |x|^2 = D and y = 1, centered: the infinite-width values of
    Delta, Phi^1 and Phi^2 of Bordelon and Pehlevan's theory, solved to four digits.

    False-alarm rate 1e-6 a number; the smallest error it would see is 4 %, with 1 / N allowed for the shift.
    """
    seeds, width = 64, 512
    a_study = study(
        {"hidden_layers": 2, "richness": 1.0, "activation_scale": 1.0},
        {"learning_rate": 0.2, "steps": 8},
        {"widths": (width,), "seeds": seeds},
        {"quantities": ("prediction", "feature_kernel"), "steps": (4, 7)},
    )
    records = train_ensemble(a_study, points=Points(np.ones((1, 1)), np.ones((1, 1)), 1)).squeeze()
    first, second = (records["feature_kernel"].sel(layer=layer) for layer in (1, 2))
    for measured, limit in [
        (1 - records["prediction"], (0.5508, 0.3669)),
        (first, (0.4356, 0.4643)),
        (second, (0.3240, 0.3832)),
    ]:
        error = measured.std("seed", ddof=1) / np.sqrt(seeds)
        allowed = stats.norm.isf(0.5e-6) * error + 1 / width
        assert (allowed < 0.04 * np.array(limit)).all(), "too few networks to see an error"
        assert (np.abs(measured.mean("seed") - np.array(limit)) < allowed).all()


def test_gradient_flow_is_the_limit_of_small_steps():
    """With 16 times the steps of a 16th the rate, descent is 16 times closer to the flow (first order)."""
    ensemble = {"precision": "float64", "seeds": 1}

    def last(optimizer, rate, steps, substeps=8):
        training = {"optimizer": optimizer, "learning_rate": rate, "steps": steps, "substeps": substeps}
        a_study = study(None, training, ensemble, {"steps": (steps - 1,), "quantities": ("prediction",)})
        return train_ensemble(a_study, points=points())["prediction"].values

    flow = last("gradient_flow", 0.2, 6)
    coarse, fine = (np.abs(last("gd", 0.2 / n, 5 * n + 1) - flow).max() for n in (4, 64))
    assert 10 < coarse / fine < 25
    assert fine < 0.01


def test_one_seed_is_one_network_however_cells_are_blocked():
    """The same bits for a seed with other seeds, other blocks, other widths beside it."""
    its_points = points()
    whole = train_ensemble(study(None, None, {"seeds": 5, "widths": (6, 9)}), points=its_points)
    other = train_ensemble(
        study(None, None, {"seeds": 3, "widths": (9,), "seeds_per_cell": 2}), points=its_points
    )
    for name in QUANTITIES:
        np.testing.assert_array_equal(whole[name].sel(width=9, seed=slice(0, 2)), other[name].sel(width=9))


@pytest.mark.parametrize(
    ("change", "value"), [("seed", 4), ("seed", 3 + 2**32), ("seeds_index", 1), ("width", 7)]
)
def test_networks_differ_by_ensemble_seed_seed_index_and_width(change, value):
    base = np.asarray(jax.random.key_data(network_keys(3, np.array([0]), 5)))
    arguments = {"seed": 3, "seeds_index": 0, "width": 5} | {change: value}
    other = network_keys(arguments["seed"], np.array([arguments["seeds_index"]]), arguments["width"])
    assert (base != np.asarray(jax.random.key_data(other))).any()


def test_keys_are_the_same_in_both_precisions():
    with jax.enable_x64(True):
        wide = np.asarray(jax.random.key_data(network_keys(2**40 + 3, np.array([1]), 5)))
    np.testing.assert_array_equal(wide, jax.random.key_data(network_keys(2**40 + 3, np.array([1]), 5)))


def test_recording_fewer_steps_and_quantities_does_not_change_the_rest():
    its_points = points()
    everything = train_ensemble(study(), points=its_points)
    few = train_ensemble(study(record={"steps": (2, 5), "quantities": ("loss",)}), points=its_points)
    assert set(few.data_vars) == {"loss", "target", "done", "diverged_at"}
    assert (few["diverged_at"] == -1).all()
    np.testing.assert_allclose(few["loss"], everything["loss"].sel(step=[2, 5]), rtol=1e-5)


def test_divergence_is_data():
    """A rate far too large for one width: NaN from the first bad recorded step, the rest untouched."""
    said = []

    class Listening:
        def start(self, label, total, parts=()): ...

        def advance(self, amount=1): ...

        def say(self, message):
            said.append(message)

    training = {"learning_rate": 50.0, "steps": 40}
    a_study = study({"activation": "relu"}, training, {"seeds": 3}, {"steps": (0, 1, 2, 10, 20, 39)})
    records = train_ensemble(a_study, points=points(), progress=Listening())
    at = records["diverged_at"]
    assert records["done"].all()
    assert (at == -1).sum() + (at > 1).sum() == 3
    assert (at > 1).any(), "nothing diverged"
    for name in QUANTITIES:
        bad = (records["step"] >= at) & (at >= 0)
        values = np.isnan(records[name])
        other = [dim for dim in values.dims if dim not in ("width", "seed", "step")]
        xr.testing.assert_equal(values.all(other), bad.transpose(*values.all(other).dims))
        xr.testing.assert_equal(values.any(other), bad.transpose(*values.any(other).dims))
        assert np.isfinite(records[name].sel(step=0)).all()
    assert any("diverged" in message and "learning_rate" in message for message in said)


def test_a_network_that_was_infinite_once_is_not_trusted_again(monkeypatch):
    """A loss made infinite at step 2 alone."""
    a_study, its_points = study(ensemble={"seeds": 1}), points()
    at_two = float(train_ensemble(a_study, points=its_points)["prediction"].sel(step=2)[0, 0, 0, 0])
    intact = program.measure

    def infinite_once(*arguments):
        quantities = intact(*arguments)
        now = jnp.abs(quantities["prediction"][0, 0] - at_two) < 1e-5
        return quantities | {"loss": jnp.where(now, jnp.inf, quantities["loss"])}

    monkeypatch.setattr(program, "measure", infinite_once)
    records = train_ensemble(a_study, points=its_points)
    assert records["diverged_at"].values == [[2]]
    assert np.isnan(records["prediction"].isel(step=slice(2, None))).all()
    assert np.isfinite(records["prediction"].isel(step=slice(0, 2))).all()


def test_the_batched_path_of_accelerators_gives_the_same_networks(monkeypatch):
    """Batches of 2 with a padded last one, against one network at a time: equal to rounding."""
    a_study, its_points = study(ensemble={"seeds": 5, "precision": "float64", "seeds_per_cell": 2}), points()
    single = train_ensemble(a_study, points=its_points)
    monkeypatch.setattr(program.jax, "default_backend", lambda: "gpu")
    batched = train_ensemble(a_study, points=its_points)
    for name in QUANTITIES:
        np.testing.assert_allclose(batched[name], single[name], rtol=1e-11, atol=1e-12)


def test_memory_bounds_the_networks_of_a_call_and_their_number_does_not(monkeypatch):
    """So that networks added later are computed as if they had been there from the start."""
    probes = fixed_stream(study(), points()).probes
    monkeypatch.setattr(memory_limits.jax, "default_backend", lambda: "gpu")

    def together(width, seeds):
        a_study = study(ensemble={"seeds_per_cell": 64, "seeds": seeds})
        return memory_limits.networks_in_a_call(Trainer(a_study, probes, width), None)

    assert together(5, 4) == together(5, 200) == 64
    assert 1 <= together(2**20, 200) < 64
    size = memory_limits.tree_bytes(memory_limits.state_shapes(Trainer(study(), probes, 2**20)))
    assert together(2**20, 200) * memory_limits.COPIES * size <= memory_limits.BUDGET_BYTES
    assert together(2**24, 200) == 1


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_an_ensemble_of_more_seeds_has_the_same_first_ones_to_the_last_bit(backend, monkeypatch):
    monkeypatch.setattr(program.jax, "default_backend", lambda: backend)
    few, more = (
        train_ensemble(study(ensemble={"seeds": n, "seeds_per_cell": 4}), points=points()) for n in (3, 8)
    )
    for name in QUANTITIES:
        assert few[name].values.tobytes() == more[name].sel(seed=slice(0, 2)).values.tobytes(), name


def test_networks_beyond_the_machines_memory_are_refused_with_numbers():
    huge = study({"hidden_layers": 2}, ensemble={"widths": (2**24,), "seeds": 1})
    with pytest.raises(InputError, match=r"width 16777216 takes [\d.]+ GB, and [\d.]+ GB may be used"):
        train_ensemble(huge, points=points())
