r"""Linear and quadratic response of a population of sites to its own finite size.

A network of width N is N sites drawn at random. To leading orders its outputs are

$$ f = f_\infty + N^{-1/2} \sum_k \xi_k f^{(1)}_k + N^{-1} f^{(2)}, \qquad \xi_k \sim N(0, 1), $$

with one independent xi a principal mode of the sites' scatter, and every quantity of a site expands alike. One
pass in time carries, next to the sites themselves: their first-order tangents along each mode; their tangents
along their own influence (a site moves the population that moves it back); their mean second-order change.
All of it is the single-site program of `infinite_width.site`, differentiated.
**Source:** the influence form of Bordelon and Pehlevan, arXiv 2304.03408; see docs/theory.md.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from widthwise.infinite_width.site import Clocked, Site, SiteProcess, loss_per_point
from widthwise.infinite_width.solve import OrderParameters, split_losses


class Expansion(NamedTuple):
    """Sites at infinite width and how they answer; a trailing comment gives the leading axes."""

    zeroth: Clocked  # site
    first: Clocked  # mode, site
    own: Clocked  # site: along the site's own influence
    second: Clocked  # site: mean over the fluctuations


class OutputExpansion(NamedTuple):
    """Outputs of the population on some points, and each site's influence on them."""

    zeroth: Float[Array, "point output"]
    first: Float[Array, "mode point output"]
    second: Float[Array, "point output"]
    influence: Float[Array, "site point output"]


class Response(NamedTuple):
    """At the recorded steps: N Var, and N (mean - infinite width), of every order parameter."""

    variance: OrderParameters
    shift: OrderParameters
    two_time: Float[Array, "step step point output"]


def curvature(function, primal, tangents):
    """sum_k D^2 function(primal)[t_k, t_k], the modes k being the leading axis of `tangents`."""

    def along(tangent):
        slope = lambda p: jax.jvp(function, (p,), (tangent,))[1]  # noqa: E731
        return jax.jvp(slope, (primal,), (tangent,))[1]

    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), jax.vmap(along)(tangents))


def taylor(function, primal, first, second):
    """`function` of an expansion: its value, its change along each mode, its mean second-order change."""
    value, tangent_map = jax.linearize(function, primal)
    half = jax.tree.map(lambda leaf: 0.5 * leaf, curvature(function, primal, first))
    return value, jax.vmap(tangent_map)(first), jax.tree.map(jnp.add, tangent_map(second), half)


@eqx.filter_jit
def site_outputs(
    process: SiteProcess, sites: Site, centered: bool, steps: int
) -> Float[Array, "step site train output"]:
    """Each site's contribution to the training outputs at steps 0 .. steps - 1."""
    output = jax.vmap(process.output)
    initial = output(sites) if centered else jnp.zeros(())

    def tick(index, clocked):
        prediction = jnp.mean(output(clocked.now) - initial, axis=0)[: process.train]
        forces = jax.vmap(process.forces, in_axes=(0, None))(clocked.now, prediction)
        return process.advance(clocked, process.spread(forces), index)

    def step(clocked, _):
        now = (output(clocked.now) - initial)[:, : process.train]
        return jax.lax.fori_loop(0, process.stages, tick, clocked), now

    return jax.lax.scan(step, process.start(sites), length=steps)[1]


@eqx.filter_jit
def response(
    process: SiteProcess,
    sites: Site,
    scores: Float[Array, "site mode"],
    targets: Float[Array, "point output"],
    gaps: Int[Array, " step"],
    centered: bool,
    mean_loss: bool,
    kernels: bool,
) -> Response:
    """Fluctuations of the population `sites` at recorded steps `gaps` apart, driven through `scores`."""
    initial = jax.vmap(process.output)(sites) if centered else jnp.zeros(())

    def tick(index, state: Expansion) -> Expansion:
        outputs = expand_outputs(process, state, scores, initial, process.train)
        sites_and_outputs = (state.zeroth.now, outputs.zeroth)

        def forces(primal):
            return jax.vmap(process.forces, in_axes=(0, None))(*primal)

        zeroth, first, second = taylor(
            forces,
            sites_and_outputs,
            (state.first.now, outputs.first),
            (state.second.now, outputs.second),
        )
        each = jnp.broadcast_to(outputs.zeroth, outputs.influence.shape)
        _, own = jax.jvp(
            jax.vmap(process.forces), (state.zeroth.now, each), (state.own.now, outputs.influence)
        )
        moved = (
            process.advance(clocked, process.spread(change), index)
            for clocked, change in zip(state, (zeroth, first, own, second), strict=True)
        )
        return Expansion(*moved)

    def to_next(state: Expansion, gap):
        state = jax.lax.fori_loop(0, gap * process.stages, tick, state)
        outputs = expand_outputs(process, state, scores, initial, len(targets))
        return state, (observe(process, state, outputs, scores, targets, mean_loss, kernels), outputs.influence)

    start = process.start(sites)
    still = jax.tree.map(jnp.zeros_like, start)
    modes = jax.tree.map(lambda leaf: jnp.zeros((scores.shape[1], *leaf.shape)), start)
    _, ((variance, shift), influence) = jax.lax.scan(to_next, Expansion(start, modes, still, still), gaps)
    two_time = jnp.einsum("tipc,sipc->tspc", influence, influence) / len(scores)
    return Response(variance, shift, two_time)


