"""The random key of each network."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, UInt32

from widthwise.networks import FamilyKey
from widthwise.study import EnsembleSettings

NEURONS = 2**32 - 1  # folded into the root, as no index of a seed is: the row of neurons of nested families


def keys_of(
    ensemble: EnsembleSettings, seeds: Int[np.ndarray, "seed"], width: int
) -> Key[Array, "seed"] | FamilyKey:
    """What each network of a width is drawn from, a leading axis of networks: its key, or its place in the
    nested families, network k of width N being neurons k N to (k + 1) N - 1 of their row."""
    own = network_keys(ensemble.seed, seeds, width)
    if ensemble.coupling == "independent":
        return own
    row = jax.random.fold_in(_root(jnp.asarray(_words(ensemble.seed))), np.uint32(NEURONS))
    return FamilyKey(own, jnp.broadcast_to(row, own.shape), jnp.asarray(seeds * width, jnp.int32))


def network_keys(ensemble_seed: int, seeds: Int[np.ndarray, "seed"], width: int) -> Key[Array, "seed"]:
    """The key of each network: it depends on (`ensemble.seed`, seed index, width) and on nothing else.

    Both halves of a 64-bit `ensemble_seed` count, in 32-bit mode too.
    """
    return _fold(_words(ensemble_seed), seeds.astype(np.uint32), np.uint32(width))


def _words(ensemble_seed: int) -> UInt32[np.ndarray, "2"]:
    return np.array([ensemble_seed >> 32 & 0xFFFFFFFF, ensemble_seed & 0xFFFFFFFF], dtype=np.uint32)


def _root(words: UInt32[Array, "2"]) -> Key[Array, ""]:
    return jax.random.wrap_key_data(words, impl="threefry2x32")


@jax.jit
def _fold(words: UInt32[Array, "2"], seeds: UInt32[Array, "seed"], width: UInt32[Array, ""]) -> Array:
    root = _root(words)
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.fold_in(root, seed), width))(seeds)
