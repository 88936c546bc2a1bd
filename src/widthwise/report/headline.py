"""What the report says in words: names, the headline, and the numbers on its cards."""

from dataclasses import dataclass

import numpy as np

from widthwise.analysis import wide_enough
from widthwise.audit import ClaimRow
from widthwise.report.forecast.words import forecast_conclusion
from widthwise.report.gather import Gathered
from widthwise.report.study_words import study_words
from widthwise.report.wide import CONDITIONS, wide_words
from widthwise.report.words import Conclusion, conclude, measured_words, part_title
from widthwise.wording import percent


@dataclass(frozen=True)
class Card:
    """One number at the head of the page."""

    value: str
    label: str
    detail: str


def headline(run: Gathered) -> Conclusion:
    """What the audit found, or the comparison with theory where there was no audit."""
    if run.audited is not None:
        audit = run.audited.audit
        return conclude(audit.rows, audit.evidence.get("alpha"), audit.summary)
    if run.comparison is not None:
        return conclude(run.comparison.verdicts, run.comparison.alpha)
    if run.theory is None and run.forecast is not None:
        return forecast_conclusion(run.forecast)
    if run.theory is None:
        answer = "Trained networks, not yet audited."
    elif run.numbers is None:
        answer = "Theory alone: no networks to compare with yet."
    else:
        answer = "Theory and networks could not be compared."
    return Conclusion(answer, "", "open")


def missing_words(run: Gathered, what: str) -> str:
    """Why there is no `what`, and what to run for it; empty where theory and networks are compared, where
    networks were audited that no theory is asked for, and where theory does not treat the study."""
    if run.comparison is not None or (run.theory is None and run.audited is not None):
        return ""
    if run.records is None and run.forecast is not None:
        return ""
    if run.records is None:
        return f"{what} need trained networks: `widthwise train STUDY.toml --out DIR` adds them."
    if run.theory is None:
        return f"{what} need theory: `widthwise theory STUDY.toml --out DIR` adds it." if run.unsolved else ""
    return f"{what} need theory and networks that can be compared; Validity, below, says why they cannot."


def subject(run: Gathered) -> str:
    """The study in one sentence."""
    if run.study is None:
        networks = run.widths or run.audited is not None or run.forecast is not None
        return "Networks of several widths." if networks else "An infinitely wide network."
    sentence = study_words(run.study)
    if run.widths:
        seeds = [] if run.numbers is None else run.numbers["seeds"].sel(width=run.widths).to_numpy().tolist()
        most, widths = max(seeds, default=0), ", ".join(map(str, run.widths))
        if len(set(seeds)) > 1 and run.study.ensemble.coupling == "nested":
            sentence += f"; {', '.join(map(str, seeds))} networks of the widths {widths}, in nested families"
        else:
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
    """Two numbers of the table of widths, with their conditions in its words: of predictions, test before
    training points."""
    rows = () if run.theory is None else wide_enough(run.theory, run.tolerance)
    mine = [row for row in rows if row.label.startswith("prediction") and row.spread_last is not None]
    if not mine:
        return []
    row = next((row for row in mine if row.label == "prediction, test"), mine[0])
    spread, _, shift, _ = wide_words(row)
    also = "" if row.shift_last is None else f"; {CONDITIONS[2].lower()}: N ≈ {shift}"
    wanted = f"{CONDITIONS[0]}: how wide for {percent(run.tolerance)}"
    return [Card(f"N ≈ {spread}", wanted, f"{part_title(row.label).lower()}{also}")]


def _limit_card(here, name: str, label: str, detail: str) -> list[Card]:
    value, low, high = (float(here[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite([value, low, high]).all():
        return []
    row = ClaimRow(claim="", verdict="consistent", where={}, estimate=value, interval=(low, high))
    shown, interval = measured_words(row)[0].replace("-", "−").split(" ", 1)
    return [Card(shown, label, f"{interval}, {detail}")]
