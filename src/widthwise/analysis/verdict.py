"""A hypothesis, measured; and what is ruled on it: the one place that decides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from widthwise.analysis.power import Power, Remedy, decisive, settle
from widthwise.analysis.signflip import holm

Verdict = Literal["consistent", "inconsistent", "underpowered", "open"]
Where = Mapping[str, str | int | float]

# Which comes first among what is inconsistent: a tensor's or rule's own fault, what inherits it, what
# merely shows it.
OWN, INHERITED, SYMPTOM = 0, 1, 2
MANY_SEEDS = 1000
REMEDIES = ("more_seeds", "finer_theory")
WIDTHS = "more widths, further apart"
UNDECIDED: tuple[Verdict, ...] = ("underpowered", "open")  # of core claims, and of others


@dataclass(frozen=True, kw_only=True)
class Test:
    """One hypothesis about correct networks, measured but not yet judged.

    **Fields:** `estimate` and its `interval` at 1 - alpha, None where there is none; `expected`, of correct
    networks; `p_value` of "correct", an interval null that forgives what finite width may do, None for a
    description that judges nothing; `power`, from which come the resolution and what would settle it;
    `useful`, the effect that must be visible for a "consistent"; `advice_good` and `advice_bad`, for
    either outcome; `weak`, why nothing could be told and what to do, or empty; `instead`, what helps where
    it takes too many seeds; `depth`, OWN, INHERITED or SYMPTOM; `core`, whether the verdict waits for it.
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
    instead: str = WIDTHS
    depth: int = SYMPTOM
    core: bool = True

    @property
    def trouble(self) -> str:
        """Why it tells nothing, or empty: it is `weak`, or its numbers overflowed."""
        if self.p_value is not None and math.isnan(self.p_value):
            return "Its numbers are too large or too small to compare."
        return self.weak


@dataclass(frozen=True, kw_only=True)
class Untested:
    """A claim, or a part of one, that the records do not allow to test, and why."""

    claim: str
    why: str


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """One judged hypothesis.

    **Fields:** those of `Test`, and `verdict`; `resolution`, the smallest effect that would have been seen
    with probability 0.8 among all tests judged together, in the unit of `estimate`; `p_value`, adjusted for
    all of them; `advice`, what follows; `more_seeds`, how many more at each width would settle it, None if
    it is settled or no number of them would; `finer_theory`, how many times the scramblings of theory would,
    with these seeds; `judges`, whether it is a test, and no description.
    """

    claim: str
    verdict: Verdict
    where: Where
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    expected: float | None = None
    resolution: float | None = None
    p_value: float | None = None
    advice: str = ""
    more_seeds: int | None = None
    finer_theory: float | None = None
    judges: bool = True
    depth: int = OWN

    @property
    def misses(self) -> bool:
        """Whether its interval leaves out what is expected."""
        if self.interval is None or self.expected is None:
            return False
        return not self.interval[0] <= self.expected <= self.interval[1]

    def to_json(self) -> dict[str, object]:
        """The row as `verdict.json` writes it: numbers that are not finite are null."""
        found: dict[str, object] = {k: _number(v) for k, v in asdict(self).items() if k != "depth"}
        bounds = None if self.interval is None else [_number(bound) for bound in self.interval]
        return found | {"interval": bounds, "where": dict(self.where)}


def judge(tests: Sequence[Test], alpha: float) -> tuple[ClaimRow, ...]:
    """Judge all tests by Holm's method at `alpha`; worst first.

    A test is inconsistent if its adjusted p-value is below `alpha`. One that does not fail is consistent only
    if its resolution, at the level of Holm's first step, is `useful`, as silence of a test that could not
    have spoken is no evidence, or if the interval of an exponent excludes effects that large. A test is
    undecided else: underpowered if it is one of a core claim, open if not; and the advice says what would
    decide it.
    """
    judged = [test for test in tests if test.p_value is not None and not test.trouble]
    p_values = [1.0 if test.p_value is None else test.p_value for test in judged]
    adjusted = dict(zip(map(id, judged), holm(p_values), strict=True))
    return sort_rows([_rule(test, adjusted.get(id(test)), len(judged), alpha) for test in tests])


def overall(rows: Sequence[ClaimRow]) -> Verdict:
    """Inconsistent if any row is, else underpowered if any is or none judges, else consistent; what is open
    changes nothing."""
    verdicts = {row.verdict for row in rows if row.judges}
    if "inconsistent" in verdicts:
        return "inconsistent"
    return "underpowered" if "underpowered" in verdicts or not verdicts - {"open"} else "consistent"


