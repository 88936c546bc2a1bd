"""Perceptrons of several widths that are parts of one another: the initial weights of nested families."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from widthwise.networks.activations import activation
from widthwise.networks.mlp import MLP, preactivations


class FamilyKey(NamedTuple):
    """What a network of a family is drawn from: the key of the row of `neurons` that all families are cut
    from, the place of its `first` neuron in it, and a key of its `own`."""

    own: Key[Array, "*network"]
    neurons: Key[Array, "*network"]
    first: Int[Array, "*network"]


def draw_nested(
    key: FamilyKey,
    blueprint: MLP,
    rules: MLP,
    inputs: Float[Array | np.ndarray, "point dimension"] | None,
    dtype: DTypeLike,
) -> MLP:
    r"""A network with independent normal entries of each rule's `std`, made of the next N neurons of the row.

    A neuron is a row of input weights, a column of the readout, and white numbers $\epsilon^l$, as many as
    points, for every further layer l; they depend on its place alone, so that networks of all widths that
    hold it share them. With one hidden layer that is all: the mean over narrow networks of what each computes
    with averages over its neurons deviates at order $N^{-1/2}$ as the wide network that they make up.
    Between hidden layers a matrix is drawn that shows each neuron its white numbers: with the features of the
    first K = min(P, N) points $\Phi = C Q^T$, C lower triangular and Q orthonormal (N, K),

    $$W = \epsilon Q^T + G (1 - Q Q^T), \qquad W \Phi^T = \epsilon C^T$$

    G a normal matrix of this network alone. Given the features, W is a normal matrix: every network has
    exactly the law of its width, and what it is coupled by is the same in each.

    **Arguments:** `inputs`, of the points at which the networks are to act alike, not needed with one hidden
    layer; no law depends on them.
    """
    (width, first), (outputs, _) = blueprint.hidden[0].shape, blueprint.readout.shape
    points = jnp.asarray(np.zeros((0, first)) if inputs is None else inputs, dtype)
    layers = len(blueprint.hidden)
    sizes = [first, *[len(points)] * (layers - 1), outputs]

    def neuron(place: Int[Array, ""]) -> Float[Array, "number"]:
        return jax.random.normal(jax.random.fold_in(key.neurons, place), (sum(sizes),), dtype)

    numbers = jax.vmap(neuron)(key.first + jnp.arange(width))
    entering, *white, leaving = jnp.split(numbers, np.cumsum(sizes)[:-1].tolist(), axis=1)
    starts = blueprint.readout.start == "normal"
    readout = rules.readout.std * leaving.T if starts else jnp.zeros((outputs, width), dtype)
    model = MLP((rules.hidden[0].std * entering,), readout, blueprint.settings)
    own = jax.random.normal(key.own, (layers - 1, width, width), dtype)
    for epsilon, fresh, rule in zip(white, own, rules.hidden[1:], strict=True):
        features = activation(model.settings)(preactivations(model, points)[-1])[:width]
        across, triangle = jnp.linalg.qr(features.T)
        across = across * jnp.where(jnp.diagonal(triangle) < 0, -1, 1).astype(dtype)
        seen = epsilon[:, : across.shape[1]] - fresh @ across
        model = MLP((*model.hidden, rule.std * (fresh + seen @ across.T)), readout, blueprint.settings)
    return model
