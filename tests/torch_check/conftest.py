"""One small definition of a check, as a user would write it: scaled rightly, and with one fault."""

from types import SimpleNamespace

import pytest

RIGHT = """
import torch

RATE, BASE = 0.01, 16


def make(width):
    model = torch.nn.Sequential(
        torch.nn.Linear(6, width), torch.nn.Tanh(), torch.nn.Linear(width, width), torch.nn.Tanh(),
        torch.nn.Linear(width, 1, bias=False),
    )
    torch.nn.init.normal_(model[2].weight, std=width**-0.5)
    torch.nn.init.zeros_(model[2].bias)
    torch.nn.init.normal_(model[4].weight, std=BASE**0.5 / width)
    return model


def optimizer(model, width):
    slow = [model[2].weight, model[4].weight]
    fast = [model[0].weight, model[0].bias, model[2].bias]
    return torch.optim.Adam(
        [{"params": fast, "lr": RATE}, {"params": slow, "lr": RATE * BASE / width}], eps=1e-12
    )


def batches(step):
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(32, 6, generator=generator)
    return inputs, inputs[:, :1] + 0.4 * inputs[:, 1:2] ** 2


loss = torch.nn.functional.mse_loss
widths = (16, 32, 64, 128)
"""


@pytest.fixture(scope="session")
def right_text():
    return RIGHT


@pytest.fixture(scope="session")
def wrong_text():
    """The hidden matrix learns at one rate at every width."""
    changed = RIGHT.replace("slow = [model[2].weight, model[4].weight]", "slow = [model[4].weight]")
    return changed.replace("model[2].bias]", "model[2].bias, model[2].weight]")


@pytest.fixture(scope="session")
def right(right_text):
    return defined(right_text)


@pytest.fixture(scope="session")
def wrong(wrong_text):
    return defined(wrong_text)


def defined(text):
    names = {}
    exec(text, names)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")})
