"""Handwritten digits that come with scikit-learn: 1,797 images of 8 x 8 pixels."""

import numpy as np
from jaxtyping import Int

from widthwise.data.points import Points
from widthwise.data.targets import class_targets
from widthwise.errors import InputError
from widthwise.study.settings import DataSettings, Loss


def digit_points(data: DataSettings, loss: Loss) -> Points:
    """Digits of the chosen classes, as many of each as possible, centered and scaled to |x|^2 = D = 64.

    The center is the mean image of all digits of these classes that are not test points; so the test
    points change nothing, and, unlike the mean of the training points alone, it is no training point
    when there is just one, and does not force a linear dependence on a small training set.

    **Returns:** points in random order within each split; targets as in `class_targets`, the first of
    `data.classes` being class 0.
    **Errors:** `InputError` if more points are asked for than exist.
    **Source:** E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998).
    """
    from sklearn.datasets import load_digits  # slow to import, and the other kinds do without

    images, digits = load_digits(return_X_y=True)
    labels = np.full(len(digits), -1)
    for label, digit in enumerate(data.classes):
        labels[digits == digit] = label
    train, test = split_indices(labels, data)
    pool = np.setdiff1d(np.flatnonzero(labels >= 0), test)
    chosen = np.concatenate([train, test])
    inputs = images[chosen] - images[pool].mean(axis=0)
    lengths = np.linalg.norm(inputs, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(
            "a digit equals the mean image: ask for fewer points with `data.train` or `data.test`"
        )
    inputs *= np.sqrt(inputs.shape[1]) / lengths
    return Points(inputs, class_targets(labels[chosen], len(data.classes), loss), data.train)


def split_indices(
    labels: Int[np.ndarray, " candidate"], data: DataSettings
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Disjoint random training and test candidates, class counts differing by at most one where they can.

    **Arguments:** `labels`, the class 0 .. C-1 of each candidate, or -1 to leave it out.
    **Errors:** `InputError` with the number available if there are too few.
    """
    available = np.bincount(labels[labels >= 0], minlength=len(data.classes))
    if data.train + data.test > available.sum():
        raise InputError(
            f"`data.train` + `data.test` = {data.train} + {data.test}: there are only {available.sum()} "
            f"digits of the classes {list(data.classes)}; ask for fewer points or name more classes"
        )
    rng = np.random.default_rng(data.seed)
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in range(len(data.classes))]
    train = shares(data.train, available)
    test = shares(data.test, available - train)
    return (
        rng.permutation(np.concatenate([own[:n] for own, n in zip(shuffled, train, strict=True)])),
        rng.permutation(
            np.concatenate([own[n : n + m] for own, n, m in zip(shuffled, train, test, strict=True)])
        ),
    )


def shares(total: int, available: Int[np.ndarray, " label"]) -> Int[np.ndarray, " label"]:
    """How many of each class make `total`: equal shares, less only where a class has no more.

    >>> shares(7, np.array([9, 9, 9])), shares(9, np.array([2, 9, 9])), shares(0, np.array([2, 9]))
    (array([3, 2, 2]), array([2, 4, 3]), array([0, 0]))
    """
    counts = np.zeros_like(available)
    while missing := total - int(counts.sum()):
        open_classes = np.flatnonzero(counts < available)
        each, left = divmod(missing, len(open_classes))
        counts[open_classes] += np.minimum(each, (available - counts)[open_classes])
        if each == 0:
            counts[open_classes[:left]] += 1
    return counts
