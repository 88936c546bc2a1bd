r"""The lazy limit, richness -> 0, at any depth: kernels layer by layer, predictions, and kappa.

Kernels stay at their start, $\Phi^l = F(\Phi^{l-1}) = \langle \phi \phi^T \rangle$,
$G^l = \dot F(\Phi^{l-1}) \circ G^{l+1}$ with $\dot F = \langle \phi' \phi'^T \rangle$, $\Phi^0 = K^x$,
$G^{L+1} = 1$. At width N a layer's averages scatter about their conditional mean, and the scatter is carried
through the layers above (for Phi) and below (for G):

$$\delta\Phi^l = F'[\delta\Phi^{l-1}] + \epsilon^l, \qquad
\delta G^l = \dot F \circ \delta G^{l+1} + G^{l+1} \circ \dot F'[\delta\Phi^{l-1}] + \epsilon'^l$$

with independent noise of each layer, $\epsilon = \phi\phi^T$ and $\epsilon' = \phi'\phi'^T \circ z z^T$ less
their means, z ~ N(0, G^{l+1}) independent of h: that the backward pass reuses the forward weights changes
only averages odd in z. The derivatives are taken by parts, so that relu needs no special care:
$F'[d] = \langle \phi \phi^T (h^T H^{-1} d\, H^{-1} h - \mathrm{tr}\, H^{-1} d) \rangle / 2$.

**Source:** Bordelon & Pehlevan (arXiv 2304.03408) for kappa of one layer; Hanin & Nica, Finite depth and
width corrections to the neural tangent kernel (arXiv 1909.05989), for the growth with depth.
"""

from dataclasses import dataclass

import numpy as np
from gaussian_nodes import RANK_TOLERANCE, GaussianNodes, gaussian_nodes, kernel_rank, sampled_nodes
from jaxtyping import Float
from step_function import StepFunction

from widthwise.data.points import Points
from widthwise.exact.gaussian_kernels import activation_functions
from widthwise.exact.lazy import LazyKernels, lazy_kernels
from widthwise.study.settings import NetworkSettings, TrainingSettings

# (finer, coarser) spacings of the quadrature by the rank of a layer's input kernel.
SPACINGS = {0: (1.0, 1.0), 1: (1 / 40, 1 / 30), 2: (1 / 6, 1 / 5)}
SAMPLE_POWERS = (15, 14)  # of two, where the rank is above 2


@dataclass(frozen=True)
class KernelFluctuations:
    """N Cov at initialization.

    `covariance[k, l-1, m, n, k', l'-1, p, q]`, with k = 0: Phi^l_mn, 1: G^l_mn (mean over outputs).
    `tangent_kernel` is kappa. `error` = greatest change of kappa between two quadratures, relative to its
    largest entry.
    """

    covariance: Float[np.ndarray, "kind layer point point kind layer point point"]
    tangent_kernel: Float[np.ndarray, "point point point point"]
    error: float


@dataclass(frozen=True)
class LazyLimit:
    """Training with the kernel fixed, centered. `prediction_variance` is N Var, for one output."""

    kernels: LazyKernels
    prediction: Float[np.ndarray, "step point output"]
    prediction_variance: Float[np.ndarray, "step point"] | None


def lazy_kernel_fluctuations(
    input_kernel: Float[np.ndarray, "point point"],
    network: NetworkSettings,
    *,
    outputs: int = 1,
    seed: int = 0,
) -> KernelFluctuations:
    """Joint N Cov of Phi^l and G^l of all layers, and kappa = N Cov of the tangent kernel.

    By quadrature for at most two independent points, whatever the activation; for more, over 2^15 Sobol
    samples scrambled by `seed`. O(L^2 P^4) memory.

    >>> two = np.sqrt(2.0)
    >>> relu = NetworkSettings(hidden_layers=3, activation="relu", activation_gain=two)
    >>> print(lazy_kernel_fluctuations(np.eye(1), relu).tangent_kernel.round(9))
    [[[[160.]]]]
    """
    if outputs < 1:
        raise ValueError(f"`outputs` = {outputs!r}: give 1 or more")
    kernels = lazy_kernels(input_kernel, network)
    fine, coarse = (_propagated(input_kernel, network, kernels, (outputs, seed, level)) for level in (0, 1))
    largest = max(float(np.abs(fine[1]).max()), np.finfo(float).tiny)
    return KernelFluctuations(*fine, float(np.abs(fine[1] - coarse[1]).max()) / largest)


