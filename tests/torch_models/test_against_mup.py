"""The rules of `ww.torch.parametrize` against the package `mup` of the authors of muP (optional)."""

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
mup = pytest.importorskip("mup")
nn = torch.nn

BASE, WIDTH, GROWTH, RATE, STEPS = 8, 32, 4, 0.01, 5
TOKENS, OUTPUTS = 11, 3
# Adam's epsilon: so small that it does nothing, for `mup` leaves it as it is at every width.
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, mup.MuSGD, {"momentum": 0.9}, {}),
    "adam": (torch.optim.Adam, mup.MuAdam, {"eps": 1e-30}, {"eps": 1e-30}),
}


def perceptron(width, head=nn.Linear):
    return nn.Sequential(
        nn.Linear(5, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), head(width, OUTPUTS)
    )


class Residual(nn.Module):
    """A small ResNet with two stages, the second of twice the width."""

    def __init__(self, width, head):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.first = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        self.second = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1))
        self.shortcut = nn.Conv2d(width, 2 * width, 1, 2)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.head = head(2 * width, OUTPUTS)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.first(x)
        x = self.shortcut(x) + self.second(x)
        return self.head(self.depthwise(x.relu()).mean((2, 3)))


class Transformer(nn.Module):
    """One block, two heads, logits sqrt(d_0) q.k / d."""

    def __init__(self, width, head):
        super().__init__()
        self.token, self.position = nn.Embedding(TOKENS, width), nn.Embedding(6, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = head(width, TOKENS)

    def forward(self, tokens):
        x = self.token(tokens) + self.position.weight
        h = self.norms[0](x)
        q, k, v = (f(h).unflatten(-1, (2, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, scale=(BASE / 2) ** 0.5 / q.shape[-1])
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        x = x + self.down(torch.relu(self.up(self.norms[1](x))))
        return self.head(self.norms[2](x)).flatten(0, 1)


def inputs(make):
    generator = torch.Generator().manual_seed(1)
    if make is perceptron:
        return torch.randn(4, 5, generator=generator).double()
    if make is Residual:
        return torch.randn(4, 3, 6, 6, generator=generator).double()
    return torch.randint(TOKENS, (2, 6), generator=generator)


MODELS = pytest.mark.parametrize("make", [perceptron, Residual, Transformer])


def theirs(make, width):
    """The model of `mup` at a width: the same random numbers as ours at the same seed."""
    base, delta = (make(size, mup.MuReadout) for size in (BASE, 2 * BASE))
    torch.manual_seed(7)
    return mup.set_base_shapes(make(width, mup.MuReadout).double(), base, delta=delta)


def ours(make, width):
    return ww.torch.parametrize(lambda n: make(n, nn.Linear).double(), width, base_width=BASE, seed=7)


def readout_of(model):
    return (
        next(name for name, module in model.named_modules() if isinstance(module, mup.MuReadout)) + ".weight"
    )


def rates(optimizer):
    return {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}


@MODELS
def test_weights_begin_as_theirs_tensor_by_tensor(make):
    built, other = ours(make, WIDTH), theirs(make, WIDTH)
    for row in built.rows:
        expected = other.get_parameter(row.tensor) / (GROWTH if row.tensor == readout_of(other) else 1)
        if row.role == "scalar":  # drawn like those of the base width: the same law, other numbers
            bound = built.model.get_submodule(row.tensor.rpartition(".")[0]).weight.shape[1] / GROWTH
            assert built.model.get_parameter(row.tensor).abs().max() <= bound**-0.5 + 1e-12
        else:
            torch.testing.assert_close(built.model.get_parameter(row.tensor), expected, rtol=1e-12, atol=0)


@MODELS
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rates_are_theirs_tensor_by_tensor(make, optimizer):
    built, other = ours(make, WIDTH), theirs(make, WIDTH)
    kind, their_kind, settings, groups = OPTIMIZERS[optimizer]
    mine = rates(kind(built.param_groups(optimizer, lr=RATE, **groups), lr=1.0, **settings))
    expected = rates(their_kind(other.parameters(), lr=RATE, **settings))
    for name, p in built.model.named_parameters():
        folded = {"sgd": GROWTH**2, "adam": GROWTH}[optimizer] if name == readout_of(other) else 1
        assert mine[id(p)] == pytest.approx(expected[id(other.get_parameter(name))] / folded, rel=1e-12), name


def trained(model, optimizer, make):
    x, losses = inputs(make), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@MODELS
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("width", [BASE, WIDTH])
def test_trajectories_are_theirs_to_rounding(make, optimizer, width):
    built, other = ours(make, width), theirs(make, width)
    kind, their_kind, settings, groups = OPTIMIZERS[optimizer]
    for name, p in built.model.named_parameters():
        factor = width // BASE if name == readout_of(other) else 1
        p.data.copy_(other.get_parameter(name).data / factor)
    mine = trained(built.model, kind(built.param_groups(optimizer, lr=RATE, **groups), **settings), make)
    expected = trained(other, their_kind(other.parameters(), lr=RATE, **settings), make)
    assert mine == pytest.approx(expected, rel=1e-9)
    assert abs(mine[-1] / mine[0] - 1) > 0.01, "nothing was learned"
