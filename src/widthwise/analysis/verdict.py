"""Verdict rows: what is claimed, what was measured, what follows."""

from dataclasses import dataclass
from typing import Literal

from widthwise.analysis.signflip import holm

Verdict = Literal["consistent", "inconsistent", "underpowered"]
Role = Literal["joint", "side", "alone"]
Subject = Literal["mean", "variance", "exponent", "run"]


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One claim about one part of a variable.

    **Fields:** `width`, None for a claim about all widths together; `estimate` and its `interval` at 1 -
    alpha, None where nothing could be measured (for `mean_with_shift`: the largest |t|, and below which
    bound it stays with probability 1 - alpha if theory is right); `p_value`, adjusted for the family it was
    judged in; `joint`, whether that family is the joint test; `next_order_resolved`, whether a remainder
    beyond 1/N is seen.
    """

    claim: str
    part: str
    width: int | None
    estimate: float | None
    interval: tuple[float, float] | None
    expected: float | None
    verdict: Verdict
    advice: str
    p_value: float | None = None
    joint: bool = False
    next_order_resolved: bool = False

    def to_json(self) -> dict[str, object]:
        """The row as `verdict.json` writes it."""
        where: dict[str, object] = {"part": self.part}
        if self.width is not None:
            where["width"] = self.width
        return {
            "claim": self.claim,
            "verdict": self.verdict,
            "estimate": self.estimate,
            "interval": None if self.interval is None else list(self.interval),
            "expected": self.expected,
            "where": where,
            "advice": self.advice,
            "p_value": self.p_value,
            "joint_test": self.joint,
            "next_order_resolved": self.next_order_resolved,
        }


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim measured but not yet judged.

    **Fields:** `p_value` of the claim; `role`: "joint" claims make the joint test, "side" claims are judged
    in a family of their own and can only echo it, "alone" ones (exponents) are a third family;
    `side_p_value`, of the same claim without the next order removed; `smallest_p`, the least that this many
    seeds can reach; `weak`, why nothing could be told, or empty; `separable`, whether the next order could
    be removed at all; `good` and `bad`, the advice for either outcome.
    """

    claim: str
    part: str
    subject: Subject
    width: int | None = None
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    expected: float | None = None
    role: Role = "joint"
    p_value: float = 1.0
    side_p_value: float | None = None
    smallest_p: float = 0.0
    weak: str = ""
    separable: bool = True
    good: str = ""
    bad: str = ""


BENT = (
    "At the narrow widths the next order is resolved, which bends the line: its slope is no test there. "
    "Train wider networks for one."
)
NEXT_ORDER = (
    "Next order resolved: at this width the networks differ from leading order by more than noise, and "
    "theory holds once a remainder that falls faster with width is removed."
)
ONE_WIDTH = (
    "The networks differ from theory beyond noise, but at one width a remainder of the next order looks like "
    "a fault: train at least one more width."
)


@dataclass(frozen=True)
class _Families:
    """Adjusted p-values by finding (its `id`), and what the joint test makes of each part and subject."""

    joint: dict[int, float]
    side: dict[int, float]
    alone: dict[int, float]
    faults: set[tuple[str, str]]
    untestable: set[tuple[str, str]]
    alpha: float


def judge(findings: list[Finding], alpha: float) -> tuple[VerdictRow, ...]:
    """Judge all findings: the joint ones by Holm's method at `alpha`, then the others in their light."""
    by_role = {role: [f for f in findings if f.role == role] for role in ("joint", "side", "alone")}
    with_side = [f for f in findings if f.role == "side" or f.side_p_value is not None]
    joint = _adjusted(by_role["joint"], [f.p_value for f in by_role["joint"]])
    families = _Families(
        joint=joint,
        side=_adjusted(
            with_side, [f.p_value if f.side_p_value is None else f.side_p_value for f in with_side]
        ),
        alone=_adjusted(by_role["alone"], [f.p_value for f in by_role["alone"]]),
        faults={(f.part, f.subject) for f in by_role["joint"] if joint[id(f)] < alpha and f.separable},
        untestable={(f.part, f.subject) for f in by_role["side"] if not f.separable},
        alpha=alpha,
    )
    rows: list[VerdictRow] = []
    bent: set[str] = set()
    for finding in findings:
        rule = {"joint": _judge_joint, "side": _judge_side, "alone": _judge_alone}[finding.role]
        verdict, advice, next_order = rule(finding, families)
        if next_order:
            bent.add(finding.part)
        if finding.role == "alone" and verdict == "inconsistent" and finding.part in bent:
            verdict, advice = "underpowered", BENT
        rows.append(
            VerdictRow(
                claim=finding.claim,
                part=finding.part,
                width=finding.width,
                estimate=finding.estimate,
                interval=finding.interval,
                expected=finding.expected,
                verdict=verdict,
                advice=advice,
                p_value=(families.alone | families.side | families.joint)[id(finding)],
                joint=finding.role == "joint",
                next_order_resolved=next_order,
            )
        )
    return tuple(rows)


def overall(rows: tuple[VerdictRow, ...]) -> Verdict:
    """Inconsistent if any row is, else underpowered if any is or there is none, else consistent."""
    verdicts = {row.verdict for row in rows}
    if "inconsistent" in verdicts:
        return "inconsistent"
    return "underpowered" if "underpowered" in verdicts or not rows else "consistent"


def _adjusted(family: list[Finding], p_values: list[float]) -> dict[int, float]:
    return dict(zip(map(id, family), holm(p_values), strict=True))


def _judge_joint(finding: Finding, families: _Families) -> tuple[Verdict, str, bool]:
    if families.joint[id(finding)] < families.alpha:
        return (
            ("inconsistent", finding.bad, False) if finding.separable else ("underpowered", ONE_WIDTH, False)
        )
    if finding.weak:
        return "underpowered", finding.weak, False
    tests = len(families.joint)
    if finding.smallest_p * tests >= families.alpha:
        few = f"With so few seeds none of {tests} tests together can fail: train more seeds."
        return "underpowered", few, False
    if families.side.get(id(finding), 1.0) < families.alpha:
        return "consistent", NEXT_ORDER, True
    return "consistent", finding.good, False


def _judge_side(finding: Finding, families: _Families) -> tuple[Verdict, str, bool]:
    if families.side[id(finding)] >= families.alpha:
        return ("underpowered", finding.weak, False) if finding.weak else ("consistent", finding.good, False)
    subject = (finding.part, finding.subject)
    if subject in families.faults:
        return "inconsistent", finding.bad, False
    if subject in families.untestable:
        return "underpowered", ONE_WIDTH, False
    return "consistent", NEXT_ORDER, True


def _judge_alone(finding: Finding, families: _Families) -> tuple[Verdict, str, bool]:
    if finding.weak:
        return "underpowered", finding.weak, False
    failed = families.alone[id(finding)] < families.alpha
    return ("inconsistent", finding.bad, False) if failed else ("consistent", finding.good, False)
