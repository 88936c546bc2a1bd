"""Optimizers against a loop in NumPy that shares no code, schedules against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.networks.parametrization import Rule
from widthwise.study import TrainingSettings
from widthwise.training.optimizer import make_optimizer, make_schedule

RULES = {
    "matrix": Rule(std=1.0, sgd_rate=3.0, adam_rate=0.25, gradient_scale=16.0, decays=True),
    "bias": Rule(std=1.0, sgd_rate=0.5, adam_rate=2.0, gradient_scale=4.0, decays=False),
}
STEPS = 7


def gradients():
    rng = np.random.default_rng(3)
    shapes = {"matrix": (3, 4), "bias": (3,)}
    return [{name: rng.standard_normal(shape) for name, shape in shapes.items()} for _ in range(STEPS)]


def weights():
    rng = np.random.default_rng(4)
    return {"matrix": rng.standard_normal((3, 4)), "bias": rng.standard_normal(3)}


def trained(training):
    """The weights after every gradient, as the package moves them."""
    with jax.enable_x64(True):
        optimizer = make_optimizer(RULES, training)
        present = {name: jnp.asarray(value) for name, value in weights().items()}
        state = optimizer.init(present)
        for gradient in gradients():
            updates, state = optimizer.update(
                {n: jnp.asarray(g) for n, g in gradient.items()}, state, present
            )
            present = {name: present[name] + updates[name] for name in present}
        return {name: np.asarray(value) for name, value in present.items()}


def by_hand(training, rate_at):
    """The same in plain loops."""
    present = weights()
    first = {name: np.zeros_like(value) for name, value in present.items()}
    second = {name: np.zeros_like(value) for name, value in present.items()}
    for step, gradient in enumerate(gradients()):
        norm = np.sqrt(sum(RULES[name].sgd_rate * (g**2).sum() for name, g in gradient.items()))
        shrink = min(1.0, training.clip / norm) if training.clip else 1.0
        for name, g in gradient.items():
            rule, g = RULES[name], g * shrink
            if training.optimizer in ("adam", "adamw"):
                g = g * rule.gradient_scale
                first[name] = training.momentum * first[name] + (1 - training.momentum) * g
                second[name] = training.beta2 * second[name] + (1 - training.beta2) * g**2
                mean = first[name] / (1 - training.momentum ** (step + 1))
                square = second[name] / (1 - training.beta2 ** (step + 1))
                move = rule.adam_rate * mean / (np.sqrt(square) + training.epsilon)
            else:
                keep = training.momentum if training.optimizer == "momentum" else 0.0
                first[name] = keep * first[name] + g
                move = rule.sgd_rate * first[name]
            decay = training.weight_decay * present[name] if rule.decays else 0.0
            present[name] = present[name] - rate_at(step) * (move + decay)
    return present


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("clip", [0.0, 2.0])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_weights_move_as_the_formulas_say(optimizer, clip, decay):
    training = TrainingSettings(
        optimizer=optimizer, learning_rate=0.07, clip=clip, weight_decay=decay, epsilon=0.1, steps=STEPS
    )
    expected = by_hand(training, lambda step: 0.07)
    for name, value in trained(training).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


def test_the_schedule_reaches_the_weights():
    training = TrainingSettings(optimizer="sgd", learning_rate=0.2, steps=STEPS, warmup=3)
    expected = by_hand(training, lambda step: 0.2 * min(1.0, (step + 1) / 4))
    for name, value in trained(training).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 4])
def test_a_cosine_ends_at_zero(warmup):
    schedule = make_schedule(TrainingSettings(schedule="cosine", warmup=warmup, steps=21, learning_rate=1.0))
    for step in range(warmup, 21):
        expected = 0.5 * (1 + np.cos(np.pi * (step - warmup) / (20 - warmup)))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("warmup", [0, 4])
def test_steps_multiply_the_rate(warmup):
    training = TrainingSettings(
        schedule="step", warmup=warmup, decay_steps=(3, 9), decay_factor=0.5, steps=20, learning_rate=1.0
    )
    schedule = make_schedule(training)
    found = [float(schedule(step)) for step in (warmup + 4, 8, 10, 19)]
    np.testing.assert_allclose(found, [0.5, 0.5, 0.25, 0.25], rtol=1e-6)
