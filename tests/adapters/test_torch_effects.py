"""What updates do and what they are made with, recorded from PyTorch: against formulas and known faults."""

import numpy as np
import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn
INPUTS, WIDTH, BATCH = 5, 16, 12


def perceptron(width=WIDTH):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(INPUTS, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2)
    )


def batch(step, size=BATCH):
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randn(size, INPUTS, generator=generator), torch.randn(size, 2, generator=generator)


def record(model, optimizers, out, *, steps=2, size=BATCH, told=True, clip=None, **options):
    """Records of a short training; `told`, whether the recorder is given the optimizers."""
    probes = torch.linspace(-1, 1, 7 * INPUTS).reshape(7, INPUTS)
    given = {"optimizer": optimizers} if told else {}
    with ww.torch.Recorder(
        model, options.pop("probes", probes), width=WIDTH, seed=0, out=out, steps="all", **given, **options
    ) as recorder:
        for step in range(steps):
            inputs, targets = batch(step, size)
            loss = (model(inputs) - targets).square().mean()
            for each in optimizers:
                each.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            for each in optimizers:
                each.step()
            recorder.step(loss=loss)
    return ww.open_runs(out).isel(width=0, seed=0)


def test_the_effect_of_a_linear_layer_is_its_change_times_the_input_it_had(tmp_path):
    model, probes = perceptron(), torch.linspace(-1, 1, 7 * INPUTS).reshape(7, INPUTS)
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    hidden = torch.tanh(probes @ before["0.weight"].T + before["0.bias"])
    records = record(model, [torch.optim.SGD(model.parameters(), lr=0.5)], tmp_path, steps=1)
    change = {name: tensor.detach() - before[name] for name, tensor in model.named_parameters()}
    expected = {
        "0.weight": probes @ change["0.weight"].T,
        "0.bias": change["0.bias"],
        "2.weight": hidden @ change["2.weight"].T,
    }
    for name, values in expected.items():
        found = float(records["update_effect_rms"].sel(tensor=name).isel(step=0))
        assert found == pytest.approx(float(values.square().mean().sqrt()), rel=1e-5)


class Scaled(nn.Module):
    """A weight with a factor inside of the module that holds it."""

    def __init__(self, factor):
        super().__init__()
        self.matrix, self.factor = nn.Parameter(torch.full((INPUTS, 3), 0.5)), factor

    def forward(self, inputs):
        return inputs @ self.matrix * self.factor


class Marked(nn.Linear):
    """A layer that reads its factor off its weight, as those of the package mup."""

    def forward(self, inputs):
        return super().forward(inputs) / self.weight.growth


def test_attributes_of_a_tensor_are_there_when_its_effect_is_measured(tmp_path):
    model = nn.Sequential(nn.Linear(INPUTS, 3), Marked(3, 2))
    model[1].weight.growth = 4.0
    before = [tensor.detach().clone() for tensor in model.parameters()]
    probes = torch.linspace(-1, 1, 7 * INPUTS).reshape(7, INPUTS)
    hidden = nn.functional.linear(probes, before[0], before[1])
    records = record(model, [torch.optim.SGD(model.parameters(), lr=0.5)], tmp_path, steps=1)
    expected = hidden @ (model[1].weight.detach() - before[2]).T / 4
    found = float(records["update_effect_rms"].sel(tensor="1.weight").isel(step=0))
    assert found == pytest.approx(float(expected.square().mean().sqrt()), rel=1e-4)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_a_factor_inside_of_a_module_of_ones_own_is_in_its_effect(tmp_path, factor):
    model = nn.Sequential(Scaled(factor), nn.Linear(3, 2))
    before = model[0].matrix.detach().clone()
    probes = torch.linspace(-1, 1, 7 * INPUTS).reshape(7, INPUTS)
    records = record(model, [torch.optim.SGD(model.parameters(), lr=0.5)], tmp_path, steps=1)
    expected = probes @ (model[0].matrix.detach() - before) * factor
    found = float(records["update_effect_rms"].sel(tensor="0.matrix").isel(step=0))
    assert found == pytest.approx(float(expected.square().mean().sqrt()), rel=1e-5)


