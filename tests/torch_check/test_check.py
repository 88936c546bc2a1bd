import json

import numpy as np
import pytest

import widthwise as ww

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def found(right, tmp_path_factory):
    """The right model, checked once."""
    out = tmp_path_factory.mktemp("checked") / "check"
    torch.manual_seed(5)
    audit = ww.torch.check(
        right.make, right.batches, right.loss, optimizer=right.optimizer, widths=right.widths, out=out
    )
    return audit, out, torch.rand(1)


def test_a_model_that_is_scaled_rightly_is_consistent_and_leaves_verdict_page_and_records(found):
    audit, out, _ = found
    assert audit.verdict == "consistent", audit.summary
    assert audit.page == out / "report.html" and audit.page.is_file() and not audit.suggestion
    assert json.loads((out / "verdict.json").read_text())["verdict"] == "consistent"
    tested = {row.claim for row in audit.rows if row.judges}
    assert {"training_setup", "scales", "richness", "predictions"} <= tested
    assert ww.audit(ww.open_runs(out)).rows == audit.rows


def test_copies_see_the_same_batches_and_the_callers_random_numbers_stay_theirs(found):
    _, out, drawn = found
    records = ww.open_runs(out)
    hashes = records["batch_hash"].to_numpy()
    assert np.isfinite(hashes).all() and (hashes == hashes[:1, :1]).all()
    assert len(set(hashes[0, 0])) == hashes.shape[2], "a batch of its own at every step"
    torch.manual_seed(5)
    assert drawn == torch.rand(1)


def test_probes_are_inputs_that_no_recorded_state_was_trained_on(found, right):
    _, out, _ = found
    records = ww.open_runs(out)
    assert records["step"].values[-1] == 9
    torch.manual_seed(0)
    model = right.make(16)
    with torch.no_grad():
        expected = model(right.batches(9)[0]).numpy()
    seen = records["prediction"].isel(width=0, seed=0, step=0).to_numpy()
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_a_check_into_a_folder_of_other_records_is_refused_and_its_own_are_replaced(right, tmp_path):
    settings = dict(optimizer=right.optimizer, widths=(8, 16, 32), seeds=2, steps=2)
    ww.torch.check(right.make, right.batches, right.loss, out=tmp_path, **settings)
    again = ww.torch.check(right.make, right.batches, right.loss, out=tmp_path, **{**settings, "seeds": 3})
    assert again.evidence["seeds"] == 3
    (tmp_path / "check.txt").unlink()
    with pytest.raises(ww.InputError, match="records that no check wrote"):
        ww.torch.check(right.make, right.batches, right.loss, out=tmp_path, **settings)


def test_losses_of_a_model_and_a_batch_and_keyword_arguments_are_understood(right, tmp_path):
    """As of Hugging Face: batches are dictionaries, the model is called with them, the width has no
    optimizer of its own."""

    class Named(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.inside = right.make(width)

        def forward(self, x, y=None):
            return {"loss": ((self.inside(x) - y) ** 2).mean(), "logits": self.inside(x)}

    def batch(step):
        return dict(zip(("x", "y"), right.batches(step), strict=True))

    audit = ww.torch.check(
        Named, [batch(step) for step in range(3)], lambda model, batch: model(**batch)["loss"],
        optimizer="sgd", lr=0.1, widths=(8, 16, 32), seeds=2, steps=3, out=tmp_path,
    )  # fmt: skip
    records = ww.open_runs(tmp_path)
    assert records["prediction"].shape == (3, 2, 3, 32, 1)
    assert audit.evidence["widths"] == [8, 16, 32]


def test_schedulers_clipping_and_what_training_draws_are_the_same_at_every_width(right, tmp_path):
    noise = {}

    def loss(model, batch):
        noise.setdefault(model[0].out_features, []).append(float(torch.rand(())))
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    def scheduler(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)

    ww.torch.check(
        right.make, right.batches, loss, optimizer=right.optimizer, scheduler=scheduler, clip=1e-6,
        widths=(8, 16, 32), seeds=2, steps=3, out=tmp_path,
    )  # fmt: skip
    records = ww.open_runs(tmp_path)
    assert len(noise[32]) == 6 and noise[32] == noise[16]
    rates = records["learning_rate"].isel(width=0, seed=0, tensor=0).to_numpy()
    np.testing.assert_allclose(rates, 0.01 * 0.5 ** np.arange(3))
    assert float(records["clip_factor"].max()) < 1e-3


def test_a_parametrized_model_is_trained_with_its_own_groups(right, tmp_path):
    """Whatever has `model` and `param_groups`, as `ww.torch.parametrize` returns."""

    class Parametrized:
        def __init__(self, width):
            self.model, self.width = right.make(width), width

        def param_groups(self, optimizer, *, lr, weight_decay):
            assert optimizer == "adamw"
            return [{"params": list(self.model.parameters()), "lr": lr / self.width}]

    ww.torch.check(
        Parametrized, right.batches, right.loss, lr=0.5, widths=(8, 16, 32), seeds=2, steps=2, out=tmp_path
    )
    rates = ww.open_runs(tmp_path)["learning_rate"].isel(seed=0, step=0, tensor=0).to_numpy()
    np.testing.assert_allclose(rates, 0.5 / np.array([8, 16, 32]))
