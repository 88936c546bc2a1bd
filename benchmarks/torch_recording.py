"""What recording costs a PyTorch training: processor time with `ww.torch.Recorder` over that without.

`python benchmarks/torch_recording.py`: a transformer of two blocks and width 128 by AdamW, recorded at the
default steps (about eight a decade) with everything that is recorded by default, the optimizer given, over
200 and 500 steps. Runs alternate; kept are the ratios of medians and of pairs.
"""

import statistics
import tempfile
import time

import torch
from machine import write_result
from torch import nn
from torch.nn import functional

import widthwise as ww

WIDTH, HEADS, VOCABULARY, LENGTH, BATCH, PAIRS = 128, 4, 64, 32, 16, 3
LENGTHS = (200, 500)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.down(functional.gelu(self.up(self.norms[1](x))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.readout = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens):
        return self.readout(self.blocks(self.embedding(tokens)))


def loss_of(logits, targets):
    return functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))


def train(folder: str | None, steps: int) -> float:
    """Seconds of processor time of one training, recorded into `folder` or not."""
    torch.manual_seed(0)
    model = Transformer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    probes = torch.randint(VOCABULARY, (BATCH, LENGTH))
    batches = [torch.randint(VOCABULARY, (BATCH, LENGTH)) for _ in range(8)]
    start = time.process_time()

    def loop(recorder=None):
        for step in range(steps):
            tokens = batches[step % len(batches)]
            loss = loss_of(model(tokens), tokens)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if recorder is not None:
                recorder.step(loss=loss)

    if folder is None:
        loop()
    else:
        with ww.torch.Recorder(
            model,
            probes,
            width=WIDTH,
            seed=0,
            out=folder,
            targets=probes,
            loss_function=loss_of,
            optimizer=optimizer,
        ) as recorder:
            loop(recorder)
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    train(None, 20)
    found = {}
    for steps in LENGTHS:
        pairs = []
        for _ in range(PAIRS):
            with tempfile.TemporaryDirectory() as folder:
                pairs.append((train(folder, steps), train(None, steps)))
        ratio = statistics.median(r for r, _ in pairs) / statistics.median(p for _, p in pairs)
        found[str(steps)] = {"ratio": ratio, "pairs": [recorded / plain for recorded, plain in pairs]}
        print(f"{steps} steps, recorded over plain: {ratio:.3f}")
    write_result("torch_recording", {"by_steps": found, "width": WIDTH})


if __name__ == "__main__":
    main()
