"""Class labels as targets: +-1, centered one-hot, or probabilities."""

import numpy as np
from jaxtyping import Float, Int

from widthwise.study.settings import Loss


def class_targets(
    labels: Int[np.ndarray, " point"], classes: int, loss: Loss
) -> Float[np.ndarray, "point output"]:
    """Targets of points that belong to classes 0 .. `classes` - 1.

    **Returns:** for "mse" -1 (class 0) and +1 (class 1) in one column if there are two classes, else
    $y_c = 1[c = \\text{label}] - 1/C$, whose sum over outputs vanishes; for "cross_entropy"
    $y_c = 1[c = \\text{label}]$ for any number of classes.

    >>> class_targets(np.array([0, 1]), 2, "mse").ravel()
    array([-1.,  1.])
    >>> class_targets(np.array([2]), 4, "mse")
    array([[-0.25, -0.25,  0.75, -0.25]])
    >>> class_targets(np.array([0, 1]), 2, "cross_entropy")
    array([[1., 0.],
           [0., 1.]])
    """
    rows = one_hot(labels, classes)
    if loss == "cross_entropy":
        return rows
    return 2.0 * rows[:, 1:] - 1.0 if classes == 2 else rows - 1.0 / classes


def one_hot(labels: Int[np.ndarray, " point"], classes: int) -> Float[np.ndarray, "point output"]:
    """1 at the label and 0 elsewhere; no table of all classes, of which a vocabulary has 10^5.

    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows
