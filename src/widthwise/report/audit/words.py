"""Claims, places and verdicts as a reader calls them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from widthwise.audit import Audit, ClaimRow

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


def conclude(audit: Audit) -> Conclusion:
    """What a practitioner should take away."""
    counts = {verdict: sum(row.verdict == verdict for row in audit.rows) for verdict in MOODS}
    # Rows that describe, and rule on nothing, are no tests.
    tests = sum(row.judges for row in audit.rows)
    rate = f"chance of a false alarm anywhere: {_percent(audit.evidence.get('alpha'))}"
    open_ones = counts["underpowered"]
    match audit.verdict:
        case "inconsistent":
            worst = audit.rows[0]
            claims = ", ".join(
                dict.fromkeys(title_of(r.claim).lower() for r in audit.rows if r.verdict == "inconsistent")
            )
            answer = "The networks do not scale consistently with width."
            detail = f"{counts['inconsistent']} of {tests} tests fail ({rate}): {claims}."
            if not any(worst.advice in sentence for sentence in audit.summary):
                detail += f" {worst.advice}"
        case "consistent":
            answer = "The networks of all widths behave as one model."
            detail = f"All {tests} tests pass ({rate}); each could have seen an effect that matters."
        case _ if not tests:
            answer = "Nothing could be tested."
            detail = "The records hold nothing that a claim needs; below is what to record."
        case _:
            answer = "No test fails, but some saw too little to tell."
            more = [row.more_seeds for row in audit.rows if row.more_seeds is not None]
            seeds = f" {max(more)} more seeds at each width would settle " if more else ""
            seeds += f"{_of_them(len(more), open_ones)}." if more else ""
            detail = f"{tests - open_ones} of {tests} tests pass, {open_ones} could not tell ({rate}).{seeds}"
    return Conclusion(answer, detail, MOODS[audit.verdict])


def _of_them(count: int, all_of_them: int) -> str:
    if count == all_of_them:
        return "it" if count == 1 else "them"
    return f"{count} of them"


def _percent(alpha: object) -> str:
    return f"{100 * alpha:.3g} %" if isinstance(alpha, int | float) else "unknown"
