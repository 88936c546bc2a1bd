"""What the files of a run say about how they were made: evidence, warnings, and the study as text."""

from collections.abc import Mapping

import xarray as xr

from widthwise.report.gather import Gathered
from widthwise.study.stored import read_json


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
            return read_json(value)
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
