"""A hypothesis, measured; and what is ruled on it. Begin at `run.py`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from widthwise.analysis.power import Power, seeds_to_settle
from widthwise.analysis.signflip import holm
from widthwise.analysis.verdict import Verdict

Where = Mapping[str, str | int | float]

# Which comes first among what is inconsistent: a tensor's or rule's own fault, what inherits it, what
# merely shows it.
OWN, INHERITED, SYMPTOM = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Test:
    """One hypothesis about correct networks, measured but not yet judged.

    **Fields:** `estimate` and its `interval` at 1 - alpha, None where there is none; `expected`, of correct
    networks; `p_value` of "correct", an interval null that forgives what finite width may do, None for a
    description that judges nothing; `power`, from which come the resolution and the seeds that would settle
    it; `useful`, the effect that must be visible for a "consistent"; `advice_good` and `advice_bad`, for
    either outcome; `weak`, why nothing could be told, or empty; `depth`, OWN, INHERITED or SYMPTOM.
    """

    __test__: ClassVar[bool] = False

    claim: str
    where: Where
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    expected: float | None = None
    p_value: float | None = None
    power: Power | None = None
    useful: float = math.inf
    advice_good: str = ""
    advice_bad: str = ""
    weak: str = ""
    depth: int = SYMPTOM


@dataclass(frozen=True, kw_only=True)
class Untested:
    """A claim, or a part of one, that the records do not allow to test, and why."""

    claim: str
    why: str


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """One judged hypothesis.

    **Fields:** those of `Test`, and `verdict`; `resolution`, the smallest effect that would have been seen
    with probability 0.8 among all tests of the audit, in the unit of `estimate`; `p_value`, adjusted for all
    tests; `advice`, one sentence; `more_seeds`, how many more at each width would settle it, None if it is
    settled or no number of them would.
    """

    claim: str
    verdict: Verdict
    where: Where
    estimate: float | None
    interval: tuple[float, float] | None
    expected: float | None
    resolution: float | None
    p_value: float | None
    advice: str
    more_seeds: int | None
    depth: int

    @property
    def judges(self) -> bool:
        """Whether it is a test, and no description."""
        return self.p_value is not None or self.verdict != "consistent" or self.claim.startswith("theory: ")

    def to_json(self) -> dict[str, object]:
        """The row as `verdict.json` writes it: numbers that are not finite are null."""
        interval = None if self.interval is None else [_number(bound) for bound in self.interval]
        return {
            "claim": self.claim,
            "verdict": self.verdict,
            "estimate": _number(self.estimate),
            "interval": interval,
            "expected": _number(self.expected),
            "resolution": _number(self.resolution),
            "p_value": _number(self.p_value),
            "where": dict(self.where),
            "advice": self.advice,
            "more_seeds": self.more_seeds,
        }


def judge(tests: Sequence[Test], alpha: float) -> tuple[ClaimRow, ...]:
    """Judge all tests by Holm's method at `alpha`; worst first.

    A test that does not fail is consistent only if its resolution, at the level of Holm's first step, is
    `useful`: silence of a test that could not have spoken is no evidence.
    """
    tests = [_speechless(test) for test in tests]
    judged = [test for test in tests if test.p_value is not None and not test.weak]
    adjusted = dict(zip(map(id, judged), holm([_p(test) for test in judged]), strict=True))
    level = alpha / max(len(judged), 1)
    return sort_rows([_rule(test, adjusted.get(id(test)), level, alpha) for test in tests])


def sort_rows(rows: Sequence[ClaimRow]) -> tuple[ClaimRow, ...]:
    """Worst first: inconsistent rows, own faults before what inherits them and what shows them, by p-value;
    then those with too little data."""
    order = {"inconsistent": 0, "underpowered": 1, "consistent": 2}

    def badness(row: ClaimRow) -> tuple[float, ...]:
        p = 2.0 if row.p_value is None else row.p_value
        depth = row.depth if row.verdict == "inconsistent" else 0
        return (float(order[row.verdict]), float(depth), float(p), -float(_excess(row)))

    return tuple(sorted(rows, key=badness))


def _speechless(test: Test) -> Test:
    """A test whose numbers overflowed tells nothing."""
    if test.p_value is None or not math.isnan(test.p_value):
        return test
    return replace(test, weak="Its numbers are too large or too small to compare.")


def _rule(test: Test, adjusted: float | None, level: float, alpha: float) -> ClaimRow:
    resolution = None if test.power is None or test.weak else test.power.smallest(level)
    verdict: Verdict = "consistent"
    advice, more = test.advice_good, None
    if test.weak:
        verdict, advice = "underpowered", test.weak
    elif adjusted is not None and adjusted < alpha:
        verdict, advice = "inconsistent", test.advice_bad
    elif adjusted is not None and resolution is not None and not resolution <= test.useful:
        more = None if test.power is None else seeds_to_settle(test.power, level, test.useful)
        verdict, advice = "underpowered", _ask(resolution, test.useful, more)
    return ClaimRow(
        claim=test.claim,
        verdict=verdict,
        where=dict(test.where),
        estimate=test.estimate,
        interval=test.interval,
        expected=test.expected,
        resolution=resolution,
        p_value=adjusted,
        advice=advice,
        more_seeds=more,
        depth=test.depth,
    )


def _ask(resolution: float, useful: float, more: int | None) -> str:
    seen = "No effect" if math.isinf(resolution) else f"Only an effect above {resolution:.2g}"
    what = f"{seen} could have been seen, and {useful:.2g} matters: "
    if more is None:
        return what + "train more widths, further apart; more seeds alone would not settle it."
    return what + f"{more} more seed{'s' if more > 1 else ''} at each width would settle it."


def _p(test: Test) -> float:
    return 1.0 if test.p_value is None else test.p_value


def _excess(row: ClaimRow) -> float:
    """How far the estimate is from where it should be, to sort rows of equal p-values."""
    if row.estimate is None or row.expected is None or not math.isfinite(row.estimate):
        return 0.0
    return abs(row.estimate - row.expected)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
