"""The single-site process of one hidden layer: what one neuron does, given the outputs it is told.

A site is a neuron's preactivations h on every point and its read-outs w for every output. It never sees
another site: only the outputs f on the training points, which are averages over all sites. A network of
width N is N such sites; the infinitely wide one is their distribution.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.infinite_width.activations import activation_and_slope
from widthwise.study import NetworkSettings, Study

# Classical Runge-Kutta: where the next stage starts and how much each slope counts.
STAGE_STEP = np.array([0.5, 0.5, 1.0, 0.0])
STAGE_WEIGHT = np.array([1.0, 2.0, 2.0, 1.0]) / 6.0


class Site(NamedTuple):
    """One neuron (or, with leading axes, many): h on every point, w for every output; order 1 in N."""

    h: Float[Array, "*site point"]
    w: Float[Array, "*site output"]


class Clocked(NamedTuple):
    """A site between two evaluations of the outputs; `base` and `slope` serve the flow's stages alone."""

    now: Site
    base: Site | None
    slope: Site | None


class SiteProcess(eqx.Module):
    r"""How a site moves and what it contributes.

    $$ \dot h_\mu = \gamma \sum_{\nu \in train} K^x_{\mu\nu} \phi'(h_\nu) \sum_c w_c \Delta_{\nu c}, \qquad
       \dot w_c = \gamma \sum_{\nu \in train} \phi(h_\nu) \Delta_{\nu c} $$

    per unit of time; a gradient-descent step is `rate` units at once, a flow's tick a Runge-Kutta stage.
    Delta = -dLoss/df. **Source:** Bordelon and Pehlevan, arXiv 2205.09653.
    """

    input_kernel: Float[Array, "point point"]
    targets: Float[Array, "train output"]
    richness: Float[Array, ""]
    rate: Float[Array, ""]
    train: int = eqx.field(static=True)
    network: NetworkSettings = eqx.field(static=True)
    loss: str = eqx.field(static=True)
    stages: int = eqx.field(static=True)  # evaluations of the outputs between two steps

    def start(self, site: Site) -> Clocked:
        """The site at initialization."""
        if self.stages == 1:
            return Clocked(site, None, None)
        return Clocked(site, site, jax.tree.map(jnp.zeros_like, site))

    def fields(self, site: Site) -> tuple[Float[Array, " point"], Float[Array, "output point"]]:
        """phi(h) and the backward field g_c = w_c phi'(h)."""
        activation, slope = activation_and_slope(self.network)
        return activation(site.h), site.w[:, None] * slope(site.h)

    def output(self, site: Site) -> Float[Array, "point output"]:
        """The site's contribution w phi(h) / gamma to the outputs."""
        activation, _ = activation_and_slope(self.network)
        return activation(site.h)[:, None] * site.w / self.richness

    def forces(self, site: Site, prediction: Float[Array, "train output"]) -> Site:
        """Per unit of time: the force on each training point (in place of h), and that on w."""
        activation, slope = activation_and_slope(self.network)
        h, residual = site.h[: self.train], loss_residual(self.targets, prediction, self.loss)
        return Site(slope(h) * jnp.sum(residual * site.w, axis=-1), activation(h) @ residual)

    def spread(self, forces: Site) -> Site:
        """Linear: the forces on training points moved to every point by K^x, times gamma."""
        return Site(
            self.richness * (forces.h @ self.input_kernel[: self.train]),
            self.richness * forces.w,
        )

    def advance(self, clocked: Clocked, velocity: Site, tick: Int[Array, ""]) -> Clocked:
        """Linear: to the next evaluation of the outputs, `tick` counting evaluations from 0."""
        if self.stages == 1:
            return Clocked(_add(clocked.now, velocity, self.rate), None, None)
        step, stage = self.rate * 4 / self.stages, tick % 4
        slope = _add(clocked.slope, velocity, jnp.asarray(STAGE_WEIGHT)[stage])
        last = stage == 3
        within = _add(clocked.base, velocity, step * jnp.asarray(STAGE_STEP)[stage])
        now = _choose(last, _add(clocked.base, slope, step), within)
        return Clocked(
            now,
            _choose(last, now, clocked.base),
            _choose(last, jax.tree.map(jnp.zeros_like, slope), slope),
        )


def site_process(study: Study, points: Points) -> SiteProcess:
    """The process of `study` on `points`; a mean-reduced loss divides the rate by the training points."""
    training, train = study.training, points.train
    rate = training.learning_rate / (train if training.reduction == "mean" else 1)
    return SiteProcess(
        input_kernel=jnp.asarray(points.input_kernel()),
        targets=jnp.asarray(points.targets[:train], dtype=float),
        richness=jnp.asarray(study.network.richness, dtype=float),
        rate=jnp.asarray(rate, dtype=float),
        train=train,
        network=study.network,
        loss=training.loss,
        stages=1 if training.optimizer == "gd" else 4 * training.substeps,
    )


def loss_residual(
    targets: Float[Array, "point output"], prediction: Float[Array, "point output"], loss: str
) -> Float[Array, "point output"]:
    """Delta = -dLoss/df: y - f for the squared error, y - softmax(f) for the cross-entropy."""
    return targets - (prediction if loss == "mse" else jax.nn.softmax(prediction))


def loss_per_point(
    targets: Float[Array, "point output"], prediction: Float[Array, "point output"], loss: str
) -> Float[Array, " point"]:
    """Half the squared error, or the cross-entropy, summed over outputs."""
    if loss == "mse":
        return 0.5 * jnp.sum((targets - prediction) ** 2, axis=-1)
    return -jnp.sum(targets * jax.nn.log_softmax(prediction), axis=-1)


def _add(site: Site | None, velocity: Site, factor: Float[Array, ""]) -> Site:
    assert site is not None
    return jax.tree.map(lambda x, v: x + factor * v, site, velocity)


def _choose(condition: Array, chosen: Site, other: Site | None) -> Site:
    assert other is not None
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, other)
