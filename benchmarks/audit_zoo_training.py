"""Parametrizations, optimizers and the training loop of the audit's zoo."""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from audit_zoo_networks import BASE, HEADS, Attention, batch_of
from torch import nn
from torch.nn import functional

import widthwise as ww

RECORDED = (0, 1, 2, 3, 5, 8, 12, 17, 20)
PROBES = {"texts": 12}
Factor = Callable[[str, str, float], float]  # of a tensor's name, its role and m = N / N_0
ByWidth = Callable[[float], float]  # of m


def ones(name: str, role: str, m: float) -> float:
    """No change of what is right."""
    return 1.0


@dataclass(frozen=True)
class Built:
    """A network ready to train: `factors` are told to the recorder."""

    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    factors: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A set-up: the network of a width `make`, and what training does, right unless changed.

    **Fields:** `initial` and `rate` multiply the initial weights and rates that muP gives each tensor;
    `build` makes network and optimizers in another way; `words` of which the audit's first row must have one,
    and none for correct set-ups; `unseen`, of what the audit must say that it cannot be seen.
    """

    make: Callable[[int], nn.Module]
    task: str = "classes"
    optimizer: str = "adam"
    learning_rate: float = 0.005
    initial: Factor = ones
    rate: Factor = ones
    bias: float = 0.2
    gain: float = 2**0.5
    decay: ByWidth = lambda m: 0.0
    epsilon: float = 1e-12
    momentum: ByWidth = lambda m: 0.9
    nesterov: bool = False
    clip: tuple[str, float] | None = None
    schedule: Callable[[int, float], float] = lambda step, m: 1.0
    steps: int = 21
    batch: ByWidth = lambda m: 16
    order: ByWidth = lambda m: 0
    parts: int = 1  # into which a batch is accumulated
    autocast: bool = False
    weights: torch.dtype = torch.float32
    roles: dict[str, str] = field(default_factory=dict)
    factors: Callable[[int], dict[str, float]] = lambda width: {}
    build: "Callable[[Kind, int], Built] | None" = None
    words: tuple[str, ...] = ()
    unseen: str = ""


class Lion(torch.optim.Optimizer):
    """The sign of an average of momentum and gradient, with decoupled decay (arXiv 2302.06675)."""

    def __init__(self, params, lr: float, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.99), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            early, late = group["betas"]
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * (early * average + (1 - early) * p.grad).sign())
                average.mul_(late).add_(p.grad, alpha=1 - late)


class Spectral(torch.optim.Optimizer):
    """Momentum over its spectral norm, times sqrt(fan-out / fan-in); of vectors, over their RMS."""

    def __init__(self, params, lr: float, momentum: float = 0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.mul_(group["momentum"]).add_(p.grad)
                if p.ndim == 1:
                    unit = average / (average.square().mean().sqrt() + 1e-20)
                else:
                    matrix = average.flatten(1)
                    unit = average / (torch.linalg.matrix_norm(matrix, 2) + 1e-20)
                    unit = unit * (matrix.shape[0] / matrix.shape[1]) ** 0.5
                p.sub_(group["lr"] * unit)


def tables_of(model: nn.Module) -> set[str]:
    """Names of embeddings, whose axes are (entry, out)."""
    return {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Embedding)}


def roles_of(make: Callable[[int], nn.Module]) -> dict[str, str]:
    """Of every tensor by which sides grow: "input", "hidden", "readout" or "scalar"."""
    narrow, wide = (dict(make(width).named_parameters()) for width in (BASE, 2 * BASE))
    names = {(True, True): "hidden", (True, False): "input", (False, True): "readout"}
    tables, found = tables_of(make(BASE)), {}
    for name, tensor in narrow.items():
        grows = [a != b for a, b in zip(tensor.shape, wide[name].shape, strict=True)]
        sides = (any(grows), False) if len(grows) == 1 or name in tables else (grows[0], grows[1])
        found[name] = names.get(sides, "scalar")
    return found


@torch.no_grad()
def draw(model: nn.Module, kind: Kind, roles: dict[str, str], m: float) -> None:
    """Initial weights of muP; gains of normalizations stay as they are."""
    for path, module in model.named_modules():
        for short, tensor in module.named_parameters(prefix=path, recurse=False):
            role = roles[short]
            if isinstance(module, nn.Embedding):
                size = BASE**-0.5 if getattr(model, "multiplier", None) is not None else 0.7
            elif isinstance(module, nn.Linear | nn.Conv2d):
                fan_in = tensor[0].numel()
                if tensor.ndim == 1:
                    size = kind.bias if role == "input" else 0.0
                elif role == "readout":
                    size = (fan_in / m) ** -0.5 / m
                else:
                    size = kind.gain * fan_in**-0.5
            else:
                continue
            tensor.copy_(torch.randn(tensor.shape) * size * kind.initial(short, role, m))


ADAM = {"input": 0.0, "hidden": -1.0, "readout": -1.0, "scalar": 0.0}
POWERS = {  # of m, in the rates of the optimizers, by role
    "sgd": {"input": 1.0, "hidden": 0.0, "readout": -1.0, "scalar": 0.0},
    "adam": ADAM,
    "lion": ADAM,
    "muon": ADAM | {"hidden": 0.0},
    "spectral": dict.fromkeys(ADAM, 0.0),
    "adafactor": {
        "input": 0.0,
        "hidden": -0.5,
        "readout": 0.0,
        "scalar": 0.0,
    },  # its steps follow the weights
}


def optimizers_of(
    model: nn.Module, kind: Kind, roles: dict[str, str], m: float
) -> list[torch.optim.Optimizer]:
    """With the rates of muP, times what the kind changes."""
    groups, matrices = [], []
    for name, tensor in model.named_parameters():
        if not tensor.requires_grad:
            continue
        role = roles[name]
        factor = m ** POWERS[kind.optimizer][role] * kind.rate(name, role, m)
        decay = kind.decay(m) if tensor.ndim > 1 else 0.0
        group = {"params": [tensor], "lr": kind.learning_rate * factor, "weight_decay": decay / factor}
        alone = kind.optimizer.startswith("muon") and role == "hidden"
        (matrices if alone else groups).append(group)
    if kind.optimizer == "sgd":
        return [torch.optim.SGD(groups, lr=0.1, momentum=kind.momentum(m), nesterov=kind.nesterov)]
    if kind.optimizer == "adafactor":
        return [torch.optim.Adafactor(groups, lr=0.1)]
    if kind.optimizer == "lion":
        return [Lion(groups, lr=0.1)]
    if kind.optimizer == "spectral":
        return [Spectral([{k: v for k, v in g.items() if k != "weight_decay"} for g in groups], lr=0.1)]
    betas = (kind.momentum(m), 0.98)
    rest = torch.optim.AdamW(groups, lr=0.1, betas=betas, eps=kind.epsilon, weight_decay=0.0)
    if not matrices:
        return [rest]
    for group in matrices:  # its steps have spectral norm 1: larger rates than Adam's
        group["lr"] *= 4
    return [torch.optim.Muon(matrices, lr=0.1, weight_decay=0.0, adjust_lr_fn="original"), rest]


def built(kind: Kind, width: int) -> Built:
    """Network and optimizers of a width, by PyTorch's random state."""
    if kind.build is not None:
        return kind.build(kind, width)
    m = width / BASE
    roles = roles_of(kind.make) | kind.roles
    model = kind.make(width)
    draw(model, kind, roles, m)
    model = model.to(kind.weights)
    return Built(model, optimizers_of(model, kind, roles, m), kind.factors(width))


