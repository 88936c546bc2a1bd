"""What the tensors of usual PyTorch modules are, and what is refused by name."""

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn


class Bare(nn.Module):
    """Parameters that belong to no module of PyTorch, with a readout beside."""

    def __init__(self, width, **shapes):
        super().__init__()
        self.head = nn.Linear(width, 2)
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.randn(*shape)))


def roles(make, **settings):
    built = ww.torch.parametrize(make, 32, base_width=8, seed=0, **settings)
    return {row.tensor: (row.role, row.growth) for row in built.rows}


LAYERS = {
    "linear": (lambda n: nn.Linear(n, n), "weight", ("hidden", 4)),
    "bias": (lambda n: nn.Linear(3, n), "bias", ("input", 4)),
    "readout": (lambda n: nn.Linear(n, 3), "weight", ("readout", 4)),
    "readout bias": (lambda n: nn.Linear(n, 3), "bias", ("scalar", 1)),
    "embedding": (lambda n: nn.Embedding(7, n), "weight", ("input", 4)),
    "convolution": (lambda n: nn.Conv2d(n, 2 * n, 3), "weight", ("hidden", 4)),
    "first convolution": (lambda n: nn.Conv1d(3, n, 3), "weight", ("input", 4)),
    "grouped": (lambda n: nn.Conv2d(n, n, 3, groups=4), "weight", ("hidden", 4)),
    "groups that grow": (lambda n: nn.Conv2d(n, n, 3, groups=n // 4), "weight", ("input", 4)),
    "depthwise": (lambda n: nn.Conv3d(n, n, 3, groups=n), "weight", ("input", 4)),
    "transposed": (lambda n: nn.ConvTranspose2d(n, 3, 3), "weight", ("readout", 4)),
    "transposed, depthwise": (lambda n: nn.ConvTranspose1d(n, n, 3, groups=n), "weight", ("input", 4)),
    "layer norm": (lambda n: nn.LayerNorm((n, 4, 4)), "weight", ("input", 4)),
    "RMS norm": (lambda n: nn.RMSNorm(n), "weight", ("input", 4)),
    "batch norm": (lambda n: nn.BatchNorm2d(n), "bias", ("input", 4)),
    "group norm": (lambda n: nn.GroupNorm(4, n), "weight", ("input", 4)),
    "attention": (lambda n: nn.MultiheadAttention(n, 2), "in_proj_weight", ("hidden", 4)),
    "attention's bias": (lambda n: nn.MultiheadAttention(n, 2, add_bias_kv=True), "bias_k", ("input", 4)),
    "LSTM, input": (lambda n: nn.LSTM(3, n), "weight_ih_l0", ("input", 4)),
    "LSTM, hidden": (lambda n: nn.LSTM(3, n), "weight_hh_l0", ("hidden", 4)),
    "GRU cell": (lambda n: nn.GRUCell(n, n), "weight_ih", ("hidden", 4)),
    "experts": (lambda n: Bare(n, experts=(5, n, 4 * n)), "experts", ("hidden", 4)),
    "class token": (lambda n: Bare(n, cls=(1, 1, n)), "cls", ("input", 4)),
    "positions": (lambda n: Bare(n, pos_embed=(1, 9, n)), "pos_embed", ("input", 4)),
    "layer scale": (lambda n: Bare(n, gamma=(n, 1, 1)), "gamma", ("input", 4)),
    "fixed table": (lambda n: Bare(n, mixing=(9, 9)), "mixing", ("scalar", 1)),
    "bottleneck": (lambda n: nn.Sequential(nn.Linear(n, 4), nn.Linear(4, n)), "0.weight", ("readout", 4)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_roles_of_usual_layers(kind):
    make, name, expected = LAYERS[kind]
    assert roles(make)[name] == expected


def test_the_layer_of_gpt2_has_its_input_first():
    class Conv1D(nn.Module):
        def __init__(self, outgoing, incoming):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(incoming, outgoing))

    assert roles(lambda n: Conv1D(3, n))["weight"] == ("readout", 4)
    assert roles(lambda n: Conv1D(n, 3))["weight"] == ("input", 4)


def test_sides_that_grow_differently_move_gradients_and_sums_by_their_own():
    built = ww.torch.parametrize(lambda n: nn.Linear(n, n * n), 32, base_width=8, seed=0)
    weight = built.rows[0]
    assert (weight.growth, weight.adam_rate, weight.sgd_rate) == (4, 1 / 4, 4)  # gradients fall as 1/16
    assert weight.gradient == 1 / 16


def test_groups_queries_of_fewer_heads_are_ruled_by_their_own_sides():
    def make(width):
        return nn.ModuleDict({"q": nn.Linear(width, width), "k": nn.Linear(width, width // 4)})

    assert roles(make)["k.weight"] == ("hidden", 4)


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (lambda n: Bare(n, table=(9, n)), "table", "an input table or a readout"),
        (lambda n: Bare(n, projection=(n, 9)), "projection", "an input table or a readout"),
        (lambda n: Bare(n, mixed=(n, n * n)), "mixed", "grow differently"),
        (lambda n: Bare(n, cube=(n, n, n)), "cube", "3 of its axes grow"),
        (lambda n: nn.Sequential(nn.Embedding(n, n)), "0.weight", "number of entries"),
        (lambda n: nn.Conv1d(n, n, n // 4), "weight", "its window grows"),
        (lambda n: nn.Bilinear(n, n, 2), "weight", "its window grows"),
    ],
)
def test_unclear_tensors_are_refused_with_the_line_to_write(make, name, reason):
    with pytest.raises(ww.InputError, match=rf'^{name}: .*{reason}.*tags={{"{name}": "input"}}'):
        roles(make)


def test_the_line_to_write_is_for_all_blocks():
    def make(width):
        return nn.ModuleDict({"blocks": nn.ModuleList([Bare(width, gate=(4, width)) for _ in range(2)])})

    with pytest.raises(ww.InputError, match=r'^blocks.0.gate: .*tags={"blocks.\*.gate": "input"}'):
        roles(make)
    found = roles(make, tags={"blocks.*.gate": "readout"})
    assert found["blocks.0.gate"] == found["blocks.1.gate"] == ("readout", 4)


def test_tags_say_roles_by_name_or_pattern():
    def make(width):
        return Bare(width, table=(9, width), projection=(width, 9), rest=(width, width * width))

    found = roles(make, tags={"table": "input", "proj*": "readout", "rest": "fixed"})
    assert found["table"] == ("input", 4)
    assert found["projection"] == ("readout", 4)
    assert found["rest"] == ("scalar", 1)
    with pytest.raises(ww.InputError, match=r"no tensor; they are table, projection"):
        roles(make, tags={"tabel": "input"})
    with pytest.raises(ww.InputError, match=r"says 'inputs' of table: expected one of input, hidden"):
        roles(make, tags={"table": "inputs"})


def test_fixed_tensors_stay_and_learn_at_one_rate():
    built = ww.torch.parametrize(
        lambda n: nn.Sequential(nn.Linear(3, n), nn.Linear(n, n)),
        32,
        base_width=8,
        seed=1,
        tags={"1.weight": "fixed"},
    )
    torch.manual_seed(1)
    own = nn.Sequential(nn.Linear(3, 32), nn.Linear(32, 32))
    assert torch.equal(built.model[1].weight, own[1].weight)
    rates = {name: g["lr"] for g in built.param_groups("sgd", lr=1.0) for name in g["param_names"]}
    assert rates["1.weight"] == 1.0
