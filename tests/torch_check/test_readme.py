"""The fifteen lines at the top of the README do what their comments say."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")


def test_the_lines_for_a_pytorch_model_find_a_change_and_the_rules_of_width_mend_it(
    tmp_path, monkeypatch, capsys
):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"```python\n(import torch\n.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    exec(lines[0], {})
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "inconsistent" and told[-1] == "consistent"
    assert "Read-outs (`2.weight`) start N^0.5 times too large" in told[1]
    assert "consistent: initial scale of `2.weight`" in told[2] and "optimizer.add_param_group" in "".join(
        told
    )
