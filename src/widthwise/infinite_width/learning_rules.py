r"""Learning rules whose backward field does not travel through the weights: one step of a deep network.

The errors reach a layer through frozen random feedback, and the weights move by $\tilde g \phi^T$:

$$ \tilde g^l = \phi'(h^l) \tilde z^l, \qquad h^l_m(t) = u^l_m(t)
   + \eta\gamma \sum_{s<t, n, c} \Delta_{nc}(s) \Phi^{l-1}_{mn}(t,s) \tilde g^l_{nc}(s) $$

- feedback alignment: $\tilde z^l = \tilde W^{lT} \tilde g^{l+1} / \sqrt N$ is Gaussian with covariance
  $\tilde G^{l+1}$ at all times, and $\tilde z^L_c$ a frozen Gaussian for each output;
- direct feedback alignment: $\tilde z^l_c$ is a frozen Gaussian for each output at every layer.

Feedback and weights are independent, so no response returns ($A = B = 0$), and feedback never learns. The
field $g$ of the loss's own gradient is needed only for the tangent kernel, and only the part of it that is
correlated with $\tilde g$, that is its mean given the site's fields:

$$ \bar z^l_{mc}(t) = \sum_{s\le t, n} [B^l_{mc,n}(t,s) + \eta\gamma \sum_{c'} \Delta_{nc'}(s)
   \Gamma^{l+1}_{mc,nc'}(t,s)] \phi(h^l_n(s)), \qquad \Gamma^l(t,s) = <\bar g^l(t) \tilde g^l(s)> $$

with $\bar g = \phi'(h) \bar z$, $\Gamma^{L+1} = 1$, $B^L = 0$, $B^{l-1} = <d\bar g^l(t) / du^l(s)>$. Then
$K_{mn} = \sum_l \Gamma^{l+1}_{mn} \Phi^l_{mn}$, not symmetric: m's output moves as n pulls.
**Source:** Bordelon and Pehlevan, arXiv 2210.02157; here for discrete steps.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from widthwise.infinite_width.deep_step import (
    DeepProcess,
    LayerDrift,
    LayerNoise,
    LayerPast,
    LayerRows,
    Past,
    Rows,
    Taps,
    average,
    equal_and_past,
    extend_factor,
    forward_pass,
    kept,
    read,
    response,
)


def _advance(
    process: DeepProcess,
    past: Past,
    noise: tuple[LayerNoise, ...],
    slots: Rows,
    t: Int[Array, ""],
    taps: tuple[Taps, ...] | None = None,
    *,
    direct: bool,
) -> tuple[Past, Rows, tuple[LayerDrift, ...]]:
    """Step `t`: errors go down through frozen random matrices or, if `direct`, every layer hears each
    output's error through one frozen random vector, its noise `r` (site, 1, output). Otherwise as `advance`.
    """
    if process.conditioned or taps is not None or noise[0].sign_u is not None:
        raise ValueError("`conditioned`, `taps` and signs exist for backpropagation alone")
    kicks, depth, steps = process.kicks(past.output, t), len(past.layers), process.steps
    points, outputs = process.targets.shape
    still = (Taps(),) * depth
    fields, phi_rows, a_rows, h_drifts = forward_pass((process, past, noise, slots), kicks, still, t)
    # The read-out's draw is independent of all features: only what it has learned is read.
    output = slots.output + jnp.einsum("msn,snc->mc", phi_rows[-1], kicks) / process.richness

    entries, rows, z_drifts = [], [], []
    for layer in reversed(range(depth)):
        known, slot, made = past.layers[layer], slots.layers[layer], fields[layer]
        if direct or not rows:  # a vector for each output, the same for all points and steps
            z, row = jnp.tile(noise[layer].r[:, 0], (1, points)), jnp.zeros_like(slot.g)
        else:
            row = extend_factor(known.factor_r, rows[0].g, t, process.jitter)
            z = read(row, noise[layer].r)
        if not rows:
            drift = jnp.tile(jnp.moveaxis(kicks, -1, 0), (points, 1, 1))
        else:
            aligned = rows[0].alignment.reshape(points * outputs, steps, points, outputs)
            drift = jnp.sum(aligned * kicks, axis=-1) + rows[0].b
        features = jax.lax.dynamic_update_index_in_dim(known.phi[0], made.phi[0], t, 1)
        steep = jnp.repeat(process.activation.slope(made.h[0]), outputs, axis=-1)
        g, expected = steep * z, steep * read(drift, features)
        alignment = average(expected, jax.lax.dynamic_update_index_in_dim(known.g[0], g, t, 1))
        b_row = slot.b
        if layer:
            b_row += response(expected, made.white, made.factor, t + 1)
        rows.insert(
            0,
            LayerRows(
                phi=phi_rows[layer],
                g=kept(equal_and_past(g, known.g[0], t) + slot.g, t, present=True),
                a=a_rows[layer],
                b=kept(b_row, t, present=True),
                alignment=alignment,
            ),
        )
        entries.insert(0, LayerPast(made.phi, g[None], None, None, jnp.take(made.factor, t, axis=0), row))
        z_drifts.insert(0, drift)
    drifts = (LayerDrift(*each) for each in zip(h_drifts, z_drifts, strict=True))
    return Past(tuple(entries), output), Rows(tuple(rows), output), tuple(drifts)


RULES = {
    "backpropagation": None,
    "feedback_alignment": partial(_advance, direct=False),
    "direct_feedback_alignment": partial(_advance, direct=True),
}
