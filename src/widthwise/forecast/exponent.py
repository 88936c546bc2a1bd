r"""Exponent and shift of the law of widths along training: two Gaussian processes, solved exactly on a grid.

With $\tau = \log(1 + t)$, $\log a(t)$ is an Ornstein-Uhlenbeck process of standard deviation `SPREAD` and
correlation $e^{-|\Delta\tau| / \ell}$, $\ell$ = `MEMORY`. Its mean is 0 (a = 1, order 1/N) until `FIXED`
steps and falls by `DECLINE` a decade from there: at fixed step a loss approaches its limit as 1/N, late on
hard tasks as N^-0.4 to N^-0.8. It is cut at 1/5, below which no limit is in sight, and at 2, the next order.

The shift s of the width, in units of the narrowest, says that the narrowest may be too narrow for one power:
$(N + s)^{-a}$ is $N^{-a} (1 - a s / N + ...)$, the next order. $s$ = `SHIFT` sinh(`BEND` v) with v another
such process, of standard deviation 1: within a quarter of the narrowest width mostly, and up to about one of
it where the data ask for it.
"""

import math

import numpy as np
from jaxtyping import Float

LOWEST, HIGHEST = 0.2, 2.0
EXPONENTS = np.geomspace(LOWEST, HIGHEST, 31)
SPREAD, MEMORY = 0.18, 6.0
SHIFT, BEND = 0.08, 1.2
PLACES = np.linspace(-2.0, 2.6, 12)
SHIFTS = SHIFT * np.sinh(BEND * PLACES)
FIXED, DECLINE = 10, 0.1
FINEST = 0.15  # between steps that the process is solved at, in log steps


def prior_mean(time: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Of log a, at tau = log(1 + step)."""
    decades = np.maximum(time - math.log(1 + FIXED), 0.0) / math.log(10)
    return -DECLINE * decades


def smooth(
    time: Float[np.ndarray, " step"], likelihood: Float[np.ndarray, "step shift exponent"]
) -> Float[np.ndarray, "step shift exponent"]:
    """Probabilities of each shift and exponent at each step, given the log likelihoods of all steps.

    **Arguments:** `time`, tau of each step, ascending; `likelihood`, log, by what each step alone knows.
    """
    cell = np.floor((time - time[0]) / FINEST).astype(int)
    _, cell = np.unique(cell, return_inverse=True)
    count = cell.max() + 1
    knots = np.array([time[cell == i].mean() for i in range(count)])
    gathered = np.zeros((count, *likelihood.shape[1:]))
    np.add.at(gathered, cell, likelihood)
    density = np.exp(gathered - gathered.max(axis=(1, 2), keepdims=True))
    u = (np.log(EXPONENTS)[None, :] - prior_mean(knots)[:, None]) / SPREAD
    keep = np.exp(-np.diff(knots) / MEMORY)
    moves = [(_moves(PLACES, PLACES, k), _moves(u[i], u[i + 1], k)) for i, k in enumerate(keep)]
    prior = np.exp(-0.5 * PLACES**2)[:, None] * np.exp(-0.5 * u[0] ** 2)[None, :]
    forward = [_normal(prior * density[0])]
    for i, (shift, exponent) in enumerate(moves):
        forward.append(_normal((shift.T @ forward[-1] @ exponent) * density[i + 1]))
    backward = [np.ones(prior.shape)]
    for i in range(count - 2, -1, -1):
        shift, exponent = moves[i]
        backward.append(_normal(shift @ (density[i + 1] * backward[-1]) @ exponent.T))
    at_knots = np.array([_normal(f * b) for f, b in zip(forward, backward[::-1], strict=True)])
    if count == 1:
        return np.repeat(at_knots, len(time), axis=0)
    at = np.clip(np.searchsorted(knots, time) - 1, 0, count - 2)
    part = np.clip((time - knots[at]) / (knots[at + 1] - knots[at]), 0.0, 1.0)[:, None, None]
    return (1 - part) * at_knots[at] + part * at_knots[at + 1]


def _moves(
    here: Float[np.ndarray, " state"], there: Float[np.ndarray, " state"], keep: float
) -> Float[np.ndarray, "state state"]:
    """Probabilities of moving between states of unit variance, of which a share `keep` stays."""
    moves = np.exp(-0.5 * (there[None, :] - keep * here[:, None]) ** 2 / (1 - keep**2))
    return moves / moves.sum(axis=1, keepdims=True)


def _normal(values: np.ndarray) -> np.ndarray:
    return values / values.sum()