def sort_rows(rows: Sequence[ClaimRow]) -> tuple[ClaimRow, ...]:
    """Worst first: inconsistent rows, own faults before what inherits them and what shows them, by p-value;
    then those with too little data; descriptions last."""
    order = {"inconsistent": 0, "underpowered": 1, "open": 2, "consistent": 3}

    def badness(row: ClaimRow) -> tuple[float, ...]:
        p = 2.0 if row.p_value is None else row.p_value
        depth = row.depth if row.verdict == "inconsistent" else 0
        return (float(order[row.verdict]), float(depth), float(p), -float(_excess(row)))

    return tuple(sorted(rows, key=badness))


def _rule(test: Test, adjusted: float | None, tests: int, alpha: float) -> ClaimRow:
    level = alpha / max(tests, 1)
    resolution = None if test.power is None or test.trouble else test.power.smallest(level)
    verdict: Verdict = "consistent"
    advice, remedy = test.advice_good, Remedy()
    if test.trouble:
        verdict, advice = "underpowered", test.trouble
    elif adjusted is not None and adjusted < alpha:
        verdict, advice = "inconsistent", test.advice_bad
    elif (
        adjusted is not None
        and test.power is not None
        and not ((seen := decisive(test.power, level)) <= test.useful)
    ):
        remedy = settle(test.power, level, test.useful)
        verdict, advice = "underpowered", _ask(seen, test, remedy)
        if test.p_value is not None and test.p_value < alpha:
            chance = f"It is off by more than its own noise, which chance does somewhere among {tests} tests "
            advice = f"{chance}(p = {adjusted:.2g}, adjusted): undecided. {advice}"
    if verdict == "underpowered" and not test.core:
        verdict = "open"
    return ClaimRow(
        claim=test.claim,
        verdict=verdict,
        where=dict(test.where),
        estimate=test.estimate,
        interval=_bounded(test.interval),
        expected=test.expected,
        resolution=None if resolution is None or math.isinf(resolution) else resolution,
        p_value=adjusted,
        advice=advice,
        more_seeds=remedy.seeds if remedy and remedy.seeds else None,
        finer_theory=remedy.finer if remedy and remedy.finer > 1 else None,
        judges=test.p_value is not None or bool(test.trouble),
        depth=test.depth,
    )


def _ask(resolution: float, test: Test, remedy: Remedy | None) -> str:
    seen = "No effect" if math.isinf(resolution) else f"Only an effect above {resolution:.2g}"
    what = f"{seen} could have been seen, and {test.useful:.2g} matters: "
    if remedy is None:
        return what + f"train {test.instead}, as more seeds alone would not settle it."
    asked, limit = [], "theory's own numerical error is the limit"
    if remedy.seeds:
        asked.append(f"{remedy.seeds:,} more seed{'s' if remedy.seeds > 1 else ''} at each width")
    if remedy.finer > 1:
        why = f", since {limit}" if not remedy.seeds else ""
        asked.append(f"{remedy.finer:g} times as many `theory.scramblings` or `theory.sites`{why}")
    words = f"{' and '.join(asked)} would settle it"
    if remedy.seeds > MANY_SEEDS:
        words += f", or else {test.instead}"
    return f"{what}{words}."


def remedies(rows: Sequence[ClaimRow]) -> str:
    """What would settle rows that are undecided, as a sentence; empty if there are none.

    >>> row = ClaimRow(claim="a", verdict="underpowered", where={}, more_seeds=12)
    >>> remedies([row])
    '12 more seeds at each width would settle it.'
    """
    weak = [row for row in rows if row.verdict in UNDECIDED]
    asked = [row for row in weak if row.more_seeds or row.finer_theory]
    few = [row for row in asked if (row.more_seeds or 0) <= MANY_SEEDS]
    parts = []
    for finer in (False, True):
        mine = [row for row in few if (row.finer_theory is not None) == finer]
        if mine:
            seeds, factor = (max(getattr(row, name) or 0 for row in mine) for name in REMEDIES)
            words = [f"{seeds:,} more seeds at each width"] if seeds else []
            words += [f"{factor:g} times as many `theory.scramblings`"] if finer else []
            parts.append(f"{' and '.join(words)} would settle {_of_them(len(mine), len(weak))}")
    if len(asked) > len(few):
        parts.append(f"{len(asked) - len(few)} take thousands of seeds, or other widths")
    return f"{'; '.join(parts)}." if parts else ""


def _of_them(count: int, all_of_them: int) -> str:
    if count == all_of_them:
        return "it" if count == 1 else "them"
    return f"{count} of them"


def _excess(row: ClaimRow) -> float:
    """How far the estimate is from where it should be, to sort rows of equal p-values."""
    if row.estimate is None or row.expected is None or not math.isfinite(row.estimate):
        return 0.0
    return abs(row.estimate - row.expected)


def _bounded(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """None of an interval that holds every number."""
    return None if interval is None or math.inf in map(abs, interval) else interval


def _number(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
