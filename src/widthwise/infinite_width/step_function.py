"""One training step of fixed-kernel dynamics as a function of the kernel, with its two derivatives."""

import numpy as np
from jaxtyping import Float
from scipy.linalg import expm


class StepFunction:
    r"""G(K) in f(t+1) = f(t) + K G(K) Delta(t), for the training block K.

    Gradient descent: $G = \eta$. Gradient flow: $G(\lambda) = (1 - e^{-\eta\lambda})/\lambda$, whose
    derivatives in eigencoordinates are divided differences of $e(\lambda) = e^{-\eta\lambda}$:
    $G[\lambda_k] = -e[0, \lambda_k]$ and so on. They are read off the exponential of a bidiagonal matrix
    (Opitz), which needs no special care for equal or vanishing eigenvalues.
    """

    matrix: Float[np.ndarray, "train train"]

    def __init__(self, kernel: Float[np.ndarray, "train train"], rate: float, *, flow: bool) -> None:
        self._flow, self._rate = flow, rate
        self._values, self._vectors = np.linalg.eigh(kernel)
        if flow:
            first = -self._divided_differences(self._values)
            self.matrix = (self._vectors * first) @ self._vectors.T
        else:
            self.matrix = rate * np.eye(len(kernel))

    def derivative(
        self, change: Float[np.ndarray, "node train train"]
    ) -> Float[np.ndarray, "node train train"]:
        """DG(K)[change], linear in the symmetric change of each node."""
        if not self._flow:
            return np.zeros_like(change)
        values, vectors = self._values, self._vectors
        second = -self._divided_differences(values[:, None], values[None, :])
        return vectors @ (second * (vectors.T @ change @ vectors)) @ vectors.T

    def mean_second_derivative(
        self,
        weights: Float[np.ndarray, " node"],
        forward: Float[np.ndarray, "node train train"],
        backward: Float[np.ndarray, "node train train"],
        fourth: float,
    ) -> Float[np.ndarray, "train train"]:
        """E D^2 G[k, k] / 2 within one output, for k_cd = forward delta_cd + w_c w_d backward.

        `fourth` is E w_c^2 sum_d w_d^2 = outputs + 2.
        """
        if not self._flow:
            return np.zeros_like(self.matrix)
        values, vectors = self._values, self._vectors
        a, b = vectors.T @ forward @ vectors, vectors.T @ backward @ vectors
        left, right = weights[:, None, None] * a, weights[:, None, None] * b
        # E k_km k_ml by Wick's theorem over the readout.
        products = np.einsum("ikm,iml->kml", left, a + b) + np.einsum("ikm,iml->kml", right, a + fourth * b)
        third = -self._divided_differences(
            values[:, None, None], values[None, :, None], values[None, None, :]
        )
        return vectors @ (third * products).sum(1) @ vectors.T

    def _divided_differences(self, *arguments: np.ndarray) -> np.ndarray:
        """e[0, arguments...], elementwise over the broadcast arguments."""
        size = len(arguments) + 1
        diagonal = np.stack(np.broadcast_arrays(0.0, *arguments), -1)
        matrix = diagonal[..., None] * np.eye(size) + np.eye(size, k=1)
        # exp(-eta Z) of Z with 1 above the diagonal has the divided differences in its corner.
        return expm(-self._rate * matrix)[..., 0, -1]
