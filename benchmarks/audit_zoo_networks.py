"""Small PyTorch networks of the audit's zoo, and the tasks that they are trained on."""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import nn
from torch.nn import functional

BASE = 32  # the width at which every parametrization is the same network
INPUTS, CLASSES, SIDE, PICTURES, TOKENS, LENGTH = 12, 5, 6, 4, 24, 8
HEADS = 4  # of the transformers whose heads grow
Batch = tuple[torch.Tensor, torch.Tensor]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(count: int, seed: int, *, regression: bool) -> Batch:
    """Gaussian points, labelled by a teacher of one hidden layer: its largest output, or one output."""
    fixed = _generator(7)
    first = torch.randn(24, INPUTS, generator=fixed) / INPUTS**0.5
    second = torch.randn(CLASSES, 24, generator=fixed)
    x = torch.randn(count, INPUTS, generator=_generator(seed))
    outputs = torch.tanh(2 * x @ first.T) @ second.T
    return x, outputs[:, :1] / 3 if regression else outputs.argmax(1)


def images(count: int, seed: int) -> Batch:
    """One of a few smooth pictures, shifted at random, with noise."""
    pictures = torch.randn(PICTURES, 1, SIDE, SIDE, generator=_generator(8))
    pictures = 2.5 * functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="circular"), 3, 1)
    drawn = _generator(seed)
    labels = torch.randint(0, PICTURES, (count,), generator=drawn)
    shifts = torch.randint(0, SIDE, (count,), generator=drawn).tolist()
    clean = torch.stack([torch.roll(pictures[k], s, 2) for k, s in zip(labels.tolist(), shifts, strict=True)])
    return clean + 0.7 * torch.randn(clean.shape, generator=drawn), labels


def texts(count: int, seed: int) -> Batch:
    """Stretches of a Markov chain in which the two last tokens tell the next, and what comes next."""
    table = torch.randn(TOKENS, TOKENS, TOKENS, generator=_generator(9)).mul(2.5).softmax(-1)
    drawn = _generator(seed)
    tokens = torch.randint(0, TOKENS, (count, 2), generator=drawn)
    for _ in range(LENGTH - 1):
        following = torch.multinomial(table[tokens[:, -2], tokens[:, -1]], 1, generator=drawn)
        tokens = torch.cat([tokens, following], dim=1)
    return tokens[:, :-1], tokens[:, 1:]


@cache
def batch_of(task: str, count: int, seed: int) -> Batch:
    """A batch of "classes", "regression", "images" or "texts": the same for the same seed."""
    if task == "images":
        return images(count, seed)
    if task == "texts":
        return texts(count, seed)
    return points(count, seed, regression=task == "regression")


