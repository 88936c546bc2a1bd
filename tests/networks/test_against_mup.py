"""The table of parametrizations against the package `mup` of the authors of muP, by tensor (optional)."""

import math

import jax
import numpy as np
import pytest

from widthwise.networks.build import blueprint
from widthwise.networks.parametrization import is_rule, is_tensor, rules_of
from widthwise.study import NetworkSettings

torch = pytest.importorskip("torch")
mup = pytest.importorskip("mup")

BASE, WIDTH, VOCABULARY, POSITIONS, HEADS, DIMENSION, OUTPUTS = 32, 128, 37, 8, 4, 10, 3
RATE = 0.01


class Perceptron(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = torch.nn.Linear(DIMENSION, width, bias=False)
        self.second = torch.nn.Linear(width, width, bias=False)
        self.last = mup.MuReadout(width, OUTPUTS, bias=False)


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norms = torch.nn.ModuleList([torch.nn.LayerNorm(width) for _ in range(2)])
        self.query, self.key, self.value, self.out = (
            torch.nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.up = torch.nn.Linear(width, 4 * width, bias=False)
        self.down = torch.nn.Linear(4 * width, width, bias=False)


class Transformer(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.token = torch.nn.Embedding(VOCABULARY, width)
        self.position = torch.nn.Embedding(POSITIONS, width)
        self.block = Block(width)
        self.norm = torch.nn.LayerNorm(width)
        self.readout = mup.MuReadout(width, VOCABULARY, bias=False)


# Our names of tensors: theirs.
NAMES = {
    "mlp": {"hidden.0": "first.weight", "hidden.1": "second.weight", "readout": "last.weight"},
    "transformer": {
        "token": "token.weight",
        "position": "position.weight",
        "blocks.0.norms.0.gain": "block.norms.0.weight",
        "blocks.0.norms.0.bias": "block.norms.0.bias",
        "blocks.0.norms.1.gain": "block.norms.1.weight",
        "blocks.0.norms.1.bias": "block.norms.1.bias",
        "blocks.0.attention.query": "block.query.weight",
        "blocks.0.attention.key": "block.key.weight",
        "blocks.0.attention.value": "block.value.weight",
        "blocks.0.attention.out": "block.out.weight",
        "blocks.0.up": "block.up.weight",
        "blocks.0.down": "block.down.weight",
        "norm.gain": "norm.weight",
        "norm.bias": "norm.bias",
        "readout": "readout.weight",
    },
}
MODULES = {"mlp": Perceptron, "transformer": Transformer}


def theirs(kind, width, optimizer):
    """By name: standard deviation at the start and learning rate, of the tensor times its multiplier."""
    torch.manual_seed(0)
    model = MODULES[kind](width)
    delta = MODULES[kind](2 * BASE)
    mup.set_base_shapes(model, MODULES[kind](BASE), delta=delta)
    groups = {"adam": mup.MuAdam, "sgd": mup.MuSGD}[optimizer](model.parameters(), lr=RATE).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    found = {}
    for name, parameter in model.named_parameters():
        multiplier = 1.0
        if name in ("last.weight", "readout.weight"):
            multiplier = 1 / parameter.infshape.width_mult()
        power = 1 if optimizer == "adam" else 2
        std = parameter.detach().numpy().std() * multiplier
        found[name] = (float(std), rates[id(parameter)] * multiplier**power)
    return found


def ours(kind, width, optimizer):
    """The same of the arrays that our networks hold, times what the network multiplies them with."""
    settings = NetworkSettings(
        kind=kind, hidden_layers=2 if kind == "mlp" else 1, heads=HEADS, base_width=BASE
    )
    shape, outputs = ((DIMENSION,), OUTPUTS) if kind == "mlp" else ((POSITIONS,), VOCABULARY)
    plans = [blueprint(settings, shape, outputs, w) for w in (width, BASE)]
    rules = jax.tree.leaves(rules_of(*plans, "mean_field"), is_leaf=is_rule)
    paths = jax.tree_util.tree_flatten_with_path(plans[0], is_leaf=is_tensor)[0]
    found = {}
    for (path, tensor), rule in zip(paths, rules, strict=True):
        std = rule.std * tensor.inner if tensor.start == "normal" else 0.0
        power = 1 if optimizer == "adam" else 2
        rate = RATE * rule.rate(optimizer) * tensor.inner**power
        found[jax.tree_util.keystr(path, simple=True, separator=".")] = (std, rate, tensor)
    return found


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_tensors_begin_and_learn_as_in_mup(kind, optimizer):
    wide, base = theirs(kind, WIDTH, optimizer), theirs(kind, BASE, optimizer)
    our_wide, our_base = ours(kind, WIDTH, optimizer), ours(kind, BASE, optimizer)
    assert set(our_wide) == set(NAMES[kind])
    for name, their_name in NAMES[kind].items():
        std, rate, tensor = our_wide[name]
        base_std, base_rate, _ = our_base[name]
        # Rates are exact. The perceptron of the theory has rates of its own at the base width.
        assert rate / base_rate == pytest.approx(wide[their_name][1] / base[their_name][1], rel=1e-9), name
        if kind == "transformer":
            assert rate == pytest.approx(wide[their_name][1], rel=1e-9), name
        # PyTorch's own initializations differ by constants, so growth is compared. Of n normal or uniform
        # entries the deviation is known to 1/sqrt(2n); six times that of both is a false alarm of 1e-9.
        if tensor.start == "normal":
            counts = [math.prod(t[2].shape) for t in (our_wide[name], our_base[name])]
            error = 6 * math.sqrt(sum(1 / (2 * n) for n in counts))
            assert error < 0.5, "too few entries to tell powers of the growth apart"
            growth = std / base_std / (wide[their_name][0] / base[their_name][0])
            assert abs(math.log(growth)) < error, (name, growth)


def test_attention_is_divided_by_the_size_of_heads():
    settings = NetworkSettings(kind="transformer", heads=HEADS, base_width=BASE)
    scales = [
        blueprint(settings, (POSITIONS,), VOCABULARY, width).blocks[0].attention.scale
        for width in (BASE, WIDTH)
    ]
    assert scales[0] == pytest.approx(1 / math.sqrt(BASE / HEADS))
    assert scales[0] / scales[1] == pytest.approx(WIDTH / BASE)
    assert np.isfinite(scales).all()
