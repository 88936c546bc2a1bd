import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from widthwise.networks.convolution import convolution, halve


def xla(x, w, stride):
    border = [(w.shape[-1] // 2,) * 2] * 2
    return lax.conv_general_dilated(
        x, w, (stride, stride), border, dimension_numbers=("NHWC", "OIHW", "NHWC")
    )


def arrays(key, window, points=3):
    a, b, c, d = (jax.random.fold_in(key, n) for n in range(4))
    x, w = jax.random.normal(a, (points, 7, 6, 3)), jax.random.normal(b, (5, 3, window, window))
    return x, w, jax.random.normal(c, x.shape), jax.random.normal(d, w.shape)


@pytest.mark.parametrize("window, stride, points", [(3, 1, 3), (3, 1, 4), (3, 2, 3), (1, 1, 3), (1, 2, 3)])
def test_values_and_all_derivatives_are_those_of_xla(key, window, stride, points):
    x, w, dx, dw = arrays(key, window, points)

    def everything(f):
        def loss(x, w):
            return jnp.sum(jnp.tanh(f(x, w, stride)))

        slopes = jax.grad(loss, (0, 1))
        return (
            f(x, w, stride),
            jax.jvp(lambda x, w: f(x, w, stride), (x, w), (dx, dw))[1],
            slopes(x, w),
            jax.jvp(slopes, (x, w), (dx, dw))[1],
        )

    found, expected = (jax.tree.leaves(jax.jit(everything, static_argnums=0)(f)) for f in (convolution, xla))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_networks_side_by_side_are_the_networks_one_by_one(key):
    x, w, _, other = arrays(key, 3)
    slope = jax.grad(lambda w: jnp.sum(jnp.tanh(convolution(x, w))))
    together = jax.vmap(slope)(jnp.stack([w, other]))
    in_a_loop = lax.map(slope, jnp.stack([w, other]))
    for n, weights in enumerate((w, other)):
        np.testing.assert_allclose(together[n], slope(weights), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(in_a_loop[n], slope(weights), rtol=1e-4, atol=1e-4)


def test_halving_averages_squares_and_drops_an_odd_row():
    image = jnp.arange(5.0 * 4).reshape(1, 5, 4, 1)
    np.testing.assert_allclose(halve(image)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
