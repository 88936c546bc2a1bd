"""A program of the theory is compiled once for all values: other richnesses and rates compile nothing."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import widthwise as ww
from widthwise.fluctuations import deep_populations

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def compiled():
    """Grows by one with every program that is compiled."""
    seen = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: seen.append(duration) if event == COMPILED else None
    )
    return seen


@pytest.fixture(autouse=True)
def few_populations(monkeypatch):
    """What is compiled does not depend on their number, and nothing here looks at the shift."""
    monkeypatch.setattr(deep_populations, "POPULATIONS", (1, 4))


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(5)
    return ww.Points(rng.standard_normal((2, 3)), rng.choice([-1.0, 1.0], (2, 1)), 1)


def study(depth, richness=1.0, rate=0.1, **network):
    return ww.Study(
        name="compiled",
        network=ww.NetworkSettings(hidden_layers=depth, richness=richness, **network),
        training=ww.TrainingSettings(steps=3, learning_rate=rate),
        theory=ww.TheorySettings(sites=64, fluctuation_sites=64, scramblings=2),
    )


def scan(wanted, points):
    asked = replace(wanted, theory=replace(wanted.theory, richness_scan=(wanted.network.richness, 0.7)))
    limit = ww.solve_infinite_width(asked, points=points)
    return ww.add_richness_scan(ww.solve_fluctuations(limit), limit)


def derivatives(wanted, points):
    return ww.differentiate(wanted, "richness", points=points)


def gradient(wanted, points):
    return ww.loss_gradient(wanted, points=points)


def covariance(wanted, points):
    limit = ww.solve_infinite_width(wanted, points=points)
    return ww.solve_covariance(limit, [ww.Observable(name="loss", step=step) for step in (1, 2)])


@pytest.mark.parametrize(
    ("ask", "depth"),
    [(ask, depth) for ask in (scan, derivatives, gradient) for depth in (1, 2)] + [(covariance, 2)],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_other_values_compile_nothing(ask, depth, compiled, points):
    ask(study(depth), points)
    changed = {
        "richness": study(depth, richness=1.3),
        "learning rate": study(depth, rate=0.12),
        "activation's scale and gain": study(depth, activation_scale=0.9, activation_gain=1.1),
        "seed": replace(study(depth), theory=replace(study(depth).theory, seed=7)),
    }
    more = {}
    for what, wanted in changed.items():
        before = len(compiled)
        ask(wanted, points)
        more[what] = len(compiled) - before
    assert more == dict.fromkeys(changed, 0)
    assert compiled, "the count counts"
