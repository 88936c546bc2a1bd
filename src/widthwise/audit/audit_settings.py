"""What an audit forgives, and what it must be able to see."""

from dataclasses import dataclass
from typing import Annotated, Literal

from widthwise.errors import InputError
from widthwise.study.rules import bounds
from widthwise.study.tables import checked


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Tolerances of an audit, the `[audit]` table of a study or of a call.

    **Fields:** `exponent_tolerance`, by how much finite widths may move the exponent of a scale (a fault
    moves it by 1/2 or 1), and by twice as much that of a variance; `least_convergence`, the exponent with
    which gaps between widths must at least shrink: 1 in theory, less late on hard tasks; `allowed_gap`,
    a relative gap between the two widest networks that is never held against them; `visible_exponent` and
    `visible_gap`, the effects that must be visible for a "consistent" (unrelated functions of one size differ
    by sqrt(2) of it); `onset`, the share of the initial loss beyond which a curve has left the limit;
    `most_steps`, `most_points`, of which kernels and other large arrays are read; `seed`, of bootstraps;
    `limit`, which infinite width is meant, with its own laws; `strict`, whether the verdict waits for every
    claim and not for the core ones only.

    **Errors:** `InputError` for a value out of range.
    """

    exponent_tolerance: Annotated[float, bounds(0, 10, "such as 0.2")] = 0.2
    least_convergence: Annotated[float, bounds(0, 10, "such as 0.25")] = 0.25
    allowed_gap: Annotated[float, bounds(0, 10, "such as 0.05")] = 0.05
    visible_exponent: Annotated[float, bounds(0, 10, "such as 0.5")] = 0.5
    visible_gap: Annotated[float, bounds(0, 10, "such as 1.4")] = 1.4
    onset: Annotated[float, bounds(0, 10, "such as 0.02")] = 0.02
    most_steps: Annotated[int, bounds(1, 10**9, "such as 8")] = 8
    most_points: Annotated[int, bounds(1, 10**9, "such as 64")] = 64
    seed: Annotated[int, bounds(0, 10**9, "such as 0")] = 0
    limit: Literal["mup", "ntk", "standard"] = "mup"
    strict: bool = False

    def __post_init__(self) -> None:
        for name, value in checked("audit", vars(self), AuditSettings).items():
            object.__setattr__(self, name, value)
        if self.exponent_tolerance >= self.visible_exponent:
            raise InputError(
                f"`audit.exponent_tolerance` = {self.exponent_tolerance} is not below "
                f"`audit.visible_exponent` = {self.visible_exponent}: nothing could be found consistent"
            )
