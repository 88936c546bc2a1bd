"""The example for PyTorch, smaller than it is: what is broken is found, what is right is not accused."""

import runpy
from pathlib import Path

import pytest

import widthwise as ww

pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_mlp.py"


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_the_example_finds_what_is_broken(tmp_path, broken):
    audit = pytest.importorskip("widthwise.audit").audit
    train = runpy.run_path(str(EXAMPLE))["train"]
    train.__globals__["STEPS"] = 11
    for width in (32, 64, 128, 256):
        for seed in range(4):
            train(width, seed, str(tmp_path), broken)
    found = audit(ww.open_runs(tmp_path), claims=["scales"])
    accused = [row.where.get("tensor") for row in found.rows if row.verdict == "inconsistent"]
    assert ("2.weight" in accused) if broken else (accused == [])
