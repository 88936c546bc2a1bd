"""Parametrized models compiled, wrapped, saved, in bfloat16, drawn late, and with gradients accumulated."""

import copy
import os

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn


def make(width):
    return nn.Sequential(
        nn.Linear(5, width), nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, 3)
    )


def built(width=32, factory=make, **settings):
    return ww.torch.parametrize(factory, width, base_width=8, seed=0, **settings)


def trained(model, groups, steps=3, parts=1):
    optimizer, inputs = torch.optim.SGD(groups, lr=1.0), torch.linspace(-1, 1, 40).view(8, 5)
    for _ in range(steps):
        optimizer.zero_grad()
        for part in inputs.chunk(parts):
            (model(part.to(next(model.parameters()).dtype)).square().mean() / parts).backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def test_nothing_is_replaced_marked_or_hooked():
    model, plain = built().model, make(32)
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]
    for mine, own in zip(model.modules(), plain.modules(), strict=True):
        assert vars(mine).keys() == vars(own).keys()
        assert not mine._forward_hooks and not mine._forward_pre_hooks and not mine._backward_hooks
    assert all(not vars(p) for p in model.parameters())


def test_a_compiled_model_takes_the_groups_by_name():
    plain, other = built(), built()
    compiled = torch.compile(other.model, backend="eager")
    groups = other.param_groups("sgd", lr=0.01, model=compiled)
    expected = trained(plain.model, plain.param_groups("sgd", lr=0.01))
    for mine, theirs in zip(trained(compiled, groups), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_states_of_model_and_optimizer_make_a_round_trip():
    first, second = built(), built(width=32)
    optimizers = [torch.optim.AdamW(each.param_groups("adamw", lr=0.01)) for each in (first, second)]
    first.model(torch.ones(2, 5)).square().mean().backward()
    optimizers[0].step()
    second.model.load_state_dict(first.model.state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for each, optimizer in zip((first, second), optimizers, strict=True):
        optimizer.zero_grad()
        each.model(torch.ones(2, 5)).square().mean().backward()
        optimizer.step()
    for mine, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_accumulated_gradients_are_those_of_the_whole_batch():
    one, parts = built(), built()
    expected = trained(one.model, one.param_groups("sgd", lr=0.01))
    found = trained(parts.model, parts.param_groups("sgd", lr=0.01), parts=4)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_half_precision_keeps_sizes_and_learns():
    found, exact = built(factory=lambda width: make(width).bfloat16()), built()
    for p, q in zip(found.model.parameters(), exact.model.parameters(), strict=True):
        assert p.dtype == torch.bfloat16
        torch.testing.assert_close(p.float(), q, rtol=0.02, atol=1e-6)
    before = [p.detach().clone() for p in found.model.parameters()]
    after = trained(found.model, found.param_groups("sgd", lr=0.5))
    assert all(not torch.equal(p, q) for p, q in zip(after, before, strict=True))


def test_a_model_on_the_meta_device_is_drawn_as_one_that_was_made_at_once():
    def late(width):
        with torch.device("meta"):
            return make(width)

    found, at_once = built(factory=late), built()
    assert all(p.is_meta for p in found.model.parameters())
    assert [row[:9] for row in found.rows] == [row[:9] for row in at_once.rows]
    torch.manual_seed(0)
    found.initialize("cpu")
    for (name, p), q in zip(found.model.named_parameters(), at_once.model.parameters(), strict=True):
        if name != "3.bias":  # drawn as at the base width
            torch.testing.assert_close(p, q)
    with pytest.raises(ww.InputError, match="not on the meta device"):
        found.initialize("cpu")


def test_what_nothing_draws_on_the_meta_device_is_named():
    class Bare(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layer, self.gain = nn.Linear(width, 2), nn.Parameter(torch.ones(width))

    def late(width):
        with torch.device("meta"):
            return Bare(width)

    def init(model):
        model.layer.reset_parameters()
        model.gain.fill_(1.0)

    with pytest.raises(ww.InputError, match="gain: nothing draws it on the meta device; give `init`"):
        built(factory=late)
    found = built(factory=late, init=init)
    found.initialize("cpu")
    assert torch.equal(found.model.gain, torch.ones(32))


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(os.name == "nt", reason="gloo by files")
def test_wrapped_for_several_processes_it_learns_as_alone(one_process):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    expected = None
    for wrap in ("none", "ddp", "fsdp"):
        found = built()
        model = found.model
        if wrap == "ddp":
            model = nn.parallel.DistributedDataParallel(model)
        if wrap == "fsdp":
            model = fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        after = trained(model, found.param_groups("sgd", lr=0.01, model=model))
        norm = float(ww.torch.clip_grad_norm(found, 1e-3, model=model))
        values = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in after]
        expected = expected or (values, norm)
        for mine, theirs in zip(values, expected[0], strict=True):
            torch.testing.assert_close(mine, theirs)
        assert norm == pytest.approx(expected[1])


def test_a_model_that_was_sharded_before_it_was_drawn_is_the_same(one_process):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    def late(width):
        with torch.device("meta"):
            return make(width)

    found, at_once = built(factory=late), built()
    fully_shard(found.model, mesh=init_device_mesh("cpu", (1,)))
    found.initialize("cpu")
    sizes = [
        {
            row.tensor: whole(each.model.get_parameter(row.tensor)).square().mean().sqrt()
            for row in at_once.rows
        }
        for each in (found, at_once)
    ]
    for name in ("0.weight", "1.weight", "1.bias", "2.weight", "3.weight"):
        torch.testing.assert_close(
            sizes[0][name], sizes[1][name], rtol=0.3, atol=0
        )  # of m = 4, and two draws


def whole(parameter):
    values = parameter.detach()
    return values.full_tensor() if hasattr(values, "full_tensor") else values


def test_a_model_that_is_another_is_refused():
    with pytest.raises(ww.InputError, match=r"no tensor '0.weight': give `built.model`, wrapped"):
        built().param_groups("sgd", lr=1.0, model=nn.Linear(3, 3))
