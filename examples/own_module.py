"""A learning rate found on a small module holds for a wide one: `python examples/own_module.py`.

A perceptron of the user's own, with biases, learns a product of functions of two features by Adam, each
sample seen once. At width 64 muP and the standard parametrization are the same network; at width 512
muP is best at the rate that is best at width 64, the standard one at a smaller rate. About twenty seconds:

                        width   rate 0.002        rate 0.008        rate 0.032
    mean_field             64   0.214 +- 0.009    0.179 +- 0.025 *  0.253 +- 0.000
    mean_field            512   0.205 +- 0.004    0.139 +- 0.004 *  0.212 +- 0.015
    standard               64   0.214 +- 0.009    0.179 +- 0.025 *  0.253 +- 0.000
    standard              512   0.159 +- 0.011 *  0.247 +- 0.006    0.637 +- 0.220
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import widthwise as ww

BASE_WIDTH, WIDTHS, RATES = 64, (64, 512), (0.002, 0.008, 0.032)
SEEDS, STEPS, BATCH, DIMENSION, LAST = 4, 200, 64, 16, 20


class Perceptron(eqx.Module):
    """Three hidden layers; nothing in it knows of parametrizations."""

    hidden: list[eqx.nn.Linear]
    readout: eqx.nn.Linear

    def __init__(self, width: int):
        keys = jax.random.split(jax.random.key(0), 4)
        fan_in = (DIMENSION, width, width)
        self.hidden = [eqx.nn.Linear(n, width, key=key) for n, key in zip(fan_in, keys[:3], strict=True)]
        self.readout = eqx.nn.Linear(width, 1, key=keys[3])

    def __call__(self, x: jax.Array) -> jax.Array:
        """The output at one input."""
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        return self.readout(x)


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Inputs (step, sample, dimension) and y = sin(3 a.x) b.x, the same for all networks."""
    directions = np.random.default_rng(0).standard_normal((2, DIMENSION)) / np.sqrt(DIMENSION)
    inputs = np.random.default_rng(1).standard_normal((STEPS, BATCH, DIMENSION))
    features = inputs @ directions.T
    targets = np.sin(3 * features[..., :1]) * features[..., 1:]
    return inputs.astype(np.float32), targets.astype(np.float32)


def mean_square(model: Perceptron, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The loss of a batch."""
    inputs, targets = batch
    return jnp.mean((jax.vmap(model)(inputs) - targets) ** 2)


def final_losses(width: int, parametrization: str) -> np.ndarray:
    """The mean loss of the last steps, (rate, seed)."""

    def network(key: jax.Array) -> ww.Parametrized:
        return ww.parametrize(
            Perceptron, width, base_width=BASE_WIDTH, parametrization=parametrization, key=key
        )

    keys = jax.random.split(jax.random.key(1), SEEDS)
    rules, batches = network(keys[0]).rules, samples()

    @jax.jit
    def train(key: jax.Array, rate: jax.Array) -> jax.Array:
        training = ww.TrainingSettings(optimizer="adam", learning_rate=rate, steps=STEPS)
        optimizer = ww.make_optimizer(rules, training)
        model = network(key).model

        def step(carry, batch):
            model, state = carry
            loss, gradient = eqx.filter_value_and_grad(mean_square)(model, batch)
            updates, state = optimizer.update(gradient, state)
            return (eqx.apply_updates(model, updates), state), loss

        _, losses = jax.lax.scan(step, (model, optimizer.init(model)), batches)
        return losses[-LAST:].mean()

    return np.array([[float(train(key, rate)) for key in keys] for rate in RATES])


def main() -> None:
    """Print the table of rules, the losses, and which rate is best."""
    key = jax.random.key(1)
    print(ww.parametrize(Perceptron, WIDTHS[-1], base_width=BASE_WIDTH, key=key).table() + "\n")
    print(" " * 20 + "width   " + "".join(f"{f'rate {rate}':18}" for rate in RATES))
    best = {}
    for parametrization in ("mean_field", "standard"):
        for width in WIDTHS:
            losses = final_losses(width, parametrization)
            means, errors = losses.mean(1), losses.std(1, ddof=1) / np.sqrt(SEEDS)
            best[parametrization, width] = RATES[int(np.nanargmin(means))]
            cells = (
                f"{mean:.3f} +- {error:.3f}{' *' if rate == best[parametrization, width] else '  '}  "
                for mean, error, rate in zip(means, errors, RATES, strict=True)
            )
            print(f"{parametrization:16} {width:8d}   {''.join(cells)}", flush=True)
    for parametrization in ("mean_field", "standard"):
        rates = [best[parametrization, width] for width in WIDTHS]
        print(
            f"{parametrization}: best rate {rates[0]} at width {WIDTHS[0]}, {rates[1]} at width {WIDTHS[1]}"
        )


if __name__ == "__main__":
    main()
