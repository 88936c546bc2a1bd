"""Many runs, opened as one lazily read dataset."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.core import indexing

from widthwise.adapters.align_logs import align_logs, listed
from widthwise.adapters.found_run import Labels, Run, RunsArray, coordinates_of
from widthwise.adapters.log_columns import parse_columns
from widthwise.adapters.log_files import TABLES, runs_of_log
from widthwise.adapters.log_folders import runs_of_folder
from widthwise.adapters.names import NAMED, recordable, require_same_names
from widthwise.adapters.roles import infer_roles
from widthwise.adapters.run_store import INTERRUPTED
from widthwise.adapters.store_labels import TABLES as LABEL_TABLES
from widthwise.adapters.stores import runs_of_store
from widthwise.atomic import PARTIAL
from widthwise.errors import InputError, StoreError
from widthwise.records.schema import BOOKKEEPING, COORDINATES, RECORD_DIMS, SCHEMA_VERSION
from widthwise.study.values import dangling_link


def open_runs(
    paths: str | Path | Sequence[str | Path], columns: str | Mapping[str, str] | None = None
) -> xr.Dataset:
    """Everything recorded at these places, as one dataset whose numbers are read when they are asked for.

    **Arguments:** `paths`, one or several of: a folder of runs (searched for stores at any depth, else for
    logs: tables beside configs, TensorBoard's events, MLflow's runs), a store such as `records.zarr`, its
    URL, a log of losses (CSV, JSON lines, JSON, Parquet; a row a step, or a column a run); `columns` of logs
    by role, such as "width=d_model,step=_step,loss=val_loss", where they are not called so.
    **Returns:** variables (width, seed, step, ...) with the names of the schema. Steps are those that all
    runs have; what was left out is said in the attribute `notes` (JSON, a list of sentences), steps also in
    `left_out_steps`, and in `covered_share` the share of training that is left. Losses of logs whose steps
    differ are interpolated between them. `done(width, seed)`: False for runs that are missing (NaN) or were
    interrupted (as far as they came), which do not limit the common steps. `diverged_at`: the first step that
    is not finite, -1 if none; NaN from there on, and steps from there on are not missed.
    `tensor_shape(width, tensor, axis)`, 0 beyond the last axis, and `tensor_role`, where tensors' shapes were
    recorded. Attention has as many heads as every run has.
    **Errors:** `StoreError` if there is nothing, or a store is damaged; `InputError` if a (width, seed) comes
    twice, or if runs differ in their layers, tensors, probes, targets or shapes, with the difference.
    """
    found = open_by_rate(paths, columns)
    if len(found) > 1:
        rates = ", ".join("none" if rate is None else f"{rate:g}" for rate in found)
        raise InputError(
            f"the logs hold runs at {len(found)} rates ({rates}): `widthwise forecast` compares them; here "
            "give those of one"
        )
    return combine(next(iter(found.values())) if found else [])


def open_by_rate(
    paths: str | Path | Sequence[str | Path], columns: str | Mapping[str, str] | None = None
) -> dict[float | None, list[Run]]:
    """The runs at these places by their learning rate, or other setting of a sweep; None if none is said."""
    places = [paths] if isinstance(paths, str | Path) or not isinstance(paths, Iterable) else list(paths)
    if not places:
        raise InputError("`paths` is empty: give folders of runs, stores or logs")
    for place in places:
        if not isinstance(place, str | Path) or not str(place) or "\0" in str(place):
            raise InputError(f"`paths` has {place!r}: give folders of runs, stores or logs")
    told = parse_columns(columns)
    found: dict[float | None, list[Run]] = {}
    for place in places:
        for run in _runs_at(place, told):
            found.setdefault(run.rate, []).append(run)
    return dict(sorted(found.items(), key=lambda item: item[0] or 0.0))


def combine(runs: Sequence[Run]) -> xr.Dataset:
    """One dataset of runs, see `open_runs`."""
    runs, outside, aligned = align_logs(_one_of_each(runs))
    if not runs:
        raise StoreError("the records hold no networks: one of `width` and `seed` has no entries")
    runs, fewer = _as_many_heads(runs)
    first = runs[0]
    labels = _check_alike(runs)
    steps, left_out, notes = _common_steps(runs)
    longest = max(int(each.max(initial=0)) for each in (outside, *(run.steps for run in runs)))
    widths, seeds = sorted({run.width for run in runs}), sorted({run.seed for run in runs})
    places = {(widths.index(run.width), seeds.index(run.seed)): run for run in runs}
    grid = (len(widths), len(seeds))
    names, missing = _common_quantities(runs)
    found: dict[str, xr.Variable] = {}
    for name in names:
        known = recordable(name)
        assert known is not None
        array = indexing.LazilyIndexedArray(RunsArray(name, places, grid, steps))
        found[name] = xr.Variable(RECORD_DIMS + known.dims, array, {"long_name": known.long_name})
    sizes = {str(dim): size for each in found.values() for dim, size in each.sizes.items()}
    done, diverged = np.zeros(grid, bool), np.full(grid, -1, np.int64)
    for place, run in places.items():
        done[place], diverged[place] = run.done, run.diverged_at
    kept, targets = {"done": done, "diverged_at": diverged}, labels.targets
    if targets is not None and targets.shape == tuple(sizes.get(dim) for dim in ("point", "output")):
        kept["target"] = targets
    for name, values in kept.items():
        meaning = BOOKKEEPING[name]
        found[name] = xr.Variable(meaning.dims, values, {"long_name": meaning.long_name})
    coupled = {}
    if any(run.family is not None for run in runs):
        # Networks that do not say share their initial weights with no other.
        alone = iter(range(1 + max(run.family or 0 for run in runs), 2**62))
        family = np.full(grid, -1, np.int64)
        for place, run in places.items():
            family[place] = next(alone) if run.family is None else run.family
        meaning = COORDINATES["family"]
        coupled["family"] = xr.Variable(meaning.dims, family, {"long_name": meaning.long_name})
    own = {"width": np.array(widths), "seed": np.array(seeds), "step": steps}
    coordinates = {
        name: xr.Variable((dim,), values, {"long_name": COORDINATES[name].long_name})
        for name, (dim, values) in coordinates_of(labels, sizes, own).items()
    }
    extra, roles = infer_roles(runs, widths, labels.names.get("tensor", ()) if "tensor" in sizes else ())
    laws = first.labels.exponents if "tensor" in sizes else {}
    exponents = {name: xr.Variable(("tensor",), values) for name, values in laws.items()}
    attributes = _attributes(runs) | {
        "left_out_steps": [int(step) for step in (*outside, *left_out)],
        "covered_share": float(steps[-1]) / longest if longest else 1.0,
        "notes": json.dumps([*aligned, *notes, *missing, *fewer]),
    }
    return xr.Dataset(
        {**found, **extra}, coords={**coordinates, **coupled, **roles, **exponents}, attrs=attributes
    )


def _runs_at(place: str | Path, told: Mapping[str, str]) -> list[Run]:
    if "://" in str(place) and not isinstance(place, Path):
        return runs_of_store(place)
    path = Path(place)
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    if path.is_file():
        if path.suffix.lower() in TABLES:
            return runs_of_log(path, told)
        raise StoreError(
            f"{path} is a file: give a folder of runs, a records.zarr, or a log ({', '.join(TABLES)})"
        )
    if not path.exists():
        what = dangling_link(path) or f"{path} does not exist"
        raise StoreError(f"{what}: give a folder of runs, a records.zarr, or a log such as a CSV file")
    stores = list(_stores_below(path))
    if stores:
        return [run for store in stores for run in runs_of_store(store)]
    found = runs_of_folder(path, told)
    if not found:
        raise StoreError(
            f"{path} has no records in it (no folder with a zarr.json, and no log): give another path"
        )
    return found


def _stores_below(path: Path) -> Iterator[Path]:
    """Folders with a zarr.json, sorted; links are not followed, and what is being written is passed by."""
    for place, folders, files in os.walk(path):
        if "zarr.json" in files:
            folders.clear()
            yield Path(place)
        else:
            folders[:] = sorted(
                name
                for name in folders
                if not (name.startswith(".") or name.endswith((PARTIAL, INTERRUPTED)))
            )


def _one_of_each(runs: Sequence[Run]) -> list[Run]:
    """Each (width, seed) once: of one that is done and others that are not, the one that is."""
    kept: dict[tuple[int, int], Run] = {}
    for run in runs:
        cell = (run.width, run.seed)
        other = kept.get(cell)
        if other is not None and other.done == run.done:
            raise InputError(
                f"width {run.width}, seed {run.seed} is recorded twice, in {other.origin} and in "
                f"{run.origin}: remove one of them, or give only one of the paths"
            )
        if other is None or run.done:
            kept[cell] = run
    return [kept[cell] for cell in sorted(kept)]


def _as_many_heads(runs: Sequence[Run]) -> tuple[Sequence[Run], list[str]]:
    """Of attention the first heads, as many as every run has, and a sentence that says so: heads may grow in
    number with the width, and are exchangeable."""
    counts = {array.sizes["head"] for run in runs for array in run.arrays.values() if "head" in array.dims}
    if len(counts) < 2:
        return runs, []
    first = {"head": slice(min(counts))}
    kept = [
        replace(run, arrays={n: array.isel(first, missing_dims="ignore") for n, array in run.arrays.items()})
        for run in runs
    ]
    return kept, [f"attention is that of the first {min(counts)} heads: networks have up to {max(counts)}"]


def _check_alike(runs: Sequence[Run]) -> Labels:
    """Names, splits and targets that all runs have that have any; raise unless they can stand together."""
    names: dict[str, tuple[str, ...]] = {}
    for dim in NAMED:
        for first, run in _beside(runs, lambda run, dim=dim: run.labels.names.get(dim)):
            names.setdefault(dim, first.labels.names[dim])
            require_same_names(run.labels.names[dim], names[dim], dim, f"{run}, compared to {first},")
    for name in {name: None for run in runs for name in run.arrays}:
        for first, run in _beside(runs, lambda run, name=name: run.arrays.get(name)):
            one, two = ({**each.arrays[name].sizes, "step": 0} for each in (first, run))
            if one != two:
                raise InputError(
                    f"`{name}` is {_sized(two)} in {run}, but {_sized(one)} in {first}: give all the same"
                )
    splits: tuple[str, ...] = ()
    for first, run in _beside(runs, lambda run: run.labels.splits or None):
        splits = first.labels.splits
        if run.labels.splits != splits:
            raise InputError(f"{run} has other splits of its points than {first}: give all the same")
    for first, run in _beside(runs, lambda run: run.labels.probes or None):
        if run.labels.probes != first.labels.probes:
            raise InputError(f"{run} has other probes than {first}: give all runs the same inputs")
    targets = None
    for first, run in _beside(runs, lambda run: run.labels.targets):
        targets = first.labels.targets
        assert targets is not None and run.labels.targets is not None
        if not np.array_equal(targets, run.labels.targets, equal_nan=True):
            raise InputError(f"{run} has other targets than {first}: give all runs the same")
    return Labels(names=names, splits=splits, targets=targets)


def _beside(runs: Sequence[Run], has: Callable[[Run], object]) -> list[tuple[Run, Run]]:
    """Each run that has something, beside the first that has it."""
    those = [run for run in runs if has(run) is not None]
    return [(those[0], run) for run in those]


def _sized(sizes: Mapping[str, int]) -> str:
    return "(" + ", ".join(f"{dim} {size}" for dim, size in sizes.items() if dim != "step") + ")"


def _common_steps(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Steps that every run has that is done, before it diverged; those left out; and sentences that say
    so."""
    deciding = [run for run in runs if run.done] or list(runs)
    # Most runs have the same steps, and there may be many of both.
    distinct = {run.steps.tobytes(): run.steps for run in deciding}
    every = np.unique(np.concatenate(list(distinct.values())))
    common = np.ones(len(every), bool)
    for steps, diverged_at in {(run.steps.tobytes(), run.diverged_at) for run in deciding}:
        past = every >= diverged_at if diverged_at >= 0 else False
        common &= np.isin(every, distinct[steps]) | past
    left_out, notes = every[~common], []
    if not common.any():
        one = deciding[0]
        other = next((run for run in deciding if not np.isin(run.steps, one.steps).any()), deciding[-1])
        raise InputError(
            f"the runs have no step in common: {one} has {listed(one.steps)}, {other} has "
            f"{listed(other.steps)}; record all runs at the same steps"
        )
    if len(left_out):
        lacking = [run for run in deciding if not np.isin(left_out, run.steps).all()]
        named = "; ".join(str(run) for run in lacking[:3]) + (" ..." if len(lacking) > 3 else "")
        notes.append(f"steps {listed(left_out)} are left out: not all runs have them ({named})")
    undone = [run for run in runs if not run.done and any(np.isin(every, run.steps))]
    if undone and len(undone) < len(runs):
        notes.append(f"{len(undone)} runs are not done and count as missing, such as {undone[0]}")
    return every[common], left_out, notes


def _common_quantities(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Quantities that all runs have that are done, and sentences on the others."""
    deciding = [run for run in runs if run.done] or list(runs)
    every = list(dict.fromkeys(name for run in deciding for name in run.arrays))
    common = [name for name in every if all(name in run.arrays for run in deciding)]
    if not {"prediction", "loss"} & set(common):
        raise InputError(
            "the runs have neither `prediction` nor `loss` in common: record the same of all "
            f"({deciding[0]} has {', '.join(deciding[0].arrays)})"
        )
    notes = [
        f"`{name}` is left out: {next(run for run in deciding if name not in run.arrays)} does not have it"
        for name in every
        if name not in common
    ]
    return common, notes


def _attributes(runs: Sequence[Run]) -> dict[str, object]:
    """What all stores say alike, such as the study, and where the runs are."""
    first = runs[0].labels.attributes
    alike = {
        name: value
        for name, value in first.items()
        if name not in ("tensor_shapes", *LABEL_TABLES.values())
        and all(run.labels.attributes.get(name) == value for run in runs[1:])
    }
    return alike | {"schema_version": SCHEMA_VERSION, "runs": len({run.origin for run in runs})}
