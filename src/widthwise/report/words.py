"""What claims, places, quantities and numbers are called on the page, on terminals and in files."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from widthwise.analysis.verdict import overall, remedies
from widthwise.audit import ClaimRow
from widthwise.audit.claims import CLAIMS as AUDITED
from widthwise.audit.claims import EXPONENT
from widthwise.audit.claims.scales import QUANTITIES as SIZES
from widthwise.audit.sentences import CAUSE
from widthwise.wording import percent

TITLES = {name: claim.title for name, claim in AUDITED.items()}
CLAIMS = {
    "mean_with_shift": "Mean, with theory's shift",
    "mean_infinite_width": "Mean",
    "variance": "N · variance at one width",
    "variance_scaling": "N · variance, N → ∞",
    "shift_scaling": "Mean shift, N → ∞",
    "single_network_exponent": "Exponent, single network",
    "ensemble_mean_exponent": "Exponent, ensemble mean",
    "divergence": "Share of diverged seeds",
}
KERNELS = {
    "feature_kernel": "Feature kernel Φ",
    "gradient_kernel": "Gradient kernel G",
    "tangent_kernel": "Tangent kernel K",
}
VARIABLES = {"prediction": "Predictions", "loss": "Loss", **KERNELS}
SPLITS = {"train": "training points", "test": "test points", "all": "all points"}
QUANTITIES = SIZES | {
    "weight_rms over its initial value": "growth of weights (RMS)",
    "gap": "difference of mean losses",
}
# What stands before the parts of a place; their names where nothing else is said.
BEFORE = {
    "quantity": "",
    "rule": "",
    "part": "",
    "split": "",
    "kind": "",
    "width": "N = ",
    "against": "against N = ",
    "reference": "against ",
    "until_step": "up to step ",
}
KINDS = {"weak": "infinite ensembles", "strong": "infinite ensemble against one"}
# What estimates are, where their place does not say.
UNITS = {name: claim.unit for name, claim in AUDITED.items()} | {
    "theory: variance": "networks / theory",
    "theory: variance_scaling": "networks / theory",
    "theory: shift_scaling": "networks / theory",
    "theory: mean_with_shift": "largest |z|",
    "theory: mean_infinite_width": "largest |z|",
    "theory: single_network_exponent": EXPONENT,
    "theory: ensemble_mean_exponent": EXPONENT,
    "theory: divergence": "share of networks",
}
AGAINST = "Theory: "
MOST_DECIMALS = 6
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
    ('Loss curves', 'My claim', 'Theory: Mean shift, N → ∞')
    """
    name, theory = claim.removeprefix("theory: "), claim.startswith("theory: ")
    words = name.replace("_", " ")
    title = (CLAIMS if theory else TITLES).get(name, words[:1].upper() + words[1:])
    return f"{AGAINST}{title}" if theory else title


def kind_of(row: ClaimRow) -> str:
    """The verdict, or "described" of a row that rules on nothing."""
    return row.verdict if row.judges else "described"


def part_title(part: str) -> str:
    """A part's label as a reader calls it.

    >>> part_title("prediction, test"), part_title("feature_kernel, layer 1")
    ('Predictions, test', 'Feature kernel Φ, layer 1')
    """
    variable, comma, rest = part.partition(", ")
    return VARIABLES.get(variable, variable) + comma + rest


def where_words(where: Mapping[str, object]) -> str:
    """A place in words; what its numbers are is said by `unit_of`.

    >>> where_words({"tensor": "readout", "quantity": "update_rms", "step": 0, "unit": "exponent"})
    'tensor readout, size of updates (RMS), step 0'
    >>> where_words({"split": "test", "width": 16, "against": 64})
    'test points, N = 16, against N = 64'
    """
    known = {"quantity": QUANTITIES, "split": SPLITS, "kind": KINDS}
    parts = []
    for key, value in where.items():
        word = known.get(key, {}).get(str(value), str(value))
        if key == "part":
            word = part_title(word)
        elif (key, word) == ("kernel", "tangent"):
            key, word = "part", "tangent kernel"
        if key != "unit":
            parts.append(BEFORE.get(key, f"{key.replace('_', ' ')} ") + word)
    return ", ".join(parts) or "everywhere"


def unit_of(row: ClaimRow) -> str:
    """What an estimate is."""
    unit = str(row.where.get("unit", UNITS.get(row.claim, "estimate")))
    return EXPONENT if unit == "exponent" else unit


def as_shown(row: ClaimRow) -> ClaimRow:
    """The row with its numbers as exponents of the width: files say how fast variances fall, a where they go
    as N^-a; a reader sees -a beside the other exponents.

    **Returns:** the same row for all other claims.
    """
    if row.claim != "variance_scaling" or row.estimate is None:
        return row
    interval = None if row.interval is None else (-row.interval[1], -row.interval[0])
    expected = None if row.expected is None else -row.expected
    return replace(row, estimate=-row.estimate, interval=interval, expected=expected)


