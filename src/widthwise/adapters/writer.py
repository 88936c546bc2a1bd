"""One training run's records, from plain arrays: a small store of its own for each (width, seed)."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from widthwise.adapters.as_arrays import as_array, as_quantity
from widthwise.adapters.found_run import Labels, coordinates_of
from widthwise.adapters.names import (
    DECISIVE,
    FEEDS,
    ROLES,
    require_cell,
    require_names,
    require_quantity,
    require_same_names,
    require_whole,
)
from widthwise.adapters.run_store import RunStore, check_place, folder_of, publish, run_path
from widthwise.atomic import partial_path
from widthwise.errors import InputError
from widthwise.records.schema import SCHEMA_VERSION
from widthwise.records.storage_errors import disk_errors

# What is recorded is held in memory up to this, then written.
HELD_BYTES = 64 * 2**20
LOSSES = ("mse", "cross_entropy")


class RecordWriter:
    """Records of one run of any training code, written to `<out>/width=<width>/seed=<seed>.zarr`.

    As a context manager: the store appears when the block ends, whole. If it ends by an exception (Ctrl-C, a
    failure), what was recorded is kept, marked as not done, without replacing a complete run. Runs of other
    widths and seeds may write below the same folder at the same time. `open_runs(out)` opens all of them.

    **Arguments:** `out`, a folder; `width`, N; `seed`, which initialization; `family`, a whole number that
    networks of several widths have in common whose initial weights are parts of one another's; `targets`, y
    of the probes, (point, output); `splits`, "train" or "test" for each probe; `probes`, the inputs, of which
    only a hash is kept, so that runs with other probes are refused; `tensor_shapes`, of each weight tensor as
    (out, in, ...), from which roles are inferred over widths; `tensor_roles`, "input", "hidden", "readout" or
    "scalar" where you know better; `tensor_feeds`, what a tensor's output feeds, of `names.FEEDS`;
    `loss_kind`, "mse" or "cross_entropy", which an audit else guesses from losses, predictions and targets;
    `attributes`, whatever JSON can hold.
    **Errors:** `InputError` for a bad argument, name, or shape, or if the disk is full.
    """

    def __init__(
        self,
        out: str | Path,
        *,
        width: int,
        seed: int,
        family: int | None = None,
        targets: object = None,
        splits: Sequence[str] | None = None,
        probes: object = None,
        tensor_shapes: Mapping[str, Sequence[int]] | None = None,
        tensor_roles: Mapping[str, str] | None = None,
        tensor_feeds: Mapping[str, str] | None = None,
        loss_kind: str | None = None,
        attributes: Mapping[str, object] | None = None,
    ):
        self.width, self.seed = require_cell(width, seed)
        self.family = None if family is None else require_whole("family", family, 0)
        self.steps: list[int] = []
        self.diverged_at = -1
        self.path: Path | None = None
        self._out = folder_of(out)
        check_place(self._out)
        self._target = run_path(self._out, self.width, self.seed)
        self._store = RunStore(partial_path(self._target))
        self._labels: dict[str, tuple[str, ...]] = {}
        self._sizes: dict[str, int] = {}
        self._closed = False
        self._targets = self._take_targets(targets)
        self._splits = None if splits is None else self._take_splits(splits)
        self._attributes = {
            "schema_version": SCHEMA_VERSION,
            "written_by": json.dumps({name: version(name) for name in ("widthwise", "numpy", "zarr")}),
            "probes_sha256": "" if probes is None else digest_of(probes),
            "tensor_shapes": json.dumps(_shapes({} if tensor_shapes is None else tensor_shapes)),
            "tensor_roles": json.dumps(_words("tensor_roles", tensor_roles or {}, ROLES)),
            "tensor_feeds": json.dumps(_words("tensor_feeds", tensor_feeds or {}, FEEDS)),
        }
        if loss_kind is not None:
            if loss_kind not in LOSSES:
                raise InputError(f"`loss_kind` is {loss_kind!r}: give one of {', '.join(LOSSES)}, or None")
            self._attributes["loss"] = loss_kind
        own = {} if attributes is None else attributes
        if not isinstance(own, Mapping):
            raise InputError(f"`attributes` is a {type(own).__name__}: give a dictionary")
        self._attributes |= {f"user_{name}": _json(str(name), value) for name, value in own.items()}

    @property
    def diverged(self) -> bool:
        """Whether something decisive was not finite; nothing need be recorded from then on."""
        return self.diverged_at >= 0

    def record(self, step: int, **quantities: object) -> None:
        """What was measured at one step; step 0 is initialization, step t is before the t-th update.

        **Arguments:** `quantities`, by the names of `records/schema.py`: arrays with those dimensions but
        `step`, or, along `layer`, `tensor`, `block` and `split`, dictionaries by name. What is None, or not
        given at some step, is NaN there.
        **Errors:** `InputError` if a step comes twice or before another, a name or a number of dimensions is
        not the schema's, or sizes or names differ from those of earlier steps.
        """
        if self._closed:
            raise InputError("this writer is closed: make another one")
        step = require_whole("step", step, 0)
        if self.steps and step <= self.steps[-1]:
            raise InputError(
                f"`step` is {step} after {self.steps[-1]}: record steps in ascending order, each once"
            )
        arrays = {name: self._take(name, value) for name, value in quantities.items() if value is not None}
        if not arrays:
            raise InputError("nothing is given to `record`: give at least `prediction` or `loss`")
        self.steps.append(step)
        bad = [name for name in DECISIVE if name in arrays and not np.isfinite(arrays[name]).all()]
        if bad and not self.diverged:
            self.diverged_at = step
        if self.diverged:
            arrays = {name: np.full_like(values, np.nan) for name, values in arrays.items()}
        self._store.hold(len(self.steps) - 1, arrays)
        if self._store.held_bytes > HELD_BYTES:
            with disk_errors(self._out, "runs that were complete are safe"):
                self._store.flush(len(self.steps))

    def close(self, *, complete: bool = True) -> None:
        """Put the store in its place; a second time does nothing.

        **Arguments:** `complete`, whether the training is over; else the run is kept as not done.
        **Errors:** `InputError` if neither prediction nor loss was recorded in a complete run.
        """
        if self._closed:
            return
        self._closed = True
        if not {"prediction", "loss"} & set(self._store.names):
            shutil.rmtree(self._store.path, ignore_errors=True)
            if complete:
                raise InputError(
                    f"neither `prediction` nor `loss` was recorded of width {self.width}, seed {self.seed}: "
                    "record at least one of them"
                )
            return
        with disk_errors(self._out, "runs that were complete are safe"):
            try:
                self._store.finish(
                    self.steps, self._coordinates(), self._attributes, self._bookkeeping(complete)
                )
                self.path = publish(self._store.path, self._target, complete=complete)
            except BaseException:
                shutil.rmtree(self._store.path, ignore_errors=True)
                raise

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def _take(self, name: str, value: object) -> np.ndarray:
        array, labels = as_quantity(name, value)
        dims = tuple(dim for dim in require_quantity(name).dims if dim != "step")
        if "split" in dims and self._splits is not None:
            own = tuple(dict.fromkeys(self._splits))
            if "split" in labels and sorted(labels["split"]) == sorted(own):
                array = array[[labels["split"].index(each) for each in own]]
                labels["split"] = own
            self._labels.setdefault("split", own)
            self._sizes.setdefault("split", len(own))
        for dim, size in zip(dims, array.shape, strict=True):
            known = self._sizes.setdefault("point" if dim == "point_b" else dim, size)
            if size != known:
                raise InputError(f"`{name}` has {size} along `{dim}`, where before there were {known}")
        for dim, names in labels.items():
            require_same_names(names, self._labels.setdefault(dim, names), dim, f"`{name}`")
        return array

    def _take_targets(self, targets: object) -> np.ndarray | None:
        if targets is None:
            return None
        array = as_array("targets", targets)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise InputError(f"`targets` has shape {array.shape}: give (point, output)")
        self._sizes |= {"point": len(array), "output": array.shape[1]}
        return array.astype(np.float64)

    def _take_splits(self, splits: Sequence[str]) -> tuple[str, ...]:
        names = tuple(map(str, splits)) if isinstance(splits, Iterable) else (str(splits),)
        if not names or set(names) - {"train", "test"}:
            raise InputError(f'`splits` has {sorted(set(names))}: give "train" or "test" for each probe')
        known = self._sizes.setdefault("point", len(names))
        if known != len(names):
            raise InputError(f"`splits` has {len(names)} entries for {known} probes")
        return names

    def _coordinates(self) -> dict[str, tuple[str, np.ndarray]]:
        own = {"width": np.array([self.width]), "seed": np.array([self.seed]), "step": np.array(self.steps)}
        sizes = self._sizes | ({"point_b": self._sizes["point"]} if "point" in self._sizes else {})
        return coordinates_of(Labels(names=self._labels, splits=self._splits or ()), sizes, own)

    def _bookkeeping(self, complete: bool) -> dict[str, np.ndarray]:
        found = {"diverged_at": np.full((1, 1), self.diverged_at, np.int64)}
        if self._targets is not None:
            found["target"] = self._targets
        if self.family is not None:
            found["family"] = np.full((1, 1), self.family, np.int64)
        return found | {"done": np.full((1, 1), complete or self.diverged)}


def digest_of(probes: object) -> str:
    """SHA-256 of the numbers, types and shapes of an array, or of several in a list or dictionary."""
    digest = hashlib.sha256()
    if isinstance(probes, Mapping):
        for name in sorted(probes, key=str):
            digest.update(f"{name}:{digest_of(probes[name])}".encode())
    elif isinstance(probes, list | tuple) and any(np.ndim(each) for each in probes):  # pyright: ignore
        for each in probes:
            digest.update(digest_of(each).encode())
    else:
        array = np.asarray("" if probes is None else probes)
        if array.dtype.kind == "O":
            raise InputError(f"`probes` is a {type(probes).__name__}: give arrays, which can be told apart")
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _shapes(shapes: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    found = {}
    for name, shape in _table("tensor_shapes", shapes).items():
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            raise InputError(f"`tensor_shapes` has {shape!r} for {name!r}: give its sizes, (out, in, ...)")
        found[name] = [require_whole(f"tensor_shapes[{name!r}]", size, 0) for size in shape]
    return found


def _table(of: str, given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"`{of}` is a {type(given).__name__}: give a dictionary by name")
    require_names(given, of)
    return given


def _words(of: str, words: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    for name, word in _table(of, words).items():
        if word not in known:
            raise InputError(f"`{of}` has {word!r} for {name!r}: give one of {', '.join(known)}")
    return dict(words)


def _json(name: str, value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`attributes` has `{name}` = {value!r}, which JSON cannot hold ({error})"
        ) from error
