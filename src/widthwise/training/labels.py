"""What stands along the dimensions of records whose length the network decides."""

import jax
import jax.numpy as jnp
import numpy as np

from widthwise.data import Stream
from widthwise.networks.trace import Trace
from widthwise.records.schema import QUANTILE_LEVELS
from widthwise.study import Study
from widthwise.training.measures import mode_count, tensor_names
from widthwise.training.network import network_keys
from widthwise.training.stream_network import Samples, State, Trainer, probe_samples


def record_labels(study: Study, stream: Stream) -> dict[str, tuple]:
    """Names of layers and tensors, quantile levels, and numbers of modes, heads, queries and keys.

    The same at every width: they are read off the narrowest network, of which nothing is computed.
    """
    trainer = Trainer(study, stream.shape, stream.outputs, min(study.ensemble.widths))
    key = network_keys(0, np.arange(1), 1)[0]
    state = jax.eval_shape(trainer.start, key)
    points = probe_samples(stream.probes, jnp.float32)
    layers: list[str] = []
    blocks: list[str] = []

    def look(state: State, points: Samples) -> Trace:
        trace = trainer.trace(state, points)
        layers.extend(trace.layers)  # here, since what comes out is sorted by name
        blocks.extend(trace.attention)
        return trace

    trace = jax.eval_shape(look, state, points)
    labels: dict[str, tuple] = {
        "layer": tuple(layers),
        "tensor": tensor_names(state.weights),
        "quantile": QUANTILE_LEVELS,
        "mode": tuple(range(mode_count(stream.probes.train, len(stream.probes.inputs), study.record.modes))),
    }
    if trace.attention:
        _, heads, queries, keys = next(iter(trace.attention.values())).shape
        numbers = {"head": heads, "query": queries, "key": keys}
        labels |= {"block": tuple(blocks)} | {name: tuple(range(n)) for name, n in numbers.items()}
    return labels
