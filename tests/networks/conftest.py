"""Weights for blueprints, drawn without the package's own rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.networks.tensor_spec import TensorSpec


def is_tensor(leaf):
    return isinstance(leaf, TensorSpec)


@pytest.fixture
def drawn(seed):
    """A function from a blueprint to a network: gain / sqrt(fan_in) times normal numbers, over `inner`; gains
    and biases are noisy too, so that no test passes because they are one and zero."""

    def draw(plan, dtype=np.float32):
        generator = np.random.default_rng(seed)

        def one(tensor):
            noise = generator.standard_normal(tensor.shape)
            if tensor.start == "normal":
                return jnp.asarray(tensor.gain / np.sqrt(tensor.fan_in) / tensor.inner * noise, dtype)
            return jnp.asarray(float(tensor.start == "one") + 0.1 * noise, dtype)

        return jax.tree.map(one, plan, is_leaf=is_tensor)

    return draw
