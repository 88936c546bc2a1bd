import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.networks import blueprint_of
from widthwise.networks.parametrization import growth_of


class Net(eqx.Module):
    table: eqx.nn.Embedding
    convolution: eqx.nn.Conv2d
    norm: eqx.nn.LayerNorm
    square: jax.Array
    temperature: jax.Array
    out: eqx.nn.Linear
    name: str = "net"


def make(width):
    a, b, c, d = jax.random.split(jax.random.key(0), 4)
    return Net(
        eqx.nn.Embedding(11, width, key=a),
        eqx.nn.Conv2d(width, 2 * width, 3, key=b),
        eqx.nn.LayerNorm(width),
        0.5 * jax.random.normal(c, (width, width)),
        jnp.ones(()),
        eqx.nn.Linear(width, 7, key=d),
    )


def test_roles_and_fans_are_seen_from_the_shapes():
    plan = blueprint_of(make, 32, 16)
    seen = {
        name: (tensor.role, tensor.fan_in, tensor.fan_out, tensor.start)
        for name, tensor in {
            "table": plan.table.weight,
            "convolution": plan.convolution.weight,
            "convolution's bias": plan.convolution.bias,
            "gain": plan.norm.weight,
            "shift": plan.norm.bias,
            "square": plan.square,
            "temperature": plan.temperature,
            "out": plan.out.weight,
            "out's bias": plan.out.bias,
        }.items()
    }
    assert seen == {
        "table": ("input", 1, 32, "normal"),
        "convolution": ("hidden", 9 * 32, 64, "normal"),
        "convolution's bias": ("input", 1, 64, "normal"),
        "gain": ("input", 1, 32, "one"),
        "shift": ("input", 1, 32, "zero"),
        "square": ("hidden", 32, 32, "normal"),
        "temperature": ("scalar", 1, 1, "one"),
        "out": ("readout", 32, 7, "normal"),
        "out's bias": ("scalar", 1, 7, "normal"),
    }


def test_the_spread_is_that_of_the_module_at_the_base_width():
    plan, base = blueprint_of(make, 64, 16), make(16)
    for tensor, fan_in, values in (
        (plan.square, 16, base.square),
        (plan.convolution.weight, 9 * 16, base.convolution.weight),
        (plan.table.weight, 1, base.table.weight),
    ):
        assert tensor.gain / np.sqrt(fan_in) == pytest.approx(float(jnp.sqrt((values**2).mean())), rel=1e-5)


def test_a_tag_decides_and_what_is_not_clear_is_named():
    def raw(width):
        return {"positions": jnp.ones((5, width))}

    with pytest.raises(ValueError, match="positions"):
        blueprint_of(raw, 32, 16)
    assert blueprint_of(raw, 32, 16, {"['positions']": "readout"})["positions"].role == "readout"
    with pytest.raises(ValueError, match="no tensor"):
        blueprint_of(raw, 32, 16, {"['position']": "readout"})
    with pytest.raises(ValueError, match="expected one of"):
        blueprint_of(raw, 32, 16, {"['positions']": "hiden"})


def test_tensors_that_come_and_go_with_width_are_refused():
    with pytest.raises(ValueError, match="other tensors"):
        blueprint_of(lambda width: [jnp.ones(width)] * width, 8, 4)


def test_a_tagged_tensor_may_have_its_axes_in_any_order():
    """What matters is by how much the side that its role names has grown: here fourfold."""

    def raw(width):
        return {
            "in out": 0.5 * np.arange(3 * width).reshape(3, width),
            "read": 0.5 * np.arange(3 * width).reshape(width, 3),
            "heads": 0.5 * np.arange(2 * width**2).reshape(2, width, width),
            "kept": np.linspace(0, 1, 4),
        }

    tags = {"['in out']": "input", "['read']": "readout", "['heads']": "hidden", "['kept']": "fixed"}
    wide, base = (blueprint_of(raw, width, 16, tags) for width in (64, 16))
    growth = {name: growth_of(wide[name], base[name]) for name in wide if wide[name] is not None}
    assert growth == {"in out": 4, "read": 4, "heads": 4}
    assert wide["kept"] is None
    for name, tensor in base.items():
        if tensor is not None:
            expected = np.sqrt((raw(16)[name] ** 2).mean())
            assert tensor.gain / np.sqrt(tensor.fan_in) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="more than two axes"):
        blueprint_of(lambda width: [0.5 * np.arange(width**3).reshape((width,) * 3)], 4, 2, {"[0]": "hidden"})


def test_entries_that_are_one_number_stay_that_number_and_biases_are_known():
    def raw(width):
        layer = eqx.nn.ConvTranspose2d(width, 3, 3, key=jax.random.key(0))
        return {"scale": 1e-4 * np.ones(width), "layer": layer}

    plan = blueprint_of(raw, 32, 16)
    assert (plan["scale"].start, plan["scale"].gain) == ("one", pytest.approx(1e-4))
    assert (plan["layer"].weight.role, plan["layer"].weight.bias) == ("readout", False)
    assert (plan["layer"].bias.role, plan["layer"].bias.bias) == ("scalar", True)
