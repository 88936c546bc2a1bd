"""What theory and records have in common: variables, steps, and the parts into which a variable falls."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from widthwise.analysis.families import Labels, complete, family_labels, usable
from widthwise.analysis.same_study import (
    DIFFERENT,
    OtherStudy,
    check_same_points,
    check_same_study,
    point_splits,
)
from widthwise.errors import InputError
from widthwise.records.schema import VARIABLES

MEASURED = tuple(name for name in VARIABLES if name != "prediction_two_time_covariance")
RUN_DIMS = ("width", "seed")


@dataclass(frozen=True)
class Part:
    """A piece of a variable that is judged by itself: one split's points, one layer, or all of it.

    **Fields:** `where`, the dimension it selects from ("split", "layer" or none) and the labels `at`;
    `dims`, the variable's dimensions, `step` first. A pair of points of a kernel counts once.
    """

    variable: str
    label: str
    dims: tuple[str, ...]
    along: str | None
    index: Int[np.ndarray, "chosen"]

    def elements(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Values (*leading, step, *rest) of the whole variable as this part's (*leading, step, element)."""
        leading = values.ndim - len(self.dims)
        if self.along is not None:
            values = np.take(values, self.index, axis=leading + self.dims.index(self.along))
        if self.dims[-2:] == ("point", "point_b"):
            values = values[..., *np.triu_indices(values.shape[-1])]
        return values.reshape(*values.shape[: leading + 1], -1)


@dataclass(frozen=True)
class Common:
    """Positions of the shared steps in either file, shared variables, the seeds that count at each width, and
    the families of those, where widths share some."""

    variables: tuple[str, ...]
    steps: Int[np.ndarray, "step"]
    theory_at: Int[np.ndarray, "step"]
    records_at: Int[np.ndarray, "step"]
    valid: Bool[np.ndarray, "width seed"]
    families: list[Labels] | None = None

    def rows(self) -> set[int]:
        """How many independent rows there are at a width, or at two together."""
        if self.families is None:
            return {int(count) for count in self.valid.sum(axis=1)}
        return {len(complete(pair)) for pair in product(self.families, repeat=2)}


def usable_seeds(records: xr.Dataset) -> Bool[np.ndarray, "width seed"]:
    """Seeds that were trained and did not diverge, from `done` and `diverged_at` where they are kept."""
    valid = np.ones((records.sizes["width"], records.sizes["seed"]), dtype=bool)
    if "done" in records:
        valid &= records["done"].transpose("width", "seed").to_numpy().astype(bool)
    if (families := family_labels(records)) is not None:
        valid &= families >= 0
    if "diverged_at" in records:
        return valid & (records["diverged_at"].transpose("width", "seed").to_numpy() < 0)
    for name in measured_variables(records):
        # Network by network: the last step of all kernels together may not fit into memory.
        for width, seed in np.argwhere(valid):
            last = records[name].isel(width=width, seed=seed, step=-1).load().to_numpy()
            valid[width, seed] = np.isfinite(last).all()
    return valid


def measured_variables(records: xr.Dataset) -> tuple[str, ...]:
    """Names of the schema that the records hold for every width, seed and step."""
    return tuple(v for v in MEASURED if v in records and {*RUN_DIMS, "step"} <= set(records[v].dims))


def check_records(records: xr.Dataset) -> None:
    """Raise `InputError` unless the dataset is an ensemble over `width` and `seed`."""
    missing = [name for name in (*RUN_DIMS, "step") if name not in records.dims]
    if missing or not measured_variables(records):
        raise InputError(
            f"records: dimensions {sorted(map(str, records.dims))}, variables {sorted(map(str, records))}; "
            f"an ensemble has dimensions width, seed, step and at least one of {', '.join(MEASURED)}"
        )


def find_common(theory: xr.Dataset, records: xr.Dataset) -> Common:
    """What can be compared; steps at which theory is not finite are left out.

    **Errors:** `OtherStudy` where the two describe different studies, points, targets or outputs;
    `InputError` where they share nothing.
    """
    check_records(records)
    check_same_study(theory, records)
    variables = tuple(
        v for v in measured_variables(records) if v in theory and _same_shape(theory, records, v)
    )
    check_same_points(theory, records)
    if not variables:
        raise InputError(
            f"theory has {sorted(map(str, theory.data_vars))}, "
            f"records {sorted(map(str, records.data_vars))}: no variable with the same dimensions is in both"
        )
    labels = {name: step_labels(data) for name, data in (("theory", theory), ("records", records))}
    finite = np.ones(theory.sizes["step"], dtype=bool)
    for name in variables:
        values = theory[name].transpose(*ordered_dims(theory[name])).to_numpy()
        finite &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
    steps, theory_at, records_at = np.intersect1d(
        np.where(finite, labels["theory"], -1), labels["records"], return_indices=True
    )
    keep = steps >= 0
    if not keep.any():
        raise InputError(
            "theory and records share no step at which theory is finite: record some of its steps"
        )
    valid = usable_seeds(records)
    families = usable(family_labels(records), valid)
    return Common(variables, steps[keep], theory_at[keep], records_at[keep], valid, families)


def find_parts(theory: xr.Dataset, variable: str) -> list[Part]:
    """Splits of predictions and losses, layers of kernels, else the whole variable."""
    dims = ordered_dims(theory[variable])
    everything = np.zeros(0, dtype=int)
    if "layer" in dims:
        layers = (
            theory["layer"].to_numpy()
            if "layer" in theory.coords
            else np.arange(1, theory.sizes["layer"] + 1)
        )
        return [
            Part(variable, f"{variable}, layer {layer}", dims, "layer", np.array([i]))
            for i, layer in enumerate(layers)
        ]
    splits = np.array(point_splits(theory))
    names = list(dict.fromkeys(splits))
    if "split" in dims:
        # The dimension has no labels of its own: its entries are the points' splits in order of appearance.
        names = (
            names
            if len(names) == theory.sizes["split"]
            else [f"split {i}" for i in range(theory.sizes["split"])]
        )
        return [Part(variable, f"{variable}, {n}", dims, "split", np.array([i])) for i, n in enumerate(names)]
    if "point" not in dims or "point_b" in dims or not names:
        return [Part(variable, variable, dims, None, everything)]
    return [Part(variable, f"{variable}, {n}", dims, "point", np.flatnonzero(splits == n)) for n in names]


def ordered_dims(variable: xr.DataArray) -> tuple[str, ...]:
    """The variable's own dimensions, `step` first."""
    rest = tuple(str(d) for d in variable.dims if d not in (*RUN_DIMS, "step"))
    return ("step", *rest)


def step_labels(data: xr.Dataset) -> Int[np.ndarray, "step"]:
    """The steps of a file, or their positions where it does not say; none of what has no steps."""
    steps = data["step"].to_numpy() if "step" in data.coords else np.arange(data.sizes.get("step", 0))
    return steps.astype(np.int64)


def _same_shape(theory: xr.Dataset, records: xr.Dataset, variable: str) -> bool:
    """False where dimensions differ; an error where they agree and their sizes do not."""
    expected, found = ordered_dims(theory[variable]), ordered_dims(records[variable])
    if set(expected) != set(found):
        return False
    for dim in expected[1:]:
        if theory.sizes[dim] != records.sizes[dim]:
            raise OtherStudy(
                f"`{variable}` has {theory.sizes[dim]} {dim}s in theory and {records.sizes[dim]} in records: "
                f"{DIFFERENT}"
            )
    return True
