"""Attention heads of different networks: which plays which part, and how differently they attend."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from widthwise.analysis.pairs import entropy, jensen_shannon


def matched_divergence(
    first: Float[np.ndarray, "head query key"], second: Float[np.ndarray, "other query key"]
) -> float:
    """Jensen-Shannon divergence in nats between heads that attend alike, mean over rows and matched heads.

    Heads of two initializations are exchangeable: each head of the network with fewer heads is matched with
    another one of the other so that the sum of divergences is least (Hungarian algorithm).

    >>> heads = np.eye(2)[:, None, :]
    >>> matched_divergence(heads, heads[::-1])
    0.0
    """
    # The entropy of mixtures for all pairs; those of the heads are found once.
    mixed = entropy((first[:, None] + second[None, :]) / 2)
    cost = (mixed - (entropy(first)[:, None] + entropy(second)[None, :]) / 2).mean(axis=-1)
    rows, columns = linear_sum_assignment(cost)
    return max(0.0, float(cost[rows, columns].mean()))


def mean_divergence(
    first: Float[np.ndarray, "head query key"], second: Float[np.ndarray, "other query key"]
) -> float:
    """The same between the means over all heads of either network."""
    return float(jensen_shannon(first.mean(axis=0), second.mean(axis=0)).mean())


def relative_entropy_of_rows(
    attention: Float[np.ndarray, "*head query key"], keys: Int[np.ndarray, " query"]
) -> Float[np.ndarray, "*head query"]:
    """Entropy of each row over that of a row that attends to all its keys alike: 1 uniform, 0 one key.

    **Arguments:** `keys`, how many each row may attend to; a row that may attend to fewer than two is NaN.

    >>> relative_entropy_of_rows(np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), np.array([1, 2]))
    array([nan,  1.])
    """
    with np.errstate(all="ignore"):
        return np.where(keys > 1, entropy(attention) / np.log(keys), np.nan)
