"""`widthwise audit`: exit statuses, files, and one clear message for whatever is wrong."""

import csv
import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from audited import HOSTILE, records_of, write_store
from commands import TINY, assert_refused, call, contents
from synthetic_run import Truth, make_records, make_theory

STATUS = {"consistent": 0, "inconsistent": 1, "underpowered": 3}
ROW_KEYS = {"claim", "verdict", "estimate", "interval", "expected", "where", "advice"}
QUICK = ("--claims", "scales", "--quiet")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Folder and command of an audit of a faulty run, with everything written; to be read only."""
    folder = tmp_path_factory.mktemp("audited")
    write_store(records_of("faulty"), folder / "run" / "records.zarr")
    return folder, call("audit", folder / "run", "--junit", folder / "deep" / "audit.xml")


def write_losses(path, change=lambda row: row):
    """A log of losses whose gaps fall as 1/N."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["width", "seed", "step", "loss"])
        for width in (16, 32, 64, 128):
            for seed in range(5):
                factor = np.exp(rng.standard_normal() / 20 / np.sqrt(width)) + 1 / width
                for step in range(6):
                    writer.writerow(change([width, seed, step, np.exp(-step / 4) * factor]))
    return path


def test_a_fault_is_inconsistent_and_names_its_tensor(audited):
    folder, result = audited
    assert result.exit_code == 1, result.output
    assert "INCONSISTENT" in result.stdout and "tensor embedding, size of updates (RMS)" in result.stdout
    assert "not tested:" in result.stdout and str(folder / "run" / "verdict.json") in result.stdout
    first = next(line for line in result.stdout.splitlines() if line.startswith("scales"))
    assert "inconsistent" in first and "embedding" in first, "the worst row stands first"


def test_the_verdict_has_the_schema_of_the_contract(audited):
    found = json.loads((audited[0] / "run" / "verdict.json").read_text())
    assert found["schema"] == 1 and found["verdict"] == "inconsistent"
    assert found["claims"] and all(set(row) >= ROW_KEYS for row in found["claims"])
    assert {row["verdict"] for row in found["claims"]} <= set(STATUS)
    evidence = found["evidence"]
    assert evidence["widths"] == [16, 32, 64, 128] and evidence["seeds"] == 6 and evidence["alpha"] == 0.05
    assert {"steps", "commit", "versions"} <= set(evidence)
    assert found["gaps"]["reference"] == 128 and found["untested"]


def test_junit_has_a_case_for_every_row(audited):
    root = ElementTree.parse(audited[0] / "deep" / "audit.xml").getroot()
    found = json.loads((audited[0] / "run" / "verdict.json").read_text())
    verdicts = [row["verdict"] for row in found["claims"]]
    assert len(root.findall(".//testcase")) == len(verdicts) + len(found["untested"])
    assert len(root.findall(".//failure")) == verdicts.count("inconsistent") > 0
    assert len(root.findall(".//skipped")) == verdicts.count("underpowered") + len(found["untested"])


def test_the_report_begins_with_the_audit(audited):
    page = (audited[0] / "run" / "report.html").read_text()
    assert page.index('<section id="audit">') < page.index('<section id="training">')


@pytest.mark.parametrize(("kind", "status"), [("correct", 0), ("few", 3)])
def test_what_is_not_wrong_is_consistent_or_underpowered(folder, kind, status):
    write_store(records_of(kind), folder / "records.zarr")
    result = call("audit", "records.zarr", "--claims", "predictions,scales", "--json", "--quiet")
    assert result.exit_code == status, result.output
    found = json.loads(result.stdout)
    assert STATUS[found["verdict"]] == status
    assert result.stdout == (folder / "audit" / "verdict.json").read_text(), "a store's go to audit/"
    assert {row["claim"] for row in found["claims"]} == {"predictions", "scales"}