def loss_of(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean squared error of numbers, cross entropy of classes, at all positions."""
    if targets.is_floating_point():
        return functional.mse_loss(outputs.float(), targets)
    return functional.cross_entropy(outputs.float().flatten(0, -2), targets.flatten())


def clip(kind: Kind, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """By the global norm, or by that in which every tensor counts as its rate."""
    assert kind.clip is not None
    how, bound = kind.clip
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    if how == "global":
        torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], bound)
        return
    squares = [
        group["lr"] / kind.learning_rate * p.grad.square().sum() for group in groups for p in group["params"]
    ]
    factor = min(1.0, bound / float(sum(squares)) ** 0.5)
    for group in groups:
        for p in group["params"]:
            p.grad.mul_(factor)


def train(kind: Kind, label: str, cell: tuple[int, int], out: Path) -> ww.RecordWriter:
    """Train one network, (width, seed), and record it; returns what is to be closed, in a thread while the
    next network trains: half of the time of networks this small is waiting for files."""
    width, seed = cell
    m, start = width / BASE, zlib.crc32(label.encode()) % 100_000
    torch.manual_seed(1_000_000 * seed + 1_000 * width + start)
    ready = built(kind, width)
    model, optimizers = ready.model, ready.optimizers
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    probes, targets = batch_of(kind.task, PROBES.get(kind.task, 24), 1)
    if probes.is_floating_point():
        probes = probes.to(kind.weights)
    steps = (*(step for step in RECORDED if step < kind.steps - 1), kind.steps - 1)
    seen = [module for module in model.modules() if isinstance(module, Attention) and not module.native]
    watch = {"attention": lambda _: {"block": seen[0].weights[:, :HEADS]}} if seen else {}
    recorder = ww.torch.Recorder(
        model,
        probes,
        width=width,
        seed=seed,
        out=out,
        steps=steps,
        targets=targets,
        loss_function=loss_of,
        loss_kind="mse" if targets.is_floating_point() else "cross_entropy",
        quantities=(*ww.torch.DEFAULT, *watch),
        multipliers=ready.factors,
        optimizer=list(optimizers),
        **watch,
    )
    recorder.start()
    for step in range(kind.steps):
        inputs, answers = batch_of(kind.task, int(kind.batch(m)), 10_000 + int(kind.order(m)) * 999 + step)
        if inputs.is_floating_point():
            inputs = inputs.to(kind.weights)
        for optimizer, own in zip(optimizers, rates, strict=True):
            optimizer.zero_grad()
            for group, rate in zip(optimizer.param_groups, own, strict=True):
                group["lr"] = rate * kind.schedule(step, m)
        loss = 0.0
        for part in range(kind.parts):
            with torch.autocast("cpu", torch.bfloat16, enabled=kind.autocast):
                outputs = model(inputs[part :: kind.parts])
            share = loss_of(outputs, answers[part :: kind.parts]) / kind.parts
            share.backward()
            loss += float(share.detach())
        if kind.clip:
            clip(kind, optimizers)
        for optimizer in optimizers:
            optimizer.step()
        recorder.step(loss=loss)
    assert recorder.writer is not None
    return recorder.writer


def warm_up(step: int, steps: float) -> float:
    """A rate that rises linearly over so many steps."""
    return min(1.0, (step + 1) / steps)


def cosine(step: int, last: float) -> float:
    """A rate that falls to zero as half a cosine."""
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / last))
