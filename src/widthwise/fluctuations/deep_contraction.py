r"""N Cov of observables of a deep network from their adjoints, one layer's sites at a time.

With Q and v what an observable's adjoint reads off a site (`layer_sites`), and J = dv/dx,

$$ N\,\mathrm{Cov} = \sum_l \mathrm{Cov}(Q_l + \nabla \cdot v, Q_l' + \nabla \cdot v')
   + E[v \cdot \nabla (Q_l' + \nabla \cdot v') + v' \cdot \nabla (Q_l + \nabla \cdot v)]
   + E[\mathrm{tr} J J'] . $$

The last terms come from the responses A and B: an average of a derivative is, after integration by parts,
an average with the noise that the response fields contribute. Products pair independent adjoints, for the
square of one that is sampled is biased upwards. **Source:** Bordelon and Pehlevan, arXiv 2304.03408.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.fluctuations.deep_responses import covariance, response_part
from widthwise.fluctuations.layer_sites import (
    Fields,
    LayerAdjoint,
    LayerSites,
    charge,
    charge_slope,
    fresh_fields,
    vector,
)
from widthwise.infinite_width.deep_step import DeepProcess, LayerDrift, LayerNoise, Past, Rows

JACOBIAN_SITES = 256


@eqx.filter_jit
def contracted(
    process: DeepProcess,
    solved: tuple[Past, tuple[LayerDrift, ...]],
    noise: tuple[LayerNoise, ...],
    adjoints: tuple[Rows, Rows],
) -> Float[Array, "observable observable"]:
    """N Cov of the observables, from two independent adjoints and sites independent of both.

    **Arguments:** `solved`, the past and drifts that fix the order parameters; `noise`, of the fresh sites;
    `adjoints`, each with leading axes (observable, step).
    """
    past, drifts = solved
    total = jnp.zeros((len(adjoints[0].output),) * 2)
    for layer in range(len(noise)):
        sites = LayerSites(process, drifts[layer])
        top = layer == len(noise) - 1
        left, right = (LayerAdjoint(rows.layers[layer], rows.output if top else None) for rows in adjoints)
        x = fresh_fields(process, past, noise[layer], layer)
        stride = max(1, len(x[0]) // JACOBIAN_SITES)
        few = (x[0][::stride], x[1][::stride])
        total += _kernel_part(sites, x, left, right)
        total += response_part(sites, few, left, right, of_u=layer > 0, of_r=not top)
    return 0.5 * (total + total.T)  # so that terms which exchange the two may be counted twice instead


def _kernel_part(
    sites: LayerSites, x: Fields, left: LayerAdjoint, right: LayerAdjoint
) -> Float[Array, "left right"]:
    """Cov(Q, Q') + 2 E[v . grad Q'], between observables of `left` and of `right`."""
    process, done = sites.process, sites.run(x)

    def flow(observable: Array) -> Float[Array, " right"]:
        tangent = sites.push(x, vector(done, left.only(observable)))
        return jnp.mean(charge_slope(process, done, tangent, right), axis=1)

    scatter = covariance(charge(process, done, left), charge(process, done, right))
    return scatter + 2 * jax.lax.map(flow, jnp.arange(len(left.rows.phi)))
