"""The table of parametrizations: its text is what the code does, and its symmetries hold."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from widthwise.networks import blueprint
from widthwise.networks.parametrization import Rule, draw, is_rule, is_tensor, rule_of, rules_of
from widthwise.networks.tensor_spec import TensorSpec
from widthwise.study import NetworkSettings, TrainingSettings, parametrizations
from widthwise.training.optimizer import make_optimizer

BASE, GROWTH = 48, 4
NAMES = ("mean_field", "ntk", "standard")
ROLES = ("input", "hidden", "readout", "scalar")


def tensor_of(role, width, **rest):
    """A tensor of a role at a width, with nothing at its default."""
    shape = {"input": (width, 5), "hidden": (width, width), "readout": (3, width), "scalar": (3, 5)}[role]
    values = {"gain": 0.7, "sgd_rate": 2.0, "adam_rate": 3.0, "inner": 0.2} | rest
    return TensorSpec(shape=shape, role=role, fan_in=shape[1], fan_out=shape[0], **values)


def printed_table():
    """The rows of the docstring, {(role, parametrization): formulas}; no role is that of the row above."""
    rows = [line.strip("|").split("|") for line in parametrizations.__doc__.splitlines() if line[:1] == "|"]
    found, role = {}, ""
    for cells in rows[2:]:
        first, name, *formulas = (cell.strip() for cell in cells)
        role = first or role
        found |= {(role, each): formulas for each in (NAMES if name == "all" else [name])}
    return found


def value_of(formula, m):
    """A formula of the table, such as "m^-1/2", "1/m" or "1"; "-" is no change."""
    power = {"-": 0, "1": 0, "m": 1, "1/m": -1, "m^-1/2": -1 / 2, "m^-3/2": -3 / 2}[formula]
    return m**power


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", NAMES)
def test_rules_are_the_formulas_of_the_docstring(role, name):
    wide, base = tensor_of(role, GROWTH * BASE), tensor_of(role, BASE)
    m = 1 if role == "scalar" else GROWTH
    std, multiplier, sgd, adam, gradient = (value_of(cell, m) for cell in printed_table()[role, name])
    rule = rule_of(wide, base, name)
    # The array holds the tensor times its multiplier, over what the network multiplies with by itself.
    array = multiplier / 0.2
    assert rule.std == pytest.approx(0.7 / math.sqrt(base.fan_in) * std * array, rel=1e-12)
    assert rule.sgd_rate == pytest.approx(2.0 * sgd * array**2, rel=1e-12)
    assert rule.adam_rate == pytest.approx(3.0 * adam * array, rel=1e-12)
    assert rule.gradient_scale == pytest.approx(array / gradient, rel=1e-12)


def test_the_docstring_has_every_row():
    assert set(printed_table()) == {(role, name) for role in ROLES for name in NAMES}


@given(
    role=st.sampled_from(ROLES),
    name=st.sampled_from(NAMES),
    factors=st.tuples(*[st.sampled_from([1, 2, 3, 5, 8])] * 2),
    inner=st.floats(0.01, 100),
)
def test_rules_compose_over_widths_and_do_not_depend_on_where_a_factor_stands(role, name, factors, inner):
    def rule(width, base):
        return np.array(rule_of(tensor_of(role, width), tensor_of(role, base), name)[:4])

    first, second = factors
    base, middle, wide = 10, 10 * first, 10 * first * second
    same = rule(base, base)
    step = rule(wide, middle)
    step[0] *= np.sqrt(tensor_of(role, middle).fan_in / tensor_of(role, base).fan_in)  # of its own base
    np.testing.assert_allclose(
        rule(wide, base) / same, (rule(middle, base) / same) * (step / same), rtol=1e-10
    )
    # The product of array and `inner` begins and learns alike, wherever the factor stands.
    moved = rule_of(tensor_of(role, wide, inner=inner), tensor_of(role, base, inner=inner), name)
    scale = np.array([inner, inner**2, inner, inner])
    own = np.array([0.2, 0.2**2, 0.2, 0.2])
    np.testing.assert_allclose(np.array(moved[:4]) * scale, rule(wide, base) * own, rtol=1e-10)


@given(role=st.sampled_from(ROLES), name=st.sampled_from(NAMES))
def test_at_the_base_width_all_parametrizations_are_one(role, name):
    tensor = tensor_of(role, BASE)
    assert rule_of(tensor, tensor, name) == rule_of(tensor, tensor, "standard")


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("name", NAMES)
def test_a_factor_in_the_network_or_folded_into_its_weights_gives_one_trajectory(optimizer, name, seed):
    """Both in float64, where chaos within a few steps stays far below the tolerance."""
    inner = {"input": 0.3, "hidden": 1.7, "readout": 0.05}
    generator = np.random.default_rng(seed)
    inputs, targets = generator.standard_normal((6, 5)), generator.standard_normal((6, 3))
    training = TrainingSettings(
        optimizer=optimizer, learning_rate=0.02, weight_decay=0.1, clip=0.5, epsilon=1e-3
    )

    def losses(factors):
        plans = [
            {role: tensor_of(role, width, inner=factors[role]) for role in inner} for width in (GROWTH * 8, 8)
        ]
        rules = rules_of(*plans, name)
        weights = draw(jax.random.key(seed), plans[0], rules, jnp.float64)

        def loss(weights):
            w = {role: factors[role] * array for role, array in weights.items()}
            hidden = jnp.tanh(jnp.tanh(inputs @ w["input"].T) @ w["hidden"].T)
            return jnp.mean((hidden @ w["readout"].T - targets) ** 2)

        update = make_optimizer(rules, training)
        state, found = update.init(weights), []
        step = jax.jit(jax.value_and_grad(loss))
        for _ in range(8):
            value, gradient = step(weights)
            found.append(float(value))
            updates, state = update.update(gradient, state, weights)
            weights = optax.apply_updates(weights, updates)
        return found

    with jax.enable_x64(True):
        own, folded = losses(inner), losses(dict.fromkeys(inner, 1.0))
    np.testing.assert_allclose(own, folded, rtol=1e-9)
    assert abs(own[-1] / own[0] - 1) > 1e-3, "nothing was learned"


@pytest.mark.parametrize("width", [24, 64, 1000])
@pytest.mark.parametrize("layers", [1, 3])
def test_mean_field_perceptrons_are_raw_normal_weights_with_one_rate(width, layers):
    """N(0, 1) entries and gradient descent at gamma^2 N for every tensor: the theory's own perceptron."""
    gamma = 0.6
    network = NetworkSettings(hidden_layers=layers, richness=gamma, base_width=BASE)
    plans = [blueprint(network, (7,), 2, size) for size in (width, BASE)]
    rules = jax.tree.leaves(rules_of(*plans, "mean_field"), is_leaf=is_rule)
    assert len(rules) == layers + 1
    for rule in rules:
        assert (rule.std, rule.sgd_rate) == pytest.approx((1.0, gamma**2 * width), rel=1e-14)


