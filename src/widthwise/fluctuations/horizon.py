"""Until which step order 1/N is known, and by which estimate; `populations` needs no derivatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from widthwise.fluctuations.populations import LEVELS, Estimates, Networks, block_estimates
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import mean_and_stderr
from widthwise.progress import Progress

CARRIED_BY = 64  # sites that are to carry the squares of derivatives, which then err by an eighth,
SHARE = 1 / 8  # or this share of few sites
DISAGREEMENT = 4.0  # of the two estimates, in standard errors, over all entries of a step
NOISY = 0.3  # of its size, from which an error, or a disagreement, is too large for derivatives
NEXT_ORDER = 0.25  # of the leading one, from which populations are too narrow for it
SEEN = 3.0  # standard errors from which a next order is told from noise
SIZES = (512, 2048, 8192)  # neurons of a population, as far as the next order asks for
POPULATIONS = (4, 32)  # of each scrambling
EFFORT = 1e10  # neurons x steps x (points^2 + 50) of all populations of a size: some ten seconds
SEED_OF_POPULATIONS = 2


@dataclass(frozen=True)
class Horizon:
    """Of one companion: the last recorded step whose numbers are given, and `why` there are none later."""

    until: int
    why: str


class Companions(NamedTuple):
    """N Var and N (mean - infinite width) at the recorded steps, with standard errors."""

    variance: OrderParameters
    variance_stderr: OrderParameters
    shift: OrderParameters
    shift_stderr: OrderParameters
    two_time: Float[np.ndarray, "step step point output"] | None
    two_time_stderr: Float[np.ndarray, "step step point output"] | None


class Leading(NamedTuple):
    """2 q(S) - q(S/2) for a q of order 1/N, its standard error, and where q(S) is all but leading order."""

    value: Float[np.ndarray, "step *entry"]
    stderr: Float[np.ndarray, "step *entry"]
    reached: Bool[np.ndarray, " step"]


class OrderOfN(NamedTuple):
    """By populations, of every order parameter by name: N Var, shift; and N Cov(f(t), f(s))."""

    variance: dict[str, Leading]
    shift: dict[str, Leading]
    two_time: Leading


def unstable_from(carried_by: list[Float[np.ndarray, " step"]], sites: int) -> int | None:
    """The first recorded step, by position, at which few sites own the derivatives of any scrambling."""
    fewest, most = np.min(carried_by, axis=0), np.max(carried_by, axis=0)
    found = np.flatnonzero((most > 0) & ~(fewest >= min(CARRIED_BY, SHARE * sites)))
    return int(found[0]) if len(found) else None


def solve_by_populations(
    networks: Networks, cost: float, blocks: int, seed: int, *, progress: Progress
) -> OrderOfN:
    """Populations as wide as it takes for the next order to be small, up to the largest of `SIZES`.

    At every step a number is of the smallest populations that show leading order. **Arguments:** `cost` of
    one neuron, as in `EFFORT`; `blocks`, independent, whose scatter is the error.
    """
    found = None
    for size in SIZES:
        count = int(np.clip(EFFORT / (cost * size * blocks), *POPULATIONS))
        wider = of_size(networks, size, count, blocks, seed, levels=LEVELS, progress=progress)
        found = wider if found is None else jax.tree.map(_narrowest, found, wider, is_leaf=_is_leading)
        if all(each.reached.all() for each in jax.tree.leaves(found, is_leaf=_is_leading)):
            break
    assert found is not None
    return found


def of_size(
    networks: Networks, size: int, count: int, blocks: int, seed: int, *, levels: int, progress: Progress
) -> OrderOfN:
    """By `count` populations of `size` neurons in each of the independent `blocks`."""
    progress.start(f"networks of {size} neurons", blocks)
    answers: list[Estimates] = []
    for block in range(blocks):
        start = np.random.default_rng((seed, SEED_OF_POPULATIONS, block, size)).integers(2**31)
        keys = jax.random.split(jax.random.key(start), count)
        answers.append(jax.tree.map(np.asarray, block_estimates(networks, keys, size, levels)))
        progress.advance()

    def named(orders: list[OrderParameters]) -> dict[str, Leading]:
        return {name: leading([getattr(each, name) for each in orders]) for name in OrderParameters._fields}

    variance, shift = named([each.variance for each in answers]), named([each.shift for each in answers])
    return OrderOfN(variance, shift, leading([each.two_time for each in answers]))


def leading(blocks: Sequence[Float[Array | np.ndarray, "level step *entry"]]) -> Leading:
    """From q(S) and q(S/2), the first two levels of every block; q(S) alone where there is but one.

    The error holds the scatter of the blocks and, where a next order is seen, what may be left of it: its own
    share of itself.
    """
    if len(blocks[0]) == 1:
        value, error = mean_and_stderr([each[0] for each in blocks])
        return Leading(value, error, np.isfinite(size_of(value)))
    value, error = mean_and_stderr([2 * each[0] - each[1] for each in blocks])
    change, noise = mean_and_stderr([each[0] - each[1] for each in blocks])
    first = size_of(np.mean([each[0] for each in blocks], axis=0))
    seen = size_of(change) > SEEN * size_of(noise)
    share = np.divide(size_of(change), first, out=np.zeros_like(first), where=seen & (first > 0))
    left = np.expand_dims(share, tuple(range(1, value.ndim))) * change
    return Leading(value, np.sqrt(error**2 + left**2), np.isfinite(first) & (share <= NEXT_ORDER))


def size_of(x: Float[np.ndarray, "step *entry"]) -> Float[np.ndarray, " step"]:
    """The root mean square over the entries of a step; zero of none."""
    squares = x.reshape(len(x), -1) ** 2
    return np.sqrt(squares.sum(axis=1) / max(squares.shape[1], 1))


def _is_leading(node: object) -> bool:
    return isinstance(node, Leading)


def _narrowest(narrow: Leading, wide: Leading) -> Leading:
    """At each step of narrow networks if these reach leading order, else of wide ones.

    These reach it unless they are further from the narrow ones, a quarter as wide, than a next order of
    `NEXT_ORDER` would take them.
    """
    apart = size_of(wide.value - narrow.value)
    noise = np.hypot(size_of(wide.stderr), size_of(narrow.stderr))
    grown = (apart > 3 * NEXT_ORDER * size_of(wide.value)) & (apart > SEEN * noise)
    take = np.expand_dims(narrow.reached, tuple(range(1, narrow.value.ndim)))
    return Leading(
        np.where(take, narrow.value, wide.value),
        np.where(take, narrow.stderr, wide.stderr),
        narrow.reached | (wide.reached & ~grown),
    )


def replaced(
    before: Companions, unstable: int | None, found: OrderOfN, steps: Int[np.ndarray, " step"]
) -> tuple[Companions, dict[str, Horizon]]:
    """Numbers of populations from where derivatives fail, and NaN from where these show no leading order.

    Derivatives fail from position `unstable` on, and where the two disagree or theirs are mostly noise.
    **Returns:** the companions, and the horizon of each, by name such as "loss_shift".
    """
    horizons: dict[str, Horizon] = {}
    kept: dict[str, OrderParameters] = {}
    # What moves the network moves all that is seen of it.
    reached = {
        name: found.variance[name].reached & found.shift[name].reached & found.variance["prediction"].reached
        for name in OrderParameters._fields
    }
    for kind, answers in (("variance", found.variance), ("shift", found.shift)):
        joined = {}
        values, errors = getattr(before, kind), getattr(before, f"{kind}_stderr")
        for name, answer in answers.items():
            own, error = getattr(values, name), getattr(errors, name)
            if not own.size:  # not asked for
                joined[name] = own, error
                continue
            start = _fails_from(own, error, answer, unstable)
            end = _end(reached[name], start)
            joined[name] = _joined(own, answer.value, start, end), _joined(error, answer.stderr, start, end)
            horizons[f"{name}_{kind}"] = _horizon(steps, end)
        for i, attribute in enumerate((kind, f"{kind}_stderr")):
            kept[attribute] = OrderParameters(**{name: pair[i] for name, pair in joined.items()})
    two_time, error = before.two_time, before.two_time_stderr
    if two_time is not None and error is not None and unstable is not None:
        end = _end(reached["prediction"], unstable)
        two_time = _joined_twice(two_time, found.two_time.value, unstable, end)
        error = _joined_twice(error, found.two_time.stderr, unstable, end)
        horizons["prediction_two_time_covariance"] = _horizon(steps, end)
    return Companions(**kept, two_time=two_time, two_time_stderr=error), horizons


def _fails_from(
    own: Float[np.ndarray, "step *entry"],
    error: Float[np.ndarray, "step *entry"],
    other: Leading,
    unstable: int | None,
) -> int:
    """The first position at which the derivatives' numbers are not to be printed, else how many there are."""
    count = len(other.value)  # without what diverged
    mine, ours, theirs = size_of(own[:count]), size_of(error[:count]), size_of(other.stderr)
    between = size_of(own[:count] - other.value)
    apart = (between > DISAGREEMENT * np.hypot(ours, theirs)) & (between > NOISY * size_of(other.value))
    noisy = (ours > NOISY * mine) & (theirs < ours)
    failing = [*np.flatnonzero(apart | noisy)[:1], len(own) if unstable is None else unstable]
    return int(min(failing))


def _end(reached: Bool[np.ndarray, " step"], start: int) -> int:
    """The first position from `start` on at which leading order is not seen, else how many there are."""
    late = np.flatnonzero(~reached[start:])
    return start + int(late[0]) if len(late) else len(reached)


def _joined(own: np.ndarray, other: np.ndarray, start: int, end: int) -> np.ndarray:
    joined = own.copy()
    joined[start : len(other)] = other[start:]
    joined[end:] = np.nan
    return joined


def _joined_twice(own: np.ndarray, other: np.ndarray, start: int, end: int) -> np.ndarray:
    """Along both of its axes of time."""
    joined, count = own.copy(), len(other)
    joined[start:count, :count], joined[:count, start:count] = other[start:], other[:, start:]
    joined[end:], joined[:, end:] = np.nan, np.nan
    return joined


def _horizon(steps: Int[np.ndarray, " step"], end: int) -> Horizon:
    if end >= len(steps):
        return Horizon(int(steps[-1]), "")
    return Horizon(
        int(steps[end - 1]),
        f"from step {steps[end]} on networks of {SIZES[-1]} neurons, the widest tried, show no leading order "
        f"in 1/N: the next order is above {NEXT_ORDER:.0%} of it",
    )
