"""A PyTorch model by the rules of a parametrization: its start, its rates, its groups."""

import subprocess
import sys

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn


def perceptron(width):
    return nn.Sequential(
        nn.Linear(10, width), nn.ReLU(), nn.Linear(width, width), nn.LayerNorm(width), nn.Linear(width, 3)
    )


def test_at_the_base_width_it_is_the_users_own_model_to_the_bit():
    torch.manual_seed(5)
    built = ww.torch.parametrize(perceptron, 16, base_width=16)
    after = torch.rand(1)
    torch.manual_seed(5)
    own = perceptron(16)
    assert torch.equal(after, torch.rand(1)), "other random numbers were drawn"
    for mine, theirs in zip(built.model.parameters(), own.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert [group["lr"] for group in built.param_groups("adamw", lr=0.5)] == [0.5]


def test_weights_are_the_models_own_times_one_number():
    built = ww.torch.parametrize(perceptron, 64, base_width=16, seed=3)
    torch.manual_seed(3)
    own = dict(perceptron(64).named_parameters())
    expected = {"0.weight": 1, "2.weight": 1, "2.bias": 2, "3.weight": 1, "4.weight": 1 / 2}
    for name, factor in expected.items():  # PyTorch's own sizes fall as m^-1/2
        torch.testing.assert_close(built.model.get_parameter(name), own[name] * factor)


@pytest.mark.parametrize("seed", range(4))
def test_small_tensors_tell_their_own_law_too(seed):
    """Eight entries against sixteen: one draw of each would err by half."""
    built = ww.torch.parametrize(perceptron, 16, base_width=8, seed=seed)
    torch.manual_seed(seed)
    own = dict(perceptron(16).named_parameters())
    for name, factor in {"0.bias": 1, "2.bias": 2**0.5, "4.weight": 2**-0.5}.items():
        torch.testing.assert_close(built.model.get_parameter(name), own[name] * factor)


@pytest.mark.parametrize("initialize", [nn.init.xavier_normal_, nn.init.orthogonal_])
def test_initializations_by_both_sides_are_known(initialize):
    """Their sizes are no power of the width: 1/sqrt(in + out), 1/sqrt(max(in, out))."""

    def make(width):
        model = nn.Sequential(nn.Linear(40, width, bias=False), nn.Linear(width, 3, bias=False))
        initialize(model[0].weight)
        return model

    built = ww.torch.parametrize(make, 128, base_width=32, seed=0)
    torch.manual_seed(0)
    sides = (lambda n: 40 + n) if initialize is nn.init.xavier_normal_ else (lambda n: max(40, n))
    expected = make(128)[0].weight * (sides(128) / sides(32)) ** 0.5
    torch.testing.assert_close(built.model[0].weight, expected)


def test_rates_follow_the_table():
    built = ww.torch.parametrize(perceptron, 64, base_width=16, seed=3)
    found = {row.tensor: (row.role, row.sgd_rate, row.adam_rate) for row in built.rows}
    assert found["0.weight"] == ("input", 4, 1)
    assert found["2.weight"] == ("hidden", 1, 1 / 4)
    assert found["4.weight"] == ("readout", 1 / 4, 1 / 4)
    assert found["3.bias"] == ("input", 4, 1)
    assert found["4.bias"] == ("scalar", 1, 1)
    for row in built.rows:
        assert row.tensor in built.table()


def test_the_rules_load_no_jax_and_their_import_is_quick():
    program = """
import sys, time, torch
start = time.process_time()
import widthwise as ww
ww.torch.parametrize
taken = time.process_time() - start  # the machine may have more to do
ww.torch.parametrize(lambda n: torch.nn.Linear(n, 2), 8, base_width=4).param_groups("sgd", lr=1.0)
print("jax" in sys.modules, taken < 1.0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
