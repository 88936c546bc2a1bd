"""From the rules to the verdict: `ww.torch.check` of a model with them is consistent, without them not."""

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn


def convolutions(width):
    stages = (
        nn.Conv2d(3, width, 3, padding=1),
        nn.GroupNorm(4, width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
    )
    return nn.Sequential(*stages, nn.GroupNorm(4, 2 * width), nn.ReLU(), Pool(), nn.Linear(2 * width, 5))


class Pool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def ruled(width):
    return ww.torch.parametrize(convolutions, width, base_width=16)


@pytest.mark.parametrize(("make", "verdict"), [(ruled, "consistent"), (convolutions, "inconsistent")])
def test_the_rules_decide_the_verdict(make, verdict, tmp_path):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(8, 3, 4, 4, generator=generator) for _ in range(7)]
    batches = [(x, torch.randint(5, (8,), generator=generator)) for x in images]
    found = ww.torch.check(
        make,
        batches,
        nn.functional.cross_entropy,
        lr=1e-3,
        widths=(16, 32, 64),
        seeds=4,
        steps=6,
        out=tmp_path,
    )
    assert found.verdict == verdict, found.summary
