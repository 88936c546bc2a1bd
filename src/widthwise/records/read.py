"""Reading a store: lazily, and only after it is known to be what it should be."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from widthwise.errors import StoreError
from widthwise.records.folder import Folder, open_folder
from widthwise.records.layout import ONCE, TOTALS, TRAINING_TABLES, Layout
from widthwise.records.schema import BOOKKEEPING, QUANTITIES, RECORD_DIMS, SCHEMA_VERSION
from widthwise.study import Study
from widthwise.study.stored import Tables, read_json, study_tables
from widthwise.study.values import dangling_link

CHECKSUM = "checksum do not match"  # how zarr's Crc32cCodec says that a chunk was changed
UNPACKED = "decompression error"  # of stores without checksums
AGAIN = "move it away or delete it, and train again"


def open_records(path: str | Path) -> xr.Dataset:
    """The records at `path`, opened lazily: arrays are read when their values are asked for.

    **Arguments:** `path`, of a folder, or a URL that fsspec knows (s3://bucket/run/records.zarr).
    **Returns:** a dataset with the names, dimensions and coordinates of the schema; networks that are not
    trained yet are NaN where `done` is False.
    **Errors:** `StoreError` if there is no store, if it is damaged, written by a newer version, or if a
    variable does not have the dimensions of the schema.
    """
    folder = open_folder(path)
    attributes = read_attributes(folder)
    try:
        consolidated = "consolidated_metadata" in read_json(folder.read("zarr.json") or b"{}")
        records = xr.open_zarr(folder.zarr(read_only=True), chunks=None, consolidated=consolidated)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise StoreError(f"{folder.name} is damaged ({error}): {AGAIN}") from error
    _check_variables(folder.name, records)
    return records.assign_attrs(attributes)


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn what reading a damaged chunk of the store at `path` raises inside into a `StoreError`.

    Records are read when their values are asked for, so that damage can show long after they were opened.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        known = CHECKSUM in str(error) or UNPACKED in str(error)
        if isinstance(error, StoreError) or not known:
            raise
        reason = "a file fails its checksum" if CHECKSUM in str(error) else "a file cannot be unpacked"
        raise StoreError(
            f"{path} is damaged ({reason}): train again with the same study, which mends it"
        ) from error


def read_attributes(path: str | Path | Folder) -> dict[str, object]:
    """Attributes of the store at `path`, whose schema this version knows."""
    folder = open_folder(path)
    name = folder.name
    if not folder.exists():
        what = (folder.local is not None and dangling_link(folder.local)) or f"{name} does not exist"
        raise StoreError(f"{what}: give a records.zarr, or make one with `widthwise train`")
    if not folder.has("zarr.json"):
        raise StoreError(f"{name} is not a record store (it has no zarr.json): give another path")
    try:
        content = read_json(folder.read("zarr.json"))
        attributes = dict(content.get("attributes", {}))
        version = int(attributes.get("schema_version", SCHEMA_VERSION))
    except OSError as error:
        raise StoreError(f"{name} cannot be read: {error.strerror or error}; mend that") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{name} is damaged (its zarr.json cannot be read: {error}): {AGAIN}") from error
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{name} has schema version {version}, this widthwise knows up to {SCHEMA_VERSION}: "
            "install a newer widthwise, or write elsewhere with --out"
        )
    attributes.pop("coordinates", None)
    return attributes


def layout_of_store(path: str | Path, attributes: Mapping[str, object], layout: Layout) -> Layout:
    """The layout of an existing store once it holds what `layout` asks for: networks keep their places.

    **Errors:** `StoreError`, naming the keys that differ, unless the store was made by the same training,
    which is about what a network is, not about how many there are.
    """
    ensemble = stored_study(path, attributes)["ensemble"]
    then = {name: ensemble[name] for _, name in TOTALS}
    if attributes.get("training_hash") not in (layout.training_hash(), layout.training_hash(then)):
        check_same_study(path, attributes, layout.study, moved=False)
        raise _another_study(path, "the points differ: the data has changed since")
    return layout.beside(tuple(ensemble["widths"]), ensemble["seeds"])


def stored_study(path: str | Path, attributes: Mapping[str, object]) -> Tables:
    """The study of a store that `widthwise train` wrote, as tables, with widths and number of seeds.

    **Errors:** `StoreError` for a store of other origin, or a damaged one.
    """
    try:
        tables = study_tables(attributes, str(path)) or {}
        ensemble = tables["ensemble"]
        numbers = [ensemble["seeds"], *ensemble["widths"]]
        if len(numbers) < 2 or any(type(each) is not int or each < 1 for each in numbers):
            raise ValueError
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"{path} was not written by `widthwise train`, or is damaged: write elsewhere with --out"
        ) from error
    return tables


def check_same_study(
    path: str | Path, attributes: Mapping[str, object], study: Study, *, moved: bool = True
) -> None:
    """Raise `StoreError`, naming the keys that differ, unless a store was made by the same training, as far
    as the study says it, the points unseen; its data may have `moved` to another path."""
    differences = list(_differences(stored_study(path, attributes), study.tables()))
    if moved:
        differences = [each for each in differences if not each.startswith("`data.path`")]
    if differences:
        raise _another_study(path, "; ".join(differences))


def _another_study(path: str | Path, what: str) -> StoreError:
    return StoreError(
        f"{path} holds records of another study: {what}. Repeat the --set options it was trained with, write "
        "elsewhere with --out, or delete the store"
    )


def _differences(stored: Tables, present: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """One phrase for each key of a training table that is not the same, totals aside."""
    for table in TRAINING_TABLES:
        # Through JSON, so that tuples compare as the lists they were stored as.
        old, new = stored.get(table, {}), json.loads(json.dumps(present[table]))
        for key in sorted(old.keys() | new.keys()):
            then, now = (each.get(key, ONCE.get((table, key))) for each in (old, new))
            if then != now and (table, key) not in TOTALS:
                yield f"`{table}.{key}` was {then!r} and is {now!r}"


def _check_variables(path: str, records: xr.Dataset) -> None:
    for name, array in records.data_vars.items():
        known, expected = QUANTITIES.get(str(name)), None
        if known is not None:
            expected = RECORD_DIMS + known.dims
        elif name in BOOKKEEPING:
            expected = BOOKKEEPING[str(name)].dims
        if expected is not None and array.dims != expected:
            raise StoreError(
                f"{path}: `{name}` has dimensions {array.dims}, the schema says {expected}: "
                "write it with those, in that order"
            )
    recorded = {"prediction", "loss"} & set(records.data_vars)
    missing = [name for name in ("width", "step") if name not in records.coords]
    if missing or not recorded:
        raise StoreError(
            f"{path} is not a record store: it needs `prediction` or `loss`, and the coordinates `width` and "
            "`step`"
        )
