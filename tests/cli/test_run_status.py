"""`train --status`, and records at a URL."""

import json
import uuid

import pytest
from commands import assert_refused, call, contents

from widthwise.records import open_records


def test_status_before_and_after_training(tiny, folder):
    before = call("train", tiny, "--status")
    assert before.exit_code == 0, before.output
    assert before.stdout == "2 cells: 0 done, 2 waiting\ntime left: not known before a cell is done\n"
    assert [path.name for path in folder.iterdir()] == ["tiny.toml"], "asking writes nothing"
    assert call("train", tiny, "--quiet").exit_code == 0
    written = contents(folder)
    after = call("train", tiny, "--status", "--json")
    assert after.exit_code == 0 and contents(folder) == written
    told = json.loads(after.stdout)
    assert (told["total"], told["done"], told["waiting"], told["seconds_left"]) == (2, 2, 0, 0.0)
    assert [(cell["width"], cell["seeds"], cell["state"]) for cell in told["cells"]] == [
        (4, [0, 2], "done"),
        (8, [0, 2], "done"),
    ]
    assert all(cell["seconds"] > 0 for cell in told["cells"])


def test_an_interrupted_cell_is_told_with_what_to_do(tiny, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("widthwise.records.store.RecordStore.finish", interrupted)
        result = call("train", tiny)
    assert result.exit_code == 130 and "interrupted" in result.stderr
    told = call("train", tiny, "--status").stdout
    assert "2 cells: 0 done, 1 interrupted, 1 waiting" in told
    assert "interrupted: width 4, seeds 0 to 2" in told and "the same command without --status" in told


def test_json_alone_is_refused(tiny):
    assert_refused(call("train", tiny, "--json"), "`--json`: goes with --status")


def test_records_go_to_a_url_and_resume_there(tiny, folder):
    url = f"memory://{uuid.uuid4().hex}/mine"
    result = call("train", tiny, "--out", url)
    assert result.exit_code == 0, result.output
    assert f"records: {url}/records.zarr" in result.stdout
    assert [path.name for path in folder.iterdir()] == ["tiny.toml"]
    assert open_records(f"{url}/records.zarr")["done"].values.all()
    assert "2 of 2 cells were already trained" in call("train", tiny, "--out", url).stderr
    assert "2 cells: 2 done" in call("train", tiny, "--out", url, "--status").stdout


@pytest.mark.parametrize("command", ["run", "theory"])
def test_what_writes_a_report_wants_a_folder(tiny, folder, command):
    assert_refused(call(command, tiny, "--out", "memory://x/mine"), "only `widthwise train` takes a URL")
    assert [path.name for path in folder.iterdir()] == ["tiny.toml"]


def test_a_url_that_cannot_be_had_is_refused(tiny):
    assert_refused(call("train", tiny, "--out", "nonsense://x/y"), "nonsense://x/y", "cannot be used")
