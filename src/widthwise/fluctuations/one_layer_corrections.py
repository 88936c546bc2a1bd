"""A population of sites and its finite-width corrections, run together: one pass in time.

The program is `infinite_width.site`, in the arithmetic of `expansion`.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.fluctuations.expansion import ExpandedNumbers
from widthwise.infinite_width.arithmetic import PlainNumbers, leading, plus
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.site import Population, Site, SiteProcess


class Corrections(NamedTuple):
    """At the recorded steps: N Var, and N (mean - infinite width), of every order parameter.

    `carried_by`: how many sites carry the squares of the derivatives along the sites' paths,
    (sum w T^2)^2 / sum (w T^2)^2. Where it is small a few unstable paths own the averages.
    """

    variance: OrderParameters
    shift: OrderParameters
    two_time: Float[Array | np.ndarray, "step step point output"]
    carried_by: Float[Array | np.ndarray, " step"]


@eqx.filter_jit
def site_outputs(
    process: SiteProcess, population: Population, steps: int
) -> Float[Array, "step train output site"]:
    """Each site's contribution to the training outputs at steps 0 .. steps - 1."""
    sites, numbers = population.sites, PlainNumbers(population.weights)

    def contributions(site: Site):
        features, _ = process.fields(numbers, Site(process.training_part(site.h), site.w))
        return features[:, None] * site.w / process.richness

    start = contributions(sites) * (1.0 if process.centered else 0.0)

    def step(clocked, _):
        now = contributions(clocked.now) - start
        return process.run(numbers, clocked, numbers.average(start), jnp.asarray(1)), now

    return jax.lax.scan(step, process.start(sites), length=steps)[1]


@eqx.filter_jit
def one_layer_corrections(
    process: SiteProcess,
    population: Population,
    scores: Float[Array, "mode site"],
    gaps: Int[Array, " step"],
    *,
    kernels: bool,
) -> Corrections:
    """Order 1/N of the `population` at recorded steps `gaps` apart, driven through `scores`.

    `kernels`: whether those are wanted; their arrays are empty otherwise.
    """
    numbers = ExpandedNumbers(scores, population.weights)
    start = Site(*(numbers.constant(each) for each in population.sites))
    output = process.output(numbers, start)
    initial = output if process.centered else leading(output, jnp.zeros_like)

    def to_next(clocked, gap):
        clocked = process.run(numbers, clocked, process.training_part(initial), gap)
        prediction = plus(process.output(numbers, clocked.now), initial, -1.0)
        loss = numbers.of_population(process.losses, prediction)
        variances = shifts = (jnp.zeros((1, 0, 0)), jnp.zeros((1, 0, 0)), jnp.zeros((0, 0)))
        if kernels:
            variances, shifts = kernel_fluctuations(process, numbers, clocked.now)
        variance = OrderParameters(numbers.variance(prediction), numbers.variance(loss), *variances)
        shift = OrderParameters(prediction.second[..., 0], loss.second[..., 0], *shifts)
        squares = population.weights * jnp.sum(clocked.now.h.first**2, axis=(0, 1))
        carried_by = jnp.sum(squares) ** 2 / jnp.maximum(jnp.sum(squares**2), 1e-300)
        return clocked, (variance, shift, prediction.own, carried_by)

    _, (variance, shift, influence, carried_by) = jax.lax.scan(to_next, process.start(start), gaps)
    two_time = jnp.einsum("tpci,spci->tspc", population.weights * influence, influence)
    return Corrections(variance, shift, two_time, carried_by)


def kernel_fluctuations(process: SiteProcess, numbers: ExpandedNumbers, site: Site):
    """(N Var, shift) of the feature, gradient and tangent kernels."""
    points = len(process.input_kernel)
    pairs = left, right = np.triu_indices(points)
    features, backward = process.fields(numbers, site)
    feature, feature_shift = numbers.kernel(leading(features, lambda leaf: leaf[None]), pairs)
    gradient, gradient_shift = numbers.kernel(backward, pairs)
    inputs = process.input_kernel[left, right]
    tangent = feature + inputs[:, None] * gradient

    def symmetric(upper):
        return jnp.zeros((points, points), upper.dtype).at[left, right].set(upper).at[right, left].set(upper)

    variances = (influence**2 @ numbers.weights for influence in (feature, gradient, tangent))
    shifts = (feature_shift, gradient_shift, feature_shift + inputs * gradient_shift)

    def labelled(feature, gradient, tangent):
        return symmetric(feature)[None], symmetric(gradient)[None], symmetric(tangent)

    return labelled(*variances), labelled(*shifts)
