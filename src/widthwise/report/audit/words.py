"""Claims, places and verdicts as a reader calls them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from widthwise.analysis.verdict import overall, remedies
from widthwise.audit import ClaimRow

TITLES = {
    "scales": "Scales of tensors and layers",
    "loss_curves": "Loss curves",
    "predictions": "Predictions",
    "feature_kernel": "Feature kernels",
    "kernel_change": "Change of kernels",
    "preactivations": "Distribution of preactivations",
    "attention": "Attention",
    "variance_scaling": "Variance over initializations",
    "narrow_bias": "Bias of narrower width",
    "large_rate": "Large learning rate",
    "spectra": "Spectra and task power",
    "richness": "Richness",
    "training_rate": "Rate of training",
    "onset": "Onset of deviation",
}
# Parts of a place that need no name before them.
NAMELESS = ("quantity", "rule", "unit", "part")
MOODS = {"consistent": "good", "inconsistent": "bad", "underpowered": "open"}


@dataclass(frozen=True)
class Conclusion:
    """The verdict in two sentences; `mood` is "good", "bad" or "open"."""

    answer: str
    detail: str
    mood: str


def title_of(claim: str) -> str:
    """A claim as a reader calls it.

    >>> title_of("loss_curves"), title_of("my_claim"), title_of("theory: shift_scaling")
    ('Loss curves', 'My claim', 'Measured against predicted: shift scaling')
    """
    words = claim.replace("_", " ")
    if claim.startswith("theory: "):
        return f"Measured against predicted: {words.removeprefix('theory: ')}"
    return TITLES.get(claim, words[:1].upper() + words[1:])


def kind_of(row: ClaimRow) -> str:
    """The verdict, or "described" of a row that rules on nothing."""
    return row.verdict if row.judges else "described"


def where_words(where: Mapping[str, object]) -> str:
    """A place in words.

    >>> where_words({"tensor": "readout", "quantity": "update_rms", "step": 0})
    'tensor readout, update_rms, step 0'
    """
    parts = (str(v) if k in NAMELESS else f"{k.replace('_', ' ')} {v}" for k, v in where.items())
    return ", ".join(parts) or "everywhere"


def plain_number(value: float | None) -> str:
    """Three digits that every terminal can show.

    >>> plain_number(-0.49871), plain_number(None)
    ('-0.499', '-')
    """
    return "-" if value is None or not math.isfinite(value) else f"{value:.3g}"


def estimate_words(row: ClaimRow) -> str:
    """Estimate and interval."""
    words = plain_number(row.estimate)
    if row.interval is not None:
        words += f" [{plain_number(row.interval[0])}, {plain_number(row.interval[1])}]"
    return words


def conclude(rows: Sequence[ClaimRow], alpha: object, summary: Sequence[str] = ()) -> Conclusion:
    """What a practitioner should take away from rows judged together at `alpha`, and from the `summary` that
    stands beside it: what fails, what is undecided, and what would decide it."""
    tests = [row for row in rows if row.judges]
    rate = f"chance of a false alarm anywhere: {_percent(alpha)}"
    bad, weak = ([row for row in tests if row.verdict == v] for v in ("inconsistent", "underpowered"))
    verdict = overall(rows)
    if verdict == "inconsistent":
        answer = "The networks do not scale consistently with width."
        if all(row.claim.startswith("theory: ") for row in bad):
            answer = "Theory and networks disagree."
        detail = f"{len(bad)} of {len(tests)} tests fail ({rate}): {_claims(bad)}."
        if not any(rows[0].advice in sentence for sentence in summary):
            detail += f" {rows[0].advice}"
    elif verdict == "consistent":
        answer = "The networks of all widths behave as one model."
        detail = f"All {len(tests)} tests pass ({rate}); each could have seen an effect that matters."
    elif not tests:
        answer = "Nothing could be tested."
        detail = "The records hold nothing that a claim needs; below is what to record."
    else:
        answer = "No test fails, but some saw too little to tell."
        passed = f"{len(tests) - len(weak)} of {len(tests)} tests pass ({rate})"
        detail = f"{passed}. Undecided: {_claims(weak)}. {remedies(rows)}".rstrip()
    return Conclusion(answer, detail, MOODS[verdict])


def _claims(rows: Sequence[ClaimRow]) -> str:
    """Their claims, with how many rows each."""
    counts = Counter(title_of(row.claim) for row in rows)
    return ", ".join(f"{title[:1].lower()}{title[1:]} ({count})" for title, count in counts.items())


def _percent(alpha: object) -> str:
    return f"{100 * alpha:.3g} %" if isinstance(alpha, int | float) else "unknown"
