"""Parameter groups: the same meaning of rates, decay, epsilon and clipping at every width."""

import math

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn

BASE, WIDTH = 8, 32


def make(width):
    return nn.Sequential(
        nn.Linear(5, width),
        nn.LayerNorm(width),
        nn.Tanh(),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Linear(width, 3),
    )


def built(width=WIDTH, **settings):
    return ww.torch.parametrize(make, width, base_width=BASE, seed=0, **settings)


def by_name(groups, key):
    return {name: group[key] for group in groups for name in group["param_names"]}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lion", "adafactor"])
def test_decay_takes_the_same_share_of_every_matrix(optimizer):
    groups = built().param_groups(optimizer, lr=0.3, weight_decay=0.1)
    decay, rate = by_name(groups, "weight_decay"), by_name(groups, "lr")
    for name in ("0.weight", "3.weight", "5.weight"):
        assert rate[name] * decay[name] == pytest.approx(0.03)
    assert decay["3.bias"] == decay["1.weight"] == 0
    everything = by_name(
        built().param_groups(optimizer, lr=0.3, weight_decay=0.1, decay="all"), "weight_decay"
    )
    assert all(everything.values())


def test_decay_through_the_averages_of_adam_is_refused():
    assert built().param_groups("adam", lr=0.1)
    with pytest.raises(ww.InputError, match='use "adamw"'):
        built().param_groups("adam", lr=0.1, weight_decay=0.1)
    with pytest.raises(ww.InputError, match="expected one of sgd, adam, adamw, lion"):
        built().param_groups("adamax", lr=0.1)


def test_epsilon_keeps_its_size_beside_the_gradients():
    inputs, over = torch.randn(16, 5, generator=torch.Generator().manual_seed(0)), {}
    for width in (64, 1024):
        found = ww.torch.parametrize(make, width, base_width=64, seed=0)
        eps = by_name(found.param_groups("adamw", lr=0.1, eps=1e-6), "eps")
        (found.model(inputs) - 1).square().mean().backward()
        sizes = {name: p.grad.square().mean().sqrt() for name, p in found.model.named_parameters()}
        over[width] = {name: float(size) / eps[name] for name, size in sizes.items()}
    for name in ("0.weight", "3.weight", "3.bias", "5.weight"):
        assert over[1024][name] == pytest.approx(over[64][name], rel=0.5), name  # unscaled: 1/16


def test_optimizers_take_the_groups_and_move_the_model():
    transformers = pytest.importorskip("transformers")
    kinds = {
        "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        "adam": (torch.optim.Adam, {}),
        "adamw": (torch.optim.AdamW, {}),
        "adafactor": (torch.optim.Adafactor, {}),
        "transformers_adafactor": (transformers.optimization.Adafactor, {}),
    }
    for name, (kind, settings) in kinds.items():
        found = built()
        optimizer = kind(found.param_groups(name, lr=0.01), **settings)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        first = [group["lr"] for group in optimizer.param_groups]
        before = [p.detach().clone() for p in found.model.parameters()]
        found.model(torch.ones(2, 5)).square().sum().backward()
        optimizer.step()
        schedule.step()
        assert [group["lr"] for group in optimizer.param_groups] == [rate / 2 for rate in first]
        changed = [not torch.equal(p, q) for p, q in zip(found.model.parameters(), before, strict=True)]
        assert all(changed), name


def test_adafactor_moves_a_tensor_by_its_adam_rate_times_its_size():
    """Both implementations multiply with the root mean square of the tensor: of hidden ones m^-1/2."""
    rates = by_name(built().param_groups("adafactor", lr=1.0), "lr")
    assert rates["0.weight"] == 1
    assert rates["3.weight"] == pytest.approx((WIDTH / BASE) ** -0.5)
    assert rates["5.weight"] == pytest.approx(1)


