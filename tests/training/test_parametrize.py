"""A user's own Equinox module: its coordinates do not depend on the width in muP, and every leaf may be what
Equinox allows."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import widthwise as ww

WIDTHS = (32, 128, 512)
SEEDS, STEPS, POINTS, DIMENSION = 128, 4, 16, 10
TOLERANCE, FALSE_ALARM_RATE = 0.1, 1e-3
RATES = {"sgd": 0.05, "adam": 0.003}
FIRST = np.random.default_rng(0).standard_normal((POINTS, DIMENSION)).astype(np.float32)
TARGETS = np.sin(2 * FIRST[:, :1])


class Perceptron(eqx.Module):
    """Three hidden layers with biases; the activation is a leaf that is no array."""

    layers: list
    readout: eqx.nn.Linear
    activation: object

    def __init__(self, width):
        keys = jax.random.split(jax.random.key(0), 4)
        sizes = (DIMENSION, width, width, width)
        pairs = itertools.pairwise(sizes)
        self.layers = [eqx.nn.Linear(*pair, key=key) for pair, key in zip(pairs, keys[:3], strict=True)]
        self.readout = eqx.nn.Linear(width, 1, key=keys[3])
        self.activation = jax.nn.relu

    def preactivations(self, x):
        found = [self.layers[0](x)]
        for layer in self.layers[1:]:
            found.append(layer(self.activation(found[-1])))
        return found

    def __call__(self, x):
        return self.readout(self.activation(self.preactivations(x)[-1]))


def error(model):
    return jnp.mean((jax.vmap(model)(FIRST) - TARGETS) ** 2)


def trained(parametrized, models, training, loss=error, steps=STEPS):
    """Every model of an ensemble after some steps, and its losses."""
    optimizer = ww.make_optimizer(parametrized.rules, training)

    @eqx.filter_jit
    @eqx.filter_vmap
    def run(model):
        weights, rest = eqx.partition(model, eqx.is_inexact_array)

        def step(carry, _):
            weights, state = carry
            value, gradient = eqx.filter_value_and_grad(lambda w: loss(eqx.combine(w, rest)))(weights)
            updates, state = optimizer.update(gradient, state, weights)
            return (eqx.apply_updates(weights, updates), state), value

        (weights, _), losses = jax.lax.scan(step, (weights, optimizer.init(weights)), length=steps)
        return eqx.combine(weights, rest), losses

    return run(models)


def exponents(parametrization, optimizer, key):
    """Of the change of each layer's preactivations against the width, (seed, layer).

    The root of the mean square over seeds, points and neurons; the jackknife's pseudo-values of its exponent,
    since a mean of logarithms over seeds would grow with the width as the scatter of networks shrinks.
    """
    squares = []
    for width in WIDTHS:

        def build(key, width=width):
            return ww.parametrize(Perceptron, width, base_width=32, parametrization=parametrization, key=key)

        keys = jax.random.split(jax.random.fold_in(key, width), SEEDS)
        models = eqx.filter_jit(eqx.filter_vmap(lambda key: build(key).model))(keys)
        training = ww.TrainingSettings(optimizer=optimizer, learning_rate=RATES[optimizer], steps=STEPS)
        after, _ = trained(build(keys[0]), models, training)
        fields = [
            eqx.filter_vmap(lambda model: jnp.stack(jax.vmap(model.preactivations)(FIRST)))(ensemble)
            for ensemble in (models, after)
        ]
        squares.append(np.square(np.float64(fields[1]) - fields[0]).mean((2, 3)))
    x, squares = np.log(WIDTHS) - np.log(WIDTHS).mean(), np.stack(squares)

    def exponent(means):
        return np.tensordot(x / (x**2).sum(), np.log(means) / 2, 1)

    others = (squares.sum(1, keepdims=True) - squares) / (SEEDS - 1)
    return SEEDS * exponent(squares.mean(1)) - (SEEDS - 1) * exponent(others)


@pytest.mark.long
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("parametrization", ["mean_field", "standard"])
def test_changes_of_activations_keep_their_size_in_mean_field_only(parametrization, optimizer, key):
    """An exponent of 0 is refused once in 1e3 (over all layers), and one of 0.2 is missed once in 1e3."""
    found = exponents(parametrization, optimizer, key)
    mean, error = found.mean(0), found.std(0, ddof=1) / np.sqrt(SEEDS)
    quantile = stats.t.isf(FALSE_ALARM_RATE / (2 * found.shape[1]), SEEDS - 1)
    if parametrization == "mean_field":
        assert (quantile * error).max() < TOLERANCE, "too few seeds to tell an exponent of 0.2 from 0"
        assert np.abs(mean).max() < TOLERANCE
    else:
        assert (np.abs(mean) - quantile * error).max() > TOLERANCE


class Everything(eqx.Module):
    """Leaves of all sorts: convolution, normalization, table, attention, raw and fixed arrays, whole numbers,
    functions, text."""

    convolution: eqx.nn.Conv2d
    norm: eqx.nn.LayerNorm
    table: eqx.nn.Embedding
    attention: eqx.nn.MultiheadAttention
    positions: jax.Array
    waves: np.ndarray
    slope: eqx.nn.PReLU
    out: eqx.nn.Linear
    counts: jax.Array
    function: object
    still: object = eqx.field(static=True)
    name: str = "everything"

    def __call__(self, image, tokens):
        width = self.norm.shape[0]
        seen = jnp.mean(self.convolution(image), (1, 2)) + self.norm(jnp.arange(1.0 * width))
        x = jax.vmap(self.table)(tokens) + self.positions + self.waves.mean() + seen
        x = self.slope(self.attention(x, x, x))
        return self.still(self.out(self.function(x.mean(0)))) * self.counts.sum()


TAGS = {".positions": "input", ".waves": "fixed"}


def everything(width):
    keys = jax.random.split(jax.random.key(3), 5)
    return Everything(
        eqx.nn.Conv2d(3, width, 3, key=keys[0]),
        eqx.nn.LayerNorm(width),
        eqx.nn.Embedding(7, width, key=keys[1]),
        eqx.nn.MultiheadAttention(2, width, key=keys[2]),
        0.1 * jax.random.normal(keys[3], (5, width)),
        np.sin(np.arange(4.0, dtype=np.float32)),
        eqx.nn.PReLU(0.25),
        eqx.nn.Linear(width, 3, key=keys[4]),
        jnp.arange(3),
        jax.nn.tanh,
        lambda x: x,  # another one in every call
    )


def everything_error(model):
    images = jnp.ones((3, 6, 6)) * jnp.linspace(-1, 1, 6)
    return jnp.mean(model(images, jnp.array([1, 0, 6, 2, 2])) ** 2)


OPTIMIZERS = [
    ww.TrainingSettings(optimizer="sgd", learning_rate=1e-3, clip=1.0, weight_decay=0.1),
    ww.TrainingSettings(optimizer="momentum", learning_rate=1e-3, schedule="cosine", steps=9),
    ww.TrainingSettings(optimizer="adamw", learning_rate=1e-3, weight_decay=0.1, clip=1.0),
]


@pytest.mark.parametrize("training", OPTIMIZERS, ids=lambda training: training.optimizer)
@pytest.mark.parametrize("filtered", [eqx.is_array, eqx.is_inexact_array])
def test_modules_of_all_leaves_are_trained_as_equinox_users_do(training, filtered, key):
    found = ww.parametrize(everything, 16, base_width=8, key=key, tags=TAGS)
    model, optimizer = found.model, ww.make_optimizer(found.rules, training)
    state = optimizer.init(eqx.filter(model, filtered))

    @eqx.filter_jit
    def step(model, state):
        loss, gradient = eqx.filter_value_and_grad(everything_error)(model)
        updates, state = optimizer.update(gradient, state, eqx.filter(model, filtered))
        return eqx.apply_updates(model, updates), state, loss

    losses = []
    for _ in range(6):
        model, state, loss = step(model, state)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(model.waves, everything(16).waves)
    np.testing.assert_array_equal(model.counts, [0, 1, 2])
    for name, before in (("table", found.model.table), ("norm", found.model.norm)):
        assert np.abs(getattr(model, name).weight - before.weight).max() > 0


@pytest.mark.parametrize("training", OPTIMIZERS, ids=lambda training: training.optimizer)
def test_what_is_frozen_has_no_gradient_and_does_not_move(training, key):
    found = ww.parametrize(Perceptron, 16, base_width=8, key=key)
    trainable = jax.tree.map(eqx.is_inexact_array, found.model)
    trainable = eqx.tree_at(lambda m: m.layers[0], trainable, replace_fn=lambda _: False)
    weights, rest = eqx.partition(found.model, trainable)
    optimizer = ww.make_optimizer(found.rules, training)
    gradient = eqx.filter_grad(lambda w: error(eqx.combine(w, rest)))(weights)
    updates, _ = optimizer.update(gradient, optimizer.init(weights), weights)
    moved = eqx.apply_updates(found.model, updates)
    assert bool(eqx.tree_equal(moved.layers[0], found.model.layers[0]))
    assert np.abs(moved.layers[1].weight - found.model.layers[1].weight).max() > 0


def test_the_table_says_what_holds_of_every_tensor(key):
    found = ww.parametrize(everything, 32, base_width=8, key=key, tags=TAGS)
    rows = {row.tensor: row for row in found.rows}
    seen = {
        name: (row.role, row.growth, row.starts, row.sgd_rate, row.adam_rate, row.decays)
        for name, row in rows.items()
    }
    attention = {
        f".attention.{part}_proj.weight": ("hidden", 4, "normal", 1, 0.25, True)
        for part in ("query", "key", "value", "output")
    }
    assert seen == attention | {
        ".convolution.weight": ("input", 4, "normal", 4, 1, True),
        ".convolution.bias": ("input", 4, "normal", 4, 1, False),
        ".norm.weight": ("input", 4, "constant", 4, 1, False),
        ".norm.bias": ("input", 4, "constant", 4, 1, False),
        ".table.weight": ("input", 4, "normal", 4, 1, True),
        ".positions": ("input", 4, "normal", 4, 1, True),
        ".slope.negative_slope": ("scalar", 1, "constant", 1, 1, False),
        ".out.weight": ("readout", 4, "normal", 0.25, 0.25, True),
        ".out.bias": ("scalar", 1, "normal", 1, 1, False),
    }
    base = everything(8)
    for name, values, growth in (
        (".positions", base.positions, 1),
        (".attention.key_proj.weight", base.attention.key_proj.weight, 1 / 2),
        (".out.weight", base.out.weight, 1 / 4),
    ):
        assert rows[name].std == pytest.approx(growth * float(jnp.sqrt((values**2).mean())), rel=1e-5)
    assert [rows[f".{name}"].std for name in ("norm.weight", "norm.bias", "slope.negative_slope")] == [
        1,
        0,
        0.25,
    ]
    heading, titles, *lines = found.table().splitlines()
    assert "mean_field" in heading and "width 32" in heading and "width 8" in heading
    assert titles.split()[:4] == ["tensor", "shape", "role", "growth"]
    assert [line.split()[0] for line in lines] == list(rows)
    start = titles.index("initial std")
    shown = {line.split()[0]: line[start : start + len("initial std")].strip() for line in lines}
    assert shown[".norm.weight"] == "= 1" and shown[".slope.negative_slope"] == "= 0.25"
    assert shown[".out.weight"] == f"{rows['.out.weight'].std:.4g}"


@pytest.mark.parametrize("optimizer", RATES)
def test_at_the_base_width_all_parametrizations_are_the_same(optimizer, key):
    training = ww.TrainingSettings(optimizer=optimizer, learning_rate=RATES[optimizer], steps=STEPS)
    losses = {}
    for width in (16, 64):
        for name in ("mean_field", "ntk", "standard"):
            found = ww.parametrize(Perceptron, width, base_width=16, parametrization=name, key=key)
            models = jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, found.model)
            losses[width, name] = np.asarray(trained(found, models, training)[1])
    for name in ("ntk", "standard"):
        np.testing.assert_array_equal(losses[16, name], losses[16, "mean_field"])
        assert np.abs(losses[64, name] - losses[64, "mean_field"]).max() > 1e-3


def test_the_same_key_gives_the_same_weights_whatever_its_kind(seed):
    keys = jax.random.key(seed), jax.random.PRNGKey(seed)
    first, second = (ww.parametrize(Perceptron, 8, base_width=4, key=key).model for key in keys)
    other = ww.parametrize(Perceptron, 8, base_width=4, key=jax.random.key(seed + 1)).model
    assert bool(eqx.tree_equal(first, second))
    assert not bool(eqx.tree_equal(first, other))


def test_weights_keep_the_precision_of_the_module(key):
    def make(width):
        layer = eqx.nn.Linear(3, width, key=jax.random.key(0))
        return jax.tree.map(lambda x: x.astype(jnp.bfloat16), layer)

    assert ww.parametrize(make, 8, base_width=4, key=key).model.weight.dtype == jnp.bfloat16


def test_wrong_calls_name_what_is_wrong(key):
    with pytest.raises(ValueError, match=r"\.positions.*name it in `tags`"):
        ww.parametrize(everything, 16, base_width=8, key=key)
    with pytest.raises(ValueError, match="no tensor"):
        ww.parametrize(Perceptron, 16, base_width=8, key=key, tags={".nothing": "input"})
    with pytest.raises(ValueError, match="without weights"):
        ww.parametrize(lambda width: {"name": "empty"}, 16, base_width=8, key=key)
    with pytest.raises(ValueError, match="give a whole number"):
        ww.parametrize(Perceptron, 16, base_width=0, key=key)
    found = ww.parametrize(Perceptron, 8, base_width=8, key=key)
    with pytest.raises(ValueError, match="takes no steps"):
        ww.make_optimizer(found.rules, ww.TrainingSettings(optimizer="gradient_flow"))


def test_the_table_of_a_study_is_that_of_its_network():
    network = ww.NetworkSettings(kind="cnn", hidden_layers=2, base_width=8, parametrization="ntk")
    training = ww.TrainingSettings(optimizer="sgd", batch=8, reduction="mean")
    study = ww.Study(name="table", network=network, training=training)
    heading, _, *lines = ww.describe_parametrization(study, 32).splitlines()
    assert "ntk" in heading
    cells = [line.split() for line in lines]
    assert [line[0] for line in cells] == [".hidden[0]", ".hidden[1]", ".readout"]
    assert [line[-3] for line in cells] == ["1", "0.25", "0.25"]
