"""Whether a theory and records are of one study and of the same points."""

import numpy as np
import xarray as xr

from widthwise.errors import InputError
from widthwise.study.stored import study_of

SAME_STUDY_TABLES = ("data", "network", "training")
DIFFERENT = "they come from different studies; make both from one study file"
TARGETS_AGREE = 1e-4  # of the largest: records are in single precision or below


class OtherStudy(InputError):
    """Theory and records that are not of one study: shown side by side they would be a wrong comparison."""


def nothing_in_common(theory: xr.Dataset, records: xr.Dataset) -> str:
    """Why files that only lie side by side cannot be taken for one study, or empty.

    Arrays of one shape are no evidence: both must carry their study, or the targets of their points.
    """
    if all("study" in data.attrs for data in (theory, records)):
        return ""
    if all("target" in data for data in (theory, records)):
        return ""
    return (
        "neither a study nor targets in both say that theory and records belong together; record the targets "
        "beside the predictions"
    )


def check_same_study(theory: xr.Dataset, records: xr.Dataset) -> None:
    """Data, network and training must agree where both files carry their study.

    **Errors:** `OtherStudy`, naming the first key that differs.
    """
    if not all("study" in data.attrs for data in (theory, records)):
        return
    ours, theirs = study_of(theory.attrs, "theory"), study_of(records.attrs, "records")
    assert ours is not None and theirs is not None
    for table in SAME_STUDY_TABLES:
        mine, other = ours.tables()[table], theirs.tables()[table]
        for key in sorted(mine):
            if mine[key] != other[key] and (table, key) != ("training", "steps"):
                raise OtherStudy(
                    f"`{table}.{key}` = {mine[key]!r} in theory and {other[key]!r} in records: {DIFFERENT}"
                )


def check_same_points(theory: xr.Dataset, records: xr.Dataset) -> None:
    """Points must be split alike and have the same targets, where both files say.

    **Errors:** `OtherStudy`, saying which of them differ.
    """
    splits = [point_splits(data) for data in (theory, records)]
    if all(splits) and splits[0] != splits[1]:
        raise OtherStudy(
            f"{splits[0].count('train')} of {len(splits[0])} points are trained on in theory and "
            f"{splits[1].count('train')} of {len(splits[1])} in records: {DIFFERENT}"
        )
    found = [data["target"] for data in (theory, records) if "target" in data]
    if len(found) < 2 or {*found[0].dims} != {*found[1].dims}:
        return
    if any(each.dtype.kind not in "fiub" for each in found):
        return
    ours, theirs = (each.transpose(*found[0].dims).to_numpy() for each in found)
    close = TARGETS_AGREE * max(1e-30, float(np.nan_to_num(np.abs(ours)).max(initial=0.0)))
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=0.0, atol=close, equal_nan=True):
        raise OtherStudy(f"the targets of theory and of records differ: {DIFFERENT}")


def point_splits(data: xr.Dataset) -> list[str]:
    """ "train" or "test" for each point; empty where the file does not say."""
    if "split" not in data.coords or data["split"].dims != ("point",):
        return []
    # Files bring strings as objects, fixed-width or variable-width arrays; they compare only as Python's.
    return [str(split) for split in data["split"].to_numpy()]
