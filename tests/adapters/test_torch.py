"""Recording a PyTorch training: it is right, and the training does not notice."""

import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import widthwise as ww
from widthwise.adapters.torch_isolation import untouched
from widthwise.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn
EVERYTHING = (*ww.torch.DEFAULT, *ww.torch.ON_REQUEST[:2])


class Attentive(nn.Module):
    """A layer of a transformer over 5 positions, and a mean."""

    def __init__(self, width: int):
        super().__init__()
        self.embed = nn.Linear(3, width)
        self.block = nn.TransformerEncoderLayer(width, 2, width, dropout=0.1, batch_first=True)
        self.readout = nn.Linear(width, 2)

    def forward(self, x):
        return self.readout(self.block(self.embed(x[:, None, :].repeat(1, 5, 1))).mean(1))


def perceptron(width: int):
    return nn.Sequential(
        nn.Linear(3, width), nn.ReLU(inplace=True), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
    )


def noisy(width: int):
    first = [nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(
        *first, nn.utils.parametrizations.spectral_norm(nn.Linear(width, width)), nn.Linear(width, 2)
    )


MODELS = {"perceptron": perceptron, "dropout and batch norm": noisy, "attention": Attentive}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, 0.01),
}


def train(model, optimizer, steps: int, recorder=None, wrapped=None) -> list[float]:
    losses = []
    for _ in range(steps):
        inputs = torch.randn(16, 3)
        targets = inputs[:, :2] + float(np.random.random())  # noqa: NPY002
        loss = nn.functional.mse_loss((wrapped or model)(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if recorder is not None:
            recorder.step(loss=loss)
        losses.append(loss.item())
    return losses


def seeded() -> None:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002


def recorder_of(model, out, **settings):
    probes = torch.linspace(-1, 1, 21).reshape(7, 3)
    return ww.torch.Recorder(
        model,
        probes,
        **(
            dict(
                width=8,
                seed=0,
                out=out,
                steps="all",
                targets=probes[:, :2],
                loss_function=nn.functional.mse_loss,
            )
            | settings
        ),
    )


def test_a_recorder_writes_the_family(tmp_path):
    with recorder_of(nn.Linear(3, 2), tmp_path, family=4, layers=[]) as recorder:
        recorder.step()
    assert ww.open_runs(tmp_path)["family"].values.tolist() == [[4]]


def test_measuring_leaves_no_random_state_mode_or_buffer_changed():
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls = self.calls + 1 + random.random() + float(np.random.random())  # noqa: NPY002
            return nn.functional.dropout(self.norm(x), 0.5)

    def look():
        numpy = np.random.get_state()[1].tolist()  # noqa: NPY002
        states = (torch.get_rng_state().tolist(), random.getstate(), numpy)
        return states, [(m.training, b.tolist()) for m in model.modules() for b in m.buffers()]

    model = Careless()
    model.norm.eval()
    seeded()
    # The first call loads modules, and what checks types in tests draws numbers itself while it is made.
    for _ in range(2):
        before, buffer = look(), model.calls
        with untouched(model, training=True):
            model(torch.ones(5, 3) * torch.arange(5.0)[:, None])
            inside = look()
        after = look()
    assert after == before and model.calls is buffer
    assert all(one != two for one, two in zip(inside[0], before[0], strict=True)) and inside[1] != before[1]


SEEDED_FIRST = """
import random, sys
import numpy as np
import torch
import widthwise as ww
torch.set_num_threads(1)
random.seed(3), np.random.seed(3), torch.manual_seed(3)
model = torch.nn.Linear(2, 2)
if sys.argv[1] == "recorded":
    recorder = ww.torch.Recorder(model, torch.ones(3, 2), width=8, seed=0, out=sys.argv[2], steps="all")
    recorder.start()
    recorder.step(loss=1.0)
    recorder.close()
else:
    assert "jax" not in sys.modules
sys.stdout.write(repr((random.random(), np.random.random(), torch.rand(1).item(), model.weight.tolist())))
"""


def test_a_program_of_its_own_draws_the_same_numbers_with_and_without(tmp_path):
    """In a new process, since what is loaded only once may draw from a generator while it is loaded."""
    found = []
    for kind in ("plain", "recorded"):
        command = [sys.executable, "-c", SEEDED_FIRST, kind, str(tmp_path)]
        found.append(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)
    assert found[0] == found[1]
    assert ww.open_runs(tmp_path)["loss"].size == 1


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", MODELS)
def test_training_is_the_same_to_the_last_bit(tmp_path, kind, optimizer, mode):
    found = []
    for recorded in (False, True):
        seeded()
        model = MODELS[kind](8)
        if kind == "dropout and batch norm":
            model[3].eval()  # modes differ from module to module
        update = OPTIMIZERS[optimizer](model.parameters())
        if recorded:
            extra = ("attention", "attention_entropy") if kind == "attention" else ()
            with recorder_of(model, tmp_path, mode=mode, quantities=(*EVERYTHING, *extra)) as recorder:
                losses = train(model, update, 6, recorder)
        else:
            losses = train(model, update, 6)
        draws = (torch.rand(1).item(), float(np.random.random()))  # noqa: NPY002
        state = {name: value.clone() for name, value in model.state_dict().items()}
        found.append((losses, draws, state, [module.training for module in model.modules()]))
    (losses, draws, state, modes), (losses_2, draws_2, state_2, modes_2) = found
    assert losses == losses_2 and draws == draws_2 and modes == modes_2
    assert all(torch.equal(state[name], state_2[name]) for name in state)
    assert ww.open_runs(tmp_path)["step"].values.tolist() == [0, 1, 2, 3, 4, 5]


def test_every_number_is_what_its_definition_says(tmp_path):
    seeded()
    model = perceptron(8)
    update = OPTIMIZERS["adam"](model.parameters())
    probes = torch.linspace(-1, 1, 21).reshape(7, 3)
    recorder = recorder_of(model, tmp_path, steps=[0, 2], quantities=EVERYTHING, features=torch.relu)
    kept, losses = [], []
    with recorder:
        for _ in range(4):
            before = {n: p.detach().numpy().copy() for n, p in model.named_parameters()}
            losses += train(model, update, 1, recorder)
            after = {n: p.detach().numpy().copy() for n, p in model.named_parameters()}
            gradients = {n: p.grad.numpy().copy() for n, p in model.named_parameters()}
            kept.append((before, after, gradients))
    records = ww.open_runs(tmp_path).isel(width=0, seed=0)
    assert records["step"].values.tolist() == [0, 2] and records["layer_name"].values.tolist() == ["0", "2"]

    def layers(weights):
        """Preactivations of both hidden layers and the output, in NumPy."""
        x = probes.numpy()
        one = x @ weights["0.weight"].T + weights["0.bias"]
        two = np.maximum(one, 0) @ weights["2.weight"].T + weights["2.bias"]
        return one, two, np.maximum(two, 0) @ weights["4.weight"].T + weights["4.bias"]

    def rms(values):
        return np.sqrt(np.mean(values.astype(np.float64) ** 2))

    start = layers(kept[0][0])
    for i, step in enumerate((0, 2)):
        before, after, gradients = kept[step]
        one, now = records.isel(step=i), layers(before)
        assert np.allclose(one["prediction"], now[2], atol=1e-6)
        assert np.isclose(one["loss"].item(), np.mean((now[2] - probes.numpy()[:, :2]) ** 2))
        assert one["batch_loss"].item() == losses[step]
        assert np.allclose(one["forward_rms"], [rms(now[0]), rms(now[1])])
        assert np.allclose(one["forward_change_rms"], [rms(now[k] - start[k]) for k in (0, 1)], atol=1e-7)
        features = np.maximum(now[1], 0)
        assert np.allclose(one["feature_kernel"].isel(layer=1), features @ features.T / 8, atol=1e-6)
        median = one["preactivation_quantile"].isel(layer=0).sel(quantile=0.5)
        assert np.allclose(median, np.median(now[0], axis=1), atol=1e-6)
        for k, name in enumerate(before):
            assert np.isclose(one["weight_rms"].isel(tensor=k), rms(before[name]))
            assert np.isclose(one["update_rms"].isel(tensor=k), rms(after[name] - before[name]), rtol=1e-5)
            assert np.isclose(one["gradient_rms"].isel(tensor=k), rms(gradients[name]))


def test_weights_are_copied_only_over_recorded_steps(tmp_path):
    model = perceptron(4)
    update = OPTIMIZERS["sgd"](model.parameters())
    with recorder_of(model, tmp_path, steps=[1]) as recorder:
        holding = []
        for _ in range(3):
            holding.append(bool(recorder._before))
            train(model, update, 1, recorder)
    assert holding == [False, True, False]


def test_a_compiled_model_is_recorded_as_the_one_inside(tmp_path):
    for seed, compiled in enumerate((False, True)):
        seeded()
        model = perceptron(8)
        wrapped = torch.compile(model, backend="eager") if compiled else model
        update = OPTIMIZERS["sgd"](model.parameters())
        with recorder_of(wrapped, tmp_path, seed=seed) as recorder:
            train(model, update, 3, recorder, wrapped)
    records = ww.open_runs(tmp_path)
    assert records["layer_name"].values.tolist() == ["0", "2"]
    assert np.array_equal(records["prediction"].isel(seed=0), records["prediction"].isel(seed=1))


def test_only_rank_0_records_the_module_inside_distributed_wrappers(tmp_path, monkeypatch):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        model = perceptron(8)
        wrapped = nn.parallel.DistributedDataParallel(model)
        update = OPTIMIZERS["sgd"](model.parameters())
        with recorder_of(wrapped, tmp_path / "runs") as recorder:
            train(model, update, 2, recorder, wrapped)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
        with recorder_of(wrapped, tmp_path / "other") as recorder:
            train(model, update, 2, recorder, wrapped)
    finally:
        torch.distributed.destroy_process_group()
    assert ww.open_runs(tmp_path / "runs")["tensor"].values[0] == "0.weight"
    assert not (tmp_path / "other").exists()


def test_attention_is_recorded_per_head(tmp_path):
    model = Attentive(8)
    update = OPTIMIZERS["sgd"](model.parameters())
    with recorder_of(model, tmp_path, quantities=("loss", "attention", "attention_entropy")) as recorder:
        train(model, update, 2, recorder)
    records = ww.open_runs(tmp_path)
    assert records["attention"].dims[2:] == ("step", "block", "head", "query", "key")
    assert np.allclose(records["attention"].sum("key"), 1, atol=1e-6)
    # All positions are alike, so that attention is uniform.
    assert np.allclose(records["attention_entropy"], np.log(5), atol=1e-5)


def test_divergence_is_recorded_and_ends_measuring(tmp_path):
    model = perceptron(8)
    update = OPTIMIZERS["sgd"](model.parameters())
    with recorder_of(model, tmp_path) as recorder:
        train(model, update, 2, recorder)
        with torch.no_grad():
            model[0].weight.fill_(float("nan"))
        train(model, update, 3, recorder)
    records = ww.open_runs(tmp_path)
    assert records["diverged_at"].item() == 3 or records["diverged_at"].item() == 2
    assert (
        np.isnan(records["loss"].values.ravel()[-1]) and np.isfinite(records["loss"].values.ravel()[:2]).all()
    )


def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    model = perceptron(8)
    update = OPTIMIZERS["sgd"](model.parameters())
    with pytest.raises(KeyboardInterrupt), recorder_of(model, tmp_path) as recorder:
        train(model, update, 3, recorder)
        raise KeyboardInterrupt
    records = ww.open_runs(tmp_path)
    assert records["step"].values.tolist() == [0, 1, 2] and not records["done"].item()


def test_without_a_loss_function_the_given_loss_is_recorded(tmp_path):
    model = perceptron(8)
    with recorder_of(model, tmp_path, loss_function=None) as recorder:
        losses = train(model, OPTIMIZERS["sgd"](model.parameters()), 3, recorder)
    records = ww.open_runs(tmp_path)
    assert records["loss"].values.ravel().tolist() == losses and "batch_loss" not in records


@pytest.mark.parametrize(
    ("loss", "named", "kind"),
    [
        (nn.functional.mse_loss, None, "mse"),
        (nn.CrossEntropyLoss(), None, "cross_entropy"),
        (nn.functional.cross_entropy, None, "cross_entropy"),
        (lambda out, y: nn.functional.cross_entropy(out, y), "cross_entropy", "cross_entropy"),
        (nn.functional.l1_loss, None, None),
    ],
)
def test_the_kind_of_loss_is_recorded(tmp_path, loss, named, kind):
    """Of PyTorch's own functions it is known; of others as it is given, or not at all."""
    with recorder_of(perceptron(4), tmp_path, loss_function=loss, loss_kind=named) as recorder:
        recorder.step()
    assert ww.open_runs(tmp_path).attrs.get("loss") == kind


def test_roles_multipliers_and_tied_tables(tmp_path):
    class Tied(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.table, self.own = nn.Embedding(5, width), nn.Parameter(torch.ones(3, width))
            self.hidden, self.readout = nn.Linear(width, width), nn.Linear(width, 5, bias=False)
            self.readout.weight = self.table.weight

        def forward(self, x):
            return SimpleNamespace(logits=self.readout(self.hidden(self.table(x) + self.own)))

    for width in (4, 8):
        model = Tied(width)
        recorder = ww.torch.Recorder(
            model, {"x": torch.tensor([[0, 1, 2], [2, 3, 4]])},
            width=width, seed=0, out=tmp_path, steps="all",
            loss_function=lambda out, _: out.logits.square().mean(), multipliers={"own": 0.5},
        )  # fmt: skip
        with recorder:
            recorder.step()
    records = ww.open_runs(tmp_path)
    roles = records["tensor_role"]
    assert dict(zip(roles["tensor"].values, roles.values, strict=True)) == {
        "own": "",
        "table.weight": "input",
        "hidden.weight": "hidden",
        "hidden.bias": "input",
    }
    assert np.allclose(records["weight_rms"].sel(tensor="own"), 0.5)
    assert records["prediction"].shape[-2:] == (2, 5), "texts: the last position"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": ["3x"]}, "does not have"),
        ({"layers": "0"}, "give a list"),
        ({"steps": "most"}, '"all", "log"'),
        ({"steps": []}, "step numbers"),
        ({"quantities": ("loss", "sharpness")}, "`quantities` is"),
        ({"multipliers": {"weight": 1.0}}, "no trained tensor"),
        ({"loss_kind": "hinge"}, "`loss_kind` is 'hinge'"),
        ({"outputs": lambda out: out[None, None]}, "give `outputs`"),
        ({"quantities": ("loss", "attention")}, "no attention was seen"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        recorder_of(perceptron(4), tmp_path, **settings).start()


def test_a_step_before_the_start_is_refused(tmp_path):
    with pytest.raises(InputError, match="has not started"):
        recorder_of(perceptron(4), tmp_path).step()
    with pytest.raises(InputError, match=r"give a torch\.nn\.Module"):
        recorder_of(3, tmp_path)