def plain_number(value: float | None, decimals: int | None = None) -> str:
    """Three digits that every terminal can show, or as many `decimals`.

    >>> plain_number(-0.49871), plain_number(None), plain_number(-0.0004, 2), plain_number(1.0, 2)
    ('-0.499', '-', '0.00', '1.00')
    """
    if value is None or not math.isfinite(value):
        return "-"
    words = f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"
    return words.removeprefix("-") if not float(words) else words


def number(value: float | None) -> str:
    """Three digits with a true minus sign; a dash where there is none.

    >>> number(-0.5012), number(None)
    ('−0.501', '–')
    """
    return "–" if value is None or not math.isfinite(value) else plain_number(value).replace("-", "−")


def decimals_of(row: ClaimRow) -> int | None:
    """How many decimals tell the estimate from the ends of its interval, and these from what is expected;
    None where there is no interval, or three digits do better."""
    if row.interval is None or row.estimate is None or not all(map(math.isfinite, row.interval)):
        return None
    low, high = row.interval
    if not high > low or max(abs(low), abs(high)) >= 1000:
        return None
    decimals = max(0, 1 - math.floor(math.log10((high - low) / 2)))
    if row.expected is not None:
        expected = row.expected
        # An interval that only just leaves out what is expected must not be rounded onto it.
        while decimals <= MOST_DECIMALS and any(
            end != expected and float(f"{end:.{decimals}f}") == float(f"{expected:.{decimals}f}")
            for end in row.interval
        ):
            decimals += 1
    return decimals if decimals <= MOST_DECIMALS else None


def measured_words(row: ClaimRow) -> tuple[str, str]:
    """Estimate with its interval, and what is expected, in comparable digits; exponents as powers of N."""
    row = as_shown(row)
    decimals, power = decimals_of(row), "N^" if unit_of(row) == EXPONENT else ""
    told = plain_number(row.estimate, decimals)
    if told != "-":
        told = power + told
    if row.interval is not None:
        low, high = (plain_number(end, decimals) for end in row.interval)
        told += f" [{low}, {high}]"
    expected = plain_number(row.expected, decimals)
    if "." in expected and "e" not in expected:
        expected = expected.rstrip("0").rstrip(".")
    return told, expected if expected == "-" else power + expected


def conclude(rows: Sequence[ClaimRow], alpha: object, summary: Sequence[str] = ()) -> Conclusion:
    """What a practitioner should take away from rows judged together at `alpha`, and from the `summary` that
    stands beside it: what fails, what is undecided, and what would decide it."""
    tests = [row for row in rows if row.judges]
    known = percent(alpha) if isinstance(alpha, int | float) else "unknown"
    rate = f"chance of a false alarm anywhere: {known}"
    bad, weak, waiting = (
        [row for row in tests if row.verdict == v] for v in ("inconsistent", "underpowered", "open")
    )
    verdict = overall(rows)
    if verdict == "inconsistent":
        answer = "The networks do not scale consistently with width."
        if all(row.claim.startswith("theory: ") for row in bad):
            answer = "Theory and networks disagree."
        detail = f"{len(bad)} of {len(tests)} tests fail ({rate}): {_claims(bad)}."
        if not any(sentence.startswith(CAUSE) for sentence in summary):
            detail += f" {rows[0].advice}"
    elif verdict == "consistent":
        answer = "The networks of all widths behave as one model."
        detail = f"All {len(tests)} tests pass ({rate}); each could have seen an effect that matters."
        if waiting:
            passed = f"{len(tests) - len(waiting)} of {len(tests)} tests pass ({rate})"
            detail = f"{passed}. Open, and nothing speaks against it: {_claims(waiting)}. {remedies(waiting)}"
            detail = detail.rstrip()
    elif not tests:
        answer = "Nothing could be tested."
        detail = "The records hold nothing that a claim needs; below is what to record."
    else:
        answer = "No test fails, but some saw too little to tell."
        weak = weak + waiting
        passed = f"{len(tests) - len(weak)} of {len(tests)} tests pass ({rate})"
        detail = f"{passed}. Undecided: {_claims(weak)}. {remedies(rows)}".rstrip()
    return Conclusion(answer, detail, MOODS[verdict])


def _claims(rows: Sequence[ClaimRow]) -> str:
    """Their claims, with how many rows each."""
    counts = Counter(title_of(row.claim).removeprefix(AGAINST) for row in rows)
    return ", ".join(f"{title} ({count})" for title, count in counts.items())
