"""Architectures written in plain PyTorch, for `torch_architectures.py`: each a factory make(width)."""

import torch
from torch import nn
from torch.nn import functional

CHANNELS, SIDE, CLASSES, CHARACTERS, LENGTH = 3, 16, 10, 96, 16
HEADS, EXPERTS = 4, 4


def perceptron(width: int) -> nn.Module:
    """Three hidden layers over flat images."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(CHANNELS * SIDE**2, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, CLASSES),
    )


def convolutions(width: int) -> nn.Module:
    """Three convolutions with batch normalization, the later ones with twice as many channels."""
    layers, before = [], CHANNELS
    for channels in (width, 2 * width, 2 * width):
        layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, CLASSES))


class Attention(nn.Module):
    """Causal self-attention of a fixed number of heads, whose size grows: so 1/size scales their logits."""

    def __init__(self, width: int, base: int):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.scale = (base / HEADS) ** 0.5 / (width / HEADS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(text, position, width) to the same."""
        q, k, v = (each.unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        return self.out(seen.transpose(1, 2).flatten(2))


class Experts(nn.Module):
    """A softmax mixture of small perceptrons, their weights in one array each: (expert, in, out)."""

    def __init__(self, width: int):
        super().__init__()
        self.router = nn.Linear(width, EXPERTS, bias=False)
        self.up = nn.Parameter(torch.randn(EXPERTS, width, 2 * width) * width**-0.5)
        self.down = nn.Parameter(torch.randn(EXPERTS, 2 * width, width) * (2 * width) ** -0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(text, position, width) to the same."""
        share = self.router(x).softmax(-1)
        hidden = functional.silu(torch.einsum("bti,eio->bteo", x, self.up))
        return torch.einsum("bteo,eoi,bte->bti", hidden, self.down, share)


class Block(nn.Module):
    """Attention and another layer, each behind a norm and beside a skip connection."""

    def __init__(self, width: int, base: int, mixer: nn.Module):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mixer = Attention(width, base), mixer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(text, position, width) to the same."""
        x = x + self.attention(self.norm1(x))
        return x + self.mixer(self.norm2(x))


class Transformer(nn.Module):
    """Two blocks from characters (text, position) to logits of the next ones."""

    def __init__(self, width: int, blocks: list[nn.Module]):
        super().__init__()
        self.tokens, self.places = nn.Embedding(CHARACTERS, width), nn.Embedding(LENGTH, width)
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width)
        self.readout = nn.Linear(width, CHARACTERS, bias=False)

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        """Logits (text, position, character)."""
        x = self.tokens(texts) + self.places.weight[: texts.shape[1]]
        return self.readout(self.norm(self.blocks(x)))


def transformer(width: int, base: int = 32) -> nn.Module:
    """Perceptrons of four times the width behind attention."""
    mlps = [
        nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(2)
    ]
    return Transformer(width, [Block(width, base, mlp) for mlp in mlps])


def mixture(width: int, base: int = 32) -> nn.Module:
    """Mixtures of experts behind attention."""
    return Transformer(width, [Block(width, base, Experts(width)) for _ in range(2)])


class Lstm(nn.Module):
    """Two layers of LSTM over characters."""

    def __init__(self, width: int):
        super().__init__()
        self.tokens = nn.Embedding(CHARACTERS, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.readout = nn.Linear(width, CHARACTERS)

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        """Logits (text, position, character)."""
        return self.readout(self.lstm(self.tokens(texts))[0])


class UNet(nn.Module):
    """Down once and up again, with a connection across: images to images."""

    def __init__(self, width: int):
        super().__init__()
        self.enter, self.down = nn.Conv2d(CHANNELS, width, 3, 1, 1), nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.deep, self.up = (
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1),
            nn.ConvTranspose2d(2 * width, width, 2, 2),
        )
        self.norm1, self.norm2 = nn.GroupNorm(4, 2 * width), nn.GroupNorm(4, 2 * width)
        self.join, self.leave = nn.Conv2d(2 * width, width, 3, 1, 1), nn.Conv2d(width, CHANNELS, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (image, channel, row, column)."""
        wide = functional.relu(self.enter(images))
        deep = functional.relu(self.norm1(self.down(wide)))
        deep = functional.relu(self.norm2(self.deep(deep)))
        return self.leave(functional.relu(self.join(torch.cat([wide, self.up(deep)], 1))))
