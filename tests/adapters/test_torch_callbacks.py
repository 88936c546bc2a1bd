"""Recording inside other training loops: Lightning and the Hugging Face Trainer."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import widthwise as ww
from widthwise.adapters.steps import log_steps

torch = pytest.importorskip("torch")
nn = torch.nn


def recorder_of(model, out):
    return ww.torch.Recorder(
        model,
        torch.ones(4, 3),
        width=4,
        seed=0,
        out=out,
        steps="all",
        loss_function=lambda out, _: out.square().mean(),
    )


def perceptron(width: int):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


def fake(monkeypatch, name: str, **content) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_lightning_callback_counts_updates(tmp_path, monkeypatch):
    fake(monkeypatch, "lightning")
    fake(monkeypatch, "lightning.pytorch", Callback=type("Callback", (), {}))
    model = perceptron(4)
    recorder = recorder_of(model, tmp_path)
    callback, trainer = ww.torch.lightning_callback(recorder), SimpleNamespace(global_step=0)
    callback.on_train_start(trainer, model)
    for batch in range(6):
        trainer.global_step += batch % 2  # gradients of two batches accumulate
        callback.on_train_batch_end(trainer, model, {"loss": torch.tensor(float(batch))}, None, batch)
    callback.on_train_end(trainer, model)
    callback.on_exception(trainer, model, KeyboardInterrupt())
    records = ww.open_runs(tmp_path)
    assert records["batch_loss"].values.ravel().tolist() == [1, 3, 5] and records["done"].item()


def test_a_trainer_callback_sees_gradients_before_they_are_cleared(tmp_path, monkeypatch):
    fake(monkeypatch, "transformers", TrainerCallback=type("TrainerCallback", (), {}))
    model = perceptron(4)
    callback = ww.torch.trainer_callback(recorder_of(model, tmp_path))
    callback.on_train_begin(None, None, None, model=model)
    for _ in range(2):
        model(torch.ones(2, 3)).sum().backward()
        callback.on_pre_optimizer_step(None, None, None)
        model.zero_grad()
        callback.on_step_end(None, None, None, model=model)
    callback.on_train_end(None, None, None)
    records = ww.open_runs(tmp_path)
    assert records["step"].values.tolist() == [0, 1]
    assert np.isclose(records["gradient_rms"].sel(tensor="2.bias"), 2).all()
    assert (records["update_rms"] == 0).all()


def test_lightning_trains_the_same_with_and_without(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.network = perceptron(4)

        def training_step(self, batch):
            return self.network(batch).square().mean()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.1)

    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(2))
    found = []
    for recorded in (False, True):
        module = Module()
        recorder = recorder_of(module.network, tmp_path / "runs") if recorded else None
        trainer = lightning.Trainer(
            callbacks=[ww.torch.lightning_callback(recorder)] if recorded else [],
            max_epochs=1,
            accumulate_grad_batches=2,
            accelerator="cpu",
            default_root_dir=tmp_path,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, torch.utils.data.DataLoader(points, batch_size=2))
        found.append({name: value.clone() for name, value in module.state_dict().items()})
    without, beside = found
    assert all(torch.equal(without[name], beside[name]) for name in without)
    records = ww.open_runs(tmp_path / "runs")
    assert records["step"].values.tolist() == [0, 1, 2], "updates, not batches"
    assert np.isfinite(records["batch_loss"].values).all() and records["done"].item()


def test_steps_are_log_spaced_and_end_with_the_last():
    assert log_steps(100)[-4:] == (42, 56, 75, 100) and log_steps(0) == (0,)
