"""Tasks without data files: a single-index teacher, Fourier modes, and random signs on the sphere."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from widthwise.data.files import require_memory
from widthwise.data.points import Points
from widthwise.data.targets import class_targets
from widthwise.errors import InputError
from widthwise.study.settings import DataSettings, Loss

FOURIER_MODES = 300
FREQUENCY_EXPONENT = 2.0
REFERENCE_POINTS = 8192

Function = Callable[[Float[np.ndarray, "point dimension"]], Float[np.ndarray, " point"]]
Task = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def synthetic_points(data: DataSettings, loss: Loss) -> Points:
    r"""Points x uniform on the sphere $\sqrt D\, S^{D-1}$, D = `data.dimension`, with targets of a task.

    The task (directions, frequencies, phases), the training points and the test points are drawn from
    three streams of `data.seed`; the first P points are therefore the same for every P.

    - `single_index`: see `single_index`. - `fourier`: see `fourier`.
    - `sphere`: y = +-1 at random, nothing to learn but by heart; one-hot of the sign for cross-entropy.

    **Errors:** `InputError` for cross-entropy with the two regression tasks, and for more than fits into
    memory.
    """
    count = data.train + data.test
    # Inputs come from standard normal numbers, and both are there for a moment.
    require_memory(16 * count * (data.dimension + 1), f"{count:,} points in {data.dimension:,} dimensions")
    task = synthetic_task(data, loss)
    _, train, test = (np.random.default_rng(stream) for stream in np.random.SeedSequence(data.seed).spawn(3))
    # A row holds one point's inputs and sign, so that asking for more points leaves the first as they are.
    draws = [
        rng.standard_normal((n, data.dimension + 1)) for rng, n in ((train, data.train), (test, data.test))
    ]
    return Points(*task(np.concatenate(draws)), data.train)


def synthetic_task(data: DataSettings, loss: Loss) -> Task:
    """The task of `data.seed`: from standard normal rows of D + 1 numbers to inputs and targets.

    **Errors:** `InputError` for cross-entropy with the two regression tasks.
    """
    if loss == "cross_entropy" and data.task != "sphere":
        raise InputError(
            f'`training.loss` = "cross_entropy": the task "{data.task}" has real targets, no classes; '
            'set training.loss = "mse" or data.task = "sphere"'
        )
    rng = np.random.default_rng(np.random.SeedSequence(data.seed).spawn(1)[0])
    match data.task:
        case "single_index":
            function = single_index(data.dimension, rng)
        case "fourier":
            function = fourier(data.dimension, rng)
        case "sphere":
            function = None

    def task(normal: Float[np.ndarray, "point row"]) -> tuple[np.ndarray, np.ndarray]:
        inputs = on_sphere(normal[:, :-1])
        if function is None:
            return inputs, class_targets((normal[:, -1] > 0).astype(int), 2, loss)
        return inputs, function(inputs)[:, None]

    return task


def on_sphere(normal: Float[np.ndarray, "point dimension"]) -> Float[np.ndarray, "point dimension"]:
    """Rows scaled to |x|^2 = D; uniform on the sphere if the rows are standard normal."""
    return normal * (np.sqrt(normal.shape[1]) / np.linalg.norm(normal, axis=1, keepdims=True))


def single_index(dimension: int, rng: np.random.Generator) -> Function:
    r"""A function of one direction, about unit variance.

    $$y = \frac{1}{1.1} \Big( z + 0.5\, \frac{z^2 - 1}{1.3} \Big), \qquad z = b \cdot x, \quad |b| = 1$$

    with b drawn uniformly from `rng`.
    """
    direction = rng.standard_normal(dimension)

    def function(inputs: Float[np.ndarray, "point dimension"]) -> Float[np.ndarray, " point"]:
        z = inputs @ (direction / np.linalg.norm(direction))
        return (z + 0.5 * (z**2 - 1.0) / 1.3) / 1.1

    return function


def fourier(dimension: int, rng: np.random.Generator) -> Function:
    r"""A sum of 300 plane waves with power-law frequencies, zero mean and unit variance over the sphere.

    $$y \propto \sum_{j=1}^{300} \cos(k_j\, u_j \cdot x + \theta_j) - \text{mean}, \qquad
      P(k_j > k) = k^{-2}, \quad k \ge 1, \quad |u_j| = 1$$

    Mean and variance are those over 8,192 further points of the sphere, from the same `rng`, so that they
    do not depend on the points of the study (relative standard error of the scale about 1 %).
    """
    directions = on_sphere(rng.standard_normal((FOURIER_MODES, dimension))) / np.sqrt(dimension)
    frequencies = (1.0 - rng.random(FOURIER_MODES)) ** (-1.0 / FREQUENCY_EXPONENT)
    phases = rng.uniform(0.0, 2.0 * np.pi, FOURIER_MODES)
    reference = on_sphere(rng.standard_normal((REFERENCE_POINTS, dimension)))

    def waves(x: Float[np.ndarray, "any_point dimension"]) -> Float[np.ndarray, " any_point"]:
        return np.cos(x @ (frequencies[:, None] * directions).T + phases).sum(axis=1)

    at_reference = waves(reference)
    mean, deviation = at_reference.mean(), at_reference.std()
    return lambda inputs: (waves(inputs) - mean) / deviation
