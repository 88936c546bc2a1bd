"""What stands along the dimensions of records whose length the network decides."""

import math
from dataclasses import replace

import jax

from widthwise.data import Batch, Stream
from widthwise.networks.parametrization import Rule, is_rule, is_tensor
from widthwise.networks.trace import Trace
from widthwise.records.schema import QUANTILE_LEVELS
from widthwise.study import Study
from widthwise.training.measures.tangent import mode_count
from widthwise.training.measures.traces import tensor_names
from widthwise.training.memory_limits import state_shapes
from widthwise.training.trainer import Trainer, Tree, numerics, probe_batch


def record_labels(study: Study, stream: Stream) -> dict[str, tuple]:
    """Names of layers and tensors, laws of tensors, quantile levels, and numbers of modes, heads, queries and
    keys.

    The same at every width: they are read off the narrowest network, of which nothing is computed.
    """
    layers: list[str] = []
    blocks: list[str] = []

    def look(weights: Tree, points: Batch) -> Trace:
        trace = weights.trace(points.inputs)
        layers.extend(trace.layers)  # here, since what comes out is sorted by name
        blocks.extend(trace.attention)
        return trace

    with numerics(study.ensemble.precision):
        weights = state_shapes(Trainer(study, stream.probes, min(study.ensemble.widths))).weights
        points = probe_batch(stream.probes, study.ensemble.precision)
        trace = jax.eval_shape(look, weights, points)
    labels: dict[str, tuple] = {
        "layer": tuple(layers),
        "tensor": tensor_names(weights),
        "quantile": QUANTILE_LEVELS,
        "mode": tuple(range(mode_count(stream.probes.train, len(stream.probes.inputs), study.record.modes))),
    }
    labels |= tensor_laws(study, stream)
    if trace.attention:
        _, heads, queries, keys = next(iter(trace.attention.values())).shape
        numbers = {"head": heads, "query": queries, "key": keys}
        labels |= {"block": tuple(blocks)} | {name: tuple(range(n)) for name, n in numbers.items()}
    return labels


def tensor_laws(study: Study, stream: Stream) -> dict[str, tuple]:
    """Of every tensor its role, and the powers of the width that its weights and updates have in mean_field.

    Whatever the parametrization of the study: what is trained is to be judged by these. From the rules of
    two widths, for arrays as they are kept. `tensor_weight_exponent` is of the initial weights, NaN where
    they start at zero; `tensor_update_exponent` of a step of the study's optimizer, without weight decay.
    """
    judged = replace(study, network=replace(study.network, parametrization="mean_field"))
    narrow = min(study.ensemble.widths)
    trainers = [Trainer(judged, stream.probes, width) for width in (narrow, 2 * narrow)]
    rules = [jax.tree.leaves(trainer.rules, is_leaf=is_rule) for trainer in trainers]
    tensors = jax.tree.leaves(trainers[0].blueprint, is_leaf=is_tensor)

    def update(rule: Rule) -> float:
        adam = study.training.optimizer in ("adam", "adamw")
        return float(rule.adam_rate if adam else rule.sgd_rate / rule.gradient_scale)

    pairs = list(zip(*rules, strict=True))
    weights = [math.log2(wide.std / thin.std) for thin, wide in pairs]
    return {
        "tensor_role": tuple(tensor.role for tensor in tensors),
        "tensor_weight_exponent": tuple(
            math.nan if tensor.start == "zero" else _half(power)
            for tensor, power in zip(tensors, weights, strict=True)
        ),
        "tensor_update_exponent": tuple(
            _half(math.log2(update(wide) / update(thin))) for thin, wide in pairs
        ),
    }


def _half(power: float) -> float:
    """To the nearest half, without the sign of a zero: rounding aside, all powers are halves."""
    return round(2 * power) / 2 + 0.0
