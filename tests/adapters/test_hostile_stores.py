"""Stores that promise too much, lead elsewhere, or are damaged: one message, never a wrong number."""

import json
import re
import shutil

import numpy as np
import pytest
import zarr

from widthwise.adapters import RecordWriter, open_runs, stores
from widthwise.errors import InputError, StoreError

DIMS = ("width", "seed", "step", "split")
LOSS = np.linspace(1, 2, 2 * 3 * 4).reshape(2, 3, 4, 1)


def put(group, name, values, dims, **settings):
    values = np.asarray(values)
    kind = "string" if values.dtype.kind in "OU" else values.dtype
    array = group.create_array(name, shape=values.shape, dtype=kind, dimension_names=dims, **settings)
    array[...] = values.astype(object) if kind == "string" else values


@pytest.fixture
def store(tmp_path):
    """Two widths, three seeds, four steps, chunks of two steps."""
    path = tmp_path / "records.zarr"
    group = zarr.create_group(path, zarr_format=3)
    put(group, "width", [8, 16], ("width",))
    put(group, "step", [0, 1, 2, 4], ("step",))
    put(group, "loss", LOSS, DIMS, chunks=(1, 1, 2, 1))
    return path


def metadata(store, name, **changes):
    """Change an array's metadata; `chunks` for those of its grid."""
    path = store / name / "zarr.json"
    content = json.loads(path.read_text())
    if "chunks" in changes:
        content["chunk_grid"]["configuration"]["chunk_shape"] = changes.pop("chunks")
    path.write_text(json.dumps(content | changes))


def replace(store, name, values, dims):
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    shutil.rmtree(store / name, ignore_errors=True)
    put(group, name, values, dims)


def first_chunk(store, name="loss"):
    return next(path for path in sorted((store / name / "c").rglob("*")) if path.is_file())


def empty(store, name):
    shutil.rmtree(store / name / "c")


