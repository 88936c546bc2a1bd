"""The examples for PyTorch, smaller than they are: what is broken is found, what is right is not accused."""

import runpy
import sys
from pathlib import Path

import pytest

import widthwise as ww
from widthwise.torch.check_file import defined_in

torch = pytest.importorskip("torch")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_the_example_finds_what_is_broken(tmp_path, broken):
    train = runpy.run_path(str(EXAMPLES / "torch_mlp.py"))["train"]
    train.__globals__["STEPS"] = 31
    for width in (32, 64, 128, 256):
        for seed in range(6):
            train(width, seed, str(tmp_path), broken)
    found = ww.audit(ww.open_runs(tmp_path))
    accused = {row.where.get("tensor") for row in found.rows if row.verdict == "inconsistent"}
    assert {"2.weight", "4.weight"} <= accused if broken else not accused
    assert found.verdict == "inconsistent" if broken else found.verdict != "inconsistent"


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_a_gpt2_with_wrong_attention_and_rates_is_found_and_its_causes_come_first(tmp_path, broken):
    pytest.importorskip("transformers")
    train = runpy.run_path(str(EXAMPLES / "gpt2_width.py"))["train"]
    train.__globals__.update(STEPS=2, BATCH=8)
    for width in (32, 96, 256):
        for seed in range(6):
            train(width, seed, str(tmp_path), broken)
    found = ww.audit(ww.open_runs(tmp_path), claims=["scales", "attention"])
    accused = [row for row in found.rows if row.verdict == "inconsistent"]
    attention = [row.where["block"] for row in accused if row.where.get("rule") == "attention_scale"]
    updates = [row.where["tensor"] for row in accused if row.where.get("quantity") == "update_effect_rms"]
    matrices = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    hidden = {f"transformer.h.{block}.{matrix}.weight" for block in (0, 1) for matrix in matrices}
    if not broken:
        assert accused == []
    else:
        assert sorted(attention) == ["block 0", "block 1"] and set(updates) == hidden
        causes = {"attention logits", "update_effect_rms"}
        assert all(row.where["quantity"] in causes for row in accused[: 2 + len(hidden)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nanogpt_characters", "muon_characters", "resnet_images", "llama_trainer"])
def test_a_model_as_written_is_accused_and_with_the_rules_of_width_not(name, tmp_path):
    if name == "llama_trainer":
        pytest.importorskip("transformers")
    torch.set_num_threads(1)
    with defined_in(EXAMPLES / f"{name}.py") as defined:
        few = defined | {"widths": (32, 64, 128), "seeds": 3, "steps": 3}
        ruled = sys.modules["widthwise_checked_file"].parametrized
        assert ww.torch.check(out=tmp_path / "written", **few).verdict == "inconsistent"
        found = ww.torch.check(out=tmp_path / "ruled", **few | {"make": ruled})
        assert found.verdict != "inconsistent", found.summary


@pytest.mark.slow
def test_a_llama_is_recorded_under_the_trainer(tmp_path):
    pytest.importorskip("transformers")
    train = runpy.run_path(str(EXAMPLES / "llama_trainer.py"))["train"]
    train.__globals__["steps"] = 2
    train(32, 0, str(tmp_path), ruled=True)
    records = ww.open_runs(tmp_path)
    assert records.sizes["step"] == 2 and records["attention"].sizes["head"] == 4
