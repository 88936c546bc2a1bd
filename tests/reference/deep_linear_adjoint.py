r"""Adjoints of deep linear networks whose residual is held fixed: a batch of observables at one horizon.

Layer l is the Gaussian process (h, g) = R (u, r) of covariance $\Psi$. Its part of $\lambda$ is two matrices
of 2 x 2 blocks: $\Lambda = [[\lambda_{H^l}, \varphi], [\varphi, \lambda_{G^l}]]$, $\varphi$ = diagonal, of a
prediction in layer L, and $\Omega = [[0, \lambda_{A^l}], [\lambda_{B^{l-1}}, 0]]$. With $Z = \Lambda \Psi$
and $W = \Omega R^T$ the derivative of the layer's averages, weighted by $\lambda$, is $R^T (2 Z + W)$ towards
the mixing matrix [[0, C], [D, 0]] and $R^T \Lambda R$ towards the covariance of (u, r), and

$$N\,\mathrm{Cov}(c, c')
 = \sum_l \mathrm{tr}\, 2 \Psi (Z + W) \Lambda' + \mathrm{tr}\, R^T (2 Z + W) \Omega'$$

which is Var(Q) + 2 E[v . grad Q] + E tr(J J) of the general adjoint form, done by Wick's theorem.
A layer reads its neighbors only, so that odd and even layers take turns; the map is causal and nilpotent, and
undamped turns settle to rounding.
"""

import numpy as np
from deep_linear import DeepLinearSolution, LinearSite, earlier, neighbors, pull
from jaxtyping import Float

TOLERANCE = 1e-10  # change in a turn, relative to the largest adjoint
MOST_TURNS = 400