KINDS = {
    "mlp": (NetworkSettings(hidden_layers=3), (10,)),
    "cnn": (NetworkSettings(kind="cnn", hidden_layers=2, base_width=32), (6, 6, 2)),
    "transformer": (NetworkSettings(kind="transformer", hidden_layers=1, base_width=32), (6,)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_drawn_with_the_stated_deviation(kind, name, key):
    """The sum of squares of n entries over their variance is chi-squared; false alarms 1e-6 a tensor. The
    smallest tensor, of 9 x 2 x 128 entries or more, tells a deviation that is off by 20 %."""
    network, shape = KINDS[kind]
    plans = [blueprint(network, shape, 20, width) for width in (128, network.base_width)]
    rules = rules_of(*plans, name)
    drawn = draw(key, plans[0], rules)
    leaves = [
        jax.tree.leaves(tree, is_leaf=lambda x: is_tensor(x) or is_rule(x)) for tree in (plans[0], rules)
    ]
    seen = set()
    for array, tensor, rule in zip(jax.tree.leaves(drawn), *leaves, strict=True):
        assert array.shape == tensor.shape
        seen.add(tensor.start)
        if tensor.start != "normal":
            np.testing.assert_array_equal(array, float(tensor.start == "one"))
            continue
        squares = float(np.square(np.float64(array)).sum()) / rule.std**2
        low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], array.size)
        assert high / array.size < 1.2**2 and low / array.size > 0.8**2, "too few entries"
        assert low < squares < high, tensor
        # Independent of sign, to the same rate of false alarms.
        assert abs(float(array.mean())) / rule.std < stats.norm.isf(5e-7) / math.sqrt(array.size)
    assert seen == ({"normal", "one", "zero"} if kind == "transformer" else {"normal"})


