"""The random key of each network."""

import jax
import numpy as np
from jaxtyping import Array, Int, Key, UInt32


def network_keys(ensemble_seed: int, seeds: Int[np.ndarray, "seed"], width: int) -> Key[Array, "seed"]:
    """The key of each network: it depends on (`ensemble.seed`, seed index, width) and on nothing else.

    Both halves of a 64-bit `ensemble_seed` count, in 32-bit mode too.
    """
    words = np.array([ensemble_seed >> 32 & 0xFFFFFFFF, ensemble_seed & 0xFFFFFFFF], dtype=np.uint32)
    return _fold(words, seeds.astype(np.uint32), np.uint32(width))


@jax.jit
def _fold(words: UInt32[Array, "2"], seeds: UInt32[Array, "seed"], width: UInt32[Array, ""]) -> Array:
    root = jax.random.wrap_key_data(words, impl="threefry2x32")
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.fold_in(root, seed), width))(seeds)
