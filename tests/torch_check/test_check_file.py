"""`widthwise check FILE.py`: exit statuses, what is printed, resuming, and an interruption; without JAX."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
FEW = ("--widths", "16,32,64,128", "--seeds", "3", "--steps", "6")


def call(*arguments):
    from widthwise.cli.app import app

    return CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.fixture
def file(tmp_path, right_text):
    path = tmp_path / "mine.py"
    path.write_text(right_text)
    return path


def test_a_fault_is_named_first_with_its_remedy_and_nothing_loads_jax(tmp_path, wrong_text):
    """In a process of its own: the check, the search for a change, the audit and the page."""
    path = tmp_path / "mine.py"
    path.write_text(f"{wrong_text}\nprint('printed by the file')\n")
    program = (
        "import sys\nfrom widthwise.cli import main\n"
        f"sys.argv = ['widthwise', 'check', {str(path)!r}, '--suggest', '--out', {str(tmp_path / 'out')!r}, "
        f"*{FEW!r}]\n"
        "try:\n    main()\nexcept SystemExit as ended:\n"
        "    print('ended', ended.code, 'jax' in sys.modules, 'optax' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "ended 1 False False", done.stdout + done.stderr
    first, second = done.stdout.splitlines()[:2]
    assert first.startswith("INCONSISTENT: Hidden weights (`2.weight`) learn N^")
    assert "divide their Adam learning rate by width / base width" in first and "consistent" in second
    assert "optimizer.add_param_group" in done.stdout and "not tested:" in done.stdout
    assert "printed by the file" in done.stderr and "training copies: 72/72" in done.stderr
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["suggestion"]


def test_a_right_model_ends_with_0_and_prints_json(file, tmp_path):
    done = call(file, *FEW, "--json", "--quiet", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verdict"] == "consistent"
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_interrupted_check_goes_on_unless_its_file_has_changed(file, tmp_path, monkeypatch):
    import widthwise.torch.copies as copies

    trained, train = [], copies.train_copy

    def twice(task, width, seed, *rest):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append((width, seed))
        train(task, width, seed, *rest)

    monkeypatch.setattr(copies, "train_copy", twice)
    few = (file, "--widths", "8,16,32", "--seeds", "2", "--steps", "2", "--quiet", "--out", tmp_path / "out")
    done = call(*few)
    assert done.exit_code == 130 and "keeps 2 trained networks" in done.stderr and "goes on" in done.stderr
    trained.clear()
    done = call(*few)
    assert done.exit_code == 130 and trained == [(16, 0), (16, 1)], "the two of width 8 are there"
    file.write_text(file.read_text() + "# changed\n")
    trained.clear()
    call(*few)
    assert trained == [(8, 0), (8, 1)]


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (None, (), "is no file; give a Python file"),
        ("make = batches = 3", (), "defines no `loss`; it defines batches, make"),
        ("import torch\n\nx = 1 / 0", (), "failed: ZeroDivisionError: division by zero"),
        ("def f(:", (), "failed: SyntaxError"),
        ("import nonsense_package", (), "No module named 'nonsense_package'"),
        ("make = batches = loss = 3", ("--widths", "8;16"), "--widths 8;16: give whole numbers"),
        ("make = batches = loss = 3", ("--limit", "mupp"), "--limit mupp: "),
    ],
)
def test_bad_files_are_refused_in_one_sentence_and_with_the_line(tmp_path, text, arguments, told):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    done = call(path, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert told in done.stderr and "Traceback" not in done.stderr
    if "failed: Z" in told:
        assert f"({path}, line 3)" in done.stderr


def test_a_file_that_ends_python_is_an_error_in_it_and_no_verdict(file, tmp_path):
    file.write_text("raise SystemExit(3)")
    done = call(file, *FEW, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "mine.py failed: SystemExit: 3" in done.stderr


def test_copies_that_all_diverge_are_the_first_thing_said(file, tmp_path):
    """A verdict on the steps before would send the user to train more seeds."""
    file.write_text(file.read_text() + "\n\noptimizer, lr = 'sgd', 1e25\n")
    done = call(file, "--widths", "8,16,32", "--seeds", "2", "--steps", "4", "--out", tmp_path / "out")
    first = done.stdout.splitlines()[0]
    assert first.startswith("UNDERPOWERED: Networks that diverged count until then: 2 of N = 8"), first
    assert "Lower the learning rate" in first