def test_the_same_key_draws_the_same_weights_and_another_one_others(seed):
    network, shape = KINDS["transformer"]
    plan = blueprint(network, shape, 20, 32)
    rules = rules_of(plan, plan, "ntk")
    first, again, other = (draw(jax.random.key(n), plan, rules) for n in (seed, seed, seed + 1))
    jitted = jax.jit(lambda key: draw(key, plan, rules))(jax.random.key(seed))
    for a, b, c, d in zip(*map(jax.tree.leaves, (first, again, jitted, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-6)
        assert a.ndim == 1 or np.abs(a - d).max() > 0


def test_tensors_that_start_alike_keep_their_number():
    plan = {
        "half": tensor_of("scalar", 8, start="one", gain=0.5 * math.sqrt(5), inner=1.0),
        "bias": replace(tensor_of("input", 8, start="zero"), bias=True),
    }
    rules = rules_of(plan, plan, "mean_field")
    drawn = draw(jax.random.key(0), plan, rules)
    np.testing.assert_allclose(drawn["half"], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(drawn["bias"], 0)
    assert (rules["half"].decays, rules["bias"].decays) == (True, False)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_grow_as_the_last_column_says(name, seed):
    """Root mean square of a gradient times `gradient_scale` at initialization, against the width: exponent 0.
    Of 16 seeds at three widths the exponent is known to about 0.03, so that 1/2 is never taken for 0."""
    widths, seeds = (32, 128, 512), 16
    generator = np.random.default_rng(seed)
    inputs, slopes = generator.standard_normal((4, 5)), generator.standard_normal((4, 3))

    def sizes(key, width):
        plans = [{r: tensor_of(r, n, inner=1.0) for r in ROLES[:3]} for n in (width, 32)]
        rules = rules_of(*plans, name)

        def pulled(w):
            hidden = jnp.tanh(jnp.tanh(inputs @ w["input"].T) @ w["hidden"].T)
            return jnp.sum(hidden @ w["readout"].T * slopes)

        gradient = jax.grad(pulled)(draw(key, plans[0], rules))
        return jnp.stack([jnp.sqrt(jnp.mean(gradient[r] ** 2)) * rules[r].gradient_scale for r in ROLES[:3]])

    keys = jax.random.split(jax.random.key(seed), seeds)
    found = np.log([jax.vmap(lambda key, n=n: sizes(key, n))(keys) for n in widths])
    x = np.log(widths) - np.log(widths).mean()
    each = np.einsum("w,wsr->sr", x / (x**2).sum(), found)
    threshold = stats.t.isf(1e-5, seeds - 1) * each.std(0, ddof=1) / math.sqrt(seeds) + 0.05
    if (
        name == "standard"
    ):  # nothing is undone there: the readout's gradient keeps its size, the others shrink
        assert (each[:, :2].mean(0) < -0.3).all()
        return
    assert threshold.max() < 0.3, "too few seeds to see an exponent of 1/2"
    assert (np.abs(each.mean(0)) < threshold).all()


def test_a_rule_knows_its_rate_under_every_optimizer():
    rule = Rule(std=1.0, sgd_rate=2.0, adam_rate=3.0, gradient_scale=4.0, decays=True)
    rates = [rule.rate(name) for name in ("gd", "sgd", "momentum", "adam", "adamw")]
    assert rates == [2.0, 2.0, 2.0, 3.0, 3.0]


def test_sides_that_grow_differently_move_gradients_and_sums_by_their_own():
    hidden = {"role": "hidden", "gain": 1.0}
    wide = TensorSpec(shape=(256, 32), fan_in=32, fan_out=256, **hidden)
    base = TensorSpec(shape=(16, 8), fan_in=8, fan_out=16, **hidden)
    rule = rule_of(wide, base, "mean_field")
    assert rule.gradient_scale == 16  # of 16 times as many units, each takes 1/16 of the gradient
    assert (rule.sgd_rate, rule.adam_rate) == (16 / 4, 1 / 4)  # and sums over four times as many entries
