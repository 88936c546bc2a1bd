"""Depth as second axis: what updates do to the output does not depend on the number of blocks."""

import math

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn
WIDTH = 32


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.Linear(2 * width, width),
        )

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Residual(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.first = nn.Linear(5, width)
        self.blocks = nn.ModuleList([Block(width) for _ in range(depth)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def built(depth, width=WIDTH, seed=0, **settings):
    given = {"branches": ("*.down.*",), "base_depth": 2} | settings
    return ww.torch.parametrize(Residual, width, base_width=WIDTH, depth=depth, seed=seed, **given)


@pytest.mark.parametrize(
    ("rule", "factor", "adam", "sgd"), [("complete", 1 / 4, 1, 4), ("sqrt", 1 / 2, 1 / 2, 1)]
)
def test_rules_are_those_of_the_papers(rule, factor, adam, sgd):
    rows = {row.tensor: row for row in built(8, depth_rule=rule).rows}
    first, last = rows["blocks.7.up.weight"], rows["blocks.5.down.weight"]
    assert (first.start, first.adam_rate, first.sgd_rate, first.gradient) == (1, adam, sgd, factor)
    assert last.start == factor
    assert (last.adam_rate, last.sgd_rate, last.gradient) == (adam * factor, sgd * factor**2, 1)
    assert rows["blocks.3.norm.bias"].adam_rate == adam
    for name in ("first.weight", "head.1.weight"):
        assert (rows[name].start, rows[name].adam_rate, rows[name].sgd_rate) == (1, 1, 1)


def test_width_and_depth_go_together():
    rows = {row.tensor: row for row in built(8, width=4 * WIDTH).rows}
    assert rows["blocks.6.down.weight"].adam_rate == 1 / 4 / 4
    assert rows["blocks.6.down.weight"].start == 1 / 2 / 4
    assert rows["head.1.weight"].adam_rate == 1 / 4


def test_initial_sizes_that_depend_on_the_depth_are_undone():
    class Shrinking(Residual):
        def __init__(self, width, depth):
            super().__init__(width, depth)
            for block in self.blocks:
                nn.init.normal_(block.down.weight, std=0.02 / math.sqrt(2 * depth))

    settings = {"base_width": WIDTH, "base_depth": 2, "branches": ("*.down.*",), "seed": 0}
    found = ww.torch.parametrize(Shrinking, WIDTH, depth=8, **settings)
    for index in (0, 7):
        size = float(found.model.blocks[index].down.weight.detach().std())
        assert size == pytest.approx(0.01 / 4, rel=0.1)


def exponent(optimizer, of_settings, depths=(8, 32)):
    """Power of L, from 8 to 32 blocks, in what one small step of the blocks alone does to the output."""
    inputs = torch.randn(32, 5, generator=torch.Generator().manual_seed(1))
    kind, lr = {"sgd": (torch.optim.SGD, 1e-3), "adamw": (torch.optim.AdamW, 1e-5)}[optimizer]
    squares = dict.fromkeys(depths, 0.0)
    for depth in squares:
        for seed in range(4):
            found = built(depth, seed=seed, **of_settings(depth))
            step = kind(found.param_groups(optimizer, lr=lr), lr=1.0)
            before = {name: p.detach().clone() for name, p in found.model.named_parameters()}
            output = found.model(inputs)
            (output - 1).square().mean().backward()
            step.step()
            with torch.no_grad():
                for name, p in found.model.named_parameters():
                    if not name.startswith("blocks."):
                        p.copy_(before[name])
                squares[depth] += float((found.model(inputs) - output).square().mean())
    return math.log(squares[depths[1]] / squares[depths[0]]) / 2 / math.log(depths[1] / depths[0])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("rule", ["complete", "sqrt"])
def test_what_the_blocks_learn_does_not_depend_on_their_number(optimizer, rule):
    found = exponent(optimizer, lambda depth: {"depth_rule": rule}, depths=(32, 128))
    assert abs(found) < 0.15


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_without_the_rules_it_does(optimizer):
    assert exponent(optimizer, lambda depth: {"base_depth": depth}) > 0.25


def test_branches_are_asked_for_and_must_fit():
    with pytest.raises(ww.InputError, match=r"`depth` needs `branches`.*blocks.0.down.bias"):
        built(8, branches=None)
    with pytest.raises(ww.InputError, match="fits no tensor of a block"):
        built(8, branches=("*.c_proj.*",))
    own = {row.tensor: row for row in built(8, branches=()).rows}  # the model divides its branches itself
    assert own["blocks.0.down.weight"].start == 1


def test_at_the_base_depth_it_is_the_users_own_model():
    torch.manual_seed(0)
    own = Residual(WIDTH, 2)
    for mine, theirs in zip(built(2).model.parameters(), own.parameters(), strict=True):
        assert torch.equal(mine, theirs)
