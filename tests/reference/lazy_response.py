"""First and second derivatives of fixed-kernel training in the direction of each neuron's kernel.

The derivative of the prediction f_c towards a neuron with fields h and readout w is
alpha_c + w_c sum_d w_d beta_d, with alpha and beta functions of h: `influence` holds both, for each
quadrature node of h. Averages over w follow from Wick's theorem.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from step_function import StepFunction

from widthwise.data.points import Points
from widthwise.study.settings import TrainingSettings


@dataclass(frozen=True)
class Response:
    """How one node's k - K acts: `forward` within each output, `backward` with w_c w_d; train columns."""

    weights: Float[np.ndarray, " node"]
    forward: Float[np.ndarray, "node point train"]
    backward: Float[np.ndarray, "node point train"]
    kernel: Float[np.ndarray, "point point"]
    step: StepFunction


@dataclass(frozen=True)
class Path:
    """What training does at order 1 and 1/N; `kept` has the influences at the steps asked for."""

    prediction: Float[np.ndarray, "step point output"]
    shift: Float[np.ndarray, "step point output"]
    variance: Float[np.ndarray, "step point output"]
    loss_variance: Float[np.ndarray, "step split"]
    kept: list[Float[np.ndarray, "2 node point output"]]


def run(points: Points, training: TrainingSettings, response: Response, chosen: list[int]) -> Path:
    """Step the prediction, its derivative in every node and the mean of its second derivative together."""
    weights, train, outputs = response.weights, points.train, points.targets.shape[1]
    parts = np.stack([response.forward, response.backward])
    fourth = outputs + 2.0  # E w_c^2 sum_d w_d^2
    step, columns = response.step, response.kernel[:, :train]
    forward, backward = (part[:, :train] for part in (response.forward, response.backward))
    bends = np.stack([step.derivative(part) for part in (forward, backward)])
    curvature = mean_second_derivative(step, weights, forward, backward, fourth)

    prediction, shift = np.zeros(points.targets.shape), np.zeros(points.targets.shape)
    influence = np.zeros((2, len(weights), *points.targets.shape))
    path, shifts, variances, losses, kept = [], [], [], [], {}
    for time in range(training.steps):
        error = points.targets - prediction
        path.append(prediction)
        shifts.append(shift)
        variances.append(_variance(weights, influence))
        losses.append(
            [
                scale**2 * _loss_variance(weights, error[rows], influence[:, :, rows])
                for rows, scale in splits(points, training)
            ]
        )
        if time in chosen:
            kept[time] = influence
        residual = error[:train]
        pull = step.matrix @ residual
        slope_of_pull = bends @ residual - step.matrix @ influence[:, :, :train]
        second = curvature @ residual - step.matrix @ shift[:train]
        second = second - _pair(weights, bends, influence[:, :, :train], fourth)
        shift = shift + _pair(weights, parts, slope_of_pull, fourth) + columns @ second
        influence = influence + parts @ pull + columns @ slope_of_pull
        prediction = prediction + columns @ pull
    return Path(
        np.stack(path),
        np.stack(shifts),
        np.stack(variances),
        np.array(losses),
        [kept[time] for time in chosen],
    )


def mean_second_derivative(
    step: StepFunction,
    weights: Float[np.ndarray, " node"],
    forward: Float[np.ndarray, "node train train"],
    backward: Float[np.ndarray, "node train train"],
    fourth: float,
) -> Float[np.ndarray, "train train"]:
    """E D^2 G[k, k] / 2 within one output, for k_cd = forward delta_cd + w_c w_d backward.

    `fourth` is E w_c^2 sum_d w_d^2 = outputs + 2.
    """
    if not step.flow:
        return np.zeros_like(step.matrix)
    values, vectors = step.values, step.vectors
    a, b = vectors.T @ forward @ vectors, vectors.T @ backward @ vectors
    left, right = weights[:, None, None] * a, weights[:, None, None] * b
    # E k_km k_ml by Wick's theorem over the readout.
    products = np.einsum("ikm,iml->kml", left, a + b) + np.einsum("ikm,iml->kml", right, a + fourth * b)
    third = -step.divided_differences(values[:, None, None], values[None, :, None], values[None, None, :])
    return vectors @ (third * products).sum(1) @ vectors.T


def _pair(
    weights: np.ndarray, kernels: np.ndarray, influence: np.ndarray, fourth: float
) -> Float[np.ndarray, "point output"]:
    """E k psi over nodes and, by Wick's theorem, over the readout."""
    (forward, backward), (alpha, beta) = kernels, influence
    first = np.tensordot(forward, weights[:, None, None] * (alpha + beta), ((0, 2), (0, 1)))
    return first + np.tensordot(backward, weights[:, None, None] * (alpha + fourth * beta), ((0, 2), (0, 1)))


def _variance(weights: np.ndarray, influence: np.ndarray) -> Float[np.ndarray, "point output"]:
    alpha, beta = influence[0], influence[1]
    square = alpha**2 + 2.0 * alpha * beta + 2.0 * beta**2 + (beta**2).sum(-1, keepdims=True)
    return np.tensordot(weights, square, 1)


def covariance(
    weights: np.ndarray, kept: list[np.ndarray], shape: tuple[int, int]
) -> Float[np.ndarray, "chosen point output chosen point output"]:
    """N Cov between all predictions at the kept steps."""
    if not kept:
        return np.zeros((0, *shape, 0, *shape))
    alpha, beta = np.stack(kept, 2)

    def average(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.einsum("i,itmc,isnd->tmcsnd", weights, left, right, optimize=True)

    # E w_c w_d w_e w_f = 1[cd] 1[ef] + 1[ce] 1[df] + 1[cf] 1[de]
    same_output = np.einsum("i,itme,isne->tmsn", weights, beta, beta, optimize=True)
    own = average(beta, beta)
    return (
        average(alpha, alpha + beta)
        + average(beta, alpha)
        + own
        + np.swapaxes(own, 2, 5)
        + np.einsum("tmsn,cd->tmcsnd", same_output, np.eye(shape[1]))
    )


def _loss_variance(weights: np.ndarray, error: np.ndarray, influence: np.ndarray) -> float:
    """N Var of half the squared error, from its derivative -error . (alpha_c + w_c sum_d w_d beta_d)."""
    alpha, beta = influence[0], influence[1]
    own = np.einsum("mc,imc->i", error, alpha)
    mixed = np.einsum("mc,imd->icd", error, beta)
    trace = np.trace(mixed, axis1=1, axis2=2)
    square = (mixed**2).sum((1, 2)) + np.einsum("icd,idc->i", mixed, mixed)
    return float(weights @ ((own + trace) ** 2 + square))


def splits(points: Points, training: TrainingSettings) -> list[tuple[slice, float]]:
    """Rows and loss factor of each split."""
    rows = [slice(0, points.train), slice(points.train, len(points.inputs))]
    counts = [part.stop - part.start for part in rows]
    factors = [1.0 / count if training.reduction == "mean" and count else 1.0 for count in counts]
    return [pair for pair, count in zip(zip(rows, factors, strict=True), counts, strict=True) if count]
