"""Is my transformer scaled rightly? `widthwise check examples/check_transformer.py`, and with PLAIN = True.

Two blocks in plain PyTorch learn the characters of Python's own help topics by AdamW. `widthwise check`
trains small copies at widths 64 to 512 and audits them: with `ww.torch.parametrize`, and attention divided by
the size of heads, they behave as one model; as PyTorch has them they do not, and the first lines say what to
change. Half a minute of one core.
"""

from pydoc_data.topics import topics

import torch
from torch.nn import functional

import widthwise as ww

PLAIN = False  # as PyTorch has it, which is inconsistent
BASE, HEADS, BLOCKS, LENGTH, BATCH = 64, 4, 2, 32, 16
TEXT = "\n".join(topics[name] for name in sorted(topics))
NUMBERS = {character: i for i, character in enumerate(sorted(set(TEXT)))}
CODES = torch.tensor([NUMBERS[character] for character in TEXT])


class Block(torch.nn.Module):
    """Attention and a perceptron, each behind a norm and beside a skip connection."""

    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (
            torch.nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)
        size, base = width / HEADS, BASE / HEADS
        self.scale = size**-0.5 if PLAIN else base**0.5 / size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(text, position, width) to the same."""
        z = self.norm1(x)
        q, k, v = (
            layer(z).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Transformer(torch.nn.Module):
    """Characters (text, position) to logits of the next ones."""

    def __init__(self, width: int):
        super().__init__()
        self.tokens, self.places = torch.nn.Embedding(len(NUMBERS), width), torch.nn.Embedding(LENGTH, width)
        self.blocks = torch.nn.Sequential(*(Block(width) for _ in range(BLOCKS)))
        self.norm, self.readout = torch.nn.LayerNorm(width), torch.nn.Linear(width, len(NUMBERS), bias=False)

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        """Logits (text, position, character)."""
        x = self.tokens(texts) + self.places(torch.arange(texts.shape[1], device=texts.device))
        return self.readout(self.norm(self.blocks(x)))


def make(width: int) -> object:
    """The model of a width; `parametrize` sets how it begins, and `check` asks it for its rates."""
    return Transformer(width) if PLAIN else ww.torch.parametrize(Transformer, width, base_width=BASE)


def batches(step: int) -> torch.Tensor:
    """Pieces of text (text, position + 1), the same for every width."""
    generator = torch.Generator().manual_seed(step)
    starts = torch.randint(len(CODES) - LENGTH, (BATCH, 1), generator=generator)
    return CODES[starts + torch.arange(LENGTH + 1)]


def loss(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each next character."""
    return functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


optimizer, lr, loss_kind = "adamw", 3e-3, "cross_entropy"