def test_of_embeddings_only_rows_that_are_read_count(tmp_path):
    model = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(8, 2))
    before = model[0].weight.detach().clone()
    optimizer, probes = torch.optim.SGD(model.parameters(), lr=1.0), torch.tensor([[0, 1], [1, 2]])
    with ww.torch.Recorder(model, probes, width=4, seed=0, out=tmp_path, steps="all") as recorder:
        loss = model(torch.tensor([[1, 7]])).square().sum()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    change = model[0].weight.detach() - before
    assert change[7].abs().max() > 0
    found = ww.open_runs(tmp_path)["update_effect_rms"].sel(tensor="0.weight").squeeze()
    expected = change[probes].square().mean().sqrt()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_decoupled_decay_is_no_part_of_an_update(tmp_path, decay):
    """With a zero readout hidden gradients vanish in the first step: all that moves is decay."""
    model = perceptron()
    nn.init.zeros_(model[4].weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=decay)
    records = record(model, [optimizer], tmp_path, steps=1).isel(step=0)
    for name in ("update_rms", "update_effect_rms"):
        assert float(records[name].sel(tensor="2.weight")) == pytest.approx(0, abs=1e-8)
        assert float(records[name].sel(tensor="4.weight")) > 0.01


def test_decay_that_goes_through_the_gradient_is_part_of_it(tmp_path):
    model = perceptron()
    nn.init.zeros_(model[4].weight)
    records = record(
        model, [torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.3)], tmp_path, steps=1
    )
    expected = 0.03 * float(records["weight_rms"].sel(tensor="2.weight").isel(step=0))
    assert float(records["update_rms"].sel(tensor="2.weight").isel(step=0)) == pytest.approx(
        expected, rel=1e-5
    )


def test_settings_of_every_group_are_recorded_as_they_are_at_the_step(tmp_path):
    model = perceptron()
    first = torch.optim.Adam(model[0].parameters(), lr=0.1, eps=1e-3, betas=(0.8, 0.99))
    second = torch.optim.SGD([*model[2].parameters(), *model[4].parameters()], lr=0.2, momentum=0.7)
    halving = torch.optim.lr_scheduler.StepLR(second, 1, 0.5)
    second.register_step_post_hook(lambda *_: halving.step())
    records = record(model, [first, second], tmp_path)
    assert records["learning_rate"].sel(tensor="0.weight").to_numpy() == pytest.approx([0.1, 0.1])
    assert records["learning_rate"].sel(tensor="2.weight").to_numpy() == pytest.approx([0.2, 0.1])
    assert records["momentum"].sel(tensor="2.weight").to_numpy() == pytest.approx([0.7, 0.7])
    assert float(records["beta2"].sel(tensor="0.bias").isel(step=0)) == pytest.approx(0.99)
    hashes = records["optimizer_hash"].isel(step=0)
    assert float(hashes.sel(tensor="0.weight")) != float(hashes.sel(tensor="2.weight"))


def test_clipping_is_seen_and_its_absence_too(tmp_path):
    model = perceptron()
    plain = record(model, [torch.optim.SGD(model.parameters(), lr=0.1)], tmp_path / "plain")
    assert plain["clip_factor"].to_numpy() == pytest.approx([1, 1], rel=1e-5)
    model = perceptron()
    norm = float(torch.stack([p.grad.norm() for p in gradients(model)]).norm())
    clipped = record(
        model, [torch.optim.SGD(model.parameters(), lr=0.1)], tmp_path / "clipped", clip=norm / 4
    )
    assert float(clipped["clip_factor"][0]) == pytest.approx(0.25, rel=1e-4)


def gradients(model):
    """The model's tensors with the gradients of the first batch."""
    inputs, targets = batch(0)
    (model(inputs) - targets).square().mean().backward()
    return list(model.parameters())


