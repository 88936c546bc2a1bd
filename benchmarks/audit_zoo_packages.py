"""Set-ups of the zoo by the packages `mup` and `peft`."""

from collections.abc import Callable
from functools import partial

import mup
import torch
from audit_zoo_networks import BASE, Perceptron, Transformer
from audit_zoo_training import Built, Kind, draw, roles_of
from peft import LoraConfig, get_peft_model
from torch import nn

Optimizer = Callable[..., torch.optim.Optimizer]


def by_mup(
    optimizer: Optimizer, *, readout: Callable[..., nn.Module] = mup.MuReadout, told: bool = True, **settings
) -> Callable[[Kind, int], Built]:
    """A perceptron parametrized by `mup`, whose factor of the readout is `told` to the recorder."""

    def build(kind: Kind, width: int) -> Built:
        make = partial(Perceptron, depth=3, readout=readout)
        model = make(width)
        mup.set_base_shapes(
            model, make(BASE), delta=make(2 * BASE), do_assert=isinstance(model.readout, mup.MuReadout)
        )
        for layer in (model.first, *model.hidden):
            mup.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        steps = optimizer(model.parameters(), lr=kind.learning_rate, **settings)
        factors = {"readout.weight": BASE / width} if told and readout is not nn.Linear else {}
        return Built(model, [steps], factors)

    return build


def by_peft(
    targets: list[str],
    *,
    first: float = -1.0,
    second: float = 0.0,
    init: bool | str = True,
    alpha: Callable[[float], float] = lambda m: 8.0,
) -> Callable[[Kind, int], Built]:
    """Low-rank updates of a frozen network, whose readout is trained; `first` and `second` are powers of m in
    the rates of the factors A (from the width to the rank) and B (back)."""

    def build(kind: Kind, width: int) -> Built:
        m = width / BASE
        model = kind.make(width)
        draw(model, kind, roles_of(kind.make), m)
        config = LoraConfig(
            r=4,
            lora_alpha=alpha(m),
            target_modules=targets,
            modules_to_save=["readout"],
            init_lora_weights=init,
        )
        adapted = get_peft_model(model, config)
        groups = []
        for name, tensor in adapted.named_parameters():
            if tensor.requires_grad:
                power = (
                    first if "lora_A" in name else second if "lora_B" in name else -1.0 * (tensor.ndim > 1)
                )
                groups.append({"params": [tensor], "lr": kind.learning_rate * m**power})
        return Built(adapted, [torch.optim.AdamW(groups, lr=0.1, eps=1e-12, weight_decay=0.0)])

    return build


HIDDEN = ["hidden.0", "hidden.1"]
LOW_RANK = {"make": Perceptron, "learning_rate": 0.01}
ATTENDING = {"make": Transformer, "task": "texts", "gain": 1.0, "learning_rate": 0.01}
HEADS = ["attention.query", "attention.value"]
MUP = {"make": Perceptron, "learning_rate": 0.005}

CORRECT = {
    "mup_adam": Kind(**MUP, build=by_mup(mup.MuAdam, eps=1e-12)),
    "mup_adam_factor_untold": Kind(**MUP, build=by_mup(mup.MuAdam, told=False, eps=1e-12)),
    "mup_adamw_decay_zero_readout": Kind(
        **MUP,
        build=by_mup(
            mup.MuAdamW,
            readout=partial(mup.MuReadout, readout_zero_init=True),
            eps=1e-12,
            weight_decay=0.5,
        ),
    ),
    "mup_sgd": Kind(make=Perceptron, learning_rate=0.02, build=by_mup(mup.MuSGD, momentum=0.9)),
    "lora_perceptron": Kind(**LOW_RANK, build=by_peft(HIDDEN)),
    "lora_transformer": Kind(**ATTENDING, build=by_peft(HEADS)),
}
FAULTY = {
    "mup_readout_plain_adam": Kind(**MUP, build=by_mup(torch.optim.Adam, eps=1e-12), words=("hidden.",)),
    "mup_adam_plain_readout": Kind(
        **MUP, build=by_mup(mup.MuAdam, readout=nn.Linear, eps=1e-12), words=("readout.",)
    ),
    "mup_readout_plain_sgd": Kind(
        make=Perceptron,
        learning_rate=0.02,
        build=by_mup(torch.optim.SGD, momentum=0.9),
        words=("first.", "bias"),
    ),
    "lora_one_rate": Kind(**LOW_RANK, build=by_peft(HIDDEN, first=0.0), words=("lora_A",)),
    "lora_transformer_one_rate": Kind(**ATTENDING, build=by_peft(HEADS, first=0.0), words=("lora_A",)),
    "lora_second_rate_times_m": Kind(**LOW_RANK, build=by_peft(HIDDEN, second=1.0), words=("lora_B",)),
    "lora_alpha_times_m": Kind(
        **LOW_RANK, build=by_peft(HIDDEN, alpha=lambda m: 8 * m), words=("lora_B", "lora_A")
    ),
    "lora_first_initialized_by_rank": Kind(
        **LOW_RANK, build=by_peft(HIDDEN, init="gaussian"), words=("lora_A",)
    ),
}
