"""verdict.json: written when complete, read with suspicion."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError, WrapValidator

from widthwise.analysis.verdict import ClaimRow, Untested, Verdict
from widthwise.audit import Audit
from widthwise.audit.coordinate_check import CoordinateCheck
from widthwise.audit.ensemble_curves import EnsembleCurves
from widthwise.audit.gap_series import Gaps
from widthwise.errors import InputError
from widthwise.report.atomic import write_bytes
from widthwise.study.stored import read_json

NAME = "verdict.json"
LARGEST = 1 << 28
AGAIN = "delete it, or make it again with `widthwise audit`"


def _or_none(content: Any, read: Any) -> Any:
    """What is drawn only: None for anything strange."""
    try:
        return read(content)
    except ValidationError:
        return None


def _known(row: Any) -> Any:
    """A row with null where a number was not finite, and of files that do not say which rows are tests."""
    if not isinstance(row, Mapping):
        return row
    found = {"judges": row.get("p_value") is not None or row.get("verdict") != "consistent", **row}
    if isinstance(row.get("interval"), list):
        found["interval"] = [math.nan if bound is None else bound for bound in row["interval"]]
    if isinstance(row.get("where"), Mapping):
        found["where"] = {k: str(v) if v is None else v for k, v in row["where"].items()}
    return found


@dataclass(frozen=True)
class Sources:
    """What was audited: `paths`, `notes` on what was left out on opening, and how many `networks` were
    trained then, None if unknown."""

    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    networks: int | None = None


@dataclass(frozen=True, kw_only=True)
class Content:
    """The file. Numbers that are not finite are null; unknown keys are left aside."""

    schema: Literal[1]
    verdict: Verdict | None = None
    summary: tuple[str, ...] = ()
    suggestion: str = ""
    claims: tuple[Annotated[ClaimRow, BeforeValidator(_known)], ...]
    untested: tuple[Untested, ...] = ()
    evidence: dict[str, Any]
    records: Sources = field(default_factory=Sources)
    gaps: Annotated[Gaps | None, WrapValidator(_or_none)] = None
    ensembles: Annotated[EnsembleCurves | None, WrapValidator(_or_none)] = None
    coordinates: Annotated[CoordinateCheck | None, WrapValidator(_or_none)] = None


FILE = TypeAdapter(Content)


@dataclass(frozen=True)
class Audited:
    """An audit as its file holds it, and what was audited."""

    audit: Audit
    sources: Sources = field(default_factory=Sources)

    def text(self) -> str:
        """The file's text; numbers that are not finite are null."""
        audit = self.audit
        content = Content(
            schema=1,
            verdict=audit.verdict,
            summary=audit.summary,
            suggestion=audit.suggestion,
            claims=audit.rows,
            untested=audit.untested,
            evidence=audit.evidence,
            records=self.sources,
            gaps=audit.gaps,
            ensembles=audit.ensembles,
            coordinates=audit.coordinates,
        )
        return json.dumps(_finite(FILE.dump_python(content, by_alias=True)), indent=1, allow_nan=False) + "\n"


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
        found = FILE.validate_python(read_json(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise InputError(f"{path} is no verdict of an audit (`{where}`: {first['msg']}): {AGAIN}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no verdict of an audit ({error}): {AGAIN}") from error
    audit = Audit(
        found.claims,
        found.untested,
        found.evidence,
        found.summary,
        found.gaps,
        found.ensembles,
        coordinates=found.coordinates,
        suggestion=found.suggestion,
    )
    return Audited(audit, found.records)


def known_verdict(directory: Path) -> Audited | None:
    """The audit in a folder; None if there is none, or it cannot be read."""
    try:
        return read_verdict(directory / NAME) if (directory / NAME).exists() else None
    except InputError:
        return None


def _finite(value: Any) -> Any:
    """The same with null in place of numbers that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