def test_muon_takes_hidden_matrices_and_another_optimizer_the_rest():
    found = built()
    for scale, factor in {
        "original": 1,
        "spectral": 1,
        "match_rms_adamw": 0.5,
        "sqrt_ratio": 1,
        "none": 1,
    }.items():
        muon, others = found.muon_groups(lr=0.02, others_lr=0.01, scale=scale)
        assert by_name(muon, "lr") == {"3.weight": pytest.approx(0.02 * factor)}, scale
    assert by_name(others, "lr")["5.weight"] == 0.01 / 4
    torch.optim.Muon(muon, lr=0.02)
    names = [name for group in (*muon, *others) for name in group["param_names"]]
    assert sorted(names) == sorted(name for name, _ in found.model.named_parameters())
    with pytest.raises(ww.InputError, match="expected one of original"):
        found.muon_groups(lr=0.02, others_lr=0.01, scale="moonlight")


def test_clipping_bounds_the_norm_of_relative_rates():
    found = built()
    found.model(torch.ones(4, 5)).square().sum().backward()
    rates = {row.tensor: row.sgd_rate for row in found.rows}
    expected = math.sqrt(
        sum(rates[n] * float(p.grad.square().sum()) for n, p in found.model.named_parameters())
    )
    before = found.model[3].weight.grad.clone()
    assert float(ww.torch.clip_grad_norm(found, expected / 2)) == pytest.approx(expected)
    torch.testing.assert_close(found.model[3].weight.grad, before / 2)
    assert float(ww.torch.clip_grad_norm(found, expected)) == pytest.approx(expected / 2, rel=1e-4)
    torch.testing.assert_close(found.model[3].weight.grad, before / 2)
    with pytest.raises(ww.InputError, match="max_norm"):
        ww.torch.clip_grad_norm(found, 0.0)


def test_clipping_leaves_gradients_that_are_not_finite():
    found = built()
    found.model(torch.ones(4, 5)).square().sum().backward()
    found.model[3].weight.grad[0, 0] = torch.nan
    before = found.model[0].weight.grad.clone()
    assert math.isnan(ww.torch.clip_grad_norm(found, 1e-3))
    assert torch.equal(found.model[0].weight.grad, before)


def test_a_multiplier_is_the_same_as_a_factor_in_the_forward_pass():
    class Scaled(nn.Module):
        def __init__(self, width, factor):
            super().__init__()
            self.layers, self.factor = make(width).double(), factor

        def forward(self, x):
            for layer in self.layers[:-1]:
                x = layer(x)
            return nn.functional.linear(x, self.layers[-1].weight * self.factor, self.layers[-1].bias)

    inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    for name, kind, settings in (
        ("sgd", torch.optim.SGD, {"momentum": 0.5}),
        ("adamw", torch.optim.AdamW, {"eps": 1e-3}),
    ):
        outputs = []
        for factor, asked in ((3.0, None), (1.0, {"*5.weight": 3.0})):
            found = ww.torch.parametrize(
                lambda n, factor=factor: Scaled(n, factor), WIDTH, base_width=BASE, seed=0, multipliers=asked
            )
            extra = {key: value for key, value in settings.items() if key == "eps"}
            optimizer = kind(found.param_groups(name, lr=0.05, weight_decay=0.1, **extra), **settings)
            for _ in range(4):
                optimizer.zero_grad()
                found.model(inputs).square().mean().backward()
                optimizer.step()
            outputs.append(found.model(inputs))
        torch.testing.assert_close(outputs[0], outputs[1])


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_a_rate_that_is_no_number_from_0_on_is_refused_by_name(rate):
    for call in (
        lambda: built().param_groups("adamw", lr=rate),
        lambda: built().muon_groups(lr=rate, others_lr=0.1),
        lambda: built().param_groups("adamw", lr=0.1, weight_decay=rate),
    ):
        with pytest.raises(ww.InputError, match=r"`(lr|weight_decay)` = .*: give a number from 0 on"):
            call()