class FrozenAdjoint:
    """lambda of a batch of observables, each array (observable, time, time), and the layers' products.

    `wanted[kind, l-1]`: derivative of each observable towards H^l (kind 0) or G^l (kind 1), symmetric;
    `wanted_output`: towards f. After `solve`, `turns` and `change` tell how it settled.
    """

    def __init__(
        self,
        solution: DeepLinearSolution,
        sites: list[LinearSite],
        wanted: Float[np.ndarray, "2 layer observable time time"],
        wanted_output: Float[np.ndarray, "observable time"],
    ) -> None:
        problem = solution.problem
        self.solution, self.wanted = solution, wanted
        self.layers, self.batch, self.size = wanted.shape[1:4]
        self.readout = wanted_output / (2.0 * problem.richness)
        # A(t, s) is of s < t. B(t, s) is of s <= t: its equal-time part, zero on average, fluctuates.
        before = earlier(self.size // problem.points, problem.points)
        self.causal = (before, 1.0 - before.T)
        self.drive = before * pull(problem, solution.residual)[: self.size]
        self.rate = pull(problem, np.ones_like(solution.residual))[: self.size]
        cut = (slice(None), slice(None), slice(self.size), slice(self.size))
        self.sites = [LinearSite(site.response[cut], site.moment[cut]) for site in sites]
        # Rows of R^T that belong to u and r; what Lambda multiplies: Psi, and R of the sides with neighbors.
        self.left = [
            [np.concatenate([*site.response[:, side].mT], 1) for side in (0, 1)] for site in self.sites
        ]
        self.right = [
            np.stack(
                [
                    np.concatenate([*site.moment[kind], *site.response[kind, self._sides(layer)]], 1)
                    for kind in (0, 1)
                ]
            )
            for layer, site in enumerate(self.sites)
        ]
        self.kernel = np.zeros_like(wanted)  # what neighbors add towards H^l and G^l
        self.response = np.zeros_like(wanted)  # towards A^l, and towards B^{l-1} at index l
        self.products: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * self.layers
        self.covector: list[np.ndarray] = []
        self.output_covector = np.zeros_like(wanted_output)
        self.turns, self.change = 0, np.inf

    def solve(self) -> "FrozenAdjoint":
        """Turns over the layers until nothing changes. **Raises:** `ArithmeticError` if it never does."""
        order = [*range(self.layers - 1, -1, -2), *range(self.layers - 2, -1, -2)]
        while self.change > TOLERANCE:
            if self.turns == MOST_TURNS:
                raise ArithmeticError(f"the adjoint changes by {self.change:.1e} after {self.turns} turns")
            self.turns += 1
            self.change = max(self._visit(layer) for layer in order)
        return self

    def finish(self) -> Float[np.ndarray, "observable time"]:
        """Derivative of each observable towards the residual of every step and point; fills `covector`.

        `covector[l-1]` pairs with the `vector` of another batch to N Cov; (observable, 4, time, time).
        """
        total = np.zeros((self.batch, self.size))
        n = self.size
        for layer, (z, w) in enumerate(self.products):
            moment = self.sites[layer].moment
            both = (z + w).reshape(self.batch, 2 * n, 2 * n)
            towards = np.empty((self.batch, 4, n, n))
            for kind in (0, 1):
                rows = np.concatenate([*moment[kind]], 1)
                towards[:, kind] = 2.0 * rows @ both[:, :, kind * n : (kind + 1) * n]
            for side, source in enumerate(neighbors(self.solution, layer + 1)):
                mixing = self.left[layer][side] @ self._columns(2.0 * z + w, side)
                total += (self.causal[0] * mixing * source[:n, :n]).sum(1)
                towards[:, 3 - side] = mixing.mT
            self.covector.append(towards)
            # Of the last layer's cross blocks only the diagonals count; they meet a prediction's part.
            h, g = (np.concatenate([*moment[kind]], 1) for kind in (0, 1))
            cross = np.einsum("ib,kbi->ki", h, both[:, :, n:]) + np.einsum("ib,kbi->ki", g, both[:, :, :n])
            self.output_covector = 2.0 * cross
        return self.rate * total

    def vector(self, count: int) -> tuple[list[np.ndarray], np.ndarray]:
        """lambda of the first `count` observables: towards H, G, A and B of each layer, and the read-out."""
        layers = [
            np.stack(
                [*(self.wanted + self.kernel)[:, layer, :count], *self.response[:, layer, :count]], axis=1
            )
            for layer in range(self.layers)
        ]
        return layers, self.readout[:count]

    def covariance(
        self, layers: list[np.ndarray], readout: np.ndarray
    ) -> Float[np.ndarray, "observable observable_b"]:
        """N Cov, the residual held fixed, with observables whose `vector` ends no later."""
        n, count = readout.shape[1], len(readout)
        total = self.output_covector[:, :n] @ readout.T
        for left, right in zip(self.covector, layers, strict=True):
            total = total + left[:, :, :n, :n].reshape(self.batch, -1) @ right.reshape(count, -1).T
        return total

    def _visit(self, layer: int) -> float:
        """Recompute what one layer passes to its neighbors; the change relative to the largest adjoint."""
        n, right = self.size, self.right[layer]
        upon = self.wanted[:, layer] + self.kernel[:, layer]
        rows = np.empty((self.batch, 2, n, right.shape[2]))
        for kind in (0, 1):
            np.matmul(upon[kind], right[kind], out=rows[:, kind])
        if layer == self.layers - 1 and self.readout.any():
            rows += self.readout[:, None, :, None] * right[::-1]
        z, w = rows[..., : 2 * n], np.zeros((self.batch, 2, n, 2 * n))
        for kind, near in ((0, layer + 1), (1, layer - 1)):
            if 0 <= near < self.layers:
                np.matmul(self.response[kind, layer], self.left[layer][1 - kind], out=w[:, kind])
        self.products[layer] = (z, w)
        slope = 2.0 * z + w
        changes = [0.0]
        for position, side in enumerate(self._sides(layer)):
            sources = rows[..., (2 + position) * n : (3 + position) * n].reshape(self.batch, 2 * n, n)
            both = self.left[layer][side] @ np.concatenate([self._columns(slope, side), sources], 2)
            mixing = self.causal[side] * both[..., :n]
            kernel = both[..., n:] + self.drive * both[..., :n]
            kernel = (kernel + kernel.mT) / 2.0
            near = (layer - 1, layer + 1)[side]
            changes += [
                float(np.abs(mixing - self.response[side, near]).max()),
                float(np.abs(kernel - self.kernel[side, near]).max()),
            ]
            self.response[side, near], self.kernel[side, near] = mixing, kernel
        largest = max(float(np.abs(part).max()) for part in (upon, self.response[:, layer], self.readout))
        return max(changes) / largest if largest > 0.0 else 0.0

    def _sides(self, layer: int) -> list[int]:
        """0: a layer below takes part; 1: a layer above."""
        return [side for side, near in enumerate((layer - 1, layer + 1)) if 0 <= near < self.layers]

    def _columns(self, slope: np.ndarray, side: int) -> Float[np.ndarray, "observable both time"]:
        """Columns that the mixing matrix of u multiplies, g, or that of r, h."""
        chosen = slice(self.size, None) if side == 0 else slice(self.size)
        return slope[..., chosen].reshape(self.batch, 2 * self.size, self.size)
