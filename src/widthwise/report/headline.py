"""What the report says in words: names, the headline, and the numbers on its cards."""

import math
from dataclasses import dataclass

import numpy as np

from widthwise.analysis import sufficient_width
from widthwise.audit import ClaimRow
from widthwise.report.gather import Gathered
from widthwise.report.study_words import study_words
from widthwise.report.words import conclude, measured_words, part_title

TOLERANCES = (0.1, 0.01)
LONGEST_COUNT = 10**8


@dataclass(frozen=True)
class Card:
    """One number at the head of the page."""

    value: str
    label: str
    detail: str


@dataclass(frozen=True)
class Headline:
    """The study and its outcome in three sentences; `mood` is "good", "bad" or "open"."""

    subject: str
    answer: str
    detail: str
    mood: str


def headline(run: Gathered) -> Headline:
    """What was studied, and what the audit found, or the comparison with theory where there was no audit."""
    if run.audited is not None:
        audit = run.audited.audit
        found = conclude(audit.rows, audit.evidence.get("alpha"), audit.summary)
        return Headline(subject(run), found.answer, found.detail, found.mood)
    if run.comparison is not None:
        found = conclude(run.comparison.verdicts, run.comparison.alpha)
        return Headline(subject(run), found.answer, found.detail, found.mood)
    if run.theory is None:
        answer = "Trained networks, not yet audited."
    elif run.numbers is None:
        answer = "Theory alone: no networks to compare with yet."
    else:
        answer = "Theory and networks could not be compared."
    return Headline(subject(run), answer, "", "open")


def missing_words(run: Gathered, what: str) -> str:
    """Why there is no `what`, and what to run for it; empty where theory and networks are compared, where
    networks were audited that no theory is asked for, and where theory does not treat the study."""
    if run.comparison is not None or (run.theory is None and run.audited is not None):
        return ""
    if run.records is None:
        return f"{what} need trained networks: `widthwise train STUDY.toml --out DIR` adds them."
    if run.theory is None:
        return f"{what} need theory: `widthwise theory STUDY.toml --out DIR` adds it." if run.unsolved else ""
    return f"{what} need theory and networks that can be compared; Validity, below, says why they cannot."


def subject(run: Gathered) -> str:
    """The study in one sentence."""
    if run.study is None:
        networks = run.widths or run.audited is not None
        return "Networks of several widths." if networks else "An infinitely wide network."
    sentence = study_words(run.study)
    if run.widths:
        most = int(np.max(run.numbers["seeds"])) if run.numbers is not None else 0
        widths = ", ".join(map(str, run.widths))
        sentence += f"; {most} network{'s' if most != 1 else ''} at each of the widths {widths}"
    return sentence + "."


def cards(run: Gathered) -> list[Card]:
    """The few numbers that a reader should remember."""
    found = [*_wide_enough(run)]
    numbers = run.numbers
    if run.comparison is not None and numbers is not None:
        part = favorite_part(run)
        title = part_title(part).lower()
        here = numbers.sel(part=part)
        found += _limit_card(here, "variance_scaling", "N · variance, networks over theory", title)
        found += _limit_card(
            here, "exponent_single", "exponent of the distance to infinite width", f"{title}; expected −0.5"
        )
        if run.widths:
            z = numbers["largest_z_with_shift"].sel(width=run.widths[-1]).max()
            if np.isfinite(z):
                detail = f"over all {numbers.sizes['part']} quantities, steps and points, shift included"
                found.append(
                    Card(f"{float(z):.1f}", f"largest |z| of the mean at N = {run.widths[-1]}", detail)
                )
    return found


def favorite_part(run: Gathered) -> str:
    """Test predictions if there are any, else the first part."""
    assert run.numbers is not None
    parts = [str(p) for p in run.numbers["part"].to_numpy()]
    return next((p for p in ("prediction, test", "prediction, train") if p in parts), parts[0])


def _wide_enough(run: Gathered) -> list[Card]:
    if run.theory is None:
        return []
    for part in ("prediction, test", "prediction, train", "prediction"):
        widths = [sufficient_width(run.theory, part, tolerance) for tolerance in TOLERANCES]
        if all(w is not None for w in widths):
            near, far = (width_words(w) for w in widths if w is not None)
            detail = (
                f"{part_title(part).lower()}, typical single network; 1 % needs N ≈ {far}; over all steps"
            )
            return [Card(f"N ≈ {near}", "is wide enough to be within 10 % of infinite width", detail)]
    return []


def width_words(width: float) -> str:
    """A width rounded up to two digits, as theory knows it to leading order only.

    >>> width_words(0.2), width_words(1234.5), width_words(3.2e9)
    ('1', '1,300', '3.2e+09')
    """
    size = max(width, 1.0)
    unit = 10.0 ** max(math.floor(math.log10(size)) - 1, 0)
    rounded = math.ceil(size / unit * (1 - 1e-12)) * unit
    return count_words(rounded)


def count_words(count: int | float) -> str:
    """A whole number with its thousands apart, or two digits of a very large one."""
    return f"{count:,.0f}" if count < LONGEST_COUNT else f"{count:.2g}"


def _limit_card(here, name: str, label: str, detail: str) -> list[Card]:
    value, low, high = (float(here[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite([value, low, high]).all():
        return []
    row = ClaimRow(claim="", verdict="consistent", where={}, estimate=value, interval=(low, high))
    shown, interval = measured_words(row)[0].replace("-", "−").split(" ", 1)
    return [Card(shown, label, f"{interval}, {detail}")]