def test_the_share_that_epsilon_takes_of_adams_first_step(tmp_path):
    r"""In a first step every entry moves by eta |g| / (|g| + eps)."""
    model = perceptron()
    gradient = next(
        p.grad.clone()
        for name, p in zip(dict(model.named_parameters()), gradients(model), strict=True)
        if name == "2.weight"
    )
    epsilon = float(gradient.abs().median())
    records = record(model, [torch.optim.Adam(model.parameters(), lr=0.01, eps=epsilon)], tmp_path, steps=1)
    moved = gradient.abs() / (gradient.abs() + epsilon)
    expected = 1 - float(moved.square().mean().sqrt())
    found = float(records["epsilon_share"].sel(tensor="2.weight").isel(step=0))
    assert 0.2 < expected < 0.8
    assert found == pytest.approx(expected, rel=1e-3)


def test_updates_that_round_away_are_counted(tmp_path):
    model = perceptron().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    with ww.torch.Recorder(model, torch.ones(2, INPUTS), width=WIDTH, seed=0, out=tmp_path) as recorder:
        loss = model(torch.ones(3, INPUTS, dtype=torch.bfloat16)).float().square().mean()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    records = ww.open_runs(tmp_path).squeeze()
    assert float(records["unmoved_share"].sel(tensor="2.weight")) > 0.9
    assert float(records["weight_bits"].sel(tensor="2.weight")) == 8


def test_batches_are_told_apart_by_size_and_content(tmp_path):
    def hashes(name, size=BATCH):
        model = perceptron()
        return record(model, [torch.optim.SGD(model.parameters(), lr=0.1)], tmp_path / name, size=size)

    one, again, smaller = hashes("one"), hashes("again"), hashes("smaller", 6)
    assert one["batch_size"].to_numpy() == pytest.approx([BATCH, BATCH])
    assert smaller["batch_size"].to_numpy() == pytest.approx([6, 6])
    np.testing.assert_array_equal(one["batch_hash"], again["batch_hash"])
    assert (one["batch_hash"].to_numpy() != smaller["batch_hash"].to_numpy()).all()
    assert float(one["batch_hash"][0]) != float(one["batch_hash"][1])


def test_dropout_is_recorded_of_training_and_not_of_measuring(tmp_path):
    model = nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.Dropout(0.3), nn.Linear(WIDTH, 2))
    optimizer = [torch.optim.SGD(model.parameters(), lr=0.1)]
    assert float(record(model, optimizer, tmp_path, steps=1)["dropout_rate"][0]) == pytest.approx(0.3)


def test_recording_all_of_it_changes_no_training(tmp_path):
    def trained(recorded):
        model = perceptron()
        optimizer = [torch.optim.AdamW(model.parameters(), lr=0.1)]
        if recorded:
            record(model, optimizer, tmp_path, steps=4, clip=0.1)
        else:
            for step in range(4):
                inputs, targets = batch(step)
                optimizer[0].zero_grad()
                (model(inputs) - targets).square().mean().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
                optimizer[0].step()
        assert not optimizer[0]._optimizer_step_pre_hooks
        return torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    assert torch.equal(trained(True), trained(False))


def test_what_is_no_optimizer_is_refused(tmp_path):
    with pytest.raises(ww.InputError, match="`optimizer` has a str"):
        ww.torch.Recorder(
            perceptron(), torch.ones(2, INPUTS), width=4, seed=0, out=tmp_path, optimizer="adam"
        )


def test_a_model_compiled_whole_trains_on(tmp_path):
    model = perceptron()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ww.torch.Recorder(
        model, torch.ones(2, INPUTS), width=WIDTH, seed=0, out=tmp_path, steps="all"
    ) as recorder:
        for step in range(3):
            inputs, targets = batch(step)
            optimizer.zero_grad()
            loss = (compiled(inputs) - targets).square().mean()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    assert (ww.open_runs(tmp_path)["update_effect_rms"] > 0).all()
