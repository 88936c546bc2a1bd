"""What may be recorded, under which names and in which dimensions."""

import difflib
from collections.abc import Iterable, Sequence

import numpy as np

from widthwise.errors import InputError
from widthwise.records.schema import QUANTILE_LEVELS, QUANTITIES, Variable

# What only adapters record, beside the quantities of `records/schema.py`.
EXTRA_VARIABLES: dict[str, Variable] = {
    "attention_entropy": Variable(
        ("step", "block", "head"), "entropy of attention weights in nats, mean over points and queries"
    ),
    "attention_head_size": Variable(("step",), "entries of a query, over which a score of attention sums"),
    "learning_rate": Variable(("step", "tensor"), "learning rate of the tensor's param group"),
    "weight_decay": Variable(("step", "tensor"), "weight decay of the tensor's param group"),
    "epsilon": Variable(("step", "tensor"), "epsilon of the tensor's param group"),
    "momentum": Variable(("step", "tensor"), "momentum, or first beta, of the tensor's param group"),
    "beta2": Variable(("step", "tensor"), "second beta of the tensor's param group"),
    "epsilon_share": Variable(("step", "tensor"), "share by which epsilon makes Adam's step smaller"),
    "unmoved_share": Variable(
        ("step", "tensor"), "share of entries with a gradient that a step leaves as they are"
    ),
    "weight_bits": Variable(("step", "tensor"), "bits of the mantissa of the tensor's numbers"),
    "optimizer_hash": Variable(("step", "tensor"), "32 bits of a hash of the name of the tensor's optimizer"),
    "clip_factor": Variable(("step",), "norm of the gradients applied over that of those computed"),
    "batch_size": Variable(("step",), "points of the batch of the step"),
    "batch_hash": Variable(("step",), "48 bits of a hash of the inputs of the batch of the step"),
    "dropout_rate": Variable(("step",), "mean rate of the dropout layers in training mode"),
}
# A network has diverged where one of these is not finite.
DECISIVE = ("prediction", "loss", "batch_loss")
# Dimensions whose entries have names of their own.
NAMED = {"layer": "layer_name", "tensor": "tensor", "block": "block", "split": "split"}
ROLES = ("input", "hidden", "readout", "scalar")
FEEDS = ("network", "output", "attention", "gate", "tied")
LONGEST_NAME, LARGEST_NUMBER = 200, 2**53


def recordable(name: str) -> Variable | None:
    """What a quantity's name means; None for a name that records do not know."""
    return QUANTITIES.get(name) or EXTRA_VARIABLES.get(name)


def require_quantity(name: str) -> Variable:
    """The same, as an error that names the nearest known one."""
    found = recordable(name)
    if found is None or "step_b" in found.dims:
        known = [each for each in QUANTITIES if "step_b" not in QUANTITIES[each].dims] + [*EXTRA_VARIABLES]
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known))}"
        raise InputError(f"`{name}` is no quantity of records: {advice}")
    return found


def require_names(names: Iterable[object], of: str) -> tuple[str, ...]:
    """Names as texts: printable, short, each once. They are data, never a part of a path.

    >>> require_names(["0.weight", "0.bias"], "tensor")
    ('0.weight', '0.bias')
    """
    found = tuple(names)
    for name in found:
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > LONGEST_NAME:
            raise InputError(
                f"`{of}` has the name {str(name)[:LONGEST_NAME]!r}: names are printable texts of 1 to "
                f"{LONGEST_NAME} characters"
            )
    twice = sorted({str(name) for name in found if found.count(name) > 1})
    if twice:
        raise InputError(
            f"`{of}` has {', '.join(map(repr, twice[:3]))} more than once: give each its own name"
        )
    return tuple(str(name) for name in found)


def require_cell(width: object, seed: object) -> tuple[int, int]:
    """A width from 1 on and a seed from 0 on."""
    return require_whole("width", width, 1), require_whole("seed", seed, 0)


def require_whole(name: str, value: object, least: int) -> int:
    """A whole number from `least` to what a float holds exactly."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= int(value) <= LARGEST_NUMBER:  # pyright: ignore[reportArgumentType]
        raise InputError(f"`{name}` is {value!r}: give a whole number from {least} on, at most 2**53")
    return int(value)  # pyright: ignore[reportArgumentType]


def require_same_names(found: Sequence[str], expected: Sequence[str], of: str, where: str) -> None:
    """Raise with what differs, unless both are the same names in the same order."""
    if tuple(found) == tuple(expected):
        return
    more, fewer = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    parts = [
        f"{what} {', '.join(map(repr, names[:5]))}{' ...' if len(names) > 5 else ''}"
        for what, names in (("it has also", more), ("it lacks", fewer))
        if names
    ]
    raise InputError(
        f"{where} has other names of `{of}`: {'; '.join(parts) or 'the same in another order'}. All widths "
        "and seeds must have the same"
    )


def coordinate(dim: str, size: int) -> np.ndarray:
    """Values along a dimension whose entries have no names.

    **Errors:** `InputError` for quantiles at other levels than those of the schema.
    """
    if dim == "quantile":
        if size != len(QUANTILE_LEVELS):
            raise InputError(
                f"`preactivation_quantile` has {size} levels: give those of "
                f"`widthwise.records.schema.QUANTILE_LEVELS`, {len(QUANTILE_LEVELS)}"
            )
        return np.array(QUANTILE_LEVELS)
    return np.arange(1, size + 1) if dim == "layer" else np.arange(size)