class Perceptron(nn.Module):
    """`depth` hidden layers; with `residual`, each but the first adds that multiple of a branch to a stream.

    `normal` makes a normalization before every hidden layer but the first; `readouts` are sizes by name, or
    `readout` a maker of the only one.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: int = 3,
        outputs: int = CLASSES,
        activation: Callable = functional.relu,
        normal: Callable[[int], nn.Module] | None = None,
        residual: float | None = None,
        dropout: float = 0.0,
        readouts: dict[str, int] | None = None,
        readout: Callable[[int, int], nn.Module] = nn.Linear,
    ):
        super().__init__()
        self.first = nn.Linear(INPUTS, width)
        self.hidden = nn.ModuleList([nn.Linear(width, width) for _ in range(depth - 1)])
        self.normal = nn.ModuleList([(normal or nn.Identity)(width) for _ in range(depth - 1)])
        self.dropout = nn.Dropout(dropout)
        if readouts is None:
            self.readout = readout(width, outputs)
        else:
            self.readout = nn.ModuleDict({name: nn.Linear(width, size) for name, size in readouts.items()})
        self.activation, self.residual = activation, residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        for layer, normal in zip(self.hidden, self.normal, strict=True):
            branch = layer(self.dropout(self.activation(normal(h))))
            h = branch if self.residual is None else h + self.residual * branch
        features = self.dropout(self.activation(h))
        if isinstance(self.readout, nn.ModuleDict):
            return torch.cat([readout(features) for readout in self.readout.values()], dim=-1)
        return self.readout(features)


class Factor(nn.Linear):
    """A layer without bias that multiplies its output by a power of its fan-in."""

    def __init__(self, inputs: int, outputs: int, power: float):
        super().__init__(inputs, outputs, bias=False)
        self.power = power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * self.in_features**self.power


class UnitPerceptron(nn.Module):
    """Weights of order 1; powers of the width stand in the forward pass, `inside` of layers or outside."""

    def __init__(self, width: int, *, inside: bool):
        super().__init__()

        def make(inputs: int, outputs: int, power: float) -> nn.Module:
            return Factor(inputs, outputs, power) if inside else nn.Linear(inputs, outputs, bias=False)

        self.inside = inside
        self.first, self.hidden = make(INPUTS, width, -0.5), make(width, width, -0.5)
        self.readout = make(width, CLASSES, -1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.hidden):
            x = layer(x) if self.inside else layer(x) * layer.in_features**-0.5
            x = torch.tanh(1.5 * x)
        return 6 * (self.readout(x) if self.inside else self.readout(x) / self.readout.in_features)


class Mixture(nn.Module):
    """A hidden layer of experts, mixed by a router: a matrix from the width to a fixed number inside."""

    def __init__(self, width: int, experts: int = 3):
        super().__init__()
        self.first, self.router = nn.Linear(INPUTS, width), nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(experts)])
        self.readout = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.first(x))
        shares = self.router(features).softmax(-1)
        mixed = sum(
            shares[:, i, None] * functional.relu(expert(features)) for i, expert in enumerate(self.experts)
        )
        return self.readout(mixed)


class Convolutional(nn.Module):
    """Convolutions of 3 x 3, averages over 2 x 2 after the first, over all positions before the readout.

    `groups` > 0 normalizes in so many groups; `depthwise` puts a convolution of each channel by itself and
    one of 1 x 1 in the place of the second.
    """

    def __init__(
        self, width: int, *, groups: int = 0, depthwise: bool = False, activation: Callable = functional.relu
    ):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        middle = (
            [nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, width, 1)]
            if depthwise
            else [nn.Conv2d(width, width, 3, padding=1)]
        )
        self.hidden = nn.ModuleList(middle)
        self.normal = nn.ModuleList(
            [nn.GroupNorm(groups, width) if groups else nn.Identity() for _ in middle]
        )
        self.readout, self.activation = nn.Linear(width, PICTURES), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.avg_pool2d(self.first(x), 2)
        for layer, normal in zip(self.hidden, self.normal, strict=True):
            h = normal(layer(self.activation(h)))
        return self.readout(self.activation(h).mean((2, 3)))


class Attention(nn.Module):
    """Causal attention with `heads` heads of which `shared` keys and values serve several; `scale` times q.k.

    `fused` makes queries, keys and values by one matrix and attends by PyTorch's own function.
    """

    def __init__(
        self, width: int, *, heads: int, shared: int, scale: float | None, fused: bool, native: bool
    ):
        super().__init__()
        self.heads, self.shared, self.size, self.scale = heads, shared, width // heads, scale
        self.fused, self.native, self.weights = fused, native, torch.empty(0)
        kept = shared * self.size
        if fused:
            self.qkv = nn.Linear(width, width + 2 * kept, bias=False)
        else:
            self.query = nn.Linear(width, width, bias=False)
            self.key, self.value = nn.Linear(width, kept, bias=False), nn.Linear(width, kept, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self.shared * self.size
        parts = (
            self.qkv(x).split([x.shape[-1], kept, kept], dim=-1)
            if self.fused
            else (self.query(x), self.key(x), self.value(x))
        )
        q, k, v = (part.unflatten(-1, (-1, self.size)).transpose(1, 2) for part in parts)
        k, v = (part.repeat_interleave(self.heads // self.shared, dim=1) for part in (k, v))
        if self.native:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        else:
            later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            scores = (q @ k.transpose(-1, -2)) * (self.scale or self.size**-0.5)
            self.weights = scores.masked_fill(later, -math.inf).softmax(-1)
            mixed = self.weights @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    """One decoder block on embedded tokens and positions; `inner`, neurons of its perceptron (2 N if None).

    `multiplier` makes the embedding the readout too, times this. `scale`, of q.k, is sqrt(d_0) / d if None,
    of heads of size d; "default", PyTorch's 1/sqrt(d).
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int = HEADS,
        shared: int | None = None,
        scale: float | str | None = None,
        inner: int | None = None,
        normal: Callable[[int], nn.Module] = nn.LayerNorm,
        branch: float = 1.0,
        multiplier: float | None = None,
        fused: bool = False,
        native: bool = False,
    ):
        super().__init__()
        size = width // heads
        factor = (BASE / HEADS) ** 0.5 / size if scale is None else None if scale == "default" else scale
        self.token, self.position = nn.Embedding(TOKENS, width), nn.Embedding(LENGTH, width)
        self.before, self.between, self.last = normal(width), normal(width), normal(width)
        self.attention = Attention(
            width, heads=heads, shared=shared or heads, scale=factor, fused=fused, native=native
        )
        self.up, self.down = nn.Linear(width, inner or 2 * width), nn.Linear(inner or 2 * width, width)
        self.branch, self.multiplier = branch, multiplier
        self.readout = nn.Linear(width, TOKENS, bias=False) if multiplier is None else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        looked_up = self.token(tokens) * (1.0 if self.multiplier is None else BASE**0.5)
        x = looked_up + self.position(torch.arange(tokens.shape[1]))
        x = x + self.branch * self.attention(self.before(x))
        x = x + self.branch * self.down(functional.gelu(self.up(self.between(x))))
        features = self.last(x)
        if self.readout is None:
            return features @ self.token.weight.T * self.multiplier
        return self.readout(features)
