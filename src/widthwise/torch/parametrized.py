"""Any PyTorch model at any width and depth, its weights and rates by the rules of a parametrization."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from widthwise.adapters.torch_isolation import all_random_states_kept, require_torch
from widthwise.errors import InputError
from widthwise.study.parametrizations import TABLE
from widthwise.study.settings import LARGEST_WIDTH, Parametrization
from widthwise.torch.built import Parametrized
from widthwise.torch.depth import POWERS, DepthRule, counterparts, deepened, in_blocks, require_branches
from widthwise.torch.factory import Factory, require_same
from widthwise.torch.limits import warnings_of
from widthwise.torch.roles import FIXED, describe, growth_of, named_by, require_tags
from widthwise.torch.rules import multiplied, rule_of
from widthwise.torch.starts import Size, sizes_at, start_factor
from widthwise.torch.undrawn import draw, is_undrawn


def parametrize(
    make: Callable[..., Any],
    width: int,
    *,
    base_width: int,
    parametrization: Parametrization = "mean_field",
    tags: Mapping[str, str] | None = None,
    multipliers: Mapping[str, float] | None = None,
    seed: int | None = None,
    depth: int | None = None,
    base_depth: int | None = None,
    branches: Sequence[str] | None = None,
    depth_rule: DepthRule = "complete",
    probes: Any = None,
    init: Callable[[Any], Any] | None = None,
) -> Parametrized:
    r"""A user's PyTorch model at a width, its weights and learning rates by the rules of a parametrization.

    At the base width it is `make(base_width)`, untouched. At others it is `make(width)` with each tensor
    multiplied by one number, so that its entries have their size at the base width times the power of m for
    its role; rates follow in `param_groups`. In "mean_field" (muP) every activation then changes by the same
    amount in a step at every width, and the best learning rate stays where it is. Nothing in the model is
    replaced or marked, and no hook stays: it can be compiled, wrapped and saved as any other. A model that
    `make` leaves on the meta device is drawn by `built.initialize(device)`.

    **Arguments:** `make(width)`, with `depth` `make(width, depth)`, gives a new model, of the same tensors at
    all widths; `base_width`, where learning rates were or will be chosen; `tags`, roles ("input", "hidden",
    "readout", "scalar") by name or pattern, where shapes do not tell, "fixed" for what is to stay as it is at
    one rate; `multipliers`, numbers by name or pattern that the forward pass is to multiply tensors with,
    which become initial sizes and rates; `seed`, for `torch.manual_seed` before `make(width)`: without it,
    the model is drawn from the generators as they stand; `depth`, `base_depth`, `branches`, `depth_rule`, see
    `depth.deepened`; `probes`, inputs of the model (a tensor, a tuple or a dictionary), with which attention
    is watched for `warnings`; `init`, what draws a model from the meta device in place, by default
    `reset_parameters` of all its modules. Tensors that need no gradient stay as they are.
    **Errors:** `InputError` that names the tensor whose role is not clear, with the line of `tags` to write;
    for a `make` that ignores the width, fails, or gives other tensors at each call; for lazy, quantized and
    re-parametrized modules.
    **Source:** Yang and Hu (2022), arXiv 2203.03466, table 8.
    """
    given = {"width": width, "base_width": base_width, "depth": depth, "base_depth": base_depth}
    _require(parametrization, given, depth_rule)
    factory = Factory(make)
    here = (width,) if depth is None else (width, depth)
    there = (base_width,) if base_depth is None else (base_width, base_depth)
    deeper = depth / base_depth if depth and base_depth else 1.0

    def at_base() -> Any:
        found = factory(*there)
        if is_undrawn(found):
            found.to_empty(device="cpu")
            draw(found, init)
        return found

    with _seeded(seed, kept=True):
        base = at_base()
        bases = describe(base)
        known = sizes_at(at_base, base, once=here == there)
        twice = describe(factory.shapes_of(2 * base_width, *there[1:])) if width == base_width else None
    with _seeded(seed, kept=seed is not None):
        model = factory(*here)
    tensors = describe(model)
    like = counterparts(tensors, bases) if deeper != 1 else {name: name for name in tensors}
    require_same(bases, twice or (tensors if deeper == 1 else {}), base_width)
    if here == there and tensors != bases:
        raise InputError(f"`make({width})` gives other shapes at each call")
    tags, asked = require_tags(tags, list(tensors)), named_by("multipliers", multipliers, list(tensors))
    rows = []
    for name, p in model.named_parameters():
        if p.requires_grad and like[name] in bases:
            wider = twice[like[name]] if twice else tensors[name]
            role = growth_of(name, wider, bases[like[name]], tags)
            role = role._replace(out=1.0, into=1.0) if twice else role
            row = rule_of(name, tensors[name], bases[like[name]], role, parametrization)
            rows.append(multiplied(row, asked[name], "as asked") if name in asked else row)
    if deeper != 1:
        blocks = in_blocks(tensors, bases)
        rows = deepened(rows, blocks, deeper, depth_rule, require_branches(branches, blocks))
    rows = [row._replace(std=known[like[row.tensor]].rms * row.start) for row in rows]

    def start(drawn: Any, sizes: Mapping[str, Size]) -> None:
        for row in rows:
            name, p, of_base = row.tensor, drawn.get_parameter(row.tensor), like[row.tensor]
            if tags.get(name) == FIXED:
                continue
            if here == there:
                factor = row.start
            elif row.role == "scalar" and name == of_base and not hasattr(p, "full_tensor"):
                p.copy_(base.get_parameter(name))  # drawn as at the base width
                factor = row.start
            else:
                factor = start_factor(row, sizes[name], known[of_base], deeper)
            if factor != 1:
                p.mul_(factor)

    def draw_all(empty: Any) -> None:
        draw(empty, init)
        start(empty, sizes_at(at_base, empty, once=True))

    undrawn = is_undrawn(model)
    with all_random_states_kept(), require_torch().no_grad():
        if not undrawn:
            start(model, sizes_at(lambda: factory(*here), model, once=here == there))
    at, base_at = (" and depth ".join(map(str, sides)) for sides in (here, there))
    return Parametrized(
        model=model,
        rows=tuple(rows),
        warnings=warnings_of(model, base, parametrization, probes),
        parametrization=parametrization,
        heading=f"{parametrization} at width {at}, the model itself at width {base_at}; rates multiply the "
        "learning rate",
        draw=draw_all if undrawn else None,
    )


@contextmanager
def _seeded(seed: int | None, *, kept: bool) -> Iterator[None]:
    """Random numbers of the seed, or of the generators as they stand; `kept`, whether these are put back."""
    with all_random_states_kept() if kept else nullcontext():
        if seed is not None:
            require_torch().manual_seed(seed)
        yield


def _require(parametrization: Any, given: Mapping[str, Any], depth_rule: Any) -> None:
    if parametrization not in TABLE:
        raise InputError(f"`parametrization` = {parametrization!r}: expected one of {', '.join(TABLE)}")
    if (given["depth"] is None) != (given["base_depth"] is None):
        raise InputError("`depth` and `base_depth` go together: give both, or none")
    for name, value in given.items():
        whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_WIDTH
        if not whole and not (value is None and "depth" in name):
            raise InputError(f"`{name}` = {value!r}: give a whole number from 1 to {LARGEST_WIDTH:,}")
    if depth_rule not in POWERS:
        raise InputError(f"`depth_rule` = {depth_rule!r}: expected one of {', '.join(POWERS)}")
