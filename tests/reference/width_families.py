"""Losses of several widths with known laws, and with noise of seeds that is correlated along steps."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

CORRECT = ("power", "two_term", "crossing", "saturating", "half_and_one", "constant", "none")
BROKEN = ("slowed", "slowed_by_half", "rising", "jump")
LADDERS = (
    ((768, 896, 1024, 1152, 1280), (1536, 2048)),
    ((16, 32, 64, 128, 256), (512, 1024)),
    ((32, 64, 128, 256), (512, 1024)),
    ((64, 128, 256, 512, 1024), (2048, 4096)),
    ((100, 150, 200, 300, 400, 600), (900, 1500)),
)


@dataclass(frozen=True)
class Family:
    """`losses` (width, seed, step) of trained widths and of those to foretell, which come last; `truth`,
    means of infinitely many seeds."""

    widths: np.ndarray
    trained: int
    steps: np.ndarray
    losses: np.ndarray
    truth: np.ndarray

    def records(self, count: int | None = None) -> xr.Dataset:
        """As `ww.open_runs` gives them, of the `count` narrowest widths, those to train on if not given."""
        count = self.trained if count is None else count
        coords = {"width": self.widths[:count], "seed": np.arange(self.losses.shape[1]), "step": self.steps}
        return xr.Dataset({"loss": (("width", "seed", "step"), self.losses[:count])}, coords=coords)


def family(kind: str, rng: np.random.Generator) -> Family:
    """One of `CORRECT`, whose limit, exponents, sizes, widths, seeds and noise are drawn; or of `BROKEN`:
    wider networks that learn more slowly, losses that rise with width, widths of which the last three are
    trained otherwise."""
    trained, asked = LADDERS[rng.integers(len(LADDERS))]
    widths = np.array(trained + asked)
    count, length = int(rng.integers(30, 90)), 10 ** rng.uniform(3, 5.6)
    steps = np.unique(np.rint(np.append(0, np.geomspace(1, length, count))).astype(int))
    time = np.log1p(steps)
    part = time / time[-1]
    decay = (1 + steps / rng.uniform(5, 100)) ** -rng.uniform(0.2, 0.6)
    limit = rng.uniform(0.1, 1) + rng.uniform(0.5, 3) * decay
    x = widths[:, None] / widths[0]
    size = rng.uniform(0.02, 0.3) * limit * part ** rng.uniform(0.5, 2)
    early, late = rng.uniform(0.8, 1.3), rng.uniform(0.4, 0.9)
    turn = 1 / (1 + np.exp(-(part - rng.uniform(0.3, 0.7)) * rng.uniform(4, 12)))
    exponent = early + (late - early) * turn
    match kind:
        case "two_term":
            law = x**-1.0 + rng.uniform(-0.4, 1) * x**-2.0
        case "half_and_one":
            share = rng.uniform(0.2, 0.8)
            law = share * x**-0.5 + (1 - share) / x
        case "saturating":
            law = ((x + rng.uniform(0.2, 1)) / 1.5) ** -exponent
        case "crossing":
            law = np.tanh((part - rng.uniform(0.3, 0.7)) * 6) * x**-exponent
        case "constant":
            law = x ** -rng.uniform(0.4, 1.2)
        case "none":
            law = 0.0 * x
        case _:
            law = x**-exponent
    truth = limit + size * law
    if kind in ("slowed", "slowed_by_half"):
        power = 1.0 if kind == "slowed" else 0.5
        truth = np.array([np.interp(np.log1p(steps * ratio**-power), time, truth[0]) for ratio in x[:, 0]])
    elif kind == "rising":
        truth = truth[0] * (1 + 0.05 * np.log(x))
    elif kind == "jump":
        truth[-3:] *= 1.02
    seeds = int(rng.integers(2, 9))
    memory, white = rng.uniform(0.3, 5), rng.uniform(0, 0.6)
    root = np.linalg.cholesky(np.exp(-np.abs(time[:, None] - time) / memory) + 1e-9 * np.eye(len(time)))
    shape = (len(widths), seeds, len(time))
    noise = np.sqrt(1 - white) * rng.standard_normal(shape) @ root.T + np.sqrt(white) * rng.standard_normal(
        shape
    )
    deviation = 10 ** rng.uniform(-3.5, -2) * limit * (0.2 + np.exp(-(((part - 0.4) / 0.2) ** 2)))
    fall = x[:, None] ** (-0.5 * rng.choice([0.5, 1.0, 1.0]))
    return Family(widths, len(trained), steps, truth[:, None] + deviation * fall * noise, truth)


def rate_sweep(
    rng: np.random.Generator, drift: float = 3.0, limit: float = 0.1, noise: float = 0.003
) -> xr.Dataset:
    """Losses (value, width, seed) whose optimum is exactly limit + drift / N, with a noise of seeds of which
    half is common to all values."""
    values, widths, seeds = 0.0125 * 2.0 ** np.arange(0, 6, 0.5), np.array([32, 64, 128, 256, 512]), 6
    best = limit + drift / widths
    loss = 1.0 + 0.05 * (np.log(values)[:, None, None] - np.log(best)[None, :, None]) ** 2
    common = rng.standard_normal((1, len(widths), seeds))
    own = rng.standard_normal((len(values), len(widths), seeds))
    loss = loss + noise * (common + own) / np.sqrt(2)
    coords = {"value": values, "width": widths, "seed": np.arange(seeds)}
    return xr.Dataset({"loss": (("value", "width", "seed"), loss)}, coords=coords)
