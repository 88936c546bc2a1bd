"""One training step of fixed-kernel dynamics as a function of the kernel, with its derivative."""

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
    values: Float[np.ndarray, " train"]
    vectors: Float[np.ndarray, "train train"]

    def __init__(self, kernel: Float[np.ndarray, "train train"], rate: float, *, flow: bool) -> None:
        self.flow, self._rate = flow, rate
        self.values, self.vectors = np.linalg.eigh(kernel)
        if flow:
            first = -self.divided_differences(self.values)
            self.matrix = (self.vectors * first) @ self.vectors.T
        else:
            self.matrix = rate * np.eye(len(kernel))

    def derivative(
        self, change: Float[np.ndarray, "node train train"]
    ) -> Float[np.ndarray, "node train train"]:
        """DG(K)[change], linear in the symmetric change of each node."""
        if not self.flow:
            return np.zeros_like(change)
        values, vectors = self.values, self.vectors
        second = -self.divided_differences(values[:, None], values[None, :])
        return vectors @ (second * (vectors.T @ change @ vectors)) @ vectors.T

    def divided_differences(self, *arguments: np.ndarray) -> np.ndarray:
        """e[0, arguments...], elementwise over the broadcast arguments."""
        size = len(arguments) + 1
        diagonal = np.stack(np.broadcast_arrays(0.0, *arguments), -1)
        matrix = diagonal[..., None] * np.eye(size) + np.eye(size, k=1)
        # exp(-eta Z) of Z with 1 above the diagonal has the divided differences in its corner.
        return expm(-self._rate * matrix)[..., 0, -1]
