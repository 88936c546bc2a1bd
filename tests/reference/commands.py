"""Commands called as users call them, and what they must leave behind."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from widthwise.cli.app import app

TINY = """
[study]
name = "tiny"
[data]
kind = "synthetic"
dimension = 3
train = 2
test = 1
[training]
steps = 4
learning_rate = 0.2
[theory]
sites = 64
fluctuation_sites = 64
scramblings = 2
[ensemble]
widths = [4, 8]
seeds = 3
"""
ARRAYS = """
[study]
name = "mine"
[data]
kind = "arrays"
path = "points.npz"
"""
GOOD = {"x_train": np.eye(3), "y_train": np.ones(3), "x_test": np.ones((1, 3)), "y_test": np.ones(1)}


def call(*arguments):
    """A command in this process."""
    return CliRunner().invoke(app, [*map(str, arguments)], prog_name="widthwise")


def contents(folder: Path) -> dict[str, str]:
    """A checksum of every file below a folder, lock files aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def assert_refused(result, *parts, status=2):
    """One message on standard error with all parts, nothing else said, no traceback."""
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith("widthwise: ")]
    assert len(said) == 1, result.stderr
    for part in parts:
        assert part in result.stderr


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.lock"))
    return target
