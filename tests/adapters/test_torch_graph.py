"""What tensors feed, read off the graph of a pass: told by hand for each module."""

import pytest

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

from widthwise.adapters.torch_graph import read_graph  # noqa: E402


def graph_of(model, inputs):
    return read_graph(lambda: model(inputs), dict(model.named_parameters()))


class Attention(nn.Module):
    """One head of size 6 by hand or in one operation, between an embedding and a read-out."""

    def __init__(self, fused, tied=False):
        super().__init__()
        self.look = nn.Embedding(11, 12)
        self.a, self.b, self.c = nn.Linear(12, 6), nn.Linear(12, 6, bias=False), nn.Linear(12, 6)
        self.norm, self.mix = nn.LayerNorm(6), nn.Linear(6, 12)
        self.out = None if tied else nn.Linear(12, 11, bias=False)
        self.fused = fused

    def forward(self, tokens):
        x = self.look(tokens)
        q, k, v = self.norm(self.a(x)), self.b(x), self.c(x)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = (q @ k.transpose(1, 2) / 6).softmax(-1) @ v
        x = F.gelu(self.mix(x))
        return x @ self.look.weight.T / 12 if self.out is None else self.out(x)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_queries_and_keys_are_known_by_what_they_feed(fused, tied):
    found = graph_of(Attention(fused, tied), torch.tensor([[1, 2, 3], [4, 5, 6]]))
    feeds = found.feeds
    assert {name for name, word in feeds.items() if word == "attention"} == {"a.weight", "a.bias", "b.weight"}
    assert feeds["c.weight"] == feeds["mix.weight"] == "network"
    assert feeds["look.weight"] == ("tied" if tied else "network")
    assert tied or feeds["out.weight"] == "output"
    assert found.head_size == 6


def test_several_heads_are_outputs_and_a_router_is_a_gate():
    class Routed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.router = nn.Linear(3, 8), nn.Linear(8, 2)
            self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
            self.policy, self.value = nn.Linear(8, 4), nn.Linear(8, 1)

        def forward(self, x):
            h = self.first(x).relu()
            share = self.router(h).softmax(-1)
            h = sum(share[:, i : i + 1] * expert(h).relu() for i, expert in enumerate(self.experts))
            return torch.cat([self.policy(h), self.value(h)], 1)

    feeds = graph_of(Routed(), torch.randn(5, 3)).feeds
    assert feeds["router.weight"] == feeds["router.bias"] == "gate"
    assert feeds["policy.weight"] == feeds["value.weight"] == feeds["value.bias"] == "output"
    assert {feeds[f"experts.{i}.weight"] for i in range(2)} | {feeds["first.weight"]} == {"network"}


def test_convolutions_and_attention_of_pytorch():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    feeds = graph_of(net, torch.randn(3, 1, 4, 4)).feeds
    assert feeds == {"0.weight": "network", "0.bias": "network", "3.weight": "output", "3.bias": "output"}

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.mha, self.out = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

        def forward(self, x):
            return self.out(self.mha(x, x, x, need_weights=False)[0].relu())

    feeds = graph_of(Block(), torch.randn(2, 5, 8)).feeds
    assert feeds["mha.in_proj_weight"] == "attention" and feeds["mha.out_proj.weight"] == "network"


def test_a_graph_that_does_not_lead_to_the_tensors_says_nothing():
    net = nn.Linear(3, 2)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    assert graph_of(net, torch.randn(4, 3)).feeds == {}
