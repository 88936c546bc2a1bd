"""Networks trained by feedback alignment: against the NumPy twin, and what stays as it is."""

import feedback_network
import finite_network
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from perceptrons import initialize

from widthwise.data import Points
from widthwise.networks import draw_feedback
from widthwise.study import EnsembleSettings, NetworkSettings, RecordSettings, Study, TrainingSettings
from widthwise.training import train_ensemble
from widthwise.training.keys import network_keys

FA, DFA = "feedback_alignment", "direct_feedback_alignment"
WIDTH = 7


def points(outputs):
    rng = np.random.default_rng(7)
    return Points(rng.standard_normal((3, 4)), rng.standard_normal((3, outputs)), 3)


def study(rule, layers, **training):
    return Study(
        name="rule",
        network=NetworkSettings(hidden_layers=layers, richness=1.4, activation_scale=0.8),
        training=TrainingSettings(learning_rate=0.3, steps=6, learning_rule=rule, **training),
        ensemble=EnsembleSettings(widths=(WIDTH,), seeds=2, seed=3, precision="float64"),
        record=RecordSettings(quantities=("prediction", "gradient_kernel", "tangent_kernel")),
    )


@pytest.mark.parametrize(
    ("rule", "layers", "outputs", "training"),
    [
        (FA, 1, 1, {}),
        (FA, 3, 2, {"loss": "cross_entropy"}),
        (DFA, 2, 2, {}),
        (DFA, 3, 1, {"optimizer": "gradient_flow"}),
        (FA, 2, 1, {"optimizer": "gradient_flow", "substeps": 3}),
    ],
)
def test_trained_networks_are_those_of_the_numpy_twin(rule, layers, outputs, training):
    its_points, a_study = points(outputs), study(rule, layers, **training)
    records = train_ensemble(a_study, points=its_points).sel(width=WIDTH)
    for seed in (0, 1):
        with jax.enable_x64(True):
            (key,) = network_keys(3, np.array([seed]), WIDTH)
            model = initialize(key, a_study.network, (4, WIDTH, outputs), jnp.float64)
            feedback = draw_feedback(key, rule, (layers, WIDTH, outputs), jnp.float64)
        weights = [np.asarray(w) for w in (*model.hidden, model.readout)]
        matrices = [np.asarray(w) for w in feedback.layers]
        path, origin = feedback_network.train(
            weights, matrices, a_study, its_points.inputs, its_points.targets
        )
        found = records.sel(seed=seed)
        for step in (0, 1, 5):
            f = finite_network.outputs(path[step], a_study.network, its_points.inputs) - origin
            gradient, tangent = feedback_network.kernels(
                path[step], matrices, a_study.network, its_points.inputs
            )
            close = {"rtol": 1e-11, "atol": 1e-12}
            np.testing.assert_allclose(found["prediction"].sel(step=step), f, **close)
            np.testing.assert_allclose(found["gradient_kernel"].sel(step=step), gradient, **close)
            np.testing.assert_allclose(found["tangent_kernel"].sel(step=step), tangent, **close)
        assert np.abs(f).max() > 0.05, "nothing moved"


def test_the_weights_at_initialization_do_not_depend_on_the_learning_rule():
    """Uncentered outputs at step 0 are the same bits under every rule; later they are not."""
    found = []
    for rule in ("backpropagation", FA, DFA):
        a_study = study(rule, 2)
        a_study = Study(
            **{name: getattr(a_study, name) for name in ("name", "training", "ensemble", "record")},
            network=NetworkSettings(hidden_layers=2, centered=False),
        )
        found.append(train_ensemble(a_study, points=points(1))["prediction"].squeeze().to_numpy())
    for other in found[1:]:
        np.testing.assert_array_equal(other[:, 0], found[0][:, 0])
        assert np.abs(other[:, -1] - found[0][:, -1]).max() > 1e-3


def test_one_hidden_layer_has_one_kind_of_feedback():
    first, second = (train_ensemble(study(rule, 1), points=points(2)) for rule in (FA, DFA))
    for name in ("prediction", "gradient_kernel", "tangent_kernel"):
        np.testing.assert_array_equal(first[name], second[name])
