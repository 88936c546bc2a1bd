"""Logs as people have them: columns by other names, wide tables, JSON, Parquet, folders, TensorBoard."""

import csv
import json

import numpy as np
import pytest

from widthwise.adapters import open_runs
from widthwise.errors import InputError

WIDTHS, SEEDS, STEPS = (8, 16, 32), (0, 1), (0, 1, 10, 100)


def loss(width, seed, step):
    return 1 / width + 0.001 * seed + 1 / (1 + step)


def cells():
    return [(n, e, t, loss(n, e, t)) for n in WIDTHS for e in SEEDS for t in STEPS]


def check(records, seeds=SEEDS):
    assert records["width"].values.tolist() == list(WIDTHS) and records["step"].values.tolist() == list(STEPS)
    for n in WIDTHS:
        for e in seeds:
            found = records["loss"].sel(width=n, seed=e).isel(split=0).values
            np.testing.assert_allclose(found, [loss(n, e, t) for t in STEPS], rtol=1e-6)


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_columns_are_found_by_what_they_are_mostly_called_or_told(tmp_path):
    path = write_csv(tmp_path / "a.csv", ["d_model", "seed", "_step", "val_loss"], cells())
    check(open_runs(path))
    path = write_csv(tmp_path / "b.csv", ["N", "run", "t", "L"], cells())
    check(open_runs(path, columns="width=N,seed=run,step=t,loss=L"))
    with pytest.raises(InputError, match=r"no column width, step, loss: it has N, run, t, L; .*width=NAME"):
        open_runs(path)
    with pytest.raises(InputError, match="no column nonsense"):
        open_runs(path, columns={"width": "nonsense"})
    with pytest.raises(InputError, match="columns` has wdth=N"):
        open_runs(path, columns="wdth=N")


def test_two_losses_must_be_told_apart(tmp_path):
    rows = [(*row, 7.0) for row in cells()]
    path = write_csv(tmp_path / "a.csv", ["width", "seed", "step", "val_loss", "test_loss"], rows)
    with pytest.raises(InputError, match=r"test_loss and val_loss: say which is the loss, as in --columns"):
        open_runs(path)
    check(open_runs(path, columns="loss=val_loss"))


def test_a_rate_beside_each_loss_is_a_schedule(tmp_path):
    rows = [(*row, 0.1 / (1 + row[2])) for row in cells()]
    path = write_csv(tmp_path / "a.csv", ["width", "seed", "step", "loss", "learning_rate"], rows)
    check(open_runs(path))


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("{width}_{seed}", "loss={width}_{seed}"),
        ("width={width} seed={seed}", None),
        ("d_model_{width}-seed_{seed} - val/loss", None),
    ],
)
def test_a_column_a_run(tmp_path, name, columns):
    runs = [(n, e) for n in WIDTHS for e in SEEDS]
    header = ["Step", *(name.format(width=n, seed=e) for n, e in runs)]
    header.append(header[1] + "__MIN")
    rows = [[t, *(loss(n, e, t) for n, e in runs), 5.0] for t in STEPS]
    check(open_runs(write_csv(tmp_path / "a.csv", header, rows), columns=columns))


def test_a_column_a_width(tmp_path):
    rows = [[t, *(loss(n, 0, t) for n in WIDTHS)] for t in STEPS]
    check(open_runs(write_csv(tmp_path / "a.csv", ["step", *WIDTHS], rows)), seeds=(0,))


