"""Tables of the page: verdicts at a glance and in full, evidence, and the study as text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from widthwise.analysis.verdict import ClaimRow
from widthwise.report.audit.words import kind_of
from widthwise.report.gather import Gathered
from widthwise.report.headline import number, part_title

COLUMNS = (
    ("Mean", ("mean_with_shift", "mean_infinite_width")),
    ("N · variance", ("variance",)),
    ("N · variance, N\u00a0→\u00a0∞", ("variance_scaling",)),
    ("Shift, N\u00a0→\u00a0∞", ("shift_scaling",)),
    ("Exponent, one network", ("single_network_exponent",)),
    ("Exponent, mean", ("ensemble_mean_exponent",)),
)
AT_WIDTHS = {
    "consistent": "agrees at",
    "underpowered": "undecided at",
    "inconsistent": "disagrees at",
    "described": "in its interval at",
}
RANK = {"inconsistent": 3, "underpowered": 2, "consistent": 1, "described": 0}


@dataclass(frozen=True)
class Cell:
    """One cell of the verdicts at a glance: the worst verdict among its rows, "described" without any;
    `next_order`, whether a description leaves out what leading order says."""

    verdict: str
    text: str
    note: str
    next_order: bool


def verdict_matrix(run: Gathered) -> tuple[list[str], list[tuple[str, list[Cell | None]]]]:
    """Column titles, and for each part its cells; a column that no part fills is left out."""
    if run.comparison is None:
        return [], []
    rows = [row for row in run.comparison.verdicts if row.where.get("part") != "run"]
    columns = [c for c in COLUMNS if any(row.claim in c[1] for row in rows)]
    parts = list(dict.fromkeys(str(row.where.get("part", "")) for row in rows))
    table = []
    for part in parts:
        mine = [row for row in rows if row.where.get("part") == part]
        cells = [_cell([row for row in mine if row.claim in claims]) for _, claims in columns]
        table.append((part_title(part), cells))
    return [title for title, _ in columns], table


def _cell(rows: Sequence[ClaimRow]) -> Cell | None:
    if not rows:
        return None
    tests = [row for row in rows if row.judges] or rows
    worst = max(tests, key=lambda row: RANK[kind_of(row)])
    kind = kind_of(worst)
    if len(rows) == 1 and "width" not in worst.where:
        text = number(worst.estimate)
        if worst.interval is not None:
            text += f"\u00a0[{number(worst.interval[0])},\u00a0{number(worst.interval[1])}]"
    else:
        # Several widths in one cell: at how many of them the worst verdict was given.
        count = sum(kind_of(row) == kind and not (kind == "described" and row.misses) for row in tests)
        text = f"{AT_WIDTHS[kind]} {_of_widths(count, len(tests))}"
    bent = any(not row.judges and row.advice.startswith("Next order") for row in rows)
    return Cell(kind, text, worst.advice, bent)


def _of_widths(count: int, all_of_them: int) -> str:
    """How many of the widths.

    >>> _of_widths(1, 4), _of_widths(4, 4), _of_widths(1, 1)
    ('1 of 4 widths', 'all 4 widths', 'the one width')
    """
    if count < all_of_them:
        return f"{count} of {all_of_them} widths"
    return "the one width" if count == 1 else f"all {count} widths"


def evidence_rows(run: Gathered) -> list[tuple[str, str, str]]:
    """(what, theory's, networks') for everything the files say about how they were made."""
    theory, records = _evidence(run.theory), _evidence(run.records)
    if run.audited is not None:
        records |= _flat(run.audited.audit.evidence, "audit")
        records["audit: records"] = _text(run.audited.sources.paths)
    keys = list(dict.fromkeys([*theory, *records]))
    return [(key.replace("_", " "), theory.get(key, "–"), records.get(key, "–")) for key in keys]


def _evidence(data: xr.Dataset | None) -> dict[str, str]:
    """Attributes as text, nested JSON opened; the study and the warnings have their own sections."""
    if data is None:
        return {}
    found: dict[str, str] = {}
    for name, value in data.attrs.items():
        if name in ("study", "warnings", "coordinates"):
            continue
        opened = _opened(value)
        found |= _flat(opened, "" if name == "evidence" else str(name))
    for name in ("width", "seed"):
        if name in data.sizes:
            values = data[name].to_numpy() if name == "width" else [data.sizes[name]]
            found[f"{name}s"] = ", ".join(map(str, values))
    # A store lists its variables in no particular order.
    floats = sorted(str(v.dtype) for v in data.data_vars.values() if v.dtype.kind == "f")
    if floats and "dtype" not in found:
        found["dtype"] = floats[0]
    return found


def _flat(value: object, name: str) -> dict[str, str]:
    """Nested tables as one, their keys joined."""
    if not isinstance(value, Mapping):
        return {name: _text(value)}
    found: dict[str, str] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{name}: {key}" if name else str(key))
    return found


def _opened(value: object) -> object:
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value) or "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def warnings_of(run: Gathered) -> list[str]:
    """Theory's validity warnings, then the report's own notes."""
    return [*(theory_warnings(run.theory) if run.theory is not None else ()), *run.notes]


def theory_warnings(theory: xr.Dataset) -> list[str]:
    """Where its numbers are not to be trusted."""
    listed = _opened(theory.attrs.get("warnings", "[]"))
    return [str(item) for item in (listed if isinstance(listed, list) else [listed]) if item]


def study_text(study: Mapping[str, Mapping[str, object]]) -> str:
    """The study's tables as they would stand in its TOML file; keys without a value are left out."""
    lines: list[str] = []
    for table, entries in study.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {_toml(value)}" for key, value in entries.items() if value is not None]
        lines.append("")
    return "\n".join(lines).strip()


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)
