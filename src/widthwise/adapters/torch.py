"""Recording a PyTorch training: `ww.torch.Recorder`. PyTorch itself is loaded when a recorder is made."""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from widthwise.adapters.names import EXTRA_VARIABLES, require_cell
from widthwise.adapters.steps import Steps, log_steps, rule_of
from widthwise.adapters.torch_batches import BatchWatch
from widthwise.adapters.torch_callbacks import lightning_callback, trainer_callback
from widthwise.adapters.torch_effects import UpdateEffects
from widthwise.adapters.torch_forward import (
    Forward,
    call_model,
    choose_modules,
    observe,
    tensor_in,
    without_readout,
)
from widthwise.adapters.torch_graph import Graph, read_graph
from widthwise.adapters.torch_isolation import all_random_states_kept, require_torch, untouched
from widthwise.adapters.torch_model import is_recording_rank, module_name, tensors_of, unwrap
from widthwise.adapters.torch_numbers import (
    as_numbers,
    attention_entropy,
    kernel,
    kind_of_loss,
    quantiles,
    rms,
    sampled,
    targets_of,
)
from widthwise.adapters.torch_optimizers import OptimizerWatch
from widthwise.adapters.writer import RecordWriter
from widthwise.errors import InputError

__all__ = ["Recorder", "lightning_callback", "log_steps", "trainer_callback"]

DEFAULT = (
    "prediction", "loss", "batch_loss", "forward_rms", "forward_change_rms",
    "weight_rms", "update_rms", "gradient_rms", "update_effect_rms",
)  # fmt: skip
ON_REQUEST = ("feature_kernel", "preactivation_quantile", "attention", "attention_entropy")
LAYERED = ("forward_rms", "forward_change_rms", "feature_kernel", "preactivation_quantile")


