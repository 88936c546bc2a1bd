"""Attention inside PyTorch's own function: weights times values are what it returns."""

import numpy as np
import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
MASK = torch.tensor([[True, False, True], [True, True, False], [False, True, True], [True, True, True]])
KINDS = {
    "plain": {},
    "scale": {"scale": 0.3},
    "causal": {"is_causal": True},
    "mask of truths": {"attn_mask": MASK},
    "mask of numbers": {"attn_mask": torch.linspace(-1, 1, 12).reshape(4, 3)},
    "grouped keys": {"enable_gqa": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_times_values_are_what_the_function_returns(kind):
    from widthwise.adapters.torch_attention import products_watched

    generator = torch.Generator().manual_seed(1)
    heads = 1 if kind == "grouped keys" else 2
    query = torch.randn(5, 2, 4, 8, generator=generator)
    key, value = (torch.randn(5, heads, 3, 8, generator=generator) for _ in range(2))
    with products_watched() as found:
        returned = torch.nn.functional.scaled_dot_product_attention(query, key, value, **KINDS[kind])
        torch.nn.functional.scaled_dot_product_attention(query[0], query[0], query[0])
    assert found["block 0"].shape == (5, 2, 4, 3) and found["block 1"].shape == (2, 1, 4, 4)
    torch.testing.assert_close(found["block 0"] @ value, returned)
    with torch.no_grad():
        torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert len(found) == 2, "nobody looks any more"


def test_a_recorder_sees_it_and_leaves_the_outputs_alone(tmp_path):
    class Attends(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside, self.readout = torch.nn.Linear(4, 24), torch.nn.Linear(8, 1)

        def forward(self, x):
            q, k, v = self.inside(x).unflatten(-1, (3, 2, 4)).movedim(2, 0).transpose(2, 3).unbind(0)
            h = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            return self.readout(h.transpose(1, 2).flatten(2))

    torch.manual_seed(0)
    model, probes = Attends(), torch.randn(6, 5, 4)
    wanted = ("prediction", "attention", "attention_entropy")
    with ww.torch.Recorder(model, probes, width=8, seed=0, out=tmp_path, quantities=wanted) as recorder:
        recorder.step(loss=1.0)
    records = ww.open_runs(tmp_path)
    assert dict(records["attention"].sizes)["block"] == 1
    assert np.allclose(records["attention"].sum("key"), 1, atol=1e-6)
    expected = model(probes)[:, -1].detach().numpy()
    assert np.allclose(records["prediction"].isel(width=0, seed=0, step=0), expected, atol=1e-6)


def test_the_size_of_a_layer_is_that_of_its_own_output_before_hooks(tmp_path):
    """As the effects of its updates are measured: a factor that a hook adds stands outside of the layer."""
    torch.manual_seed(0)
    model, probes = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1)), torch.randn(6, 4)
    expected = float(model[0](probes).detach().square().mean().sqrt())
    model[0].register_forward_hook(lambda module, inputs, output: 10 * output)
    with ww.torch.Recorder(model, probes, width=8, seed=0, out=tmp_path) as recorder:
        recorder.step(loss=1.0)
    seen = ww.open_runs(tmp_path)["forward_rms"].isel(width=0, seed=0, step=0, layer=0)
    assert float(seen) == pytest.approx(expected, rel=1e-5)
