"""A nanoGPT on characters, from the model as written to a verdict: `python examples/nanogpt_characters.py`.

Two blocks with heads of eight units, as many as the width takes, learn the characters of Python's own help
topics by AdamW. As written, initialized by PyTorch and with one learning rate, the check finds it
inconsistent: its hidden matrices change what they pass on the more, the wider the model is. With
`ww.torch.parametrize` (one line, the model untouched) it is consistent, and a learning rate found at width 32
holds at every other. Half a minute each on a CPU.

`widthwise check examples/nanogpt_characters.py` checks what this file defines, and writes a page.
"""

import tempfile
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn import functional

import widthwise as ww

BASE_WIDTH, BLOCKS, HEAD_SIZE, LENGTH, BATCH = 32, 2, 8, 32, 16
TEXT = "\n".join(topics[name] for name in sorted(topics))
CHARACTERS = sorted(set(TEXT))
TOKENS = torch.tensor([dict(zip(CHARACTERS, range(len(CHARACTERS)), strict=True))[c] for c in TEXT])


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm."""

    def __init__(self, width: int):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of the branches."""
        heads = self.qkv(self.norm_1(x)).unflatten(-1, (3, -1, HEAD_SIZE)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    """Characters (sample, position) to logits (sample, position, character)."""

    def __init__(self, width: int):
        super().__init__()
        self.token, self.position = nn.Embedding(len(CHARACTERS), width), nn.Embedding(LENGTH, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(CHARACTERS), bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of each position, from those before it."""
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


def parametrized(width: int) -> ww.torch.Parametrized:
    """The same model, its initial sizes and learning rates by the rules of width."""
    return ww.torch.parametrize(GPT, width, base_width=BASE_WIDTH)


def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces of text, and the same ones a character later; the step says which."""
    starts = torch.randint(len(TOKENS) - LENGTH, (BATCH, 1), generator=torch.Generator().manual_seed(step))
    pieces = TOKENS[starts + torch.arange(LENGTH + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each next character."""
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


make, optimizer, lr, weight_decay = GPT, "adamw", 3e-3, 0.1  # `make = parametrized` is consistent
widths, seeds, steps = (32, 64, 128, 256), 4, 10

if __name__ == "__main__":
    torch.set_num_threads(1)
    settings = {"optimizer": optimizer, "lr": lr, "weight_decay": weight_decay, "widths": widths}
    for title, factory in (("as written", GPT), ("parametrized", parametrized)):
        with tempfile.TemporaryDirectory() as out:
            found = ww.torch.check(factory, batches, loss, seeds=seeds, steps=steps, out=out, **settings)
        print(f"{title}: {found.verdict}", *found.summary[:1], sep="\n  ")
