"""What large learning rates do to a network: sharpening, the edge of stability, catapults, spikes."""

import numpy as np
from jaxtyping import Bool, Float, Int

FEWEST_STEPS = 3
BEFORE = 5  # recorded losses that a spike is compared with
SPIKE = 1.5  # times their median
NEAR = 0.1  # of the threshold: 0.2 where it is 2


def stability_threshold(optimizer: str, momentum: float) -> float:
    r"""The preconditioned sharpness above which a quadratic loss is unstable: 2 of gradient descent,
    $2 (1 + \beta)$ with heavy-ball momentum, $2 (1 + \beta) / (1 - \beta)$ where momentum is an average
    (Adam).

    **Source:** Cohen et al. (2021), arXiv 2103.00065; of Adam: Cohen et al. (2022), arXiv 2207.14484.

    >>> [round(stability_threshold(name, 0.9), 6) for name in ("gd", "momentum", "adam")]
    [2.0, 3.8, 38.0]
    """
    if optimizer == "momentum":
        return 2 * (1 + momentum)
    return 2 * (1 + momentum) / (1 - momentum) if optimizer in ("adam", "adamw") else 2.0


def first_crossing(
    steps: Int[np.ndarray, " step"], sharpness: Float[np.ndarray, "seed step"], threshold: float
) -> Float[np.ndarray, " seed"]:
    """The first recorded step at which the sharpness is above the threshold, NaN where it never is."""
    above = sharpness > threshold
    return np.where(above.any(axis=1), steps[above.argmax(axis=1)], np.nan)


def sharpening_slope(
    steps: Int[np.ndarray, " step"], sharpness: Float[np.ndarray, "seed step"], threshold: float
) -> Float[np.ndarray, " seed"]:
    """Least-squares slope of the sharpness against the step before it first crosses the threshold
    (progressive sharpening); NaN where fewer than three steps were recorded until then."""
    crossing = first_crossing(steps, sharpness, threshold)
    slopes = np.full(len(sharpness), np.nan)
    for seed, curve in enumerate(sharpness):
        before = ~(steps >= crossing[seed])  # all steps if it never crosses
        if before.sum() >= FEWEST_STEPS:
            time = steps[before] - steps[before].mean()
            slopes[seed] = float(time @ curve[before] / (time @ time))
    return slopes


def share_at_the_edge(
    sharpness: Float[np.ndarray, "seed step"], threshold: float
) -> Float[np.ndarray, " seed"]:
    """Share of recorded steps at which the sharpness is within a tenth of the threshold: of 2, within 0.2."""
    return (np.abs(sharpness - threshold) <= NEAR * threshold).mean(axis=1)


def catapult_ratio(losses: Float[np.ndarray, "seed step"]) -> Float[np.ndarray, " seed"]:
    """The largest loss over the initial one; 1 where the loss never exceeds it."""
    with np.errstate(all="ignore"):
        return losses.max(axis=1) / losses[:, 0]


def spikes(losses: Float[np.ndarray, "seed step"]) -> Bool[np.ndarray, "seed step"]:
    """Recorded steps at which the loss is more than 1.5 times the median of the five before it, or of those
    there are: the spike set.

    >>> spikes(np.array([[4.0, 3.0, 2.0, 9.0, 2.0]])).astype(int).tolist()
    [[0, 0, 0, 1, 0]]
    """
    found = np.zeros(losses.shape, dtype=bool)
    for step in range(1, losses.shape[1]):
        usual = np.median(losses[:, max(0, step - BEFORE) : step], axis=1)
        found[:, step] = losses[:, step] > SPIKE * usual
    return found


def spikes_apart(first: Bool[np.ndarray, " step"], second: Bool[np.ndarray, " step"]) -> float:
    """Share of the spikes of two networks that only one of them has: 0 equal sets, or none; 1 disjoint ones.

    >>> spikes_apart(np.array([True, True, False]), np.array([False, True, True]))
    0.666...
    """
    either = int((first | second).sum())
    return 0.0 if either == 0 else 1 - int((first & second).sum()) / either
