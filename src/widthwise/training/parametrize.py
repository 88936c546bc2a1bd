"""The table of parametrizations for a user's own Equinox module, and the table itself to read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, UInt

from widthwise.data.open import open_stream
from widthwise.errors import InputError
from widthwise.networks.build import blueprint
from widthwise.networks.parametrization import draw, is_rule, rules_of
from widthwise.networks.rule_table import TensorRow, format_rows, table_rows
from widthwise.networks.tagging import blueprint_of
from widthwise.study import Study
from widthwise.study.parametrizations import TABLE
from widthwise.study.settings import LARGEST_WIDTH, Parametrization
from widthwise.study.study import require_study

Tree = Any  # a module, or one with rules or tensors in place of its weights


@dataclass(frozen=True, kw_only=True)
class Parametrized:
    """A network of one width, and how each of its tensors began and learns.

    **Fields:** `model`, the module with its weights; `rules`, the module with a `Rule` in place of every
    weight and None elsewhere, for `make_optimizer`; `rows`, the table as data.
    """

    model: Any
    rules: Tree
    rows: tuple[TensorRow, ...]
    heading: str

    def table(self) -> str:
        """The rules of every tensor as text."""
        return format_rows(self.heading, self.rows)


def parametrize(
    make: Callable[[int], Any],
    width: int,
    *,
    base_width: int,
    parametrization: Parametrization = "mean_field",
    key: Key[Array, ""] | UInt[Array, "2"],
    tags: Mapping[str, str] | None = None,
) -> Parametrized:
    r"""A user's Equinox module at a width, its weights and learning rates by the rules of a parametrization.

    At the base width all parametrizations are the module as `make` begins it, redrawn. At other widths
    initial standard deviations and learning rates follow the table of `study/parametrizations.py`, without
    any multiplier in the forward pass: in "mean_field" (muP) the change of every activation in a step, and so
    the best learning rate, keeps its size at all widths. Three things are the module's own: attention logits
    are to be $q \cdot k\, \sqrt{d_0} / d$ in mean_field, with heads of size d and of d_0 at the base width; a
    matrix that is embedding and readout at once is to be multiplied by N_0 / N where it reads out; sums over
    units that grow in number are otherwise to be weights or means.

    **Arguments:** `make(width)` gives the module, with the same tensors at all widths; `base_width`, at which
    learning rates were or will be chosen; `tags`, roles by path where the one seen from shapes is not wanted,
    "fixed" for arrays that are no weights (see `networks/tagging.py`). The same key gives the same weights;
    under `jax.vmap` over keys, an ensemble.
    **Errors:** `ValueError` naming the tensor whose role is not clear, or whose entries are not finite; for
    an unknown parametrization, path or role; for what is no width, key or function.
    **Source:** Yang and Hu (2022), arXiv 2203.03466, table 8.

    >>> import equinox as eqx
    >>> make = lambda width: eqx.nn.MLP(3, 2, width, depth=2, use_bias=False, use_final_bias=False,
    ...                                 key=jax.random.key(0))
    >>> print(parametrize(make, 256, base_width=64, key=jax.random.key(1)).table())
    mean_field at width 256, the module itself at width 64; rates multiply the learning rate
    tensor             shape       role     growth  initial std  SGD rate  Adam rate  decays
    .layers[0].weight  (256, 3)    input         4       0.3089         4          1     yes
    .layers[1].weight  (256, 256)  hidden        4      0.0361         1       0.25     yes
    .layers[2].weight  (2, 256)    readout       4      0.01795      0.25       0.25     yes
    """
    if parametrization not in TABLE:
        raise ValueError(f"`parametrization` = {parametrization!r}: expected one of {', '.join(TABLE)}")
    for name, value in (("width", width), ("base_width", base_width)):
        _require_width(name, value)
    if not callable(make):
        raise ValueError(f"`make` = {type(make).__name__}: give a function of the width, such as make(width)")
    if getattr(key, "dtype", None) is None:
        raise ValueError(f"`key` = {key!r}: give a key, such as jax.random.key(0)")
    if tags is not None and not isinstance(tags, Mapping):
        raise ValueError(f"`tags` = {tags!r}: give roles by path, such as {{'.layers[0].weight': 'input'}}")
    plan, base = (blueprint_of(make, size, base_width, tags) for size in (width, base_width))
    rules = rules_of(plan, base, parametrization)
    rows = table_rows(plan, base, rules)
    if not rows:
        raise ValueError("`make` gives a module without weights")
    paths = [row.tensor for row in rows]
    rule_at = dict(zip(paths, jax.tree.leaves(rules, is_leaf=is_rule), strict=True))
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    weight_at = dict(zip(paths, jax.tree.leaves(draw(key, plan, rules)), strict=True))
    # By paths and not by structures: each call of `make` may give functions and markers of its own.
    found, structure = jax.tree_util.tree_flatten_with_path(make(width))
    named = [(jax.tree_util.keystr(path), leaf) for path, leaf in found]
    leaves = [_like(weight_at[name], leaf) if name in rule_at else leaf for name, leaf in named]
    return Parametrized(
        model=jax.tree.unflatten(structure, leaves),
        rules=jax.tree.unflatten(structure, [rule_at.get(name) for name, _ in named]),
        rows=rows,
        heading=_heading(parametrization, width, base_width, "the module itself"),
    )


def describe_parametrization(study: Study, width: int) -> str:
    """The same table for a study's own network, whose data are opened for the shape of an input.

    Standard deviations and rates are of the arrays as they are kept: a perceptron's are N(0, 1), and its
    forward pass divides.

    **Errors:** `InputError` if the data cannot be read, or not by such a network; for what is no width.
    """
    require_study(study)
    _require_width("width", width)
    stream, network = open_stream(study), study.network
    plan, base = (
        blueprint(network, stream.shape, stream.outputs, size) for size in (width, network.base_width)
    )
    rows = table_rows(plan, base, rules_of(plan, base, network.parametrization))
    same = "all parametrizations the same"
    return format_rows(_heading(network.parametrization, width, network.base_width, same), rows)


def _require_width(name: str, width: Any) -> None:
    whole = isinstance(width, int | np.integer) and not isinstance(width, bool)
    if not whole or not 1 <= width <= LARGEST_WIDTH:
        raise InputError(f"`{name}` = {width!r}: give a whole number from 1 to {LARGEST_WIDTH:,}")


def _heading(parametrization: str, width: int, base_width: int, same: str) -> str:
    return (
        f"{parametrization} at width {width}, {same} at width {base_width}; rates multiply the learning rate"
    )


def _like(weight: Array, leaf: Any) -> Array:
    return weight.astype(jax.dtypes.canonicalize_dtype(leaf.dtype))
