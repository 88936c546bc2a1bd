"""What the records of an ensemble hold, checked, with widths ascending and networks that count."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from widthwise.analysis.align import RUN_DIMS
from widthwise.analysis.families import Labels, complete, family_labels
from widthwise.analysis.gaps import Products
from widthwise.audit.audit_settings import AuditSettings
from widthwise.audit.reading import SLAB_BYTES, Place, read_part, sound, thinned
from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.stored import known_study

LARGEST_WIDTH, LARGEST_STEP = 2**40, 2**53
MOST_STEPS = 4096  # of those recorded that are read
# Dimensions of which three entries tell whether a step was recorded.
LONG_DIMS = ("point", "point_b", "output", "quantile", "query", "key", "head", "mode")


Found = TypeVar("Found")


class NothingToCompare(Exception):
    """A claim's numbers say nothing at all; it is untested for the reason given."""


@dataclass(frozen=True)
class EnsembleView:
    """Records as the claims see them.

    **Fields:** `records`, lazy, widths ascending; `widths`; `steps`, labels; `trained` (width, seed), which
    networks are done and no copies of others; `alive` (width, seed, step), where they were recorded and
    are finite; `diverged` (width, seed); `notes`, what was left out;
    `alpha` and `settings`, of the audit; `kept`, what several claims need and `once` found.
    """

    records: xr.Dataset
    widths: tuple[int, ...]
    steps: Int[np.ndarray, " step"]
    trained: Bool[np.ndarray, "width seed"]
    alive: Bool[np.ndarray, "width seed step"]
    diverged: Bool[np.ndarray, "width seed"]
    alpha: float
    settings: AuditSettings
    notes: tuple[str, ...] = field(default=())
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: str, find: Callable[[], Found]) -> Found:
        """What `find` returns, found at the first call with this key."""
        if key not in self.kept:
            self.kept[key] = find()
        return self.kept[key]

    def has(self, name: str, *dims: str) -> bool:
        """Whether the records hold a variable of each network with these dimensions beside its own."""
        return name in self.records and {*RUN_DIMS, *dims} <= set(map(str, self.records[name].dims))

    def first_of(self, *names: str) -> str | None:
        """The first of these names that was recorded by step, if any."""
        return next((name for name in names if self.has(name, "step")), None)

    def missing(self, *names: str) -> str:
        """Why a claim that needs these cannot be tested, or empty."""
        absent = [name for name in names if name not in self.records]
        if absent:
            return f"the records have no {' and no '.join(f'`{name}`' for name in absent)}: record it"
        odd = [name for name in names if not self.has(name, "step")]
        return (
            f"`{odd[0]}` has dimensions {self.records[odd[0]].dims}: give width, seed and step" if odd else ""
        )

    def usable(self, step: int) -> Bool[np.ndarray, "width seed"]:
        """Networks that count at the position `step`."""
        return self.trained & self.alive[:, :, step]

    def read(
        self,
        name: str,
        width: int,
        steps: Sequence[int] | None = None,
        layer: int | Sequence[int] | None = None,
    ) -> Float[np.ndarray, "..."]:
        """One width's values (seed, step, *rest) at positions `steps` (all if None), in float64; without a
        step dimension (seed, *rest); of one `layer`, or of several, if given; of as many points as
        `thinned` leaves."""
        chosen: dict[str, Place] = {"width": width}
        chosen |= {} if steps is None else {"step": np.asarray(steps, dtype=int)}
        if layer is not None:
            chosen["layer"] = layer if isinstance(layer, int) else np.asarray(layer, dtype=int)
        return read_part(self.records[name], chosen, self.settings).astype(np.float64)

    def numbers(self, name: str) -> list[Float[np.ndarray, "_ ..."]]:
        """A small variable at every width, NaN where a network does not count; read once, and not to be
        written to."""
        return self.once(f"numbers of {name}", lambda: self._numbers(name))

    def _numbers(self, name: str) -> list[Float[np.ndarray, "_ ..."]]:
        found = []
        for width in range(len(self.widths)):
            values = self.read(name, width)
            dead = ~(self.trained[width][:, None] & self.alive[width])
            values[dead if values.ndim > 1 and "step" in self.records[name].dims else dead.all(axis=1)] = (
                math.nan
            )
            values.flags.writeable = False
            found.append(values)
        return found

    def slabs(self, name: str, steps: Sequence[int]) -> Iterator[list[int]]:
        """Successive parts of `steps` of which all widths fit into the memory bound."""
        length = max(1, SLAB_BYTES // self.step_bytes(name))
        for start in range(0, len(steps), length):
            yield list(steps[start : start + length])

    def step_bytes(self, name: str) -> int:
        """What one step of all networks takes in float64."""
        sizes = dict(self.records[name].sizes) | {"step": 1}
        sizes |= {dim: len(at) for dim, at in thinned(self.records[name], self.settings).items()}
        return max(1, 8 * math.prod(sizes.values()))

    def some_steps(self, most: int, name: str | None = None) -> list[int]:
        """At most `most` positions of steps, evenly spread over those recorded, of the variable `name`
        where given.

        **Errors:** `NothingToCompare` if it was recorded at none.
        """
        able = np.arange(len(self.steps))
        if name is not None:
            able = self.once(f"steps of {name}", lambda: self._recorded(name))
        if not len(able):
            raise NothingToCompare(f"`{name}` is not finite at any step: record it")
        return able[np.unique(np.linspace(0, len(able) - 1, most).round().astype(int))].tolist()

    def _recorded(self, name: str) -> Int[np.ndarray, " able"]:
        """Positions of steps at which the network that lived longest has a finite number, or was dead."""
        array = self.records[name]
        if not {*RUN_DIMS, "step"} <= set(map(str, array.dims)):
            return np.arange(len(self.steps))
        counted = (self.trained[:, :, None] & self.alive).sum(axis=2)
        width, seed = np.unravel_index(int(counted.argmax()), counted.shape)
        sizes = {dim: array.sizes[dim] for dim in LONG_DIMS if dim in array.dims}
        few = {dim: np.unique([0, size // 2, size - 1]) for dim, size in sizes.items()}
        entry = array.isel(few | {"width": int(width), "seed": int(seed)}).load().transpose("step", ...)
        found = sound(entry.to_numpy().astype(np.float64)).reshape(len(self.steps), -1).any(axis=1)
        return np.flatnonzero(found | ~self.alive[width, seed])

    def names(self, dim: str, *coordinates: str) -> list[str]:
        """Labels along a dimension, by the first of its coordinates that there is, or numbers from 1 on."""
        for name in (*coordinates, dim):
            if name in self.records.coords and self.records[name].dims == (dim,):
                return [str(label) for label in self.records[name].to_numpy()]
        return [str(number) for number in range(1, self.records.sizes[dim] + 1)]

    def products(self, widths: Sequence[int], blocks: Iterator[list[Float[np.ndarray, "_ ..."]]]) -> Products:
        """Inner products of all networks from blocks of elements; each block is one array a width, rows of
        networks that do not count already left out; mean over the elements that are finite in all."""
        gram, elements, owner = None, 0, np.zeros(0, dtype=int)
        for block in blocks:
            flat = np.concatenate(
                [values.reshape(len(values), math.prod(values.shape[1:])) for values in block]
            )
            good = sound(flat).all(axis=0)
            flat = flat if good.all() else flat[:, good]
            owner = np.repeat(np.arange(len(block)), [len(values) for values in block])
            gram = flat @ flat.T if gram is None else gram + flat @ flat.T
            elements += flat.shape[1]
        if gram is None or not elements:
            raise NothingToCompare("nothing of it is finite, and not zero, in every network that counts")
        family = self.labels(widths, [int((owner == at).sum()) for at in range(len(widths))])
        labels = None if family is None else np.concatenate(family)
        return Products(tuple(self.widths[w] for w in widths), owner, gram / elements, labels)

    def labels(self, widths: Sequence[int], counts: Sequence[int]) -> list[Labels] | None:
        """Families of the networks that count at each width, of which there are so many; None where widths
        share none, and where networks were lost on the way: as independent ones they err to the wide side."""
        every = family_labels(self.records)
        if every is None:
            return None
        found = []
        for width, count in zip(widths, counts, strict=True):
            masks = (self.trained[width], self.trained[width] & self.alive[width].all(axis=1))
            fitting = [mask for mask in masks if mask.sum() == count]
            if not fitting:
                return None
            found.append(every[width][fitting[0]])
        return found if len(complete(found)) > 1 else None

    @property
    def study(self) -> Study | None:
        """The study the records were made from; None where they do not carry one that can be read."""
        return known_study(self.records.attrs)


def measure(records: xr.Dataset, alpha: float, settings: AuditSettings) -> EnsembleView:
    """Check records and say which networks count.

    Left out are networks that are not done, and copies of another network of the same width (as from one
    seed used twice): they would pass for agreement. After a network diverged it does not count.

    **Errors:** `InputError`, naming what is wrong, unless the records are an ensemble over `width` and
    `seed` with numbers.
    """
    if not isinstance(records, xr.Dataset):
        raise InputError(f"records: {type(records).__name__}; give a dataset, as from `ww.open_records`")
    absent = [dim for dim in RUN_DIMS if dim not in records.dims]
    if absent:
        raise InputError(
            f"records: dimensions {sorted(map(str, records.dims))}; an ensemble has `width` and `seed`, and "
            f"{', '.join(f'`{dim}`' for dim in absent)} is missing"
        )
    if all(records.sizes.get(dim, 1) for dim in (*RUN_DIMS, "step")):
        records = records.drop_vars([name for name in records.data_vars if not records[name].size])
    names = [str(n) for n in records.data_vars if {*RUN_DIMS, "step"} <= set(map(str, records[n].dims))]
    for name in names:
        kind = records[name].dtype.kind
        if kind not in "fiub":
            raise InputError(f"records: `{name}` holds {records[name].dtype}, not numbers: write it as float")
    if not names:
        raise InputError(
            f"records: variables {sorted(map(str, records.data_vars))}; none has the dimensions (width, "
            "seed, step): record `prediction` or `loss`"
        )
    widths = _widths(records)
    order = np.argsort(widths, kind="stable")
    steps = _steps(records)
    chosen = _fewer(len(steps))
    records, steps = records.isel(width=order, step=chosen), steps[chosen]
    trained = _flags(records, "done", np.ones((len(widths), records.sizes["seed"]), dtype=bool))
    alive = _alive(records, names, steps, settings)
    diverged = trained & np.isfinite(_diverged_at(records))
    trained &= alive.any(axis=2)
    if (families := family_labels(records)) is not None:
        trained &= families >= 0
    if not trained.any():
        raise InputError("records: no network is done, or none is finite at any recorded step: train again")
    trained, notes = _without_copies(records, names, (trained, alive), settings)
    return EnsembleView(
        records=records,
        widths=tuple(int(widths[i]) for i in order),
        steps=steps,
        trained=trained,
        alive=alive,
        diverged=diverged,
        alpha=alpha,
        settings=settings,
        notes=notes,
    )


def _widths(records: xr.Dataset) -> list[int]:
    if "width" not in records.coords:
        raise InputError("records: the coordinate `width` is missing: give the width of every entry")
    values = records["width"].to_numpy()
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InputError(f"records: `width` = {values.tolist()[:8]!r}: give whole numbers")
    bad = ~np.isfinite(values.astype(float)) | (values <= 0) | (values > LARGEST_WIDTH)
    bad |= values != np.round(values.astype(float))
    if bad.any():
        raise InputError(f"records: `width` = {values.tolist()[:8]!r}: give positive whole numbers")
    found = [int(value) for value in values]
    twice = sorted({width for width in found if found.count(width) > 1})
    if twice:
        raise InputError(
            f"records: width {twice[0]} occurs {found.count(twice[0])} times: put its networks along `seed`"
        )
    return found


def _steps(records: xr.Dataset) -> Int[np.ndarray, " step"]:
    if not records.sizes["step"] or not records.sizes["width"] or not records.sizes["seed"]:
        raise InputError(f"records: sizes {dict(records.sizes)}: there is nothing to audit")
    if "step" not in records.coords:
        return np.arange(records.sizes["step"])
    values = records["step"].to_numpy()
    whole = values.dtype.kind in "iuf" and (values == np.rint(values)).all() and (values >= 0).all()
    if not whole or (values > LARGEST_STEP).any():
        raise InputError(f"records: `step` = {values.tolist()[:8]!r}: give whole numbers from 0 on")
    if (np.diff(values.astype(float)) <= 0).any():
        raise InputError("records: `step` does not ascend: sort the records by step, each step once")
    return values.astype(np.int64)


def _fewer(count: int) -> slice | Int[np.ndarray, " chosen"]:
    """Positions of at most `MOST_STEPS` steps, half of them the first ones, the others evenly spread."""
    if count <= MOST_STEPS:
        return slice(None)
    first = MOST_STEPS // 2
    return np.concatenate([np.arange(first), np.linspace(first, count - 1, first).round().astype(int)])


def _flags(records: xr.Dataset, name: str, otherwise: Bool[np.ndarray, "w s"]) -> Bool[np.ndarray, "w s"]:
    if name not in records:
        return otherwise
    if set(map(str, records[name].dims)) != set(RUN_DIMS) or records[name].dtype.kind not in "biuf":
        raise InputError(f"records: `{name}` has dimensions {records[name].dims}: give (width, seed)")
    return records[name].transpose(*RUN_DIMS).to_numpy().astype(bool)


def _alive(
    records: xr.Dataset, names: Sequence[str], steps: Int[np.ndarray, " step"], settings: AuditSettings
) -> Bool[np.ndarray, "width seed step"]:
    """Where `loss`, or else `prediction` or what there is, is finite, and before `diverged_at`."""
    shape = (records.sizes["width"], records.sizes["seed"], len(steps))
    alive = np.ones(shape, dtype=bool)
    if "diverged_at" in records:
        alive &= steps[None, None, :] < _diverged_at(records)[:, :, None]
    name = next((name for name in ("loss", "prediction") if name in names), names[0])
    length = max(1, SLAB_BYTES * shape[0] * shape[2] // max(1, 8 * records[name].size))
    for width in range(shape[0]):
        for start in range(0, shape[2], length):
            part = slice(start, min(start + length, shape[2]))
            block = read_part(records[name], {"width": width, "step": part}, settings)
            finite = sound(block).reshape(*block.shape[:2], math.prod(block.shape[2:]))
            # A split that is missing in all networks of a width says nothing about one of them.
            ever = finite.any(axis=(0, 1))
            alive[width, :, part] &= finite[:, :, ever].all(axis=2) if ever.any() else False
    return alive


def _diverged_at(records: xr.Dataset) -> Float[np.ndarray, "width seed"]:
    """First step that was not finite, infinity where all were."""
    if "diverged_at" not in records:
        return np.full((records.sizes["width"], records.sizes["seed"]), np.inf)
    array = records["diverged_at"]
    if set(map(str, array.dims)) != set(RUN_DIMS) or array.dtype.kind not in "biuf":
        raise InputError(f"records: `diverged_at` has dimensions {array.dims}: give steps by (width, seed)")
    at = array.transpose(*RUN_DIMS).to_numpy().astype(float)
    return np.where(np.isfinite(at) & (at >= 0), at, np.inf)


def _without_copies(
    records: xr.Dataset,
    names: Sequence[str],
    networks: tuple[Bool[np.ndarray, "width seed"], Bool[np.ndarray, "width seed step"]],
    settings: AuditSettings,
) -> tuple[Bool[np.ndarray, "width seed"], tuple[str, ...]]:
    """Networks whose predictions and losses at the last two steps before they diverged are those of another
    one of the same width count once."""
    names = [name for name in ("prediction", "loss") if name in names] or list(names[:1])
    seeds, notes = records["seed"].to_numpy() if "seed" in records.coords else None, []
    trained, alive = networks[0].copy(), networks[1]
    for width in range(records.sizes["width"]):
        ends = {seed: np.flatnonzero(alive[width, seed])[-2:] for seed in np.flatnonzero(trained[width])}
        steps = np.unique(np.concatenate([np.zeros(0, dtype=int), *ends.values()]))
        chosen: dict[str, Place] = {"width": width, "step": steps}
        blocks = [read_part(records[name], chosen, settings) for name in names] if len(steps) else []
        first: set[bytes] = set()
        for seed, end in ends.items():
            own = [block[seed, np.searchsorted(steps, end)] for block in blocks]
            content = b"".join([end.tobytes(), *(np.ascontiguousarray(values).tobytes() for values in own)])
            if content in first:
                trained[width, seed] = False
                label = seed if seeds is None else seeds[seed]
                notes.append(f"seed {label} of width {records['width'].to_numpy()[width]}")
            first.add(content)
    return trained, tuple(notes)
