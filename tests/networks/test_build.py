import equinox as eqx
import jax
import jax.numpy as jnp
import networks_twin
import numpy as np
import pytest

from widthwise.errors import InputError
from widthwise.networks import blueprint
from widthwise.networks.normalize import Normalize
from widthwise.networks.tensor_spec import TensorSpec
from widthwise.study import NetworkSettings

POINTS, OUTPUTS, WIDTH = 3, 5, 12


def settings(kind, **rest):
    return NetworkSettings(kind=kind, base_width=8, richness=0.7, activation_scale=0.9, **rest)


IMAGE, TOKENS = (8, 8, 2), (6,)
# name: settings, shape of an input, layers
KINDS = {
    "mlp": (settings("mlp", hidden_layers=2), IMAGE, ["hidden 1", "hidden 2"]),
    "cnn": (settings("cnn", hidden_layers=3), IMAGE, [f"convolution {n}" for n in (1, 2, 3)]),
    "resnet": (
        settings("resnet", blocks=(1, 2)),
        IMAGE,
        ["stem", "stage 1 block 1", "stage 2 block 1", "stage 2 block 2", "final"],
    ),
    "resnet, batch, standard": (
        settings("resnet", blocks=(2, 1), normalization="batch", preactivation=False),
        IMAGE,
        ["stem", "stage 1 block 1", "stage 1 block 2", "stage 2 block 1"],
    ),
    "transformer": (
        settings("transformer", hidden_layers=2, heads=2),
        TOKENS,
        ["embedding", "mlp 1", "stream 1", "mlp 2", "stream 2", "final"],
    ),
    "transformer, tied": (
        settings("transformer", hidden_layers=1, head_size=4, tied_embeddings=True),
        TOKENS,
        ["embedding", "mlp 1", "stream 1", "final"],
    ),
}


def inputs_of(shape, seed):
    generator = np.random.default_rng(seed)
    if len(shape) == 1:
        return jnp.asarray(generator.integers(0, OUTPUTS, (POINTS, *shape)))
    return jnp.asarray(generator.standard_normal((POINTS, *shape)), jnp.float32)


def tensors(plan):
    return jax.tree.leaves(plan, is_leaf=lambda leaf: isinstance(leaf, TensorSpec))


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_shows_layers_in_order_and_every_tensor_is_used(kind, drawn, seed):
    network, shape, names = KINDS[kind]
    model, inputs = drawn(blueprint(network, shape, OUTPUTS, WIDTH)), inputs_of(shape, seed)
    trace = model.trace(inputs)
    positions = shape if len(shape) == 1 else ()
    assert trace.output.shape == (POINTS, *positions, OUTPUTS)
    assert list(trace.layers) == names
    for layer in trace.layers.values():
        assert layer.preactivation.shape == layer.feature.shape
        assert len(layer.feature) == POINTS
    slopes = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(jnp.sin(m.trace(inputs).output))))(model)
    for slope in [trace.output, *jax.tree.leaves(slopes)]:
        assert np.isfinite(slope).all()
        assert np.abs(slope).max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_roles_say_which_sides_grow(kind):
    network, shape, _ = KINDS[kind]
    for tensor, wide in zip(*(tensors(blueprint(network, shape, OUTPUTS, n)) for n in (16, 32)), strict=True):
        growth = [b / a for a, b in zip(tensor.shape, wide.shape, strict=True)]
        table = tensor.fan_in == 1 and len(growth) == 2
        out, *entering = growth[::-1] if table or len(growth) == 1 else growth
        expected = {(2, 1): "input", (2, 2): "hidden", (1, 2): "readout"}
        assert tensor.role == expected[out, max([*entering, 1])]
        assert (wide.fan_in / tensor.fan_in, wide.fan_out / tensor.fan_out) == (max([*entering, 1]), out)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "tied" not in kind])
def test_a_readout_from_zero_and_the_richness_are_in_the_plan(kind):
    network, shape, _ = KINDS[kind]
    for readout in ("zero", "normal"):
        changed = NetworkSettings(**{**vars(network), "readout": readout})
        last = [t for t in tensors(blueprint(changed, shape, OUTPUTS, WIDTH)) if t.role == "readout"]
        assert [t.start for t in last] == [readout]
        root = np.sqrt(8) if kind == "mlp" else 1
        assert last[0].gain == pytest.approx(1 / 0.7 / root)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_permuting_hidden_channels_changes_nothing_outside(kind, drawn, seed):
    network, shape, _ = KINDS[kind]
    model, inputs = drawn(blueprint(network, shape, OUTPUTS, WIDTH)), inputs_of(shape, seed)
    order = np.random.default_rng(seed).permutation(WIDTH)
    hidden = (model.hidden[0][order], model.hidden[1][:, order], *model.hidden[2:])
    other = eqx.tree_at(lambda m: m.hidden, model, hidden)
    np.testing.assert_allclose(other.trace(inputs).output, model.trace(inputs).output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["transformer", "transformer, tied"])
