"""Whether something happens more often than it may, in as few repeats as can tell: Wald's sequential test."""

from collections.abc import Callable
from math import log


def happens_too_often(
    happens: Callable[[], bool], rate: float, wrong: float, *, false_alarm: float, overlooked: float = 0.05
) -> bool:
    """The likelihood of independent repeats at the rate `wrong`, over that at `rate`, says which is true.

    It is followed until it leaves the interval from `overlooked` to 1 / `false_alarm`. Its mean is 1 at
    `rate` at all times, that of its inverse at `wrong`: so with a true rate of at most `rate` the answer is
    "too often" with probability `false_alarm` at most, and from `wrong` on "no" with `overlooked` at most
    (Wald 1945). Of tests with these two errors it needs the fewest repeats on average at either rate.
    """
    evidence = 0.0
    while log(overlooked) < evidence < -log(false_alarm):
        evidence += log(wrong / rate) if happens() else log((1 - wrong) / (1 - rate))
    return evidence > 0.0