def test_a_log_of_losses_is_audited(folder):
    write_losses(folder / "losses.csv")
    result = call("audit", "losses.csv", "--out", "here/deep", "--claims", "loss_curves")
    assert result.exit_code in (0, 3), result.output
    assert sorted(path.name for path in (folder / "here/deep").iterdir()) == ["report.html", "verdict.json"]
    assert "reports" not in result.stderr and "auditing: 1/1" in result.stderr


def test_several_paths_are_one_audit(folder):
    records = records_of("correct")
    for number, part in enumerate((slice(0, 3), slice(3, 6))):
        write_store(records.isel(seed=part), folder / f"part{number}.zarr")
    result = call("audit", "part0.zarr", "part1.zarr", *QUICK)
    assert result.exit_code == 0 and result.stdout == "", result.output
    assert json.loads((folder / "audit" / "verdict.json").read_text())["evidence"]["seeds"] == 6


def test_losses_without_splits_are_audited_in_a_run_folder(folder):
    bare = records_of("correct")[["loss"]].squeeze("split")
    write_store(bare, folder / "run" / "records.zarr")
    result = call("audit", "run", "--claims", "loss_curves", "--quiet")
    assert result.exit_code in (0, 3), result.output
    assert "networks&#39; curves are not shown" in (folder / "run" / "report.html").read_text()


def test_an_audit_of_other_records_says_which_one_it_replaces(folder):
    for name in ("first.csv", "second.csv"):
        write_losses(folder / name)
    assert "replaces" not in call("audit", "first.csv", "--claims", "onset").stderr
    assert "replaces" not in call("audit", "first.csv", "--claims", "onset").stderr
    assert (
        "replaces the audit of first.csv in audit" in call("audit", "second.csv", "--claims", "onset").stderr
    )
    (folder / "audit" / "verdict.json").write_text("{")
    assert call("audit", "second.csv", "--claims", "onset").exit_code == 3


def test_settings_come_from_a_file_and_from_the_call(folder):
    write_store(records_of("faulty"), folder / "records.zarr")
    (folder / "audit.toml").write_text("[audit]\nexponent_tolerance = 1.5\nvisible_exponent = 1.6\n")
    loose = call("audit", "records.zarr", *QUICK, "--settings", "audit.toml")
    assert loose.exit_code in (0, 3), "a tolerance of 1.5 forgives a wrong exponent of 1"
    strict = ("--set", "audit.exponent_tolerance=0.2", "--set", "audit.visible_exponent=0.5")
    assert call("audit", "records.zarr", *QUICK, "--settings", "audit.toml", *strict).exit_code == 1


def test_hostile_names_stay_text(folder):
    records = records_of("faulty")
    names = np.array([HOSTILE, "@w0 $x$", "=cmd", "readout"], dtype=object)
    write_store(records.assign_coords(tensor=names), folder / "a <b> run" / "records.zarr")
    result = call("audit", "a <b> run", "--claims", "scales", "--junit", "a.xml")
    assert result.exit_code == 1 and HOSTILE in result.stdout, result.output
    page = (folder / "a <b> run" / "report.html").read_text()
    assert HOSTILE not in page and "&lt;script&gt;alert(1)" in page
    cases = ElementTree.parse(folder / "a.xml").getroot().findall(".//testcase")
    assert any(HOSTILE in case.get("name", "") for case in cases)


def spoil_root(folder):
    (folder / "records.zarr" / "zarr.json").write_text("{")


def spoil_chunks(folder):
    for path in (folder / "records.zarr" / "loss").rglob("*"):
        if path.is_file() and path.name != "zarr.json":
            path.write_bytes(b"garbage")


def spoiled(change):
    """A store with records that are changed before they are written."""
    return lambda folder: write_store(change(records_of("correct")), folder / "bad" / "records.zarr")


