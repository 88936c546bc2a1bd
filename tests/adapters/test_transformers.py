"""Recording Hugging Face models: GPT-2's transposed matrices, tied table, outputs, attention; the Trainer."""

import numpy as np
import pytest

import widthwise as ww
from widthwise.errors import InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
LETTERS, LENGTH = 11, 6


def gpt2(width: int, **settings):
    """Two blocks of two heads, with the dropout that GPT-2 has by default."""
    torch.manual_seed(width)
    sizes = dict(vocab_size=LETTERS, n_positions=LENGTH, n_embd=width, n_layer=2, n_head=2)
    ends = dict(bos_token_id=None, eos_token_id=None)
    config = transformers.GPT2Config(**sizes, **ends, **(dict(attn_implementation="eager") | settings))
    return transformers.GPT2LMHeadModel(config)


def texts(count: int):
    return torch.randint(LETTERS, (count, LENGTH), generator=torch.Generator().manual_seed(1))


def recorder_of(model, out, width: int = 8, **settings):
    probes = {"input_ids": texts(3), "labels": texts(3), "output_attentions": True}
    quantities = (*ww.torch.DEFAULT, "attention", "attention_entropy")
    own = dict(steps="all", loss_function=lambda output, _: output.loss, quantities=quantities)
    return ww.torch.Recorder(model, probes, width=width, seed=0, out=out, **(own | settings))


def test_a_gpt2_is_recorded_with_its_attention(tmp_path):
    model = gpt2(8)
    with recorder_of(model, tmp_path) as recorder:
        recorder.step()
    records = ww.open_runs(tmp_path).isel(width=0, seed=0, step=0)
    with torch.no_grad():
        output = model.eval()(texts(3), labels=texts(3), output_attentions=True)
    assert np.allclose(records["prediction"], output.logits[:, -1], atol=1e-6)
    assert np.isclose(records["loss"].item(), output.loss.item())
    assert records["attention"].shape == (2, 2, LENGTH, LENGTH)
    for block, weights in enumerate(output.attentions):
        assert np.allclose(records["attention"].isel(block=block), weights[0], atol=1e-6)
    layers = records["layer_name"].values.tolist()
    assert len(layers) == 15 and layers[-1] == "transformer.ln_f", "2 tables, 6 a block, the last norm"


@pytest.mark.parametrize("tied", [True, False])
def test_roles_of_a_gpt2_are_those_of_its_matrices_as_out_by_in(tmp_path, tied):
    for width in (8, 16):
        with recorder_of(gpt2(width, tie_word_embeddings=tied), tmp_path, width) as recorder:
            recorder.step()
    records = ww.open_runs(tmp_path)
    roles = dict(zip(records["tensor"].values, records["tensor_role"].values, strict=True))
    hidden = {name for name, role in roles.items() if role == "hidden"}
    matrices = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert hidden == {f"transformer.h.{block}.{m}.weight" for block in (0, 1) for m in matrices}
    assert {name for name, role in roles.items() if role == "readout"} == (
        set() if tied else {"lm_head.weight"}
    )
    assert set(roles.values()) <= {"hidden", "input", "readout"}
    shape = records["tensor_shape"].sel(tensor="transformer.h.0.mlp.c_fc.weight")
    assert shape.values.tolist() == [[32, 8], [64, 16]]


@pytest.mark.parametrize(
    "settings",
    [
        {"attention": lambda output: None},
        {"attention": lambda output: (None, None)},
        {"attention": lambda output: {}},
    ],
)
def test_no_attention_is_said_in_words(tmp_path, settings):
    with pytest.raises(InputError, match="attn_implementation"):
        recorder_of(gpt2(8), tmp_path, **settings).start()


def test_fused_attention_is_recorded_as_the_plain_one(tmp_path):
    found = []
    for kind in ("eager", "sdpa"):
        with recorder_of(gpt2(8, attn_implementation=kind), tmp_path / kind) as recorder:
            recorder.step()
        found.append(ww.open_runs(tmp_path / kind)["attention"].to_numpy())
    assert np.allclose(*found, atol=1e-6) and found[0].max() > 0.2


def test_the_trainer_trains_the_same_with_and_without(tmp_path):
    pytest.importorskip("accelerate")
    found = []
    for recorded in (False, True):
        model = gpt2(8)
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path / "trainer"),
            max_steps=3,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            learning_rate=0.01,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        callbacks = [ww.torch.trainer_callback(recorder_of(model, tmp_path / "runs"))] if recorded else []
        pieces = [{"input_ids": text, "labels": text} for text in texts(12)]
        trainer = transformers.Trainer(model=model, args=arguments, train_dataset=pieces, callbacks=callbacks)
        trainer.train()
        found.append({name: value.clone() for name, value in model.state_dict().items()})
    without, beside = found
    assert all(torch.equal(without[name], beside[name]) for name in without)
    records = ww.open_runs(tmp_path / "runs")
    assert records["step"].values.tolist() == [0, 1, 2], "updates, not batches"
    assert (records["update_rms"] > 0).all() and (records["gradient_rms"] > 0).all()
