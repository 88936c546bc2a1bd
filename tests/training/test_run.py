"""Training along a stream: equal to full-batch training where it is that, and resumable to the last bit."""

from dataclasses import replace

import numpy as np
import pytest

from widthwise.data import Batch, open_stream
from widthwise.progress import SILENT
from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)
from widthwise.training import chunks, train_ensemble
from widthwise.training.chunks import STEPS, Cut, plan_chunks
from widthwise.training.program import compile_program
from widthwise.training.run import run_networks, stack_batches

PERCEPTRON = Study(
    name="perceptron",
    data=DataSettings(train=8, test=4),
    network=NetworkSettings(hidden_layers=2, richness=1.5, base_width=24),
    training=TrainingSettings(steps=20, learning_rate=0.2),
    ensemble=EnsembleSettings(widths=(24, 48), seeds=3, seeds_per_cell=2, precision="float64"),
    record=RecordSettings(steps=(0, 3, 19)),
)
ONLINE = replace(
    PERCEPTRON,
    data=DataSettings(kind="synthetic", order="online", test=6),
    training=replace(PERCEPTRON.training, optimizer="adam", batch=5, learning_rate=0.01, reduction="mean"),
)


def with_quantities(study, *names):
    return replace(study, record=replace(study.record, quantities=("prediction", "loss", *names)))