def expand_outputs(
    process: SiteProcess,
    state: Expansion,
    scores: Float[Array, "site mode"],
    initial: Float[Array, "..."],
    count: int,
) -> OutputExpansion:
    """Expansion of the outputs on the first `count` points.

    A site's influence is its own contribution less the mean, plus the population's answer to it.
    """

    def contributions(now: Site) -> Float[Array, "site point output"]:
        return jax.vmap(process.output)(Site(now.h[..., :count], now.w))

    raw, answers, second = taylor(
        lambda now: jnp.mean(contributions(now), axis=0),
        state.zeroth.now,
        state.first.now,
        jax.tree.map(jnp.add, state.own.now, state.second.now),
    )
    start = initial[:, :count] if initial.ndim else initial
    each = contributions(state.zeroth.now) - start
    direct = each - jnp.mean(each, axis=0)
    return OutputExpansion(
        zeroth=jnp.mean(each, axis=0),
        first=answers + jnp.einsum("ik,ipc->kpc", scores, direct) / len(scores),
        second=second,
        influence=direct + jnp.einsum("ik,kpc->ipc", scores, answers),
    )


def observe(
    process: SiteProcess,
    state: Expansion,
    outputs: OutputExpansion,
    scores: Float[Array, "site mode"],
    targets: Float[Array, "point output"],
    mean_loss: bool,
    kernels: bool,
) -> tuple[OrderParameters, OrderParameters]:
    """N Var and shift of the order parameters at one time."""

    def losses(prediction):
        return split_losses(loss_per_point(targets, prediction, process.loss), process.train, mean_loss)

    def loss_tangent(change):
        return jax.jvp(losses, (outputs.zeroth,), (change,))[1]

    count = len(scores)
    loss_variance = jnp.mean(jax.vmap(loss_tangent)(outputs.influence) ** 2, axis=0)
    loss_shift = (
        loss_tangent(outputs.second) + 0.5 * curvature(losses, outputs.zeroth, outputs.influence) / count
    )
    prediction_variance = jnp.mean(outputs.influence**2, axis=0)
    empty = jnp.zeros((0, 0))
    kernel_variance = kernel_shift = (empty, empty, empty)
    if kernels:
        kernel_variance, kernel_shift = kernel_fluctuations(process, state, scores)
    return (
        OrderParameters(prediction_variance, loss_variance, *kernel_variance),
        OrderParameters(outputs.second, loss_shift, *kernel_shift),
    )


def kernel_fluctuations(process: SiteProcess, state: Expansion, scores: Float[Array, "site mode"]):
    """(N Var, shift) of the feature, gradient and tangent kernels, row by row of the kernels.

    A kernel is the mean over sites of a product of fields u_m u_n; to second order its change is
    <u2_m u_n> + <u_m u2_n> + sum_k <u1_m u1_n>, with u2 including the tangent along the own influence.
    """
    (phi, g), (phi1, g1), (phi2, g2) = taylor(
        jax.vmap(process.fields),
        state.zeroth.now,
        state.first.now,
        jax.tree.map(jnp.add, state.own.now, state.second.now),
    )
    sites, outputs = g.shape[:2]
    # One axis for the outputs of g and a single one for phi; modes lead.
    stacks = (
        (phi[:, None], phi1[:, :, None], phi2[:, None], 1),
        (g, g1, g2, outputs),
    )

    def row(m):
        influences, shifts = [], []
        for u, u1, u2, norm in stacks:
            each = jnp.sum(u[:, :, m, None] * u, axis=1) / norm
            answers = (
                jnp.einsum("kic,icn->kn", u1[..., m], u) + jnp.einsum("ic,kicn->kn", u[..., m], u1)
            ) / (norm * sites)
            influences.append(each - jnp.mean(each, axis=0) + scores @ answers)
            shifts.append(
                (
                    jnp.einsum("ic,icn->n", u2[..., m], u)
                    + jnp.einsum("ic,icn->n", u[..., m], u2)
                    + jnp.einsum("kic,kicn->n", u1[..., m], u1)
                )
                / (norm * sites)
            )
        input_row = process.input_kernel[m]
        influences.append(influences[0] + input_row * influences[1])
        shifts.append(shifts[0] + input_row * shifts[1])
        return tuple(jnp.mean(psi**2, axis=0) for psi in influences), tuple(shifts)

    return jax.lax.map(row, jnp.arange(phi.shape[1]))