def solve_lazy_limit(points: Points, network: NetworkSettings, training: TrainingSettings) -> LazyLimit:
    """Kernels, predictions of gradient descent or flow, and their N Var for one output, as richness -> 0.

    At leading order N Var f follows from kappa alone: f is linear in the kernel's scatter.
    `network.richness` is not read.

    **Raises:** `ValueError` for cross-entropy, uncentered predictions (their N Var has no lazy limit), or a
    learning rate at which gradient descent overflows.
    """
    if training.loss != "mse":
        raise ValueError(f'`training.loss` = "{training.loss}": the lazy limit is solved for "mse"')
    if not network.centered:
        raise ValueError("`network.centered` = false: N Var of the output has no lazy limit; center")
    kernels, train, outputs = (
        lazy_kernels(points.input_kernel(), network),
        points.train,
        points.targets.shape[1],
    )
    kernel = kernels.tangent_kernel
    rate = training.point_rate(train)
    step = StepFunction(kernel[:train, :train], rate, flow=training.optimizer == "gradient_flow")
    count = len(kernel)
    # One direction for each entry of the kernel, symmetric.
    directions = np.eye(count**2).reshape(-1, count, count)
    directions = (directions + directions.mT) / 2.0
    bends = step.derivative(directions[:, :train, :train])
    kappa = None
    if outputs == 1:
        found = lazy_kernel_fluctuations(points.input_kernel(), network)
        kappa = found.tangent_kernel.reshape(count**2, count**2)
    prediction, response = np.zeros(points.targets.shape), np.zeros((count**2, count, outputs))
    path, variances = [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(training.steps):
            path.append(prediction)
            if kappa is not None:
                variances.append(np.einsum("am,ab,bm->m", response[..., 0], kappa, response[..., 0]))
            residual = (points.targets - prediction)[:train]
            turned = bends @ residual - step.matrix @ response[:, :train]
            response = response + directions[:, :, :train] @ (step.matrix @ residual)
            response = response + kernel[:, :train] @ turned
            prediction = prediction + kernel[:, :train] @ (step.matrix @ residual)
    if not (np.isfinite(path).all() and np.isfinite(variances).all()):
        raise ValueError(
            f"gradient descent diverges: lower `training.learning_rate` = {training.learning_rate}"
        )
    return LazyLimit(kernels, np.stack(path), np.stack(variances) if variances else None)


def _propagated(
    input_kernel: np.ndarray,
    network: NetworkSettings,
    kernels: LazyKernels,
    fineness: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance and kappa by (outputs, seed, level of the quadrature)."""
    outputs, seed, level = fineness
    layers, count = network.hidden_layers, len(input_kernel)
    size = count**2
    belows = [input_kernel, *kernels.feature_kernel]
    aboves = [*kernels.gradient_kernel, np.ones_like(input_kernel)]
    noises, bends = [], []
    for layer in range(layers):
        nodes = _nodes(belows[layer], network, seed, level)
        noise, bend = _layer(nodes, belows[layer], aboves[layer + 1], network, outputs)
        noises.append(noise)
        bends.append(bend)
    # How each kernel, flattened, depends on the noise (layer, kind, pair) of every layer.
    own = np.eye(layers * 2 * size).reshape(layers, 2, size, -1)
    feature = [np.zeros((size, layers * 2 * size))]
    for layer in range(layers):
        feature.append(bends[layer][0] @ feature[-1] + own[layer, 0])
    gradient = [np.zeros_like(feature[0])]
    for layer in reversed(range(layers)):
        slope, above = kernels.slope_kernel[layer].reshape(-1, 1), aboves[layer + 1].reshape(-1, 1)
        gradient.insert(0, slope * gradient[0] + above * (bends[layer][1] @ feature[layer]) + own[layer, 1])
    tangent = sum(
        aboves[n].reshape(-1, 1) * feature[n] + belows[n].reshape(-1, 1) * gradient[n]
        for n in range(layers + 1)
    )
    source = np.zeros((layers, 2 * size, layers, 2 * size))
    for layer, noise in enumerate(noises):
        source[layer, :, layer] = noise
    source = source.reshape(layers * 2 * size, -1)
    maps = np.concatenate([*feature[1:], *gradient[:-1]])
    shape = (2, layers, count, count)
    kappa = (tangent @ source @ np.transpose(tangent)).reshape((count,) * 4)
    return (maps @ source @ maps.T).reshape(shape + shape), kappa


def _layer(
    nodes: GaussianNodes, below: np.ndarray, above: np.ndarray, network: NetworkSettings, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """N Cov of one layer's own noise (Phi, G), and the derivatives of F and F-dot, over pairs of points."""
    phi, slope = activation_functions(network.activation, network.activation_scale, network.activation_gain)
    count = len(below)
    features, slopes = (_pairs(function(nodes.fields)) for function in (phi, slope))
    weighted = nodes.weights[:, None] * features, nodes.weights[:, None] * slopes
    means = [part.sum(0) for part in weighted]
    upper, direct = above.ravel(), np.outer(above.ravel(), above.ravel())
    crossed = np.einsum("mp,nq->mnpq", above, above) + np.einsum("mq,np->mnpq", above, above)
    wick = direct + crossed.reshape(count**2, count**2) / outputs
    mixed = (weighted[0].T @ slopes - np.outer(means[0], means[1])) * upper
    noise = np.block(
        [
            [weighted[0].T @ features - np.outer(means[0], means[0]), mixed],
            [mixed.T, weighted[1].T @ slopes * wick - np.outer(means[1], means[1]) * direct],
        ]
    )
    inverse = np.linalg.pinv(below, rcond=RANK_TOLERANCE, hermitian=True)
    tilt = (_pairs(nodes.fields @ inverse) - inverse.ravel()) / 2.0
    return noise, np.stack([part.T @ tilt for part in weighted])


def _nodes(kernel: np.ndarray, network: NetworkSettings, seed: int, level: int) -> GaussianNodes:
    rank = kernel_rank(kernel)
    if rank > 2:
        return sampled_nodes(kernel, power=SAMPLE_POWERS[level], seed=seed)
    return gaussian_nodes(kernel, network.activation, spacing=SPACINGS[rank][level])


def _pairs(values: Float[np.ndarray, "node point"]) -> Float[np.ndarray, "node pair"]:
    return (values[:, :, None] * values[:, None, :]).reshape(len(values), -1)