@pytest.mark.parametrize("hidden_layers", [1, 3])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_full_batches_of_a_stream_train_as_full_batch_training_does(hidden_layers, reduction):
    study = replace(
        PERCEPTRON,
        network=replace(PERCEPTRON.network, hidden_layers=hidden_layers),
        training=replace(PERCEPTRON.training, reduction=reduction),
    )
    names = ("feature_kernel", "gradient_kernel", "tangent_kernel", "weight_rms", "update_rms")
    exact = train_ensemble(with_quantities(study, *names))
    batched = replace(study.training, optimizer="sgd", batch=8)
    streamed = train_ensemble(with_quantities(replace(study, training=batched), *names))
    moved = np.abs(exact["prediction"][..., -1, :, :] - exact["prediction"][..., 0, :, :]).max()
    assert moved > 0.1, "the networks hardly learned: nothing was compared"
    for name in ("prediction", "loss", *names):
        np.testing.assert_allclose(streamed[name], exact[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_at_the_base_width_all_parametrizations_are_the_same(optimizer):
    study = replace(
        ONLINE,
        training=replace(ONLINE.training, optimizer=optimizer, weight_decay=0.1, clip=1.0),
        ensemble=replace(ONLINE.ensemble, widths=(24, 48), seeds=1),
    )
    found = {
        name: train_ensemble(replace(study, network=replace(study.network, parametrization=name)))
        for name in ("mean_field", "ntk", "standard")
    }
    reference = found["mean_field"]["prediction"]
    for name in ("ntk", "standard"):
        prediction = found[name]["prediction"]
        np.testing.assert_allclose(prediction.sel(width=24), reference.sel(width=24), rtol=1e-9, atol=1e-12)
        assert np.abs(prediction - reference).sel(width=48).max() > 1e-3, "they differ elsewhere"


class Interrupted(Exception):
    pass


class Memory:
    """A checkpoint that keeps every state, and can die at one."""

    def __init__(self, kept=None, last=None):
        self.kept, self.last, self.saved = kept, last, []

    def load(self):
        return self.kept

    def maybe_save(self, state):
        self.saved.append({name: value.copy() for name, value in state().items()})
        if len(self.saved) == self.last:
            raise Interrupted
        return True


@pytest.mark.parametrize("died_at", [1, 2])
def test_a_resumed_run_is_the_same_to_the_last_bit(died_at):
    study = with_quantities(ONLINE, "update_rms", "batch_loss")
    study = replace(
        study,
        training=replace(study.training, steps=3 * STEPS),
        record=replace(study.record, steps="log"),
    )
    program = compile_program(study, open_stream(study), 48)
    whole = run_networks(program, range(3))
    memory = Memory(last=died_at)
    with pytest.raises(Interrupted):
        run_networks(program, range(3), memory)
    resumed = run_networks(program, range(3), Memory(kept=memory.saved[-1]))
    assert set(resumed.quantities) == set(whole.quantities)
    for name, values in whole.quantities.items():
        assert values.tobytes() == resumed.quantities[name].tobytes(), name


def test_networks_are_the_same_whoever_is_trained_beside_them():
    study = with_quantities(ONLINE)
    program = compile_program(study, open_stream(study), 24)
    together = run_networks(program, range(4)).quantities["prediction"]
    alone = run_networks(program, [2]).quantities["prediction"]
    assert together[2].tobytes() == alone[0].tobytes()


def test_a_network_that_diverges_is_nan_from_there_on_and_the_cell_ends():
    study = with_quantities(
        replace(ONLINE, training=replace(ONLINE.training, optimizer="sgd", learning_rate=1e30, steps=5000))
    )
    study = replace(study, record=replace(study.record, steps=(0, 30, 4999)))
    seen = []
    stream = open_stream(study)

    def batches(start):
        for batch in stream.batches(start):
            seen.append(1)
            yield batch

    program = compile_program(study, replace(stream, batches=batches), 24)
    trajectory = run_networks(program, range(2))
    assert (trajectory.diverged_at == 30).all()
    assert np.isfinite(trajectory.quantities["prediction"][:, 0]).all()
    assert np.isnan(trajectory.quantities["prediction"][:, 1:]).all()
    assert len(seen) < 200, "training went on"


@pytest.mark.parametrize(("records", "gaps"), [(1, False), (1, True), (3, True)])
@pytest.mark.parametrize("steps", [[0], [5], [0, 1, 2], [3, 20, 21, 23, 24, 25, 60], [0, 100]])
def test_every_step_is_in_one_chunk_and_every_recorded_step_too(steps, records, gaps):
    chunks = plan_chunks(np.array(steps), Cut(7, records, gaps, frozenset({24})))
    covered = [step for chunk in chunks for step in range(chunk.step, chunk.step + chunk.length)]
    assert covered == list(range(steps[-1]))
    assert [chunk.step + offset for chunk in chunks for offset in chunk.recorded] == steps
    for chunk in chunks:
        assert chunk.length <= 7 and len(chunk.recorded) <= records
        assert not chunk.recorded or chunk.recorded[0] == 0
        assert gaps or not chunk.recorded or chunk.length <= 1
        assert chunk.step == 24 or 24 - chunk.step not in chunk.recorded


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
def test_numbers_do_not_depend_on_how_much_is_held_at_once(optimizer, monkeypatch):
    """Shorter chunks, fewer records in a call, one network in memory at a time, and a checkpoint amid it."""
    study = PERCEPTRON if optimizer == "gd" else ONLINE
    study = with_quantities(study, "update_rms", "forward_change_rms")
    study = replace(study, record=replace(study.record, steps="all"))
    whole = run_networks(compile_program(study, open_stream(study), 24), range(3))
    for name, value in {"STEPS": 4, "FULL_BATCH_STEPS": 4, "RECORD_BYTES": 300}.items():
        monkeypatch.setattr(chunks, name, value)
    program = compile_program(study, open_stream(study), 24)._replace(held=1, workers=1)
    assert 1 <= program.cut.records <= 3 and len(plan_chunks(study.recorded_steps(), program.cut)) >= 5
    memory = Memory(last=9)
    with pytest.raises(Interrupted):
        run_networks(program, range(3), memory)
    parts = run_networks(program, range(3), Memory(kept=memory.saved[-1]))
    for name, values in whole.quantities.items():
        np.testing.assert_allclose(parts.quantities[name], values, rtol=1e-12, atol=1e-14, err_msg=name)


def test_the_training_loss_of_a_batch_is_that_before_its_step():
    study = with_quantities(ONLINE, "batch_loss")
    stream = open_stream(study)
    first = next(stream.batches(0))
    assert isinstance(first, Batch)
    program = compile_program(study, stream, 24)
    found = run_networks(program, [0]).quantities["batch_loss"][0, 0]
    # A centered network is zero at initialization.
    assert found == pytest.approx((0.5 * first.answers**2).sum(axis=1).mean(), rel=1e-9)


def test_progress_counts_networks_times_steps():
    counted = []

    class Counting(type(SILENT)):
        def advance(self, amount=1):
            counted.append(amount)

    study = with_quantities(ONLINE)
    run_networks(compile_program(study, open_stream(study), 24), range(2), progress=Counting())
    assert sum(counted) == 2 * 19


def test_batches_are_filled_up_with_the_last_one_to_the_length_of_a_chunk():
    """Never beyond it: chunks of one length share a program."""
    batches = [Batch(np.full((2, 3), i), np.full((2, 1), -i)) for i in (1.0, 2.0)]
    for length, expected in ((2, [1, 2]), (5, [1, 2, 2, 2, 2])):
        stacked = stack_batches(batches, length)
        assert stacked.inputs[:, 0, 0].tolist() == expected
        assert (-stacked.answers[:, 1, 0]).tolist() == expected