def test_json_lines_and_json(tmp_path):
    names = ("width", "seed", "step", "loss")
    rows = [dict(zip(names, row, strict=True)) for row in cells()]
    (tmp_path / "a.jsonl").write_text(
        "\n".join(map(json.dumps, [*rows, {"step": 3, "note": "no loss here"}]))
    )
    check(open_runs(tmp_path / "a.jsonl"))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    check(open_runs(tmp_path / "a.json"))
    (tmp_path / "b.jsonl").write_text('{"width": 8}\nnot json\n')
    with pytest.raises(InputError, match=r"b\.jsonl, line 2: is no JSON"):
        open_runs(tmp_path / "b.jsonl")


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = dict(zip(("width", "seed", "step", "loss"), map(list, zip(*cells(), strict=True)), strict=True))
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    check(open_runs(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1nonsense")
    with pytest.raises(InputError, match="cannot read"):
        open_runs(tmp_path / "b.parquet")


def test_a_missing_reader_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"takes pyarrow: pip install \"widthwise\[logs\]\""):
        open_runs(tmp_path / "a.parquet")


@pytest.mark.parametrize("layout", ["config.json", "config.yaml", "names"])
def test_a_folder_of_runs_with_a_config_or_settings_in_their_names(tmp_path, layout):
    if layout == "config.yaml":
        pytest.importorskip("yaml")
    for n in WIDTHS:
        for e in SEEDS:
            folder = tmp_path / (f"d_model={n}_seed={e}" if layout == "names" else f"run{n}{e}")
            folder.mkdir()
            rows = [{"global_step": t, "val/loss": loss(n, e, t), "time": 3.0} for t in STEPS]
            (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
            if layout == "config.json":
                (folder / layout).write_text(json.dumps({"model": {"d_model": n}, "seed": {"value": e}}))
            elif layout == "config.yaml":
                (folder / layout).write_text(f"model:\n  d_model: {n}\nseed: {e}\n")
    check(open_runs(tmp_path))


def test_the_state_of_the_hugging_face_trainer(tmp_path):
    for n in WIDTHS:
        for e in SEEDS:
            folder = tmp_path / f"{n}-{e}"
            folder.mkdir()
            history = [{"step": t, "eval_loss": loss(n, e, t), "eval_runtime": 1.0} for t in STEPS]
            history.insert(1, {"step": 1, "loss": 9.0, "learning_rate": 0.1})
            (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
            (folder / "config.json").write_text(json.dumps({"hidden_size": n, "seed": e}))
    check(open_runs(tmp_path, columns="loss=eval_loss"))


def test_runs_of_mlflow(tmp_path):
    for n in WIDTHS:
        for e in SEEDS:
            run = tmp_path / "mlruns" / "0" / f"{n}{e}"
            for name, value in (("params/width", n), ("params/seed", e)):
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                (run / name).write_text(str(value))
            (run / "metrics" / "val").mkdir(parents=True)
            lines = [f"1700000000 {loss(n, e, t)} {t}" for t in STEPS]
            (run / "metrics" / "val" / "loss").write_text("\n".join(lines) + "\n")
    check(open_runs(tmp_path / "mlruns"))


def test_events_of_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for n in WIDTHS:
        for e in SEEDS:
            writer = EventFileWriter(str(tmp_path / f"width={n}" / f"seed={e}"))
            for t in STEPS:
                summary = Summary(value=[Summary.Value(tag="val/loss", simple_value=loss(n, e, t))])
                writer.add_event(Event(step=t, wall_time=1.0 + t, summary=summary))
            writer.close()
    check(open_runs(tmp_path))


def test_unequal_steps_are_interpolated_inside_and_said(tmp_path):
    text = "width,seed,step,loss\n"
    for n, steps in ((8, (0, 2, 4, 8)), (16, (1, 2, 3, 6)), (32, (0, 1, 5, 16))):
        text += "".join(f"{n},0,{t},{np.log1p(t) + n}\n" for t in steps)
    (tmp_path / "a.csv").write_text(text)
    records = open_runs(tmp_path / "a.csv")
    steps = records["step"].values
    assert steps.tolist() == [1, 2, 3, 4, 5, 6], "between the last first step and the first last one"
    for n in (8, 16, 32):
        found = records["loss"].sel(width=n).isel(seed=0, split=0)
        np.testing.assert_allclose(found, np.log1p(steps) + n)
    notes = " ".join(json.loads(records.attrs["notes"]))
    assert "interpolated" in notes and "0, 8, 16 are left out" in notes and "38 % of the longest" in notes
    assert records.attrs["covered_share"] == pytest.approx(6 / 16)


def test_runs_at_several_rates_are_not_one_experiment(tmp_path):
    rows = [(*row, rate) for rate in (0.1, 0.2) for row in cells()]
    path = write_csv(tmp_path / "a.csv", ["width", "seed", "step", "loss", "rate"], rows)
    with pytest.raises(InputError, match=r"2 rates \(0.1, 0.2\)"):
        open_runs(path)


def test_a_folder_without_logs_says_so(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="no records in it"):
        open_runs(tmp_path)
