"""The single-site process of one hidden layer: what one neuron does, given the outputs it is told.

A site is a neuron's preactivations h on every point and its read-outs w for every output. It never sees
another site: only the outputs f on the training points, which are averages over all sites. A network of
width N is N such sites; the infinitely wide one is their distribution. The program is written once, in the
arithmetic it is given (`arithmetic.py`).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.infinite_width.activations import Activation, activation_of
from widthwise.infinite_width.arithmetic import Number, Numbers, leading, plus, total
from widthwise.infinite_width.order_parameters import loss_per_point, loss_residual, split_losses
from widthwise.study import Study

# Classical Runge-Kutta: where the next stage starts and how much each slope counts.
STAGE_STEP = np.array([0.5, 0.5, 1.0, 0.0])
STAGE_WEIGHT = np.array([1.0, 2.0, 2.0, 1.0]) / 6.0


class Site(NamedTuple):
    """Neurons, in any arithmetic: h (point, site) on every point, w (output, site); order 1 in N."""

    h: Number
    w: Number


class Population(NamedTuple):
    """Sites at initialization, and their weights in every average; they add up to 1."""

    sites: Site
    weights: Float[Array, " site"]


class Clocked(NamedTuple):
    """Sites between two evaluations of the outputs; `base` and `slope` serve the flow's stages alone."""

    now: Site
    base: Site | None
    slope: Site | None


class SiteProcess(eqx.Module):
    r"""How sites move and what they contribute, in any arithmetic.

    $$ \dot h_\mu = \gamma \sum_{\nu \in train} K^x_{\mu\nu} \phi'(h_\nu) \sum_c w_c \Delta_{\nu c}, \qquad
       \dot w_c = \gamma \sum_{\nu \in train} \phi(h_\nu) \Delta_{\nu c} $$

    per unit of time; a gradient-descent step is `rate` units at once, a flow's tick a Runge-Kutta stage.
    Delta = -dLoss/df. Values are traced; what shapes the program is static.
    **Source:** Bordelon and Pehlevan, arXiv 2205.09653.
    """

    input_kernel: Float[Array, "point point"]
    targets: Float[Array, "point output"]
    richness: Float[Array, ""]
    rate: Float[Array, ""]
    activation: Activation
    train: int = eqx.field(static=True)
    centered: bool = eqx.field(static=True)
    loss: str = eqx.field(static=True)
    mean_loss: bool = eqx.field(static=True)
    stages: int = eqx.field(static=True)  # evaluations of the outputs between two steps

    def start(self, site: Site) -> Clocked:
        """The sites at initialization."""
        if self.stages == 1:
            return Clocked(site, None, None)
        return Clocked(site, site, jax.tree.map(jnp.zeros_like, site))

    def fields(self, numbers: Numbers, site: Site) -> tuple[Number, Number]:
        """phi(h), (point, site), and the backward field g_c = w_c phi'(h), (output, point, site)."""
        w = leading(site.w, lambda leaf: leaf[:, None])
        slopes = leading(numbers.apply(self.activation.slope, site.h), lambda leaf: leaf[None])
        return numbers.apply(self.activation.value, site.h), numbers.multiply(w, slopes)

    def output(self, numbers: Numbers, site: Site) -> Number:
        """The population's outputs <w phi(h)> / gamma, (point, output, 1), not centered."""
        return self._read_out(numbers, numbers.apply(self.activation.value, site.h), site.w)

    def losses(self, prediction: Float[Array, "point output"]) -> Float[Array, " split"]:
        """The loss on the training points and, if there are any, on the test points."""
        per_point = loss_per_point(self.targets, prediction, self.loss)
        return split_losses(per_point, self.train, self.mean_loss)

    def training_part(self, number: Number) -> Number:
        """The training points of a number whose first axis is the points."""
        return leading(number, lambda leaf: leaf[: self.train])

    def velocity(self, numbers: Numbers, site: Site, initial: Number) -> Site:
        """dh and dw per unit of time, under their own outputs less `initial` (train, output, 1)."""
        h = self.training_part(site.h)
        features = numbers.apply(self.activation.value, h)
        prediction = plus(self._read_out(numbers, features, site.w), initial, -1.0)
        targets = self.targets[: self.train]
        residual = numbers.of_population(lambda f: loss_residual(targets, f, self.loss), prediction)
        readouts = leading(site.w, lambda leaf: leaf[None])
        pull = total(numbers.multiply(residual, readouts), axis=1)
        force = numbers.multiply(numbers.apply(self.activation.slope, h), pull)
        each = leading(features, lambda leaf: leaf[:, None])
        push = total(numbers.multiply(each, residual), axis=0)
        spread = self.richness * self.input_kernel[:, : self.train]
        return Site(
            leading(force, lambda leaf: jnp.tensordot(spread, leaf, 1)),
            leading(push, lambda leaf: self.richness * leaf),
        )

    def _read_out(self, numbers: Numbers, features: Number, w: Number) -> Number:
        each = leading(features, lambda leaf: leaf[:, None])
        readouts = leading(w, lambda leaf: leaf[None] / self.richness)
        return numbers.average(numbers.multiply(each, readouts))

    def advance(self, clocked: Clocked, velocity: Site, tick: Int[Array, ""]) -> Clocked:
        """Linear: to the next evaluation of the outputs, `tick` counting evaluations from 0."""
        if self.stages == 1:
            return Clocked(plus(clocked.now, velocity, self.rate), None, None)
        step, stage = self.rate * 4 / self.stages, tick % 4
        slope = plus(clocked.slope, velocity, jnp.asarray(STAGE_WEIGHT)[stage])
        last = stage == 3
        within = plus(clocked.base, velocity, step * jnp.asarray(STAGE_STEP)[stage])
        now = _choose(last, plus(clocked.base, slope, step), within)
        return Clocked(
            now,
            _choose(last, now, clocked.base),
            _choose(last, jax.tree.map(jnp.zeros_like, slope), slope),
        )

    def run(self, numbers: Numbers, clocked: Clocked, initial: Number, steps: Int[Array, ""]) -> Clocked:
        """`steps` steps of the sites, coupled through their own outputs less `initial`."""

        def tick(index, clocked):
            return self.advance(clocked, self.velocity(numbers, clocked.now, initial), index)

        return jax.lax.fori_loop(0, steps * self.stages, tick, clocked)


def site_process(study: Study, points: Points) -> SiteProcess:
    """The process of `study` on `points`; a mean-reduced loss divides the rate by the training points."""
    training, train = study.training, points.train
    rate = training.point_rate(train)
    return SiteProcess(
        input_kernel=jnp.asarray(points.input_kernel()),
        targets=jnp.asarray(points.targets, dtype=float),
        richness=jnp.asarray(study.network.richness, dtype=float),
        rate=jnp.asarray(rate, dtype=float),
        activation=activation_of(study.network),
        train=train,
        centered=study.network.centered,
        loss=training.loss,
        mean_loss=training.reduction == "mean",
        stages=1 if training.optimizer == "gd" else 4 * training.substeps,
    )


def _choose(condition: Array, chosen: Site, other: Site | None) -> Site:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, other)