def test_attention_is_a_distribution_over_the_past(kind, drawn, seed):
    network, shape, _ = KINDS[kind]
    model, inputs = drawn(blueprint(network, shape, OUTPUTS, WIDTH)), inputs_of(shape, seed)
    trace = model.trace(inputs)
    heads = WIDTH // 4 if network.head_size else 2
    assert list(trace.attention) == [f"block {n}" for n in range(1, network.hidden_layers + 1)]
    for attention in trace.attention.values():
        assert attention.shape == (POINTS, heads, 6, 6)
        np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-5)
        assert (np.triu(attention, 1) == 0).all()
    later = model.trace(inputs.at[:, 4].set((inputs[:, 4] + 1) % OUTPUTS)).output
    np.testing.assert_array_equal(later[:, :4], trace.output[:, :4])
    assert np.abs(later[:, 4:] - trace.output[:, 4:]).max() > 1e-3


@pytest.mark.parametrize("parametrization", ["mean_field", "ntk", "standard"])
@pytest.mark.parametrize("width", [8, 32])
def test_logits_are_divided_by_the_head_size_in_mean_field_only(parametrization, width):
    network = settings("transformer", heads=2, parametrization=parametrization)
    scale = blueprint(network, TOKENS, OUTPUTS, width).blocks[0].attention.scale
    expected = np.sqrt(4) / (width / 2) if parametrization == "mean_field" else 1 / np.sqrt(width / 2)
    assert scale == pytest.approx(expected)


@pytest.mark.parametrize("kind, axes", [("layer", (3,)), ("batch", (0, 1, 2)), ("group", None)])
def test_normalizations_give_mean_zero_and_variance_one(kind, axes, seed):
    x = 3 + 2 * np.random.default_rng(seed).standard_normal((4, 5, 6, 16))
    y = np.asarray(Normalize(jnp.ones(16), jnp.zeros(16), kind)(jnp.asarray(x, jnp.float32)))
    if kind == "group":
        y, axes = y.reshape(4, 5, 6, 4, 4), (1, 2, 4)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axes), 1, atol=1e-3)


def test_convolutions_agree_with_the_numpy_twin(drawn, seed):
    network = NetworkSettings(kind="cnn", hidden_layers=3, base_width=8)
    model = drawn(blueprint(network, IMAGE, OUTPUTS, WIDTH))
    inputs = inputs_of(IMAGE, seed)
    hidden, readout = [np.float64(w) for w in model.hidden], np.float64(model.readout)
    expected = [networks_twin.cnn(np.float64(x), hidden, readout) for x in inputs]
    np.testing.assert_allclose(model.trace(inputs).output, expected, atol=1e-5)


def test_transformer_agrees_with_the_numpy_twin(drawn, seed):
    network = NetworkSettings(kind="transformer", hidden_layers=2, heads=3, base_width=6)
    model = drawn(blueprint(network, TOKENS, OUTPUTS, WIDTH))
    inputs = inputs_of(TOKENS, seed)
    trace = model.trace(inputs)
    for point, tokens in enumerate(np.asarray(inputs)):
        x = np.float64(model.token)[tokens] + np.float64(model.position)
        for number, block in enumerate(model.blocks, 1):
            weights = {n: np.float64(getattr(block.attention, n)) for n in ("query", "key", "value", "out")}
            weights |= {"up": np.float64(block.up), "down": np.float64(block.down)}
            weights |= {f"norm {n}": (m.gain, m.bias) for n, m in enumerate(block.norms, 1)}
            x, attention = networks_twin.block(x, weights, 3, np.sqrt(2) / 4)
            np.testing.assert_allclose(trace.attention[f"block {number}"][point], attention, atol=1e-5)
        expected = networks_twin.normalize(x, model.norm.gain, model.norm.bias) @ np.float64(model.readout).T
        np.testing.assert_allclose(trace.output[point], expected, atol=1e-5)


@pytest.mark.parametrize(
    "network, shape, word",
    [
        (settings("cnn"), (64,), "images"),
        (settings("resnet"), (2, 2, 2, 2), "images"),
        (settings("transformer"), (8, 8), "tokens"),
        (settings("transformer", heads=5), (8,), "heads"),
        (settings("transformer", tied_embeddings=True, readout="zero"), (8,), "untie"),
    ],
)
def test_inputs_that_a_kind_cannot_read_are_refused(network, shape, word):
    with pytest.raises(InputError, match=word):
        blueprint(network, shape, OUTPUTS, 20)
