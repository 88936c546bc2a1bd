"""verdict.json: written when complete, read with suspicion."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from widthwise.analysis.verdict import Verdict
from widthwise.audit import Audit, ClaimRow, Untested
from widthwise.errors import InputError
from widthwise.report.atomic import write_bytes
from widthwise.report.audit.ensembles import Ensembles, read_ensembles
from widthwise.report.audit.gap_series import Gaps, read_gaps
from widthwise.study.stored import read_json

NAME = "verdict.json"
LARGEST = 1 << 28
AGAIN = "delete it, or make it again with `widthwise audit`"


@dataclass(frozen=True)
class Audited:
    """An audit as its file holds it; `sources`, what was audited; `notes`, what was left out on opening;
    `networks`, how many were trained then, None if unknown; `ensembles`, losses against their size.
    """

    audit: Audit
    gaps: Gaps | None = None
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    networks: int | None = None
    ensembles: Ensembles | None = None

    def to_json(self) -> dict[str, object]:
        """As the file."""
        records = {"paths": list(self.sources), "notes": list(self.notes), "networks": self.networks}
        content = self.audit.to_json() | {"records": records}
        for name, part in (("gaps", self.gaps), ("ensembles", self.ensembles)):
            content |= {} if part is None else {name: part.to_json()}
        return content

    def text(self) -> str:
        """The file's text; numbers that are not finite are null."""
        return json.dumps(_finite(self.to_json()), indent=1, allow_nan=False) + "\n"


def write_verdict(audited: Audited, directory: str | Path) -> Path:
    """Write verdict.json into a folder, in place of an older one; returns its path.

    **Errors:** `InputError` if it cannot be written.
    """
    target = Path(directory) / NAME
    write_bytes(target, audited.text().encode("utf-8", "replace"))
    return target


def read_verdict(path: str | Path) -> Audited:
    """An audit from its file.

    **Errors:** `InputError` if it cannot be read or is none.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        return _audited(read_json(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} is no verdict of an audit ({what}): {AGAIN}") from error


def known_verdict(directory: Path) -> Audited | None:
    """The audit in a folder; None if there is none, or it cannot be read."""
    try:
        return read_verdict(directory / NAME) if (directory / NAME).exists() else None
    except InputError:
        return None


def _audited(content: Any) -> Audited:
    if not isinstance(content, Mapping) or content.get("schema") != 1:
        raise ValueError("it has not the schema 1")
    untested = [
        Untested(claim=str(each["claim"]), why=str(each["why"])) for each in _list(content.get("untested"))
    ]
    evidence = content["evidence"]
    if not isinstance(evidence, Mapping):
        raise TypeError("`evidence` is no table")
    summary = tuple(str(sentence) for sentence in _list(content.get("summary")))
    rows = tuple(_row(each) for each in _list(content["claims"]))
    audit = Audit(rows, tuple(untested), dict(evidence), summary)
    records = content.get("records")
    records = records if isinstance(records, Mapping) else {}
    sources, notes = (tuple(str(each) for each in _list(records.get(key))) for key in ("paths", "notes"))
    networks = records.get("networks")
    known = None if networks is None else int(networks)
    gaps, ensembles = read_gaps(content.get("gaps")), read_ensembles(content.get("ensembles"))
    return Audited(audit, gaps, sources, notes, known, ensembles)


def _row(content: Any) -> ClaimRow:
    verdict = content["verdict"]
    if verdict not in get_args(Verdict):
        raise ValueError(f"a row has the verdict {verdict!r}")
    where = content["where"]
    if not isinstance(where, Mapping):
        raise TypeError("`where` is no table")
    interval = content.get("interval")
    bounds = None
    if interval is not None:
        low, high = (math.nan if bound is None else float(bound) for bound in interval)
        bounds = (low, high)
    more = content.get("more_seeds")
    return ClaimRow(
        claim=str(content["claim"]),
        verdict=cast(Verdict, verdict),
        where={str(k): v if isinstance(v, int | float) else str(v) for k, v in where.items()},
        estimate=_number(content.get("estimate")),
        interval=bounds,
        expected=_number(content.get("expected")),
        resolution=_number(content.get("resolution")),
        p_value=_number(content.get("p_value")),
        advice=str(content.get("advice", "")),
        more_seeds=None if more is None else int(more),
        depth=0,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _list(content: object) -> Sequence[Any]:
    if content is None:
        return ()
    if not isinstance(content, list):
        raise TypeError(f"{type(content).__name__} in place of a list")
    return content


def _finite(value: Any) -> Any:
    """The same with null in place of numbers that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
