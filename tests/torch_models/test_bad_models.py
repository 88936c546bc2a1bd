"""What `ww.torch.parametrize` refuses, and what it leaves alone."""

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn


def parametrized(make, width=16, **settings):
    return ww.torch.parametrize(make, width, base_width=8, **settings)


def failing(width):
    if width > 10:
        raise RuntimeError("no such width")
    return nn.Linear(width, 2)


def changing(width):
    changing.calls += 1
    return nn.Linear(width + changing.calls, 2)


changing.calls = 0
KEPT = nn.Linear(8, 2)


def weight_normed(width):
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(width, width)))


def spectrally_normed(width):
    return nn.utils.spectral_norm(nn.Linear(width, width))


def of_whole_numbers(width):
    module = nn.Linear(width, 2)
    module.codes = nn.Parameter(torch.zeros(width, dtype=torch.int8), requires_grad=False)
    return module


def not_finite(width):
    module = nn.Linear(width, 2)
    module.weight.data[0, 0] = torch.nan
    return module


def other_tensors(width):
    return nn.Linear(width, 2, bias=width > 8)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (nn.Linear(8, 2), "`make` is a Linear: give a function of the width"),
        (lambda n: nn.Linear(8, 2), "`make` ignores the width"),
        (failing, r"`make\(16\)` fails: RuntimeError: no such width"),
        (lambda n: KEPT, "returned a model that it had returned before"),
        (lambda n: {"w": n}, "returned a dict: return a torch.nn.Module"),
        (lambda n: nn.ReLU(), "a model without weights"),
        (lambda n: nn.Sequential(nn.Linear(3, n), nn.LazyLinear(2)), "1.weight has no shape yet"),
        (weight_normed, r"0 \(ParametrizedLinear\) computes its weight from others"),
        (lambda n: nn.utils.weight_norm(nn.Linear(n, n)), "computes its weight from others"),
        (spectrally_normed, "computes its weight from others"),
        (of_whole_numbers, "codes is of torch.int8: quantized"),
        (lambda n: torch.ao.nn.quantized.Linear(n, 2), "is quantized"),
        (not_finite, "weight: has entries that are not finite"),
        (other_tensors, "other tensors at other widths: bias"),
    ],
)
def test_what_cannot_be_ruled_is_refused(make, reason):
    with pytest.raises(ww.InputError, match=reason):
        parametrized(make)


@pytest.mark.parametrize("width", [8, 32])
def test_shapes_that_change_from_call_to_call_are_seen(width):
    with pytest.raises(ww.InputError, match="other shapes at each call"):
        parametrized(changing, width=width)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"parametrization": "mup"}, "parametrization"),
        ({"depth": 4}, "`depth` and `base_depth` go together"),
        ({"depth": 4, "base_depth": 2, "depth_rule": "L"}, "depth_rule"),
        ({"depth": 4, "base_depth": 0, "depth_rule": "sqrt"}, "base_depth"),
        ({"multipliers": {"nothing": 2.0}}, "`multipliers` names 'nothing'"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises((ww.InputError, TypeError), match=named):  # the types while tests run, else the values
        parametrized(lambda n, depth=1: nn.Linear(n, 2), **settings)


@pytest.mark.parametrize("width", [0, -4, 2.5, True, "8"])
def test_what_is_no_width_is_refused(width):
    with pytest.raises((ww.InputError, TypeError), match="width"):
        parametrized(lambda n: nn.Linear(n, 2), width=width)


def test_frozen_tensors_are_left_alone():
    def make(width):
        model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, width), nn.Linear(width, 2))
        model[1].requires_grad_(False)
        return model

    built = parametrized(make, width=32, seed=2)
    torch.manual_seed(2)
    assert torch.equal(built.model[1].weight, make(32)[1].weight)
    names = {name for group in built.param_groups("sgd", lr=1.0) for name in group["param_names"]}
    assert names == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_shared_weight_is_ruled_once_and_said():
    class Tied(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.table, self.body = nn.Embedding(9, width), nn.Linear(width, width)
            self.head = nn.Linear(width, 9, bias=False)
            self.head.weight = self.table.weight

    built = parametrized(Tied, width=32, seed=0)
    assert [row.tensor for row in built.rows] == ["table.weight", "body.weight", "body.bias"]
    assert built.rows[0].role == "input"
    (message,) = built.warnings
    assert message.startswith("table and head share their weight")
    assert "head(h) * base_width / width" in message
    assert message in built.table()
    torch.manual_seed(0)
    torch.testing.assert_close(built.model.table.weight, Tied(32).table.weight)


def test_tensors_of_several_precisions_are_ruled_where_they_are():
    def make(width):
        return nn.Sequential(nn.Linear(3, width).bfloat16(), nn.Linear(width, 2).double())

    built = parametrized(make, width=32, seed=0)
    torch.manual_seed(0)
    own = make(32)
    assert [p.dtype for p in built.model.parameters()] == [p.dtype for p in own.parameters()]
    torch.testing.assert_close(built.model[0].weight, own[0].weight)
    torch.testing.assert_close(built.model[1].weight, own[1].weight / 2)
