"""Faults that are a whole parametrization: what the exponents of all roles say together."""

from collections.abc import Mapping

# By how much the exponents of (initial weights of readouts; updates of input, hidden, readout) differ from
# those of muP, by parametrization and family of optimizer.
PATTERNS: dict[str, tuple[float, float, float, float]] = {
    "the NTK parametrization": (0.5, -0.5, -0.5, 0.0),
    "standard parametrization under SGD": (0.5, -0.5, 0.5, 1.0),
    "standard parametrization under Adam": (0.5, 0.0, 1.0, 1.0),
}
SAME = 0.25
ROLES = (
    ("weight_rms", "readout"),
    ("update_rms", "input"),
    ("update_rms", "hidden"),
    ("update_rms", "readout"),
)
LIMITS = {"ntk": ("the NTK parametrization",) * 2, "standard": tuple(PATTERNS)[1:]}


def shifts_of(limit: str, adaptive: bool) -> dict[str, tuple[float, float]]:
    """By how much exponents of initial weights and of updates differ from those of muP, by role, where
    `limit` is meant: "mup", "ntk" or "standard"; `adaptive`, of an optimizer as Adam.

    >>> shifts_of("ntk", False)["hidden"], shifts_of("mup", True)
    ((0.0, -0.5), {})
    """
    if limit not in LIMITS:
        return {}
    weights, first, hidden, readout = PATTERNS[LIMITS[limit][adaptive]]
    return {"input": (0.0, first), "hidden": (0.0, hidden), "readout": (weights, readout)}


def whole_parametrization(deviations: Mapping[tuple[str, str], float]) -> str:
    """The parametrization that explains the deviations from muP, or empty.

    **Arguments:** the median deviation of each (quantity, role) that was measured. All that were measured
    must agree, and those of two quantities and two roles of updates at least.

    >>> whole_parametrization({("weight_rms", "readout"): 0.5, ("update_rms", "input"): -0.48,
    ...                        ("update_rms", "hidden"): -0.55, ("update_rms", "readout"): 0.1})
    'the NTK parametrization'
    """
    known = [key for key in ROLES if key in deviations]
    if ("weight_rms", "readout") not in known or len(known) < 3:
        return ""
    for name, pattern in PATTERNS.items():
        expected = dict(zip(ROLES, pattern, strict=True))
        if all(abs(deviations[key] - expected[key]) < SAME for key in known):
            return name
    return ""
