"""Which steps are recorded where the length of a training is not known beforehand."""

from collections.abc import Callable, Iterable

import numpy as np

from widthwise.errors import InputError

STEPS_PER_DECADE = 8

# "all", "log", step numbers, or a rule.
Steps = str | Iterable[int] | Callable[[int], bool]


def log_steps(last: int) -> tuple[int, ...]:
    """Step 0, about eight steps a decade, and `last`: the same for all trainings of that length.

    >>> log_steps(20)
    (0, 1, 2, 3, 4, 6, 7, 10, 13, 18, 20)
    """
    return tuple(step for step in range(last + 1) if step == last or is_log_step(step))


def is_log_step(step: int) -> bool:
    """Whether a step is 0 or 10^(k/8), rounded, for some k."""
    if step == 0:
        return True
    nearest = round(STEPS_PER_DECADE * np.log10(step))
    return any(round(10 ** (k / STEPS_PER_DECADE)) == step for k in (nearest - 1, nearest, nearest + 1))


def rule_of(steps: Steps) -> Callable[[int], bool]:
    """The rule that says of a step whether it is recorded.

    **Errors:** `InputError` for what is neither "all", "log", whole numbers from 0 on, nor a function.

    >>> [step for step in range(30) if rule_of([0, 7, 29])(step)]
    [0, 7, 29]
    """
    if callable(steps):
        return steps
    if steps == "all":
        return lambda step: True
    if steps == "log":
        return is_log_step
    try:
        if isinstance(steps, str):
            raise TypeError
        chosen = frozenset(int(step) for step in steps)
    except (TypeError, ValueError) as error:
        raise InputError(f'`steps` is {steps!r}: give "all", "log", step numbers or a function') from error
    if not chosen or min(chosen) < 0:
        raise InputError(f"`steps` is {sorted(chosen)}: give step numbers from 0 on")
    return chosen.__contains__
