"""What an audit forgives, and what it must be able to see."""

import math
from dataclasses import dataclass, fields

from widthwise.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Tolerances of an audit, the `[audit]` table of a study or of a call.

    **Fields:** `exponent_tolerance`, by how much finite widths may move the exponent of a scale (a fault
    moves it by 1/2 or 1), and by twice as much that of a variance; `least_convergence`, the exponent with
    which gaps between widths must at least shrink: 1 in theory, less late on hard tasks; `allowed_gap`,
    a relative gap between the two widest networks that is never held against them; `visible_exponent` and
    `visible_gap`, the effects that must be visible for a "consistent" (unrelated functions of one size differ
    by sqrt(2) of it); `onset`, the share of the initial loss beyond which a curve has left the limit;
    `most_steps`, `most_points`, of which kernels and other large arrays are read; `seed`, of bootstraps.

    **Errors:** `InputError` for a value out of range.
    """

    exponent_tolerance: float = 0.2
    least_convergence: float = 0.25
    allowed_gap: float = 0.05
    visible_exponent: float = 0.5
    visible_gap: float = 1.4
    onset: float = 0.02
    most_steps: int = 8
    most_points: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, whole = getattr(self, field.name), field.type is int
            kind = int if whole else (int, float)
            bad = not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value)
            least, most = (0 if field.name == "seed" else 1, 10**9) if whole else (0.0, 10.0)
            if bad or not least <= value <= most:
                what = "a whole number" if whole else "a number"
                raise InputError(
                    f"`audit.{field.name}` = {value!r}: give {what} from {least} to {most}, "
                    f"such as {field.default}"
                )
        if self.exponent_tolerance >= self.visible_exponent:
            raise InputError(
                f"`audit.exponent_tolerance` = {self.exponent_tolerance} is not below "
                f"`audit.visible_exponent` = {self.visible_exponent}: nothing could be found consistent"
            )
