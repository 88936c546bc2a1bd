"""What updates of hidden matrices do to their outputs does not depend on the width, under every optimizer."""

import math

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn
BASE, WIDTHS, TOKENS, SEEDS = 32, (64, 512), 13, 2
HIDDEN = ("query", "key", "value", "out", "up", "down")


class Transformer(nn.Module):
    """One block with heads of eight, its matrices each a module of its own."""

    def __init__(self, width):
        super().__init__()
        self.token, self.norms = (
            nn.Embedding(TOKENS, width),
            nn.ModuleList(nn.LayerNorm(width) for _ in range(3)),
        )
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, TOKENS)

    def forward(self, tokens):
        x = self.token(tokens)
        h = self.norms[0](x)
        q, k, v = (f(h).unflatten(-1, (-1, 8)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        x = x + self.down(torch.relu(self.up(self.norms[1](x))))
        return self.head(self.norms[2](x))


class Lion(torch.optim.Optimizer):
    """Chen et al. (2023), arXiv 2302.06675."""

    def __init__(self, groups, lr=1.0):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * (0.9 * average + 0.1 * p.grad).sign())
                average.mul_(0.99).add_(p.grad, alpha=0.01)


def optimizers_of(found, name):
    if name == "adamw":
        return [torch.optim.AdamW(found.param_groups("adamw", lr=1e-3, weight_decay=0.1))]
    if name == "lion":
        return [Lion(found.param_groups("lion", lr=1e-3, weight_decay=0.1))]
    if name == "adafactor":
        return [torch.optim.Adafactor(found.param_groups("adafactor", lr=1e-2))]
    muon, others = found.muon_groups(lr=2e-2, others_lr=1e-3, scale=name)
    return [torch.optim.Muon(muon, adjust_lr_fn=name), torch.optim.AdamW(others)]


def keeper(seen, name):
    return lambda module, inputs: seen.update({name: inputs[0].detach()})


def effects(width, name, *, base_width):
    """Root mean square of (W' - W) x of each hidden matrix, over the first three updates and the seeds."""
    tokens = torch.randint(TOKENS, (4, 9), generator=torch.Generator().manual_seed(3))
    total = dict.fromkeys(HIDDEN, 0.0)
    for seed in range(SEEDS):
        found = ww.torch.parametrize(Transformer, width, base_width=base_width, seed=seed)
        model, optimizers, seen = found.model, optimizers_of(found, name), {}
        for matrix in HIDDEN:
            model.get_submodule(matrix).register_forward_pre_hook(keeper(seen, matrix))
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
            model.zero_grad()
            loss.backward()
            before = {matrix: model.get_submodule(matrix).weight.detach().clone() for matrix in HIDDEN}
            for optimizer in optimizers:
                optimizer.step()
            for matrix in HIDDEN:
                change = model.get_submodule(matrix).weight.detach() - before[matrix]
                total[matrix] += float((seen[matrix] @ change.T).square().mean())
    return {matrix: math.sqrt(each) for matrix, each in total.items()}


def exponents(name, *, ruled):
    narrow, wide = (effects(width, name, base_width=BASE if ruled else width) for width in WIDTHS)
    return {
        matrix: math.log(wide[matrix] / narrow[matrix]) / math.log(WIDTHS[1] / WIDTHS[0]) for matrix in HIDDEN
    }


@pytest.mark.parametrize("name", ["adamw", "lion", "adafactor", "original", "match_rms_adamw"])
def test_effects_of_hidden_updates_are_the_same_at_every_width(name):
    torch.set_num_threads(1)
    assert max(map(abs, exponents(name, ruled=True).values())) < 0.1


@pytest.mark.parametrize(("name", "least"), [("adamw", 0.6), ("lion", 0.6), ("match_rms_adamw", 0.3)])
def test_without_the_rules_they_grow(name, least):
    assert min(exponents(name, ruled=False).values()) > least