WIDE = 10**12
SPOILED = {
    "a trillion networks": (
        lambda s: [
            metadata(s, "width", shape=[WIDE], chunks=[WIDE]),
            metadata(s, "loss", shape=[WIDE, 3, 4, 1], chunks=[1, 3, 4, 1]),
            empty(s, "width"),
        ],
        "GB",
    ),
    "a million networks": (
        lambda s: [
            metadata(s, "width", shape=[10**6], chunks=[10**6]),
            metadata(s, "loss", shape=[10**6, 3, 4, 1], chunks=[1, 3, 4, 1]),
            empty(s, "width"),
        ],
        "3000000 networks",
    ),
    "a chunk of terabytes": (lambda s: metadata(s, "loss", chunks=[WIDE, 1, 1, 1]), "chunks of"),
    "a step of terabytes": (
        lambda s: metadata(s, "loss", shape=[2, 3, 4, WIDE], chunks=[1, 1, 1, 1]),
        "one step of one network",
    ),
    "half a chunk": (lambda s: first_chunk(s).write_bytes(first_chunk(s).read_bytes()[:5]), "is damaged"),
    "an empty chunk": (lambda s: first_chunk(s).write_bytes(b""), "is damaged"),
    "half a coordinate": (lambda s: first_chunk(s, "width").write_bytes(b"x"), "is damaged"),
    "a link to itself": (
        lambda s: [(p := first_chunk(s)).unlink(), p.symlink_to(p.name)],
        "is damaged",
    ),
    "a link to another file": (
        lambda s: [(p := first_chunk(s)).unlink(), p.symlink_to(s / "zarr.json")],
        "is damaged",
    ),
    "metadata nested without end": (
        lambda s: (s / "loss" / "zarr.json").write_text("[" * 100_000),
        "is damaged",
    ),
    "attributes nested without end": (lambda s: (s / "zarr.json").write_text("[" * 100_000), "is damaged"),
    "separators that climb": (
        lambda s: metadata(
            s, "loss", chunk_key_encoding={"name": "default", "configuration": {"separator": "/../"}}
        ),
        "is damaged",
    ),
    "an unknown codec": (lambda s: metadata(s, "loss", codecs=[{"name": "run_me"}]), "is damaged"),
    "done of one width": (lambda s: replace(s, "done", np.ones(3, bool), ("seed",)), "`done` has type bool"),
    "divergence that is no step": (
        lambda s: replace(s, "diverged_at", np.full((2, 3), np.nan), DIMS[:2]),
        "`diverged_at` has type float64",
    ),
    "huge steps": (lambda s: replace(s, "step", [0, 1, 2, 1e300], ("step",)), "give 4 whole numbers"),
    "kernels that are not square": (
        lambda s: replace(s, "tangent_kernel", np.ones((2, 3, 4, 2, 5)), (*DIMS[:3], "point", "point_b")),
        "between the same points",
    ),
    "names that move the cursor": (
        lambda s: [
            replace(s, "tensor", np.array(["a\x1b[2J"], object), ("tensor",)),
            replace(s, "update_rms", np.ones((2, 3, 4, 1)), (*DIMS[:3], "tensor")),
        ],
        "printable",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_hostile_store_is_refused_before_it_is_read(store, name):
    spoil, message = SPOILED[name]
    spoil(store)
    with pytest.raises(InputError, match=message):
        open_runs(store)["loss"].load()


def test_a_store_is_read_whatever_its_chunks(store):
    loss = open_runs(store)["loss"]
    assert np.array_equal(loss.values, LOSS)
    assert np.array_equal(loss.isel(step=[3, 0, 2]).values, LOSS[:, :, [3, 0, 2]])
    assert np.array_equal(loss.isel(step=1, seed=[2, 0]).values, LOSS[:, [2, 0], 1])


def test_chunks_are_read_one_after_the_other(store, monkeypatch):
    """So that no more of them are in memory than one step's points take."""
    read = []
    select = zarr.Array.get_orthogonal_selection

    def seen(self, selection, **settings):
        read.append(selection[2])
        return select(self, selection, **settings)

    monkeypatch.setattr(zarr.Array, "get_orthogonal_selection", seen)
    records = open_runs(store)
    read.clear()
    records["loss"].isel(width=0, seed=0).load()
    assert read == [slice(0, 2), slice(2, 4)]


def test_divergence_alone_is_believed(store):
    replace(store, "diverged_at", np.where(np.arange(6).reshape(2, 3) == 1, 2, -1), DIMS[:2])
    records = open_runs(store)
    assert records["diverged_at"].values.tolist() == [[-1, 2, -1], [-1, -1, -1]]
    assert (
        np.isnan(records["loss"].values[0, 1, 2:]).all() and np.isfinite(records["loss"].values[0, 0]).all()
    )


def test_the_end_of_long_records_is_seen_a_part_at_a_time(store, monkeypatch):
    losses = LOSS.copy()
    losses[1, 2, 3] = np.inf
    replace(store, "loss", losses, DIMS)
    monkeypatch.setattr(stores, "SEEN_BYTES", 8)
    assert open_runs(store)["diverged_at"].values.tolist() == [[-1, -1, -1], [-1, -1, 4]]


def test_sizes_of_tensors_that_are_none_tell_no_roles(store):
    replace(store, "tensor", np.array(["a"], object), ("tensor",))
    replace(store, "update_rms", np.ones((2, 3, 4, 1)), (*DIMS[:3], "tensor"))
    for side in ("in", "out"):
        replace(store, f"tensor_fan_{side}", [[np.nan], [-1.0]], ("width", "tensor"))
    assert "tensor_shape" not in open_runs(store).variables


def test_many_runs_with_other_steps_share_those_in_common(tmp_path):
    for seed, steps in enumerate([(0, 1, 2, 3), (0, 1, 2, 3), (0, 2, 3, 5)]):
        with RecordWriter(tmp_path, width=8, seed=seed) as writer:
            for step in steps:
                writer.record(step, loss=1.0 + step)
    assert open_runs(tmp_path)["step"].values.tolist() == [0, 2, 3]


@pytest.mark.parametrize("paths", [None, 5, "", b"runs", [None], "a\0b", ["x" * 5000]])
def test_what_is_no_path_is_refused(paths):
    with pytest.raises((InputError, TypeError)):  # types are checked first where annotations are
        open_runs(paths)


WRONG = {
    "no folder": (lambda out: RecordWriter(None, width=8, seed=0), "give the path of a folder"),  # pyright: ignore
    "a URL": (lambda out: RecordWriter("s3://bucket", width=8, seed=0), "give the path of a folder"),
    "a name too long": (lambda out: RecordWriter(out / ("a" * 300), width=8, seed=0), "File name too long"),
    "a width beyond floats": (lambda out: RecordWriter(out, width=2**53 + 1, seed=0), "at most 2\\*\\*53"),
    "no sizes": (lambda out: RecordWriter(out, width=8, seed=0, tensor_shapes={"a": 5}), "give its sizes"),  # pyright: ignore
    "odd sizes": (lambda out: RecordWriter(out, width=8, seed=0, tensor_shapes={"a": [1.5]}), "whole number"),  # pyright: ignore
    "no roles": (lambda out: RecordWriter(out, width=8, seed=0, tensor_roles=[1]), "give a dictionary"),  # pyright: ignore
    "objects as probes": (lambda out: RecordWriter(out, width=8, seed=0, probes=object()), "give arrays"),
    "masked": (
        lambda out: RecordWriter(out, width=8, seed=0).record(0, loss=np.ma.masked_array([1.0], [True])),
        "masked",
    ),
    "empty": (lambda out: RecordWriter(out, width=8, seed=0).record(0, prediction=[]), "no entries"),
    "a kernel that is not square": (
        lambda out: RecordWriter(out, width=8, seed=0).record(0, loss=1.0, tangent_kernel=np.ones((2, 3))),
        "has 3 along `point_b`",
    ),
    "a step beyond floats": (
        lambda out: RecordWriter(out, width=8, seed=0).record(2**63, loss=1.0),
        "2\\*\\*53",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_of_the_writer_are_refused_at_once(tmp_path, name):
    call, message = WRONG[name]
    with pytest.raises((InputError, TypeError)) as caught:  # types are checked first where annotations are
        call(tmp_path)
    assert not isinstance(caught.value, InputError) or re.search(message, str(caught.value))


def test_late_divergence_is_kept(tmp_path):
    with RecordWriter(tmp_path, width=8, seed=0) as writer:
        writer.record(0, loss=1.0)
        writer.record(2**40, loss=np.inf)
    assert open_runs(tmp_path)["diverged_at"].values.tolist() == [[2**40]]


def test_a_store_error_is_an_input_error_with_the_path(store):
    first_chunk(store).write_bytes(b"")
    with pytest.raises(StoreError, match=str(store)):
        open_runs(store)["loss"].load()