class Recorder:
    """Records of one training run of a PyTorch module; it never changes the training.

        with ww.torch.Recorder(model, probes, width=256, seed=0, out="runs/mine") as recorder:
            for inputs, targets in batches:
                ...
                optimizer.step()
                recorder.step(loss=loss)

    A record of step t is the network before the t-th update, and that update; so the state after the last
    update is not recorded. Measuring, without gradients, puts back each module's training or evaluation mode,
    all buffers, and the random states of PyTorch, CUDA, NumPy and Python. It takes the module inside
    `torch.compile` and DistributedDataParallel, uncompiled and without autocast; only rank 0 records. Until
    the end it holds a copy of the layers' outputs at initialization, and, over a recorded step, one of the
    weights. Layers, tensors and files: see `open_runs` and `RecordWriter`.

    **Arguments:** `model`; `probes`, inputs never trained on and the same for all runs: a tensor, a tuple of
    arguments or a dictionary of keywords, points first; `width`, `seed`, which run this is; `family`, see
    `RecordWriter`; `out`, a folder for all runs; `steps`, "log" (about eight a decade), "all", numbers such
    as `log_steps(last)`, or a function of the step; `layers`, names as in `model.named_modules()` or types
    whose outputs are measured, by default Linear, Conv, Embedding, LayerNorm and RMSNorm without the readout;
    `outputs`, from what the model returns to predictions (point, output), by default that tensor or its
    `logits`, of texts at the last position; `targets`, y of the probes, or class numbers; `loss_function`, of
    what the model returns and `targets`, by which `loss` is measured on the probes: without it `loss` is the
    one given to `step`, else that is `batch_loss`; `loss_kind`, "mse" or "cross_entropy", known of PyTorch's
    own functions; `splits`, "train" or "test" of each probe, by default "test"; `quantities`, of `DEFAULT`
    and `ON_REQUEST`; `features`, applied to layers' outputs before `feature_kernel`, such as `torch.relu`;
    `attention`, from what the model returns to weights (point, head, query, key) of each block, by
    default those of `MultiheadAttention`, the output's `attentions`, or of PyTorch's function for it;
    `mode`, "eval" (no dropout, running statistics) or "train" while measuring; `multipliers`, by name of
    tensor, where the network multiplies it by a factor that depends on the width: recorded are weights,
    updates and outputs with and gradients without it; `tensor_roles`, where shapes do not tell: "input",
    "hidden", "readout" or "scalar"; `optimizer`, one or a list, read only: with it `update_rms` and
    `update_effect_rms` leave out what decoupled decay does.
    **Errors:** `InputError` if PyTorch is missing or an argument is wrong; sharded models (FSDP) cannot be
    recorded.
    """

    def __init__(
        self,
        model: Any,
        probes: Any,
        *,
        width: int,
        seed: int,
        family: int | None = None,
        out: str | Path,
        steps: Steps = "log",
        layers: Sequence[str | type] | None = None,
        outputs: Callable[[Any], Any] | None = None,
        targets: Any = None,
        loss_function: Callable[[Any, Any], Any] | None = None,
        loss_kind: str | None = None,
        splits: Sequence[str] | None = None,
        quantities: Sequence[str] = DEFAULT,
        features: Callable[[Any], Any] | None = None,
        attention: Callable[[Any], Any] | None = None,
        mode: Literal["eval", "train"] = "eval",
        multipliers: Mapping[str, float] | None = None,
        tensor_roles: Mapping[str, str] | None = None,
        optimizer: Any = None,
    ):
        require_torch()
        (self.width, self.seed), self.family = require_cell(width, seed), family
        self.model, self.probes, self.out = unwrap(model), probes, Path(out)
        self.active = is_recording_rank()
        self.writer: RecordWriter | None = None
        self.current_step = 0
        self._wanted = _require_quantities(quantities)
        self._recorded, self._layers = rule_of(steps), layers
        self._outputs, self._targets, self._loss_function = outputs, targets, loss_function
        self._loss_kind = loss_kind or kind_of_loss(loss_function)
        self._splits, self._features, self._attention, self._mode = splits, features, attention, mode
        self._tensors, shapes = tensors_of(self.model)
        unknown = sorted(({*(multipliers or {})} | {*(tensor_roles or {})}) - self._tensors.keys())
        if unknown:
            raise InputError(f"{unknown[0]!r} is no trained tensor; they are {', '.join(self._tensors)}")
        self._multipliers = dict(multipliers or {})
        self._shapes, self._roles = shapes, dict(tensor_roles or {})
        self._origin: dict[str, Any] = {}
        self._outside: dict[str, float] = {}
        self._modules: dict[str, Any] = {}
        self._pending: dict[str, Any] | None = None
        self._before: dict[str, Any] = {}
        self._gradients: dict[str, float] | None = None
        self._effects = UpdateEffects(self.model, self._tensors, self._multipliers)
        self._optimizers = OptimizerWatch(optimizer, self._tensors)
        self._batches = BatchWatch(self.model)
        self._graph = Graph({})

    def start(self) -> None:
        """Measure the network at initialization; the context manager does it. A second time does nothing."""
        if not self.active or self.writer is not None:
            return
        with all_random_states_kept():
            self._start()

    def _start(self) -> None:
        self._modules = choose_modules(self.model, self._layers)
        first = self._forward()
        names = list(first.layers) if self._layers is not None else without_readout(first)
        missing = sorted(self._modules.keys() - first.layers.keys())
        if self._layers is not None and missing:
            raise InputError(f"`layers` has {missing[0]!r}, which the model does not call: leave it out")
        if not names and self._wanted & set(LAYERED):
            self._wanted -= set(LAYERED)
        self._modules = {name: self._modules[name] for name in names}
        self._origin = {name: first.layers[name] for name in names}
        self._outside = {n: self._effects.factor_outside(self._modules[n], first.layers[n]) for n in names}
        self._graph = self._read_graph()
        points = len(first.prediction)
        splits = tuple(self._splits) if self._splits is not None else ("test",) * points
        self.writer = RecordWriter(
            self.out,
            width=self.width,
            seed=self.seed,
            family=self.family,
            targets=targets_of(self._targets, first.prediction),
            splits=splits if self._loss_function is not None or self._splits is not None else None,
            probes=as_numbers(self.probes),
            tensor_shapes=self._shapes,
            tensor_roles=self._roles,
            tensor_feeds=self._graph.feeds,
            loss_kind=self._loss_kind,
            attributes={"recorder": "torch", "model": module_name(self.model), "probe_mode": self._mode},
        )
        if self._recorded(0):
            self._begin(first)

    def step(self, loss: Any = None) -> None:
        """Tell that an update was made; call it once after each `optimizer.step()`.

        **Arguments:** `loss`, of the batch of that update, before it: a number or a tensor of one.
        """
        if not self.active:
            return
        if self.writer is None:
            raise InputError(
                "the recorder has not started: use it in a `with` block, or call `start()` before training"
            )
        if self._pending is not None:
            with all_random_states_kept():
                self._finish(loss)
        self._gradients = None
        self.current_step += 1
        if not self.writer.diverged and self._recorded(self.current_step):
            self._begin()

    def note_gradients(self) -> None:
        """Measure the gradients now, for loops that clear them before `step` is called."""
        if self.active and self._pending is not None and "gradient_rms" in self._wanted:
            found = {name: p.grad for name, p in self._tensors.items()}
            if any(gradient is not None for gradient in found.values()):
                self._gradients = {name: 0.0 if g is None else rms(g) for name, g in found.items()}

    def close(self, *, complete: bool = True) -> None:
        """Write what was recorded; `complete=False` keeps it as an interrupted run. A second time does
        nothing."""
        if self.active and self.writer is not None:
            with all_random_states_kept():
                self.writer.close(complete=complete)
            self._optimizers.stop()
            self._batches.stop()
            self._pending, self._origin, self._before = None, {}, {}

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def _forward(self) -> Forward:
        watched = self._effects.watched() if "update_effect_rms" in self._wanted else nullcontext()
        with untouched(self.model, training=self._mode == "train"), watched:
            seen = observe(
                self.model,
                self.probes,
                self._modules,
                outputs=self._outputs,
                attention=self._attention,
                watch_attention=bool(self._wanted & {"attention", "attention_entropy"}),
            )
            return seen._replace(loss=self._loss_on(seen)) if self._loss_function is not None else seen

    def _read_graph(self) -> Graph:
        """What the output of each tensor feeds: see `torch_graph`."""
        with untouched(self.model, training=self._mode == "train"):
            return read_graph(lambda: tensor_in(call_model(self.model, self.probes)), self._tensors)

    def _loss_on(self, seen: Forward) -> dict[str, float]:
        """The loss of each split of the probes."""
        torch = require_torch()
        assert self._loss_function is not None
        targets: Any = self._targets
        if targets is not None:
            targets = torch.as_tensor(targets).to(seen.prediction.device)
        names = tuple(dict.fromkeys(self._splits or ("test",)))
        if len(names) == 1:
            return {names[0]: float(self._loss_function(seen.raw, targets))}
        if not isinstance(seen.raw, torch.Tensor):
            raise InputError(
                "`splits` has two kinds, but the model returns no plain tensor: give probes of one"
            )
        found = {}
        for name in names:
            chosen = torch.tensor(
                [each == name for each in self._splits or ()], device=seen.prediction.device
            )
            part = targets[chosen] if targets is not None else None
            found[name] = float(self._loss_function(seen.raw[chosen], part))
        return found

    def _begin(self, seen: Forward | None = None) -> None:
        """Measure the network as it is, before the coming update."""
        seen = self._forward() if seen is None else seen
        found: dict[str, Any] = {"prediction": as_numbers(seen.prediction)}
        if seen.loss is not None:
            found["loss"] = seen.loss
        if self._graph.head_size:
            found["attention_head_size"] = self._graph.head_size
        found |= self._of_layers(seen) | self._of_attention(seen)
        if "weight_rms" in self._wanted:
            found["weight_rms"] = {n: rms(p) * self._multiplier(n) for n, p in self._tensors.items()}
        if self._wanted & {"update_rms", "update_effect_rms"}:
            self._before = {name: p.detach().clone() for name, p in self._tensors.items()}
        self._pending = {n: v for n, v in found.items() if n in self._wanted or n in EXTRA_VARIABLES}
        self._optimizers.watch()
        self._batches.watch()

    def _of_layers(self, seen: Forward) -> dict[str, Any]:
        """Only what is wanted is computed; a layer that was not called this time is NaN."""
        points, origin = len(seen.prediction), self._origin
        absent = sorted(self._modules.keys() - seen.layers.keys())
        if absent:
            raise InputError(
                f"layer {absent[0]!r} was called at initialization, and now is not: name other `layers`"
            )
        measures: dict[str, Callable[[str], Any]] = {
            "forward_rms": lambda name: self._outside[name] * rms(seen.layers[name]),
            "forward_change_rms": lambda name: (
                self._outside[name] * rms(seen.layers[name] - origin[name].to(seen.layers[name].device))
            ),
            "feature_kernel": lambda name: kernel(seen.layers[name], points, self._features, name),
            "preactivation_quantile": lambda name: quantiles(seen.layers[name], points, name),
        }
        return {
            quantity: {name: measure(name) for name in self._modules}
            for quantity, measure in measures.items()
            if quantity in self._wanted and self._modules
        }

    def _of_attention(self, seen: Forward) -> dict[str, Any]:
        found = {"attention": {}, "attention_entropy": {}}
        for name, weights in seen.attention.items():
            found["attention"][name] = as_numbers(weights[0])
            found["attention_entropy"][name] = attention_entropy(weights)
        wanted = {name: each for name, each in found.items() if name in self._wanted}
        if wanted and not seen.attention:
            raise InputError(
                "no attention was seen: give `attention`, a function of what the model returns; make a "
                'Hugging Face model with attn_implementation="eager", and give probes as a dictionary with '
                '"output_attentions": True'
            )
        return wanted

    def _finish(self, loss: Any) -> None:
        """What the update was, and the record of its step."""
        assert self._pending is not None and self.writer is not None
        found, self._pending = self._pending, None
        if loss is not None:
            found["batch_loss" if self._loss_function is not None else "loss"] = float(
                loss.detach() if isinstance(loss, require_torch().Tensor) else loss
            )
        self._optimizers.stop()
        self._batches.stop()
        found |= self._batches.found() | self._of_the_optimizers()
        if self._before:
            found |= self._of_the_update()
        if self._gradients is None:
            self._pending = {}
            self.note_gradients()
            self._pending = None
        if self._gradients is not None:
            found["gradient_rms"] = self._gradients
        kept = {n: v for n, v in found.items() if n in self._wanted or n in EXTRA_VARIABLES}
        self.writer.record(self.current_step, **kept)

    def _of_the_optimizers(self) -> dict[str, Any]:
        """Settings of the step that was made; nothing of optimizers that the recorder was not given."""
        watch = self._optimizers
        if not watch.optimizers:
            return {}
        names = {name for settings in watch.settings.values() for name in settings}
        found: dict[str, Any] = {
            setting: {name: watch.settings.get(name, {}).get(setting, math.nan) for name in self._tensors}
            for setting in names
        }
        kinds = watch.kinds
        found["optimizer_hash"] = {
            name: float(zlib.crc32(kinds[name].encode())) if name in kinds else math.nan
            for name in self._tensors
        }
        found["epsilon_share"] = {name: watch.epsilon_share(name) for name in self._tensors}
        return found | {"clip_factor": watch.clip_factor()}

    def _of_the_update(self) -> dict[str, Any]:
        """What the update was, and did, without what decoupled decay did."""
        before, self._before = self._before, {}
        left = self._optimizers.left
        changes = {
            name: p.detach() - before[name].to(p.device) * left.get(name, 1.0)
            for name, p in self._tensors.items()
        }
        found: dict[str, Any] = {
            "update_rms": {name: rms(each) * self._multiplier(name) for name, each in changes.items()}
        }
        found["weight_bits"] = {
            name: 1 - math.log2(require_torch().finfo(p.dtype).eps) for name, p in self._tensors.items()
        }
        found["unmoved_share"] = {name: self._unmoved(name, before[name]) for name in self._tensors}
        if "update_effect_rms" in self._wanted:
            with untouched(self.model, training=self._mode == "train"):
                found["update_effect_rms"] = self._effects.measured(before, changes)
        return found

    def _unmoved(self, name: str, before: Any) -> float:
        """The share of `sampled` entries with a gradient that the step left as they were; NaN without any."""
        tensor = self._tensors[name]
        if tensor.grad is None:
            return math.nan
        pulled, now, then = sampled(tensor.grad) != 0, sampled(tensor), sampled(before).to(tensor.device)
        count = int(pulled.sum())
        return int((pulled & (now == then)).sum()) / count if count else math.nan

    def _multiplier(self, name: str) -> float:
        return float(self._multipliers.get(name, 1.0))


def _require_quantities(names: Sequence[str]) -> set[str]:
    unknown = sorted({*names} - {*DEFAULT, *ON_REQUEST})
    if isinstance(names, str) or unknown or not {"prediction", "loss"} & {*names}:
        raise InputError(
            f"`quantities` is {names!r}: give `prediction`, `loss` or both, and of "
            f"{', '.join((*DEFAULT[2:], *ON_REQUEST))}"
        )
    return {*names}
