"""Is my PyTorch network scaled rightly? `python examples/torch_mlp.py`, and with `--broken`.

A perceptron in muP, written by hand: beside PyTorch's own layers it takes three lines of initialization and
a learning rate for each tensor. It learns a quadratic function online by Adam, at four widths and eight
seeds, recorded by `ww.torch.Recorder`, and audited. With `--broken` the readout is initialized as PyTorch
would, by 1/sqrt(N), and the hidden matrix learns at the same rate at every width. A quarter of a minute
on a CPU.
"""

import argparse
import math
import tempfile

import torch

import widthwise as ww

BASE_WIDTH, WIDTHS, SEEDS, STEPS, BATCH, DIMENSION, RATE = 32, (32, 64, 128, 256), 8, 100, 64, 8, 0.01


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (sample, dimension) and targets (sample, 1); the seed says which."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, DIMENSION, generator=generator)
    target = inputs[:, 0] + 0.4 * (inputs[:, 1] ** 2 - 1)
    return inputs, target[:, None]


def network(width: int, broken: bool) -> torch.nn.Sequential:
    """Inputs of order 1 to hidden layers of order 1; the readout falls with width."""
    model = torch.nn.Sequential(
        torch.nn.Linear(DIMENSION, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 1, bias=False),
    )
    first, hidden, readout = model[0], model[2], model[4]
    torch.nn.init.normal_(first.weight, std=math.sqrt(2 / DIMENSION))
    torch.nn.init.normal_(hidden.weight, std=math.sqrt(2 / width))
    at_base = 1 / math.sqrt(BASE_WIDTH)
    torch.nn.init.normal_(
        readout.weight, std=1 / math.sqrt(width) if broken else at_base * BASE_WIDTH / width
    )
    torch.nn.init.zeros_(first.bias)
    torch.nn.init.zeros_(hidden.bias)
    return model


def optimizer_of(model: torch.nn.Sequential, width: int, broken: bool) -> torch.optim.Adam:
    """Adam, slower by base / N wherever sums run over the width."""
    first, hidden, readout = model[0], model[2], model[4]
    slower = BASE_WIDTH / width
    return torch.optim.Adam(
        [
            {"params": [*first.parameters(), hidden.bias], "lr": RATE},
            {"params": [hidden.weight], "lr": RATE if broken else RATE * slower},
            {"params": [readout.weight], "lr": RATE * slower},
        ],
        eps=1e-12,
    )


def train(width: int, seed: int, out: str, broken: bool) -> None:
    """One network: the seed changes its initialization, and nothing else."""
    torch.manual_seed(seed)
    model = network(width, broken)
    optimizer = optimizer_of(model, width, broken)
    probes, targets = samples(64, seed=1)
    recorder = ww.torch.Recorder(
        model,
        probes,
        width=width,
        seed=seed,
        out=out,
        steps=ww.torch.log_steps(STEPS - 1),
        targets=targets,
        loss_function=torch.nn.functional.mse_loss,
    )
    with recorder:
        for step in range(STEPS):
            inputs, answers = samples(BATCH, seed=1000 + step)
            loss = torch.nn.functional.mse_loss(model(inputs), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)


def main() -> None:
    """Train, open what was recorded, audit, and say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", action="store_true", help="readout 1/sqrt(N), hidden rate unscaled")
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
