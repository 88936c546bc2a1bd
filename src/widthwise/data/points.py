"""Points: the fixed inputs and targets that a study trains and tests on."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.errors import InputError


@dataclass(frozen=True)
class Points:
    """Training points first, then test points.

    **Fields:** `inputs` x, of any scale (|x|^2 = D makes O(1) preactivations); `targets` y, one column an
    output, for cross-entropy a probability for each class; `train`, the number of training points.
    """

    inputs: Float[np.ndarray, "point dimension"]
    targets: Float[np.ndarray, "point output"]
    train: int

    def __post_init__(self) -> None:
        inputs, targets = self.inputs, self.targets
        if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
            raise InputError(
                f"`inputs` {inputs.shape} and `targets` {targets.shape}: give (point, dimension) and "
                "(point, output) with as many points in both"
            )
        if not 1 <= self.train <= len(inputs) or inputs.shape[1] == 0 or targets.shape[1] == 0:
            raise InputError(
                f"{self.train} training points among {len(inputs)}, {inputs.shape[1]} dimensions, "
                f"{targets.shape[1]} outputs: at least one of each is needed"
            )
        for name, values in (("inputs", inputs), ("targets", targets)):
            if not np.isfinite(values).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
                raise InputError(
                    f"`{name}` has a value that is not finite at index {where}: remove or mend it"
                )

    @property
    def splits(self) -> list[str]:
        """ "train" or "test" for each point."""
        return ["train"] * self.train + ["test"] * (len(self.inputs) - self.train)

    def input_kernel(self) -> Float[np.ndarray, "point point"]:
        """K^x = x_m . x_n / D, order 1."""
        return self.inputs @ self.inputs.T / self.inputs.shape[1]

    def digest(self) -> str:
        """Content hash (hex, 64 digits) of the arrays."""
        digest = hashlib.sha256(f"{self.inputs.shape} {self.targets.shape} {self.train}".encode())
        for values in (self.inputs, self.targets):
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return digest.hexdigest()
