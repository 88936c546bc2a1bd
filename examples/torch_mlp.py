"""Is my PyTorch network scaled rightly? `python examples/torch_mlp.py`, and with `--broken`.

A perceptron learns a quadratic function online by Adam in a plain loop, at four widths and eight seeds,
recorded by `ww.torch.Recorder`, and audited. Its initial sizes and rates are those of `ww.torch.parametrize`:
it is consistent. With `--broken` it is as written, initialized by PyTorch and with one rate: the readout
starts as 1/sqrt(N), the hidden matrix learns too fast in wide networks, and the audit says so. A quarter of a
minute each on a CPU.

`widthwise check examples/torch_mlp.py` needs no loop and no recorder: it trains what `make`, `batches` and
`loss` define, and with `--suggest` looks for the smallest change that mends it.
"""

import argparse
import tempfile

import torch

import widthwise as ww

BASE_WIDTH, SEEDS, STEPS, BATCH, DIMENSION = 32, 8, 100, 64, 8
widths, lr, optimizer, loss = (32, 64, 128, 256), 0.01, "adam", torch.nn.functional.mse_loss


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (sample, dimension) and targets (sample, 1); the seed says which."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, DIMENSION, generator=generator)
    target = inputs[:, 0] + 0.4 * (inputs[:, 1] ** 2 - 1)
    return inputs, target[:, None]


def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A new batch at each step."""
    return samples(BATCH, seed=1000 + step)


def make(width: int) -> torch.nn.Sequential:
    """As written; `make = parametrized` is consistent."""
    return torch.nn.Sequential(
        torch.nn.Linear(DIMENSION, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 1, bias=False),
    )


def parametrized(width: int) -> ww.torch.Parametrized:
    """The same model, its initial sizes and learning rates by the rules of width."""
    return ww.torch.parametrize(make, width, base_width=BASE_WIDTH)


def train(width: int, seed: int, out: str, broken: bool) -> None:
    """One network: the seed changes its initialization, and nothing else."""
    torch.manual_seed(seed)
    if broken:
        model = make(width)
        adam = torch.optim.Adam(model.parameters(), lr=lr)
    else:
        built = parametrized(width)
        model = built.model
        adam = torch.optim.Adam(built.param_groups("adam", lr=lr))
    probes, targets = samples(64, seed=1)
    recorder = ww.torch.Recorder(
        model,
        probes,
        width=width,
        seed=seed,
        out=out,
        steps=ww.torch.log_steps(STEPS - 1),
        targets=targets,
        loss_function=loss,
    )
    with recorder:
        for step in range(STEPS):
            inputs, answers = batches(step)
            error = loss(model(inputs), answers)
            adam.zero_grad()
            error.backward()
            adam.step()
            recorder.step(loss=error)


def main() -> None:
    """Train, open what was recorded, audit, and say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--broken", action="store_true", help="as written, without the rules of width")
    parser.add_argument("--out", default=None, help="folder for the records; a temporary one if not given")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    if not settings.broken:
        print(parametrized(widths[-1]).table())
    out = settings.out or tempfile.mkdtemp()
    for width in widths:
        for seed in range(SEEDS):
            train(width, seed, out, settings.broken)
    records = ww.open_runs(out)
    losses = records["loss"].isel(step=-1, split=0).mean("seed")
    print(f"held-out loss after {int(records['step'][-1])} steps, by width:")
    print("  " + ", ".join(f"{width}: {float(loss):.4f}" for width, loss in zip(widths, losses, strict=True)))
    audit = ww.audit(records)
    print(f"verdict: {audit.verdict}")
    for row in audit.rows:
        if row.verdict == "inconsistent":
            print(f"  {row.claim}: {row.advice}")


if __name__ == "__main__":
    main()
