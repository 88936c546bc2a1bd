r"""The lazy limit, richness -> 0, of one hidden layer: fixed kernels, linear dynamics, exact order 1/N.

The tangent kernel stays at its start, $K = \langle \phi \phi^T \rangle + K^x \langle \phi' \phi'^T \rangle$,
and at width N scatters about it by $\epsilon / \sqrt N$. A neuron with fields h and readout w contributes
$k_{mc,nd} = \phi_m \phi_n \delta_{cd} + w_c w_d K^x_{mn} \phi'_m \phi'_n$ to it. With $f(t+1) = f(t) + K G(K)
\Delta(t)$, $G = \eta$ for gradient descent and $(1 - e^{-\eta K})/K$ for gradient flow, the first and second
derivatives of f in the direction $k - K$ give N Cov and the shift; averages over w are done by Wick's
theorem, those over h by quadrature.

**Source:** Bordelon & Pehlevan (arXiv 2304.03408), the lazy limit; written here for any number of points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from gaussian_nodes import GaussianNodes, gaussian_nodes, kernel_rank
from jaxtyping import Float
from lazy_response import Response, covariance, run, splits
from step_function import StepFunction

from widthwise.data.points import Points
from widthwise.errors import InputError
from widthwise.exact.gaussian_kernels import activation_functions
from widthwise.study.settings import NetworkSettings, TrainingSettings

# (finer, coarser) spacings of the quadrature by the rank of the inputs; their difference is the error.
SPACINGS = {0: (1.0, 1.0), 1: (1 / 40, 1 / 30), 2: (1 / 6, 1 / 5)}


@dataclass(frozen=True)
class LazyLimit:
    """Infinite width and order 1/N for richness -> 0, centered.

    `_variance` is N Var over initializations, `_shift` N (mean - infinite width). The prediction's
    covariance is N Cov between the steps asked for. Points: training first. `error` is the greatest change
    of any number between two spacings of the quadrature, relative to the greatest of its kind; None for
    given nodes.
    """

    feature_kernel: Float[np.ndarray, "point point"]
    gradient_kernel: Float[np.ndarray, "point point"]
    tangent_kernel: Float[np.ndarray, "point point"]
    tangent_kernel_variance: Float[np.ndarray, "point point"]
    prediction: Float[np.ndarray, "step point output"]
    prediction_variance: Float[np.ndarray, "step point output"]
    prediction_shift: Float[np.ndarray, "step point output"]
    prediction_covariance: Float[np.ndarray, "chosen point output chosen point output"]
    loss: Float[np.ndarray, "step split"]
    loss_variance: Float[np.ndarray, "step split"]
    loss_shift: Float[np.ndarray, "step split"]
    error: float | None = None


def solve_lazy_one_layer(
    points: Points,
    network: NetworkSettings,
    training: TrainingSettings,
    *,
    nodes: GaussianNodes | None = None,
    covariance_steps: Sequence[int] = (),
) -> LazyLimit:
    """Kernels, predictions, N Cov and shifts of one hidden layer as richness -> 0.

    `network.richness` is not read. Inputs of rank 1 or 2 (at most two independent points) are solved by
    quadrature to rounding for smooth activations and relu alike; for more, pass `nodes` drawn from
    N(0, input kernel), for instance by `sampled_nodes`: every average, K included, is then over them.

    **Raises:** `InputError` for what this limit does not cover: several hidden layers, cross-entropy,
    uncentered predictions (N Var of f at initialization is Phi / richness^2, without a limit), inputs of
    higher rank without nodes, a learning rate at which gradient descent overflows.

    >>> points = Points(np.ones((1, 1)), np.ones((1, 1)), 1)
    >>> limit = solve_lazy_one_layer(points, NetworkSettings(activation="linear"), TrainingSettings(steps=11))
    >>> print(limit.tangent_kernel, limit.tangent_kernel_variance, limit.prediction[10, 0].round(4))
    [[2.]] [[4.]] [0.8926]
    """
    _require_covered(network, training)
    chosen = list(covariance_steps)
    if not all(0 <= step < training.steps for step in chosen):
        raise InputError(f"`covariance_steps` = {chosen}: give steps from 0 to {training.steps - 1}")
    kernel = points.input_kernel()
    if nodes is not None:
        if nodes.fields.shape[1] != len(kernel):
            raise InputError(f"`nodes` for {nodes.fields.shape[1]} points: {len(kernel)} are studied")
        return _solve(points, network, training, nodes, chosen)
    spacings = SPACINGS[min(2, kernel_rank(kernel))]
    fine, coarse = (
        _solve(points, network, training, gaussian_nodes(kernel, network.activation, spacing=spacing), chosen)
        for spacing in spacings
    )
    return LazyLimit(**{**_arrays(fine), "error": _greatest_change(fine, coarse)})


def tangent_kernel_covariance(
    points: Points, network: NetworkSettings, nodes: GaussianNodes | None = None
) -> Float[np.ndarray, "point point point point"]:
    """kappa: N Cov(K_mn, K_pq) at initialization, K being the mean over outputs as everywhere.

    One point and output: E phi^4 + 2 K^x E phi^2 phi'^2 + 3 K^x^2 E phi'^4 - K^2. `nodes` as in
    `solve_lazy_one_layer`.
    """
    kernel = points.input_kernel()
    if nodes is None:
        spacing = SPACINGS[min(2, kernel_rank(kernel))][0]
        nodes = gaussian_nodes(kernel, network.activation, spacing=spacing)
    outputs = points.targets.shape[1]
    phi, slope = activation_functions(network.activation, network.activation_scale, network.activation_gain)
    feature, backward = _products(phi(nodes.fields)), kernel * _products(slope(nodes.fields))
    total = np.tensordot(nodes.weights, feature + backward, 1)
    centered = feature + backward - total

    def average(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.einsum("i,imn,ipq->mnpq", nodes.weights, left, right, optimize=True)

    # E (sum_c w_c^2 / C)^2 = 1 + 2/C
    return average(centered, centered) + 2.0 / outputs * average(backward, backward)


def _require_covered(network: NetworkSettings, training: TrainingSettings) -> None:
    if network.hidden_layers != 1:
        raise InputError(f"`network.hidden_layers` = {network.hidden_layers}: the lazy limit is solved for 1")
    if training.loss != "mse":
        raise InputError(f'`training.loss` = "{training.loss}": the lazy limit is solved for "mse"')
    if not network.centered:
        raise InputError(
            "`network.centered` = false: uncentered, N Var of the output at initialization is "
            "Phi / richness^2 and has no lazy limit; center, or solve at a small richness"
        )


def _solve(
    points: Points,
    network: NetworkSettings,
    training: TrainingSettings,
    nodes: GaussianNodes,
    chosen: list[int],
) -> LazyLimit:
    inputs, weights, train = points.input_kernel(), nodes.weights, points.train
    outputs = points.targets.shape[1]
    phi, slope = activation_functions(network.activation, network.activation_scale, network.activation_gain)
    features, slopes = _products(phi(nodes.fields)), _products(slope(nodes.fields))
    feature_kernel, gradient_kernel = (np.tensordot(weights, part, 1) for part in (features, slopes))
    backward = inputs * slopes
    kernel = feature_kernel + inputs * gradient_kernel
    variance = np.tensordot(weights, (features + backward - kernel) ** 2 + 2.0 / outputs * backward**2, 1)

    rate = training.point_rate(train)
    step = StepFunction(kernel[:train, :train], rate, flow=training.optimizer == "gradient_flow")
    response = Response(weights, (features - kernel)[:, :, :train], backward[:, :, :train], kernel, step)
    with np.errstate(over="ignore", invalid="ignore"):
        found = run(points, training, response, chosen)
    path, shifts, variances = found.prediction, found.shift, found.variance
    if not all(np.isfinite(part).all() for part in (path, shifts, variances, found.loss_variance)):
        raise InputError(
            f"gradient descent diverges: lower `training.learning_rate` = {training.learning_rate}"
        )
    error = points.targets - path
    loss, loss_shift = (
        np.stack([part[:, rows].sum((1, 2)) * scale for rows, scale in splits(points, training)], 1)
        for part in (0.5 * error**2, 0.5 * variances - error * shifts)
    )
    return LazyLimit(
        feature_kernel,
        gradient_kernel,
        kernel,
        variance,
        path,
        variances,
        shifts,
        covariance(weights, found.kept, points.targets.shape),
        loss,
        found.loss_variance,
        loss_shift,
    )


def _products(values: Float[np.ndarray, "node point"]) -> Float[np.ndarray, "node point point"]:
    return values[:, :, None] * values[:, None, :]


def _arrays(limit: LazyLimit) -> dict[str, np.ndarray]:
    return {field.name: getattr(limit, field.name) for field in fields(limit) if field.name != "error"}


def _greatest_change(fine: LazyLimit, coarse: LazyLimit) -> float:
    """Over all arrays, relative to the greatest entry of each."""
    found = _arrays(coarse)
    changes = [
        np.abs(value - found[name]).max(initial=0.0) / np.abs(value).max(initial=np.finfo(float).tiny)
        for name, value in _arrays(fine).items()
    ]
    return float(max(changes))
