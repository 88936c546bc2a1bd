"""Is my GPT-2 scaled rightly? `python examples/gpt2_width.py`, and with `--broken`.

A small GPT-2 of Hugging Face (`pip install transformers`), randomly initialized. In muP it differs from its
configuration in four things: initial scales, attention divided by the size of heads and not by its root, a
readout of its own, and a learning rate for each tensor. It learns the characters of Python's own help topics
by Adam, at four widths and sixteen seeds, recorded by `ww.torch.Recorder`, and audited. With `--broken`
attention is divided by the root, and hidden matrices learn at the same rate at every width. Two minutes on a
CPU.
"""

import argparse
import tempfile
from pydoc_data.topics import topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import widthwise as ww

BASE_WIDTH, WIDTHS, SEEDS, STEPS, BATCH, RATE = 32, (32, 64, 128, 256), 16, 40, 32, 0.01
BLOCKS, HEADS, LENGTH = 2, 4, 16
TEXT = "\n".join(topics[name] for name in sorted(topics))
NUMBERS = {character: i for i, character in enumerate(sorted(set(TEXT)))}
TRAINED = len(TEXT) * 9 // 10  # characters; the others are held out


def samples(count: int, seed: int, held_out: bool = False) -> torch.Tensor:
    """Pieces of text (sample, position), as numbers of characters; the seed says which."""
    generator = torch.Generator().manual_seed(seed)
    first, last = (TRAINED, len(TEXT)) if held_out else (0, TRAINED)
    starts = torch.randint(first, last - LENGTH, (count,), generator=generator).tolist()
    return torch.tensor([[NUMBERS[character] for character in TEXT[s : s + LENGTH]] for s in starts])


def loss_of(output: object, texts: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each next character."""
    return torch.nn.functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), texts[:, 1:].flatten())


def is_hidden(name: str) -> bool:
    """Whether a tensor is a matrix from width to width, as blocks have beside norms and biases."""
    return ".h." in name and ".ln_" not in name and name.endswith("weight")


def network(width: int, broken: bool) -> GPT2LMHeadModel:
    """No dropout, and as many heads at every width: it is their size that grows."""
    config = GPT2Config(
        vocab_size=len(NUMBERS),
        n_positions=LENGTH,
        n_embd=width,
        n_layer=BLOCKS,
        n_head=HEADS,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,  # embeddings keep their size as the width grows, a readout must not
        attn_implementation="eager",  # the one that can return attention
    )
    model = GPT2LMHeadModel(config)
    for name, tensor in model.named_parameters():
        if is_hidden(name):
            torch.nn.init.normal_(tensor, std=tensor.shape[0] ** -0.5)  # GPT-2 has them as (in, out)
        elif name == "lm_head.weight":
            torch.nn.init.normal_(tensor, std=BASE_WIDTH**-0.5 * BASE_WIDTH / width)
        elif tensor.ndim == 2:  # embeddings of characters and of positions
            torch.nn.init.normal_(tensor, std=0.5)
    if not broken:
        for block in model.transformer.h:
            base_size, size = BASE_WIDTH / HEADS, width / HEADS
            block.attn.scaling = base_size**-0.5 * base_size / size
    return model


def optimizer_of(model: GPT2LMHeadModel, width: int, broken: bool) -> torch.optim.Adam:
    """Adam, slower by base / N wherever sums run over the width."""
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, tensor in model.named_parameters():
        slower = name == "lm_head.weight" or (is_hidden(name) and not broken)
        groups.setdefault(RATE * BASE_WIDTH / width if slower else RATE, []).append(tensor)
    return torch.optim.Adam([{"params": tensors, "lr": rate} for rate, tensors in groups.items()], eps=1e-12)


def train(width: int, seed: int, out: str, broken: bool) -> None:
    """One network: the seed changes its initialization, and nothing else."""
    torch.manual_seed(seed)
    model = network(width, broken)
    optimizer = optimizer_of(model, width, broken)
    probes = samples(32, seed=1, held_out=True)
    recorder = ww.torch.Recorder(
        model,
        {"input_ids": probes, "output_attentions": True},
        width=width,
        seed=seed,
        out=out,
        steps=ww.torch.log_steps(STEPS - 1),
        targets=probes,
        loss_function=loss_of,
        quantities=(*ww.torch.DEFAULT, "attention"),
    )
    with recorder:
        for step in range(STEPS):
            texts = samples(BATCH, seed=1000 + step)
            loss = loss_of(model(texts), texts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)


def main() -> None:
    """Train, open what was recorded, audit, and say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", action="store_true", help="attention 1/sqrt(d), hidden rate unscaled")
    parser.add_argument("--out", default=None, help="folder for the records; a temporary one if not given")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    out = settings.out or tempfile.mkdtemp()
    for width in WIDTHS:
        for seed in range(SEEDS):
            train(width, seed, out, settings.broken)
    records = ww.open_runs(out)
    losses = records["loss"].isel(step=-1, split=0).mean("seed")
    print(f"held-out loss after {int(records['step'][-1])} steps, by width:")
    print("  " + ", ".join(f"{width}: {float(loss):.4f}" for width, loss in zip(WIDTHS, losses, strict=True)))
    audit = ww.audit(records)
    print(f"verdict: {audit.verdict}")
    for row in audit.rows:
        if row.verdict == "inconsistent":
            print(f"  {row.claim}: {row.advice}")


if __name__ == "__main__":
    main()