WRONG = {
    "damaged store": ("records.zarr", spoil_root, "is damaged"),
    "damaged numbers": ("records.zarr", spoil_chunks, "is damaged"),
    "absent": ("absent", None, "absent does not exist"),
    "empty folder": ("empty", lambda f: (f / "empty").mkdir(), "has no records in it"),
    "empty log": ("e.csv", lambda f: (f / "e.csv").touch(), "has no column width, step, loss"),
    "words in a log": (
        "e.csv",
        lambda f: write_losses(f / "e.csv", lambda row: [*row[:3], "many"]),
        "line 2",
    ),
    "another file": ("x.txt", lambda f: (f / "x.txt").touch(), "is a file"),
    "no path": ("", None, "is no path"),
    "texts": ("bad", spoiled(lambda r: r.assign(loss=r["loss"].astype(str))), "give real numbers"),
    "nothing finite": (
        "bad",
        spoiled(lambda r: (r * np.nan).assign(diverged_at=r["diverged_at"])),
        "finite",
    ),
    "no widths": ("bad", spoiled(lambda r: r.isel(width=[])), "no networks"),
    "widths twice": ("bad", spoiled(lambda r: r.assign_coords(width=[16, 16, 32, 64])), "recorded twice"),
    "other order": (
        "bad",
        spoiled(lambda r: r.transpose("seed", "width", ...)),
        "the schema says ('width', 'seed'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_ensemble_is_refused_in_one_message(folder, case):
    path, make, part = WRONG[case]
    write_store(records_of("correct"), folder / "records.zarr")
    if make is not None:
        make(folder)
    before = contents(folder)
    assert_refused(call("audit", path), part)
    assert contents(folder) == before


WRONG_CALLS = {
    "alpha": (["--alpha", "2"], "`alpha` = 2.0"),
    "claim": (["--claims", "scale"], "choose from training_setup, scales"),
    "no claim": (["--claims", ","], "`claims` is empty"),
    "unknown key": (["--set", "audit.onse=1"], "did you mean `audit.onset`?"),
    "other table": (["--set", "training.steps=1"], "give audit.key=value"),
    "text": (["--set", "audit.onset='a'"], '`audit.onset` = "a": expected a finite number'),
    "limit": (["--limit", "mpu"], 'widthwise: --limit mpu: `audit.limit` = "mpu"'),
    "no file": (["--settings", "absent.toml"], "there is no such settings file"),
    "study": (["--settings", "study.toml"], "stand in one table, [audit]"),
    "out": (["--out", "study.toml"], "is a file"),
    "junit": (["--junit", "."], "is a folder"),
    "url": (["--out", "s3://bucket/x"], "go to a folder"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls_are_refused_before_anything_is_written(folder, case):
    arguments, part = WRONG_CALLS[case]
    write_losses(folder / "losses.csv")
    (folder / "study.toml").write_text('[study]\nname = "x"\n')
    before = contents(folder)
    assert_refused(call("audit", "losses.csv", *arguments), part)
    assert contents(folder) == before


@pytest.mark.parametrize("change", [{"seed": [0]}, {"width": [0]}, {"step": [0]}])
def test_one_seed_width_or_step_is_underpowered_at_most(folder, change):
    write_store(records_of("correct").isel(change), folder / "records.zarr")
    result = call("audit", "records.zarr", "--quiet")
    assert result.exit_code in (0, 3), result.output


def test_a_verdict_that_is_none_does_not_hide_the_report(folder):
    write_store(records_of("correct"), folder / "run" / "records.zarr")
    (folder / "run" / "verdict.json").write_text('{"schema": 1, "claims": 3}')
    assert call("report", "run").exit_code == 0
    assert "The audit is not shown" in (folder / "run" / "report.html").read_text()
    (folder / "alone").mkdir()
    (folder / "alone" / "verdict.json").write_text("[")
    assert_refused(call("report", "alone"), "verdict.json is no verdict of an audit")


def test_an_audit_of_fewer_networks_than_there_are_now_is_said_to_be_old(folder):
    records = records_of("correct")
    done = (("width", "seed"), np.ones((4, 6), bool))
    path = write_store(records.assign(done=done), folder / "run" / "records.zarr")
    assert call("audit", "run", "--claims", "scales").exit_code == 0
    assert "The audit is of fewer" not in (folder / "run" / "report.html").read_text()
    shutil.rmtree(path)
    done[1][0, 0] = False
    write_store(records.assign(done=done), path)
    assert call("report", "run").exit_code == 0
    assert "The audit is of fewer" in (folder / "run" / "report.html").read_text()


def run_with_theory(folder, change=lambda records: records):
    """A run directory of three widths with a theory beside it."""
    truth = Truth(seeds=6, steps=3, train=2, test=1, widths=(16, 32, 64), kernels=False)
    records = change(make_records(truth, np.random.default_rng(1)))
    write_store(records, folder / "run" / "records.zarr")
    make_theory(truth).to_netcdf(folder / "run" / "theory.nc", engine="h5netcdf")


def test_a_run_with_theory_is_compared_once_and_its_page_is_kept(folder, monkeypatch):
    """The page shows the audit's comparison, at its level; `widthwise report` makes the same one again."""
    run_with_theory(folder)
    with monkeypatch.context() as patch:
        patch.setattr("widthwise.report.gather.compare", None)
        result = call("audit", "run", "--claims", "theory,loss_curves", "--alpha", "0.02")
    assert result.exit_code in (0, 3), result.output
    page = (folder / "run" / "report.html").read_text()
    assert '<section id="verdicts">' in page and "probability 2&nbsp;%" in page and "98&nbsp;%" in page
    assert call("report", "run").exit_code == 0
    again = (folder / "run" / "report.html").read_text()
    assert again.partition("<footer>")[0] == page.partition("<footer>")[0]


@pytest.mark.parametrize("name", ["", "  "])
@pytest.mark.parametrize("command", ["run", "theory", "train", "sweep", "audit"])
def test_an_empty_folder_is_refused_by_every_command(folder, command, name):
    """As of a variable of the shell that is not set: it would be the current folder."""
    (folder / "tiny.toml").write_text(TINY)
    write_store(records_of("correct"), folder / "run" / "records.zarr")
    target = "run" if command == "audit" else "tiny.toml"
    more = ["training.learning_rate=0.1,0.2,0.3"] if command == "sweep" else []
    before = contents(folder)
    assert_refused(call(command, target, *more, "--out", name), "names no folder")
    assert contents(folder) == before


def test_a_theory_of_another_study_is_left_aside_with_a_message(folder):
    run_with_theory(folder, lambda r: r.assign_attrs(study=r.attrs["study"].replace("tanh", "relu")))
    result = call("audit", "run", "--claims", "theory,loss_curves")
    assert result.exit_code in (0, 3), result.output
    assert "theory is left aside: network.activation = 'tanh' in theory" in " ".join(result.stdout.split())
    found = json.loads((folder / "run" / "verdict.json").read_text())
    assert {row["claim"] for row in found["claims"]} == {"loss_curves"}
    assert "theory.nc is left aside" in (folder / "run" / "report.html").read_text()


def test_help_has_examples_and_statuses():
    result = call("audit", "--help")
    assert result.exit_code == 0
    assert (
        "widthwise audit runs/digits" in result.stdout
        and "3 none is, but a core claim" in result.stdout.replace("\n", " ")
    )
    assert "table [audit]" in " ".join(result.stdout.replace("│", " ").split()), "brackets are no markup"


def test_runs_that_share_little_of_their_training_get_no_verdict_on_it(tmp_path):
    """Each width logs at steps of its own, the narrowest for a tenth of the others' training."""
    lines = (write_losses(tmp_path / "a.csv").read_text()).splitlines()
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[2] = str(int(row[2]) * (1 if row[0] == "16" else 10))
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *(",".join(row) for row in rows)]) + "\n")
    result = call("audit", tmp_path / "b.csv", "--claims", "loss_curves", "--out", tmp_path / "out")
    assert result.exit_code == 3, result.output
    assert "10 % of the longest run" in result.stdout
