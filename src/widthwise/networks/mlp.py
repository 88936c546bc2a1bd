"""A multilayer perceptron in mean-field parametrization, and its layer kernels."""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from widthwise.networks.activations import activation, derivative
from widthwise.networks.feedback import Feedback, feedback_fields
from widthwise.networks.plans import Leaf
from widthwise.networks.trace import Layer, Trace
from widthwise.study import NetworkSettings


class MLP(eqx.Module):
    r"""A perceptron with hidden layers l = 1..L of width N, without biases.

    $$h^1 = W^0 x / \sqrt{D}, \qquad h^{l+1} = W^l \phi(h^l) / \sqrt{N}, \qquad
      f_c = w_c \cdot \phi(h^L) / (\gamma N)$$

    **Fields:** `hidden` holds W^0 (width, dimension) and W^1 .. W^{L-1} (width, width); `readout` holds
    w (output, width). Their entries are O(1) in width; training moves those of W^0 and w by O(1), the others
    by O(N^-1/2), and every preactivation by O(1).
    **Source:** Bordelon and Pehlevan (2022), arXiv 2205.09653.
    """

    hidden: tuple[Leaf, ...]
    readout: Leaf
    settings: NetworkSettings = eqx.field(static=True)

    @property
    def width(self) -> int:
        """N, the neurons of each hidden layer."""
        return self.readout.shape[1]

    def with_richness(self, richness: float) -> "MLP":
        """The same weights, read out at another richness."""
        return MLP(self.hidden, self.readout, replace(self.settings, richness=richness))

    def trace(self, inputs: Num[Array, "point *shape"]) -> Trace:
        """The forward pass at every point, layers "hidden 1" .. "hidden L"; images are flattened."""
        phi = activation(self.settings)
        fields = preactivations(self, inputs.reshape(len(inputs), -1))
        layers = {f"hidden {number}": Layer(h, phi(h)) for number, h in enumerate(fields, 1)}
        return Trace(_read_out(self, layers[f"hidden {len(fields)}"].feature), layers, {})


class Probe(NamedTuple):
    """What a network computes at P points: all of it O(1) in width.

    `feature_kernel` Phi^l = phi(h^l_m) . phi(h^l_n) / N and `gradient_kernel` G^l, the mean over outputs c
    of g^l_{c,m} . g^l_{c,n} / N, for l = 1..L; `tangent_kernel` K, the mean over outputs of its diagonal
    blocks: gamma^2 N times the inner product of the gradients of f_c with respect to all weights.
    With feedback, `gradient_kernel` is that of the fields g~ that move the weights, and `tangent_kernel`,
    then not symmetric, how much f_m moves as the residual of n pulls.
    """

    prediction: Float[Array, "point output"]
    feature_kernel: Float[Array, "layer point point"]
    gradient_kernel: Float[Array, "layer point point"]
    tangent_kernel: Float[Array, "point point"]


def preactivations(
    model: MLP, inputs: Float[Array, "point dimension"]
) -> tuple[Float[Array, "point width"], ...]:
    """h^1 .. h^L at every point, O(1) in width."""
    phi = activation(model.settings)
    fields = [inputs @ model.hidden[0].T / jnp.sqrt(inputs.shape[1]).astype(inputs.dtype)]
    for weights in model.hidden[1:]:
        fields.append(phi(fields[-1]) @ weights.T / jnp.sqrt(model.width).astype(inputs.dtype))
    return tuple(fields)


def probe(
    model: MLP,
    inputs: Float[Array, "point dimension"],
    feedback: Feedback | None = None,
    rates: Float[Array, "tensor"] | None = None,
) -> Probe:
    r"""Predictions and kernels at every point, from one forward and one backward pass.

    $$g^L_c = \phi'(h^L) w_c, \qquad g^l_c = \phi'(h^l) W^{lT} g^{l+1}_c / \sqrt{N}, \qquad
      K = \sum_{l=0}^{L} r_l \, G^{l+1} \Phi^l$$

    with Phi^0 = x_m . x_n / D and G^{L+1} = 1, products elementwise. No Jacobian is built: the cost is that
    of C + 1 passes and of 2 L + 1 Gram matrices.

    **Arguments:** `feedback`, through which the errors come in training if not through the weights: then G is
    of its fields g~, and the kernel $K_{mn} = \sum_l <g^{l+1}_m \tilde g^{l+1}_n> \Phi^l_{mn}$; `rates` r_l,
    of W^l over gamma^2 N times the learning rate, 1 if not given, as in mean-field parametrization.
    """
    phi = activation(model.settings)
    fields = preactivations(model, inputs)
    features = [phi(h) for h in fields]
    root_width = jnp.sqrt(model.width).astype(inputs.dtype)
    gradient = derivative(phi, fields[-1]) * model.readout[:, None, :]
    gradients = [gradient]
    for h, weights in zip(fields[-2::-1], model.hidden[:0:-1], strict=True):
        gradient = derivative(phi, h) * (gradient @ weights) / root_width
        gradients.insert(0, gradient)
    feature_kernel = jnp.stack([_gram(z) for z in features])
    if feedback is None:
        moving = pairs = jnp.stack([jax.vmap(_gram)(g).mean(0) for g in gradients])
    else:
        outputs, points = len(model.readout), len(inputs)
        each = jnp.broadcast_to(jnp.eye(outputs, dtype=inputs.dtype)[:, None], (outputs, points, outputs))
        moves = feedback_fields(feedback, model.settings, fields, each)
        moving = jnp.stack([jax.vmap(_gram)(g).mean(0) for g in moves])
        both = zip(gradients, moves, strict=True)
        pairs = jnp.stack([jnp.einsum("cmi,cni->mn", *two) / (outputs * model.width) for two in both])
    lower = jnp.concatenate([_gram(inputs)[None], feature_kernel])
    upper = jnp.concatenate([pairs, jnp.ones_like(pairs[:1])])
    each = lower * upper if rates is None else rates[:, None, None].astype(lower.dtype) * lower * upper
    return Probe(_read_out(model, features[-1]), feature_kernel, moving, each.sum(0))


def _read_out(model: MLP, features: Float[Array, "point width"]) -> Float[Array, "point output"]:
    return features @ model.readout.T / (model.settings.richness * model.width)


def _gram(rows: Float[Array, "point entry"]) -> Float[Array, "point point"]:
    return rows @ rows.T / rows.shape[1]
